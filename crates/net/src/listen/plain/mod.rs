//! The requests that nearly all are: HTTP/1.1, with no body or a short one whose length is told.
//!
//! Such a connection is one future without a buffer while it waits, neither for a request nor while an answer is
//! streamed. Whatever else comes is left untouched, and the connection with it: hyper goes on from there.
//!
//! *Invariant:* what was read and not answered is handed on; nothing is answered twice.
//!
//! *Invariant:* a client that leaves before its answer is complete ends its request.

mod head;
mod prefixed;

#[cfg(test)]
mod tests;

use std::{
    cell::RefCell,
    convert::Infallible,
    future::{Future, poll_fn},
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{extract::Request, response::Response};
use bytes::BytesMut;
use http::Method;
use stead_kernel::Timestamp;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf},
    time::{Instant, Sleep},
};

use self::head::{Asked, Found};
pub(super) use self::prefixed::Prefixed;
use crate::http1::writing::Writing;

/// How much is read at once.
const READ: usize = 16 << 10;
/// How long the rest of a short body may take that began to come; hyper has more patience.
const BODY_PATIENCE: Duration = Duration::from_secs(1);

/// How it went on with a connection.
pub(super) enum Went<I> {
    /// It is over.
    Over,
    /// It is for hyper, after what was read of it.
    On(Prefixed<I>),
}

/// A connection.
pub(super) struct Plain<'a, I> {
    io: I,
    input: BytesMut,
    /// How many bytes a request has of which the head is there.
    begun: Option<usize>,
    /// Until when the next request must have been read.
    deadline: Instant,
    alarm: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    stopping: &'a AtomicBool,
}

impl<'a, I: AsyncRead + AsyncWrite + Unpin> Plain<'a, I> {
    /// A connection whose first request must come until `deadline`, and each other one within `patience`; once
    /// `stopping` is true, it takes no further one.
    pub(super) fn new(io: I, deadline: Instant, patience: Duration, stopping: &'a AtomicBool) -> Self {
        Self {
            io,
            input: BytesMut::new(),
            begun: None,
            deadline,
            alarm: None,
            patience,
            stopping,
        }
    }

    /// Answers requests by `answer` for as long as they are plain.
    ///
    /// # Errors
    /// When the connection broke, or no request came in time.
    pub(super) async fn talk<F>(mut self, mut answer: impl FnMut(Request) -> F) -> io::Result<Went<I>>
    where
        F: Future<Output = Result<Response, Infallible>>,
    {
        loop {
            let asked = match poll_fn(|context| self.poll_next(context)).await? {
                Some(Found::Plain(asked)) => asked,
                Some(_) => return Ok(Went::On(Prefixed::new(self.input, self.io))),
                None => return Ok(Went::Over),
            };
            if !self.answer(*asked, &mut answer).await? {
                // Its other end may be gone, which is as well.
                drop(self.io.shutdown().await);
                return Ok(Went::Over);
            }
            self.deadline = Instant::now() + self.patience;
        }
    }

    /// The next request; `None` when none comes any more.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Found>>> {
        loop {
            if self.input.len() >= self.begun.unwrap_or(1) {
                match head::take(&mut self.input) {
                    Found::Less => {}
                    Found::Begun(whole) => {
                        self.begun = Some(whole);
                        self.deadline = self.deadline.min(Instant::now() + BODY_PATIENCE);
                    }
                    found => {
                        self.begun = None;
                        return Poll::Ready(Ok(Some(found)));
                    }
                }
            }
            if self.input.is_empty() && self.stopping.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(None));
            }
            match self.poll_fill(context) {
                Poll::Ready(Ok(0)) if self.input.is_empty() => return Poll::Ready(Ok(None)),
                Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::UnexpectedEof.into())),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => {
                    ready!(self.poll_late(context));
                    return Poll::Ready(self.late());
                }
            }
        }
    }

    /// Ready when the deadline is over. The alarm is not set anew for each request, but when it goes off.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let deadline = self.deadline;
        let alarm = self
            .alarm
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if alarm.deadline() > deadline {
            alarm.as_mut().reset(deadline);
        }
        loop {
            ready!(alarm.as_mut().poll(context));
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }

    /// What becomes of a connection that was too slow.
    fn late(&self) -> io::Result<Option<Found>> {
        if self.begun.is_some() {
            return Ok(Some(Found::Other));
        }
        Err(io::Error::new(io::ErrorKind::TimedOut, "no request came in time"))
    }

    /// Answers one request; says whether another one may follow.
    async fn answer<F>(&mut self, asked: Asked, answer: &mut impl FnMut(Request) -> F) -> io::Result<bool>
    where
        F: Future<Output = Result<Response, Infallible>>,
    {
        let Asked { request, keep } = asked;
        let method = request.method().clone();
        let response = {
            let mut answering = pin!(answer(request.map(axum::body::Body::from)));
            poll_fn(|context| match answering.as_mut().poll(context) {
                Poll::Ready(Ok(response)) => Poll::Ready(Ok(response)),
                Poll::Ready(Err(never)) => match never {},
                Poll::Pending => self.poll_gone(context).map(Err),
            })
            .await?
        };
        self.write(response, &method, keep).await
    }

    async fn write(&mut self, response: Response, method: &Method, keep: bool) -> io::Result<bool> {
        let keep = keep
            && !self.stopping.load(Ordering::Relaxed)
            && !crate::http1::fields::closes(response.headers());
        let (head, length) = with_date(|date| head::of_answer(&response, method, keep, date));
        let mut writing = Writing::new(head, response.into_body(), length);
        poll_fn(|context| match writing.poll(&mut self.io, context) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => self.poll_gone(context).map(Err),
        })
        .await?;
        self.io.flush().await?;
        Ok(keep)
    }

    /// Ready when the client has left. One that goes on talking is here, and is read no further until its turn.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<io::Error> {
        if !self.input.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_fill(context)) {
            Ok(0) => Poll::Ready(io::ErrorKind::ConnectionAborted.into()),
            Ok(_) => Poll::Pending,
            Err(error) => Poll::Ready(error),
        }
    }

    /// Reads what there is; 0 when the other side has closed. The input is no larger than what came.
    fn poll_fill(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut space = [const { MaybeUninit::uninit() }; READ];
        let mut buffer = ReadBuf::uninit(&mut space);
        ready!(Pin::new(&mut self.io).poll_read(context, &mut buffer))?;
        self.input.extend_from_slice(buffer.filled());
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

thread_local! {
    /// A second, and its date.
    static DATE: RefCell<(i64, String)> = const { RefCell::new((0, String::new())) };
}

/// Does something with the date and time as they stand in an answer (RFC 9110, section 5.6.7).
fn with_date<T>(tell: impl FnOnce(&[u8]) -> T) -> T {
    let now = Timestamp::now();
    DATE.with_borrow_mut(|(second, date)| {
        if *second != now.as_second() {
            let printer = jiff::fmt::rfc2822::DateTimePrinter::new();
            // It fails for years before 0 only, and a missing date is allowed.
            *date = printer.timestamp_to_rfc9110_string(&now).unwrap_or_default();
            *second = now.as_second();
        }
        tell(date.as_bytes())
    })
}
