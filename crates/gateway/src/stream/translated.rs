//! A stream from one dialect into another: bytes become events, events become bytes.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures::Stream;
use http_body::Body as _;
use stead_dialects::chat::{Decoder, Delta, Encoder, Event, Stop, Wire};
use stead_kernel::{
    Body,
    ports::{FinishReason, Generated, GenerationStream, TokenUsage},
};

use super::Source;
use crate::{
    api::error::ApiError,
    dispatch::Failure,
    snapshot::Provider,
    tally::{Tally, from_wire, to_wire},
};

/// Where the events of an answer come from. After `Event::End` or an error nothing more is asked for.
pub(crate) trait Events: Send {
    /// Appends the next events.
    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<Event>,
    ) -> Poll<Result<(), Failure>>;
}

/// Writes a provider's events in the client's dialect.
pub(crate) struct TranslatedStream<E> {
    provider: Arc<Provider>,
    source: E,
    encoder: Box<dyn Encoder>,
    /// Used again for every piece.
    events: Vec<Event>,
    /// Whether the answer gets an id of ours: what is kept under it must not be replaced by another answer's.
    own_id: bool,
    /// What went wrong after the piece that was just passed on.
    failure: Option<Failure>,
    ended: bool,
}

impl<E: Events> TranslatedStream<E> {
    pub(crate) fn new(provider: Arc<Provider>, source: E, encoder: Box<dyn Encoder>) -> Self {
        Self {
            provider,
            source,
            encoder,
            events: Vec::new(),
            own_id: false,
            failure: None,
            ended: false,
        }
    }

    /// The same with an id of ours for answers to a client of this dialect, where answers are kept by it.
    pub(crate) fn kept_as(mut self, client: Wire) -> Self {
        self.own_id = client == Wire::Responses;
        self
    }

    /// Writes the events that are there.
    fn write(&mut self, tally: &mut Tally) -> Vec<u8> {
        let mut out = Vec::new();
        for event in self.events.drain(..) {
            match event {
                Event::End => {
                    self.ended = true;
                    break;
                }
                Event::Error(error) => {
                    self.failure = Some(Failure::of_body(&self.provider, &error));
                    break;
                }
                mut event => {
                    if let (true, Event::Start { id, .. }) = (self.own_id, &mut event) {
                        id.clear();
                    }
                    take_event(&event, tally);
                    self.encoder.event(&event, &mut out);
                }
            }
        }
        self.events.clear();
        out
    }
}

impl<E: Events> Source for TranslatedStream<E> {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            if let Some(failure) = self.failure.take() {
                self.ended = true;
                return Poll::Ready(Some(Err(failure)));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            let read = ready!(self.source.poll_events(context, &mut self.events));
            let out = self.write(tally);
            if let Err(failure) = read {
                self.failure.get_or_insert(failure);
            }
            if !out.is_empty() {
                return Poll::Ready(Some(Ok(out.into())));
            }
        }
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        let mut out = Vec::new();
        match failure {
            None => self.encoder.end(&mut out),
            Some(error) => self.encoder.fail(&error.neutral(), &mut out),
        }
        out.into()
    }
}

/// What an event means for the record of the request.
pub(crate) fn take_event(event: &Event, tally: &mut Tally) {
    match event {
        Event::Delta { choice, delta } => take_delta(delta, *choice == 0, tally),
        Event::Stop { stop, .. } => {
            tally.finished = true;
            tally.filtered |= is_filter(stop);
        }
        Event::Usage(usage) => tally.usage = Some(from_wire(*usage)),
        Event::Start { model, .. } => tally.model(model),
        Event::Error(_) | Event::End => {}
    }
}

/// Whether a filter of the provider ended an answer.
pub(crate) const fn is_filter(stop: &Stop) -> bool {
    matches!(stop, Stop::ContentFilter | Stop::Refusal)
}

fn take_delta(delta: &Delta, keep: bool, tally: &mut Tally) {
    match delta {
        Delta::Text(text) | Delta::Refusal(text) if keep => tally.text(text),
        Delta::Text(text) | Delta::Refusal(text) | Delta::Reasoning(text) => {
            tally.pieces += u64::from(!text.is_empty());
        }
        Delta::ToolCall { index, id, name, .. } => tally.call(*index, id, name),
        Delta::Arguments { index, text } => tally.arguments(*index, text),
        Delta::Part(_) | Delta::Redacted(_) => tally.pieces += 1,
        Delta::Signature(_) | Delta::Citation(_) | Delta::Logprobs(_) => {}
    }
}

/// The events of a provider over HTTP.
pub(crate) struct ProviderEvents {
    provider: Arc<Provider>,
    body: Body,
    decoder: Box<dyn Decoder>,
}

impl ProviderEvents {
    pub(crate) fn new(provider: Arc<Provider>, body: Body, decoder: Box<dyn Decoder>) -> Self {
        Self {
            provider,
            body,
            decoder,
        }
    }
}

impl Events for ProviderEvents {
    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<Event>,
    ) -> Poll<Result<(), Failure>> {
        loop {
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let read = self.decoder.push(&data, events);
                    return Poll::Ready(
                        read.map_err(|error| Failure::garbage(&self.provider, &error.to_string())),
                    );
                }
                Some(Err(_)) => return Poll::Ready(Err(Failure::broken(&self.provider))),
                None => {
                    self.decoder
                        .close(events)
                        .map_err(|_| Failure::broken(&self.provider))?;
                    // A decoder that closes without a word has nothing more to say.
                    if !matches!(events.last(), Some(Event::End | Event::Error(_))) {
                        events.push(Event::End);
                    }
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }
}

/// The events of the engine in this process.
pub(crate) struct EngineEvents {
    provider: Arc<Provider>,
    stream: GenerationStream,
}

impl EngineEvents {
    pub(crate) fn new(provider: Arc<Provider>, stream: GenerationStream) -> Self {
        Self { provider, stream }
    }
}

impl Events for EngineEvents {
    fn poll_events(
        &mut self,
        context: &mut Context<'_>,
        events: &mut Vec<Event>,
    ) -> Poll<Result<(), Failure>> {
        match ready!(Pin::new(&mut self.stream).poll_next(context)) {
            Some(Ok(Generated::Started { prompt_tokens })) => {
                events.push(Event::Start {
                    id: String::new(),
                    model: String::new(),
                });
                events.push(Event::Usage(to_wire(&TokenUsage {
                    input: prompt_tokens,
                    ..TokenUsage::default()
                })));
            }
            // Nobody asks a chat for them.
            Some(Ok(Generated::Likely(_))) => {}
            Some(Ok(Generated::Text(text))) => events.push(Event::Delta {
                choice: 0,
                delta: Delta::Text(text),
            }),
            Some(Ok(Generated::Finished { reason, usage })) => events.extend([
                Event::Stop {
                    choice: 0,
                    stop: stop(reason),
                },
                Event::Usage(to_wire(&usage)),
                Event::End,
            ]),
            Some(Err(error)) => return Poll::Ready(Err(Failure::of_engine(&self.provider, error))),
            None => return Poll::Ready(Err(Failure::broken(&self.provider))),
        }
        Poll::Ready(Ok(()))
    }
}

/// Why the engine ended, in the form of the dialects.
pub(crate) const fn stop(reason: FinishReason) -> Stop {
    match reason {
        FinishReason::Stop => Stop::End,
        FinishReason::Length => Stop::Length,
    }
}
