//! A message on its way out.
//!
//! *Invariant:* exactly as many bytes of a body go out as its head tells, or the connection is given up.

use std::{
    fmt::Write as _,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, SizeHint};
use tokio::io::AsyncWrite;

use super::broken;

/// How the body of a message is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// By the bytes that are left.
    Known(u64),
    /// By chunks.
    Chunked,
}

impl Length {
    /// Of a body.
    pub(crate) fn of(hint: &SizeHint) -> Self {
        hint.exact().map_or(Self::Chunked, Self::Known)
    }
}

/// A message, as far as it is not written yet.
pub(crate) struct Writing<B> {
    /// What goes before the data: the head, or the line of a chunk.
    before: BytesMut,
    data: Bytes,
    /// What goes after the data.
    after: &'static [u8],
    /// `None` once all of it was taken.
    body: Option<B>,
    length: Length,
    untouched: bool,
}

impl<B> Writing<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// A message with its head.
    pub(crate) fn new(head: BytesMut, body: B, length: Length) -> Self {
        Self {
            before: head,
            data: Bytes::new(),
            after: b"",
            body: Some(body).filter(|_| length != Length::Known(0)),
            length,
            untouched: true,
        }
    }

    /// Whether nothing was written yet, so that it may go over another connection.
    pub(crate) fn is_untouched(&self) -> bool {
        self.untouched
    }

    /// Writes as far as it goes; ready when all is written.
    pub(crate) fn poll<I>(&mut self, io: &mut I, context: &mut Context<'_>) -> Poll<io::Result<()>>
    where
        I: AsyncWrite + Unpin,
    {
        loop {
            // The head goes out with the first piece of the body if that is there.
            let more = if self.data.is_empty() && self.after.is_empty() {
                self.next(context)?
            } else {
                Poll::Ready(true)
            };
            while !(self.before.is_empty() && self.data.is_empty() && self.after.is_empty()) {
                let parts: [&[u8]; 3] = [&self.before, &self.data, self.after];
                let parts = parts.map(IoSlice::new);
                let count = ready!(Pin::new(&mut *io).poll_write_vectored(context, &parts))?;
                if count == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                self.untouched = false;
                self.written(count);
            }
            self.before = BytesMut::new();
            match more {
                Poll::Ready(true) => {}
                Poll::Ready(false) => return Poll::Ready(Ok(())),
                // What TLS holds back is not to wait for the next piece.
                Poll::Pending => {
                    ready!(Pin::new(&mut *io).poll_flush(context))?;
                    return Poll::Pending;
                }
            }
        }
    }

    fn written(&mut self, count: usize) {
        let before = count.min(self.before.len());
        self.before.advance(before);
        let data = (count - before).min(self.data.len());
        self.data.advance(data);
        self.after = self.after.get(count - before - data..).unwrap_or_default();
    }

    /// Takes the next piece of the body; `false` when there is none any more.
    fn next(&mut self, context: &mut Context<'_>) -> io::Result<Poll<bool>> {
        let Some(body) = &mut self.body else {
            return Ok(Poll::Ready(false));
        };
        let data = match Pin::new(&mut *body).poll_frame(context) {
            Poll::Pending => return Ok(Poll::Pending),
            Poll::Ready(Some(Err(error))) => {
                // Another connection would not help.
                self.untouched = false;
                return Err(io::Error::other(error));
            }
            Poll::Ready(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Poll::Ready(None) => {
                self.end()?;
                return Ok(Poll::Ready(true));
            }
        };
        let last = body.is_end_stream();
        match &mut self.length {
            Length::Known(left) => {
                let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
                *left = left
                    .checked_sub(length)
                    .ok_or_else(|| broken("the message is longer than it tells"))?;
                if *left == 0 {
                    self.body = None;
                }
            }
            // An empty chunk would be the last one.
            Length::Chunked if data.is_empty() => {}
            Length::Chunked => {
                // It never fails on a buffer that grows.
                let _ = write!(self.before, "{:x}\r\n", data.len());
                self.after = b"\r\n";
                if last {
                    self.body = None;
                    self.after = b"\r\n0\r\n\r\n";
                }
            }
        }
        self.data = data;
        Ok(Poll::Ready(true))
    }

    fn end(&mut self) -> io::Result<()> {
        self.body = None;
        match self.length {
            Length::Known(0) => {}
            Length::Known(_) => return Err(broken("the message is shorter than it tells")),
            Length::Chunked => self.after = b"0\r\n\r\n",
        }
        Ok(())
    }
}
