//! A stream in the client's own dialect, of any dialect but `OpenAI`'s: frames pass as they are, and are read beside.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use stead_dialects::chat::{Decoder, Encoder, Event, Framing};
use stead_kernel::Body;

use super::{
    Source,
    pump::{Pump, Turn},
    splitter::Splitter,
    translated::take_event,
};
use crate::{api::error::ApiError, dispatch::Failure, snapshot::Provider, tally::Tally};

/// Passes a provider's frames on. The frame that ends the answer waits until the request is settled.
pub(crate) struct ForwardedStream {
    pump: Pump,
    frames: Frames,
    decoder: Box<dyn Decoder>,
    /// Writes the error with which a stream ends that failed.
    encoder: Box<dyn Encoder>,
    /// The frames that end the answer.
    tail: Vec<u8>,
}

/// Cuts bytes into frames.
enum Frames {
    Events(Splitter),
    Lines(Vec<u8>),
}

/// The longest line that is waited for; a longer one is no frame of a model's API.
const LINE_LIMIT: usize = 8 << 20;

impl Frames {
    fn feed(&mut self, data: Bytes) -> Result<Vec<Bytes>, ()> {
        let mut frames = Vec::new();
        match self {
            Self::Events(splitter) => {
                splitter.feed(data).map_err(|_| ())?;
                frames.extend(std::iter::from_fn(|| splitter.next()));
            }
            Self::Lines(rest) => {
                // What waited holds no end of a line.
                let (mut begin, mut from) = (0, rest.len());
                rest.extend_from_slice(&data);
                while let Some(at) = memchr::memchr(b'\n', rest.get(from..).unwrap_or_default()) {
                    from += at + 1;
                    let line = rest.get(begin..from).unwrap_or_default();
                    frames.push(Bytes::copy_from_slice(line));
                    begin = from;
                }
                rest.drain(..begin);
                if rest.len() > LINE_LIMIT {
                    return Err(());
                }
            }
        }
        Ok(frames)
    }
}

impl ForwardedStream {
    pub(crate) fn new(
        provider: Arc<Provider>,
        body: Body,
        framing: Framing,
        decoder: Box<dyn Decoder>,
        encoder: Box<dyn Encoder>,
    ) -> Self {
        Self {
            pump: Pump::new(provider, body),
            frames: match framing {
                Framing::Events | Framing::Array => Frames::Events(Splitter::default()),
                Framing::Lines => Frames::Lines(Vec::new()),
            },
            decoder,
            encoder,
            tail: Vec::new(),
        }
    }

    fn take(&mut self, data: Bytes, tally: &mut Tally) {
        let Ok(frames) = self.frames.feed(data) else {
            self.pump
                .fail(Failure::garbage(&self.pump.provider, "an event without end"));
            return;
        };
        let mut piece = Vec::new();
        for frame in frames {
            let mut events = Vec::new();
            if let Err(error) = self.decoder.push(&frame, &mut events) {
                self.pass(piece);
                self.pump
                    .fail(Failure::garbage(&self.pump.provider, &error.to_string()));
                return;
            }
            for event in &events {
                match event {
                    Event::Error(error) => {
                        self.pass(piece);
                        self.pump.fail(Failure::of_body(&self.pump.provider, error));
                        return;
                    }
                    Event::End => self.pump.end(),
                    other => take_event(other, tally),
                }
            }
            if self.pump.has_ended() {
                self.tail.extend_from_slice(&frame);
                break;
            }
            piece.extend_from_slice(&frame);
        }
        self.pass(piece);
    }

    fn pass(&mut self, piece: Vec<u8>) {
        if !piece.is_empty() {
            self.pump.pass(piece.into());
        }
    }

    /// The provider closed: that is the end only after a complete answer.
    fn close(&mut self, tally: &mut Tally) {
        let mut events = Vec::new();
        if self.decoder.close(&mut events).is_err() {
            self.pump.fail(Failure::broken(&self.pump.provider));
            return;
        }
        for event in &events {
            match event {
                Event::Error(error) => return self.pump.fail(Failure::of_body(&self.pump.provider, error)),
                Event::End => {}
                other => take_event(other, tally),
            }
        }
        self.pump.end();
    }
}

impl Source for ForwardedStream {
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
        let Some(error) = failure else {
            return std::mem::take(&mut self.tail).into();
        };
        let mut out = Vec::new();
        self.encoder.fail(&error.neutral(), &mut out);
        out.into()
    }
}
