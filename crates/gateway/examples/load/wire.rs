//! Just enough HTTP/1.1 to ask and to read answers, without a copy or an allocation for each.

use std::io;

use memchr::memmem;
use tokio::{io::AsyncWriteExt, net::TcpStream};

/// The bytes of a chunk's size that are looked at, at most.
const SIZE_DIGITS: usize = 16;

/// A connection that is kept.
pub(super) struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// How much of the input is used up.
    used: usize,
}

/// An answer that was read to its end.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// The bytes of its body.
    pub(super) bytes: usize,
}

/// How long a body is.
#[derive(Debug, Clone, Copy)]
enum Length {
    Known(usize),
    Chunked,
}

impl Connection {
    pub(super) async fn open(address: std::net::SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            input: Vec::with_capacity(16 << 10),
            used: 0,
        })
    }

    /// Sends a request and reads the answer; `piece` sees each piece of the body when it is there.
    pub(super) async fn ask(&mut self, request: &[u8], mut piece: impl FnMut(&[u8])) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        let (status, length) = self.head().await?;
        let bytes = match length {
            Length::Known(length) => {
                while self.rest().len() < length {
                    self.fill().await?;
                }
                piece(self.rest().get(..length).unwrap_or_default());
                self.used += length;
                length
            }
            Length::Chunked => self.chunks(&mut piece).await?,
        };
        self.forget();
        Ok(Answer { status, bytes })
    }

    /// Sends a request and waits for the head and the first bytes of the body, but not longer.
    pub(super) async fn begin(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        let (status, _) = self.head().await?;
        while self.rest().is_empty() {
            self.fill().await?;
        }
        Ok(status)
    }

    async fn head(&mut self) -> io::Result<(u16, Length)> {
        loop {
            if let Some(end) = memmem::find(self.rest(), b"\r\n\r\n") {
                let head = self.rest().get(..end).unwrap_or_default();
                let parsed = parse(head).ok_or_else(|| broken("the head of an answer"))?;
                self.used += end + 4;
                return Ok(parsed);
            }
            self.fill().await?;
        }
    }

    /// Reads chunks (RFC 9112, section 7.1) to the last one.
    async fn chunks(&mut self, piece: &mut impl FnMut(&[u8])) -> io::Result<usize> {
        let mut bytes = 0;
        loop {
            let (digits, size) = loop {
                match memchr::memchr(b'\n', self.rest()) {
                    Some(at) => break (at + 1, size(self.rest().get(..at).unwrap_or_default())?),
                    None if self.rest().len() > SIZE_DIGITS => return Err(broken("a chunk")),
                    None => self.fill().await?,
                }
            };
            while self.rest().len() < digits + size + 2 {
                self.fill().await?;
            }
            if size > 0 {
                piece(self.rest().get(digits..digits + size).unwrap_or_default());
            }
            self.used += digits + size + 2;
            bytes += size;
            if size == 0 {
                return Ok(bytes);
            }
        }
    }

    fn rest(&self) -> &[u8] {
        self.input.get(self.used..).unwrap_or_default()
    }

    fn forget(&mut self) {
        self.input.drain(..self.used.min(self.input.len()));
        self.used = 0;
    }

    async fn fill(&mut self) -> io::Result<()> {
        if self.used > 8 << 10 {
            self.forget();
        }
        loop {
            self.stream.readable().await?;
            match self.stream.try_read_buf(&mut self.input) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn size(line: &[u8]) -> io::Result<usize> {
    let digits = std::str::from_utf8(line).ok().map(str::trim).unwrap_or_default();
    let digits = digits.split(';').next().unwrap_or_default();
    usize::from_str_radix(digits, 16).map_err(|_| broken("a chunk"))
}

fn broken(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} is broken"))
}

fn parse(head: &[u8]) -> Option<(u16, Length)> {
    let mut lines = head.split(|byte| *byte == b'\n');
    let status = std::str::from_utf8(lines.next()?.get(9..12)?)
        .ok()?
        .parse()
        .ok()?;
    let mut length = Length::Known(0);
    for line in lines {
        let colon = memchr::memchr(b':', line)?;
        let (name, value) = (line.get(..colon)?, line.get(colon + 1..)?);
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Length::Known(std::str::from_utf8(value).ok()?.trim().parse().ok()?);
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            length = Length::Chunked;
        }
    }
    Some((status, length))
}
