//! A streamed answer that passes as it is: sound, pictures, transcripts.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use serde_json::Value;
use stead_dialects::sse::Decoder;
use stead_kernel::Body;

use super::other::usage;
use crate::{
    api::error::ApiError,
    dispatch::Failure,
    operation::{Makes, Operation},
    snapshot::Provider,
    stream::{Pump, Source, Turn},
    tally::Tally,
};

/// How an answer's bytes are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bytewise {
    /// Server-sent events, which are read beside for what they tell of usage and failures.
    Events,
    /// Something that nothing can be said in.
    Opaque,
}

/// An answer whose bytes pass as they are.
pub(super) struct RawStream {
    pump: Pump,
    operation: Operation,
    /// Of an event stream.
    decoder: Option<Decoder>,
}

impl RawStream {
    pub(super) fn new(provider: Arc<Provider>, body: Body, sort: Bytewise, operation: Operation) -> Self {
        Self {
            pump: Pump::new(provider, body),
            decoder: (sort == Bytewise::Events).then(Decoder::default),
            operation,
        }
    }

    fn take(&mut self, data: Bytes, tally: &mut Tally) {
        tally.pieces += 1;
        match self.look(&data, tally) {
            Ok(()) => self.pump.pass(data),
            Err(failure) => self.pump.fail(failure),
        }
    }

    fn look(&mut self, data: &[u8], tally: &mut Tally) -> Result<(), Failure> {
        let Some(decoder) = &mut self.decoder else {
            return Ok(());
        };
        let provider = &self.pump.provider;
        let events = decoder
            .push(data)
            .map_err(|_| Failure::garbage(provider, "an event without end"))?;
        for event in events {
            let Ok(value) = serde_json::from_str::<Value>(&event.data) else {
                continue;
            };
            if value.get("error").is_some_and(|error| !error.is_null()) {
                return Err(Failure::of_event(provider, event.data.as_bytes()));
            }
            if value.get("usage").is_some_and(Value::is_object) {
                let mut told = usage(self.operation, &value);
                if self.operation.facts().makes == Makes::Images {
                    told.images = told.images.max(1);
                    told.image_output = told.output;
                }
                tally.usage = Some(told);
            }
        }
        Ok(())
    }
}

impl Source for RawStream {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            match ready!(self.pump.poll(context)) {
                Turn::Piece(piece) => return Poll::Ready(piece),
                Turn::Data(data) => self.take(data, tally),
                Turn::Closed => {
                    tally.finished = true;
                    tally.usage.get_or_insert_default();
                    self.pump.end();
                }
            }
        }
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        // Nothing can be said in the middle of a sound; the connection closes early.
        match failure {
            Some(error) if self.decoder.is_some() => error.event(),
            Some(_) | None => Bytes::new(),
        }
    }
}
