//! The body of a streamed answer: watches the clocks, settles before the last byte, and when the client leaves.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep};

use super::Source;
use crate::{dispatch::Failure, ledger::Ledger, snapshot::Provider, tally::Tally};

/// When a stream takes too long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clocks {
    /// Between two pieces.
    pub(crate) idle: Duration,
    /// The end of the whole request.
    pub(crate) deadline: Instant,
    /// How long the whole request may take, for the message.
    pub(crate) total: Duration,
}

/// A streamed answer on its way to a client.
pub(crate) struct StreamBody {
    /// `None` after the end.
    source: Option<Box<dyn Source>>,
    provider: Arc<Provider>,
    /// What was read before the head of the answer went out.
    head: Option<Bytes>,
    tally: Tally,
    /// Settles as cancelled when it is dropped.
    ledger: Option<Box<Ledger>>,
    clocks: Clocks,
    /// Since when the provider is waited for; not while the client takes its time to read what is there.
    waiting: Option<Instant>,
    failed: bool,
    alarm: Pin<Box<Sleep>>,
}

impl StreamBody {
    pub(crate) fn new(
        source: Box<dyn Source>,
        provider: Arc<Provider>,
        head: Bytes,
        tally: Tally,
        ledger: Box<Ledger>,
        clocks: Clocks,
    ) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(tokio::time::sleep_until(clocks.deadline.min(now + clocks.idle)));
        Self {
            source: Some(source),
            provider,
            head: Some(head),
            tally,
            ledger: Some(ledger),
            clocks,
            waiting: Some(now),
            failed: false,
            alarm,
        }
    }

    /// Settles, then sends the last bytes.
    fn end(&mut self, failure: Option<&Failure>) -> Bytes {
        self.failed = failure.is_some();
        let source = self.source.take();
        if let Some(mut ledger) = self.ledger.take() {
            let tally = std::mem::take(&mut self.tally);
            match failure {
                // The head of the answer is long gone, and with it the header that would say so.
                None => drop(ledger.succeed(tally)),
                Some(failure) => {
                    // An answer that is longer than the route allows is no fault of the target's.
                    if Instant::now() < self.clocks.deadline {
                        failure.tell(ledger.flight());
                    }
                    ledger.fail(&failure.error, tally);
                }
            }
        }
        let failure = failure.map(|failure| &failure.error);
        source.map_or_else(Bytes::new, |mut source| source.end(failure))
    }

    /// Whether the stream has taken too long. The alarm is moved only when it rings, not with every piece.
    fn poll_alarm(&mut self, context: &mut Context<'_>) -> Poll<Failure> {
        let waiting = *self.waiting.get_or_insert_with(Instant::now);
        let due = self.clocks.deadline.min(waiting + self.clocks.idle);
        loop {
            let rings = self.alarm.as_mut().poll(context).is_ready();
            let now = Instant::now();
            if now >= self.clocks.deadline {
                let total = self.clocks.total;
                return Poll::Ready(Failure::timeout(&self.provider, "did not end its answer", total));
            }
            if now >= due {
                let idle = self.clocks.idle;
                return Poll::Ready(Failure::timeout(
                    &self.provider,
                    "did not go on with its answer",
                    idle,
                ));
            }
            if !rings {
                return Poll::Pending;
            }
            self.alarm.as_mut().reset(due);
        }
    }
}

impl Body for StreamBody {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Some(head) = this.head.take().filter(|head| !head.is_empty()) {
            this.waiting = None;
            return Poll::Ready(Some(Ok(Frame::data(head))));
        }
        let piece = loop {
            let Some(source) = &mut this.source else {
                return Poll::Ready(None);
            };
            match source.poll_piece(context, &mut this.tally) {
                // Something went on, and nothing of it is for the client yet.
                Poll::Ready(Some(Ok(bytes))) if bytes.is_empty() => this.waiting = None,
                piece => break piece,
            }
        };
        let bytes = match piece {
            Poll::Ready(Some(Ok(bytes))) => {
                this.waiting = None;
                bytes
            }
            Poll::Ready(Some(Err(failure))) => this.end(Some(&failure)),
            Poll::Ready(None) => this.end(None),
            Poll::Pending => match this.poll_alarm(context) {
                Poll::Ready(failure) => this.end(Some(&failure)),
                Poll::Pending => return Poll::Pending,
            },
        };
        if bytes.is_empty() && this.source.is_none() {
            // What can say nothing in its middle, sound for example, breaks off where it failed.
            let broken = this
                .failed
                .then(|| Err(std::io::ErrorKind::ConnectionAborted.into()));
            return Poll::Ready(broken);
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Drop for StreamBody {
    fn drop(&mut self) {
        if let Some(ledger) = self.ledger.take() {
            let tally = std::mem::take(&mut self.tally);
            // A client that has read all of a complete answer need not wait for the end of the connection.
            if tally.finished && tally.usage.is_some() {
                ledger.succeed(tally);
            } else {
                ledger.cancel(tally);
            }
        }
    }
}
