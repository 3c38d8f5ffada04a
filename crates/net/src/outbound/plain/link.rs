//! One connection, and what was read from it.
//!
//! *Invariant:* a connection that waits has no buffer.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    task::{Context, Poll, Waker},
};

use bytes::BytesMut;
use http::Method;
use tokio::{io::AsyncReadExt, net::TcpStream};

use super::{
    Sending,
    head::{self, Head},
};

/// How much is read at once: little at first, as most answers are, and more while reads come back full.
const READ: (usize, usize) = (4 << 10, 64 << 10);

/// An open connection.
pub(super) struct Link {
    stream: TcpStream,
    pub(super) input: BytesMut,
    /// How much the next read may bring.
    read: usize,
}

impl Link {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            input: BytesMut::new(),
            read: READ.0,
        }
    }

    /// Sends a request and returns the head of the answer; what is then left of the request is still to be sent.
    pub(super) async fn ask(&mut self, request: &mut Sending, method: &Method) -> io::Result<(Head, bool)> {
        let mut sent = false;
        let head = poll_fn(|context| self.poll_ask(request, method, &mut sent, context)).await?;
        Ok((head, sent))
    }

    fn poll_ask(
        &mut self,
        request: &mut Sending,
        method: &Method,
        sent: &mut bool,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Head>> {
        let mut fault = None;
        if !*sent {
            match self.poll_send(request, context) {
                Poll::Ready(Ok(())) => *sent = true,
                // Whoever refuses a request without reading it may have said why.
                Poll::Ready(Err(error)) => fault = Some(error),
                Poll::Pending => {}
            }
        }
        loop {
            if let Some(head) = head::of_answer(&mut self.input, method)? {
                return Poll::Ready(Ok(head));
            }
            match self.poll_fill(context) {
                Poll::Ready(Ok(1..)) => {}
                Poll::Pending if fault.is_none() => return Poll::Pending,
                Poll::Pending | Poll::Ready(Ok(0)) => {
                    return Poll::Ready(Err(fault.unwrap_or(io::ErrorKind::UnexpectedEof.into())));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(fault.unwrap_or(error))),
            }
        }
    }

    /// Sends as much of a request as it goes.
    pub(super) fn poll_send(
        &mut self,
        request: &mut Sending,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        request.poll(&mut self.stream, context)
    }

    /// Reads what there is; 0 when the other side has closed.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.input.is_empty() && self.stream.poll_read_ready(context).is_pending() {
            self.input = BytesMut::new();
            return Poll::Pending;
        }
        self.input.reserve(self.read);
        let space = self.input.capacity() - self.input.len();
        let Poll::Ready(read) = pin!(self.stream.read_buf(&mut self.input)).poll(context) else {
            if self.input.is_empty() {
                self.input = BytesMut::new();
            }
            return Poll::Pending;
        };
        let read = read?;
        self.read = if read == space {
            (self.read * 2).min(READ.1)
        } else {
            READ.0
        };
        Poll::Ready(Ok(read))
    }

    /// Whether a new request can be sent, as far as one can tell: the other side has said nothing since the last
    /// answer, not even that it closes.
    pub(super) fn is_idle(&mut self) -> bool {
        let mut quiet = Context::from_waker(Waker::noop());
        self.input.is_empty() && self.poll_fill(&mut quiet).is_pending()
    }
}
