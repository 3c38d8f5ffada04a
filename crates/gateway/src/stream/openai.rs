//! A stream in the client's own dialect: events pass as they are.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use stead_kernel::Body;

use super::{
    Source,
    chunk::{self, Sort},
    openai_end,
    pump::{Pump, Turn},
    splitter::{self, Splitter},
};
use crate::{api::error::ApiError, dispatch::Failure, snapshot::Provider, tally::Tally};

/// Passes the events of a provider on, except the last one and the usage that only the gateway asked for.
pub(crate) struct OpenAiStream {
    pump: Pump,
    splitter: Splitter,
    /// Whether the chunk with the usage is for the gateway only.
    strips_usage: bool,
}

/// What becomes of an event.
enum Verdict {
    Pass,
    Drop,
    End,
    Fail(Failure),
}

impl OpenAiStream {
    pub(crate) fn new(provider: Arc<Provider>, body: Body, strips_usage: bool) -> Self {
        Self {
            pump: Pump::new(provider, body),
            splitter: Splitter::default(),
            strips_usage,
        }
    }

    /// Takes in all whole events of these bytes; neighbours that pass go on as one piece.
    fn take(&mut self, data: Bytes, tally: &mut Tally) {
        if self.splitter.feed(data).is_err() {
            let failure = Failure::garbage(&self.pump.provider, "an event without end");
            self.pump.fail(failure);
            return;
        }
        let mut run: Vec<Bytes> = Vec::new();
        while let Some(event) = self.splitter.next() {
            match self.judge(&event, tally) {
                Verdict::Pass => run.push(event),
                Verdict::Drop => {}
                Verdict::End => {
                    self.pump.end();
                    break;
                }
                Verdict::Fail(failure) => {
                    self.pass(run);
                    self.pump.fail(failure);
                    return;
                }
            }
        }
        self.pass(run);
    }

    fn judge(&self, event: &[u8], tally: &mut Tally) -> Verdict {
        let Some(data) = splitter::data(event) else {
            return Verdict::Pass;
        };
        if data.trim_ascii().is_empty() {
            // Some providers keep the connection open with these.
            return Verdict::Pass;
        }
        if data.trim_ascii() == b"[DONE]" {
            return Verdict::End;
        }
        match chunk::read(&data, tally) {
            Ok(Sort::Usage) if self.strips_usage => Verdict::Drop,
            Ok(Sort::Part | Sort::Usage) => Verdict::Pass,
            Ok(Sort::Error) => Verdict::Fail(Failure::of_event(&self.pump.provider, &data)),
            Err(_) => Verdict::Fail(Failure::garbage(
                &self.pump.provider,
                "an event is no chunk of an answer",
            )),
        }
    }

    fn pass(&mut self, run: Vec<Bytes>) {
        let mut run = run.into_iter();
        let Some(first) = run.next() else { return };
        let rest: usize = run.as_slice().iter().map(Bytes::len).sum();
        if rest == 0 {
            self.pump.pass(first);
            return;
        }
        let mut joined = Vec::with_capacity(first.len() + rest);
        joined.extend_from_slice(&first);
        run.for_each(|event| joined.extend_from_slice(&event));
        self.pump.pass(joined.into());
    }

    /// The provider closed: that is the end only after a complete answer.
    fn close(&mut self, tally: &Tally) {
        if tally.finished && !self.splitter.has_rest() {
            self.pump.end();
        } else {
            self.pump.fail(Failure::broken(&self.pump.provider));
        }
    }
}

impl Source for OpenAiStream {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            match ready!(self.pump.poll(context)) {
                Turn::Piece(piece) => return Poll::Ready(piece),
                Turn::Data(data) => self.take(data, tally),
                Turn::Closed => self.close(tally),
            }
        }
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        openai_end(failure)
    }
}
