//! Server-sent events: framing of streams, after the HTML standard's chapter "Server-sent events".

use bytes::{Bytes, BytesMut};

/// The most bytes of one event by default: 8 MiB.
pub const DEFAULT_LIMIT: usize = 8 << 20;

/// One event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The event's name, when it has one.
    pub event: Option<String>,
    /// The data, its lines joined by line feeds.
    pub data: String,
}

/// Why a stream could not be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// One event is larger than the limit.
    #[error("an event of the stream is larger than {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Cuts a byte stream into events, however its chunks are split.
///
/// It knows CR, LF and CRLF, comments, a byte order mark and unnamed events; `id` and `retry` fields are skipped. An
/// event without a closing blank line is no event, unless [`finish`](Self::finish) asks for it.
#[derive(Debug)]
pub struct Decoder {
    limit: usize,
    /// The line being read, without its end.
    line: Vec<u8>,
    event: Option<String>,
    data: Option<String>,
    /// Bytes of the event being read.
    size: usize,
    /// The last byte was a CR, so that an LF now belongs to it.
    after_cr: bool,
    /// No line was read yet, so that a byte order mark is skipped.
    at_start: bool,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl Decoder {
    /// A decoder that refuses events above `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            event: None,
            data: None,
            size: 0,
            after_cr: false,
            at_start: true,
        }
    }

    /// Takes the next bytes and returns the events that they complete.
    ///
    /// # Errors
    /// [`Error::TooLarge`]; the stream must then be given up.
    pub fn push(&mut self, chunk: &[u8]) -> Result<Vec<Event>, Error> {
        let mut events = Vec::new();
        let mut rest = chunk;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) {
            let (line, tail) = rest.split_at(end);
            self.extend(line)?;
            events.extend(self.end_line());
            rest = tail.get(1..).unwrap_or_default();
            if tail.first() == Some(&b'\r') {
                self.after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
        }
        self.extend(rest)?;
        Ok(events)
    }

    /// The event at the end of a stream that lacks its closing blank line, which some servers forget.
    pub fn finish(&mut self) -> Option<Event> {
        if !self.line.is_empty() {
            // A line that ends with the stream is no blank line, so no event comes of it yet.
            self.end_line();
        }
        self.dispatch()
    }

    /// Whether bytes of an unfinished event are held: at the end of a stream, it was cut off.
    pub fn is_mid_event(&self) -> bool {
        !self.line.is_empty() || self.data.is_some()
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.size += bytes.len();
        if self.size > self.limit {
            return Err(Error::TooLarge { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = if std::mem::take(&mut self.at_start) {
            line.trim_start_matches('\u{feff}')
        } else {
            &line
        };
        if line.is_empty() {
            return self.dispatch();
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => match &mut self.data {
                Some(data) => {
                    data.push('\n');
                    data.push_str(value);
                }
                None => self.data = Some(value.to_owned()),
            },
            "event" => self.event = Some(value.to_owned()).filter(|name| !name.is_empty()),
            // Comments, `id` and `retry`.
            _ => {}
        }
        None
    }

    fn dispatch(&mut self) -> Option<Event> {
        self.size = 0;
        let event = self.event.take();
        self.data.take().map(|data| Event { event, data })
    }
}

/// One event in wire form. Line breaks in the data become several `data` lines; in the name, they are dropped.
pub fn encode(event: Option<&str>, data: &str) -> Bytes {
    let mut out = BytesMut::with_capacity(data.len() + 16);
    if let Some(event) = event {
        out.extend_from_slice(b"event: ");
        out.extend(event.bytes().filter(|byte| !matches!(byte, b'\r' | b'\n')));
        out.extend_from_slice(b"\n");
    }
    // CRLF is one break, and a lone CR is one too.
    for line in data
        .split('\n')
        .flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
    {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line.as_bytes());
        out.extend_from_slice(b"\n");
    }
    out.extend_from_slice(b"\n");
    out.freeze()
}

/// The event that ends a stream of the OpenAI API.
pub const DONE: &str = "[DONE]";
