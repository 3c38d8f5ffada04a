//! A stream in the client's own dialect, of any dialect but `OpenAI`'s: frames pass as they are, and are read beside.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Body as _;
use stead_dialects::chat::{Decoder, Encoder, Event, Framing};
use stead_kernel::Body;

use super::{Source, splitter::Splitter, translated::take_event};
use crate::{api::error::ApiError, dispatch::Failure, snapshot::Provider, tally::Tally};

/// Passes a provider's frames on. The frame that ends the answer waits until the request is settled.
pub(crate) struct ForwardedStream {
    provider: Arc<Provider>,
    body: Body,
    frames: Frames,
    decoder: Box<dyn Decoder>,
    /// Writes the error with which a stream ends that failed.
    encoder: Box<dyn Encoder>,
    waiting: VecDeque<Result<Bytes, Failure>>,
    /// The frames that end the answer.
    tail: Vec<u8>,
    ended: bool,
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
                rest.extend_from_slice(&data);
                while let Some(end) = memchr::memchr(b'\n', rest) {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    frames.push(line.into());
                }
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
            provider,
            body,
            frames: match framing {
                Framing::Events | Framing::Array => Frames::Events(Splitter::default()),
                Framing::Lines => Frames::Lines(Vec::new()),
            },
            decoder,
            encoder,
            waiting: VecDeque::new(),
            tail: Vec::new(),
            ended: false,
        }
    }

    fn take(&mut self, data: Bytes, tally: &mut Tally) {
        let Ok(frames) = self.frames.feed(data) else {
            self.fail(Failure::garbage(&self.provider, "an event without end"));
            return;
        };
        let mut piece = Vec::new();
        for frame in frames {
            let mut events = Vec::new();
            if let Err(error) = self.decoder.push(&frame, &mut events) {
                self.pass(piece);
                self.fail(Failure::garbage(&self.provider, &error.to_string()));
                return;
            }
            for event in &events {
                match event {
                    Event::Error(error) => {
                        self.pass(piece);
                        self.fail(Failure::of_body(&self.provider, error));
                        return;
                    }
                    Event::End => self.ended = true,
                    other => take_event(other, tally),
                }
            }
            if self.ended {
                self.tail.extend_from_slice(&frame);
                break;
            }
            piece.extend_from_slice(&frame);
        }
        self.pass(piece);
    }

    fn pass(&mut self, piece: Vec<u8>) {
        if !piece.is_empty() {
            self.waiting.push_back(Ok(piece.into()));
        }
    }

    fn fail(&mut self, failure: Failure) {
        self.waiting.push_back(Err(failure));
        self.ended = true;
    }

    /// The provider closed: that is the end only after a complete answer.
    fn close(&mut self, tally: &mut Tally) {
        let mut events = Vec::new();
        if self.decoder.close(&mut events).is_err() {
            self.fail(Failure::broken(&self.provider));
            return;
        }
        for event in &events {
            match event {
                Event::Error(error) => return self.fail(Failure::of_body(&self.provider, error)),
                Event::End => {}
                other => take_event(other, tally),
            }
        }
        self.ended = true;
    }
}

impl Source for ForwardedStream {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(data, tally);
                    }
                }
                Some(Err(_)) => self.fail(Failure::broken(&self.provider)),
                None => self.close(tally),
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
