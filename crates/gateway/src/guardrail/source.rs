//! A streamed answer on its way through its guardrails: bytes of the client's dialect become events, are looked at, and
//! become bytes again.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use stead_dialects::chat::{ClientDialect, Decoder, Encoder, Event, View, Wire};

use super::{
    LABEL,
    active::Blocked,
    compile::Judge,
    completions,
    filter::{Filter, Passed},
    moderation,
    request::Watch,
};
use crate::{
    api::error::ApiError,
    dispatch::{Failure, Retry},
    errand::Errand,
    stream::{Source, take_event},
    tally::{Output, Tally},
};

/// The most bytes of events that are held back until all of an answer was looked at.
const HELD: usize = 16 << 20;

/// What a guarded stream is made of besides its source.
pub(crate) struct Guarding {
    pub(crate) watch: Watch,
    pub(crate) tongue: Tongue,
    /// Who asks the models that judge.
    pub(crate) errand: Errand,
}

/// A streamed answer with its guardrails.
pub(crate) struct GuardedSource {
    inner: Box<dyn Source>,
    /// What the source tells, its text as the provider said it.
    counted: Tally,
    decoder: Box<dyn Decoder>,
    writer: Writer,
    /// `None` while the models that judge are asked.
    filter: Option<Filter>,
    errand: Errand,
    judges: Vec<(usize, Judge)>,
    /// What waits until all of the answer was looked at.
    held: Option<Vec<u8>>,
    state: State,
}

enum State {
    Streaming,
    /// The answer is complete; models judge it.
    Judging(BoxFuture<'static, (Filter, Result<(), Blocked>)>),
    Over,
}

/// How a stream is read and written.
pub(crate) struct Tongue {
    decoder: Box<dyn Decoder>,
    writer: Writer,
}

enum Writer {
    Chat(Box<dyn Encoder>),
    Completions(completions::Writer),
}

impl Tongue {
    /// Of a chat that comes in the usual form of a dialect, for a client that wants it as `client` writes it.
    ///
    /// # Errors
    /// When the dialect cannot be read.
    pub(crate) fn chat(wire: Wire, client: &dyn ClientDialect, view: View) -> Result<Self, ApiError> {
        Ok(Self {
            decoder: decoder(wire)?,
            writer: Writer::Chat(client.stream(view)),
        })
    }

    /// Of `/v1/completions`, for an answer of this id that began at a time in seconds of Unix.
    pub(crate) fn completions(id: &str, created: i64) -> Self {
        Self {
            decoder: Box::<completions::Reader>::default(),
            writer: Writer::Completions(completions::Writer::new(id, created)),
        }
    }
}

/// What reads a client's stream.
fn decoder(wire: Wire) -> Result<Box<dyn Decoder>, ApiError> {
    let provider = stead_dialects::provider(wire);
    provider
        .map(stead_dialects::chat::ProviderDialect::stream)
        .ok_or_else(|| {
            ApiError::from(stead_kernel::Error::unsupported(
                "guardrails cannot look at streams of this API; ask for a whole answer",
            ))
        })
}

/// Whether the streams of a dialect can be looked at.
pub(crate) fn can_guard(wire: Wire) -> Result<(), ApiError> {
    decoder(wire).map(drop)
}

impl Writer {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match self {
            Self::Chat(encoder) => encoder.event(event, out),
            Self::Completions(writer) => writer.event(event, out),
        }
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        let mut out = Vec::new();
        match (self, failure) {
            (Self::Chat(encoder), None) => encoder.end(&mut out),
            (Self::Chat(encoder), Some(error)) => encoder.fail(&error.neutral(), &mut out),
            (Self::Completions(writer), None) => writer.end(&mut out),
            (Self::Completions(_), Some(error)) => return error.event(),
        }
        out.into()
    }
}

impl GuardedSource {
    /// Guards a stream whose beginning was read already. Returns what of the beginning passes.
    ///
    /// # Errors
    /// When a rule blocks the beginning.
    pub(crate) fn new(
        inner: Box<dyn Source>,
        head: &[u8],
        tally: &mut Tally,
        guarding: Guarding,
    ) -> Result<(Self, Bytes), ApiError> {
        let active = &guarding.watch.active;
        let mut source = Self {
            inner,
            counted: Tally {
                output: None,
                ..tally.clone()
            },
            decoder: guarding.tongue.decoder,
            writer: guarding.tongue.writer,
            errand: guarding.errand,
            judges: active.output_judges(),
            held: active.holds_streams().then(Vec::new),
            filter: Some(Filter::new(guarding.watch)),
            state: State::Streaming,
        };
        // What was kept of the beginning is what the provider said; it is told anew.
        tally.output = tally.output.take().map(|_| Output::default());
        let passed = source.read(head, tally).map_err(|failure| failure.error)?;
        Ok((source, passed.into()))
    }

    /// Reads bytes of the source; returns what passes.
    fn read(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<Vec<u8>, Failure> {
        let mut events = Vec::new();
        self.decoder
            .push(bytes, &mut events)
            .map_err(|error| unreadable(&error.to_string()))?;
        let mut passed = Passed::default();
        let mut blocked = None;
        if let Some(filter) = &mut self.filter {
            for event in events {
                if let Err(why) = filter.event(event, &mut passed) {
                    blocked = Some(why);
                    break;
                }
            }
        }
        let bytes = self.write(&passed, tally)?;
        match blocked {
            Some(blocked) => Err(self.blocked(&blocked, tally)),
            None => Ok(bytes),
        }
    }

    /// Writes what passes, or keeps it back.
    fn write(&mut self, passed: &Passed, tally: &mut Tally) -> Result<Vec<u8>, Failure> {
        let mut told = Tally {
            output: tally.output.take(),
            ..Tally::default()
        };
        for event in &passed.masked {
            take_event(event, &mut told);
        }
        tally.output = told.output;
        let mut bytes = Vec::new();
        for event in &passed.restored {
            if !matches!(event, Event::End | Event::Error(_)) {
                self.writer.event(event, &mut bytes);
            }
        }
        let Some(held) = &mut self.held else {
            return Ok(bytes);
        };
        held.append(&mut bytes);
        if held.len() > HELD {
            return Err(unreadable(
                "it is too long to be held back until all of it was looked at",
            ));
        }
        Ok(Vec::new())
    }

    /// What the source told goes into the record, but for its text.
    fn count(&self, tally: &mut Tally) {
        tally.usage = self.counted.usage;
        tally.pieces = self.counted.pieces;
        tally.finished = self.counted.finished;
    }

    fn blocked(&mut self, blocked: &Blocked, tally: &mut Tally) -> Failure {
        self.held = None;
        self.label(tally);
        let active = self.filter.as_ref().map(|filter| &filter.watch.active);
        let error = active.map_or_else(
            || ApiError::invalid("content_blocked", "the answer was blocked"),
            |active| active.blocked(blocked),
        );
        failure(error)
    }

    fn label(&self, tally: &mut Tally) {
        let watch = self.filter.as_ref().map(|filter| &filter.watch);
        if let Some(label) = watch.and_then(|watch| watch.seen.label(&watch.active)) {
            tally.labels.insert(LABEL.into(), label);
        }
    }

    /// The source is complete: looks at the whole, and lets models judge it.
    fn complete(&mut self, tally: &mut Tally) -> Result<Vec<u8>, Failure> {
        let mut events = Vec::new();
        // It has no end of its own here; whoever sends the last bytes settles first.
        let _ = self.decoder.close(&mut events);
        let mut passed = Passed::default();
        let Some(filter) = &mut self.filter else {
            return Ok(Vec::new());
        };
        let mut finished = Ok(());
        for event in events {
            finished = finished.and_then(|()| filter.event(event, &mut passed));
        }
        let finished = finished.and_then(|()| filter.finish(&mut passed));
        let bytes = self.write(&passed, tally)?;
        let said = match finished {
            Ok(said) => said,
            Err(blocked) => return Err(self.blocked(&blocked, tally)),
        };
        self.state = State::Over;
        if let (false, Some(mut filter)) = (self.judges.is_empty(), self.filter.take()) {
            let (errand, judges) = (self.errand.clone(), std::mem::take(&mut self.judges));
            self.state = State::Judging(Box::pin(async move {
                let watch = &mut filter.watch;
                let seen = (&*watch.active, &mut watch.seen);
                let judged = moderation::ask(&errand, &judges, "answer", &said, seen).await;
                (filter, judged)
            }));
        } else {
            self.label(tally);
        }
        Ok(bytes)
    }
}

impl Source for GuardedSource {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        match &mut self.state {
            State::Streaming => {}
            State::Judging(judging) => {
                let (filter, judged) = ready!(judging.as_mut().poll(context));
                self.filter = Some(filter);
                self.state = State::Over;
                if let Err(blocked) = judged {
                    return Poll::Ready(Some(Err(self.blocked(&blocked, tally))));
                }
                self.label(tally);
                // An empty piece says that something went on.
                return Poll::Ready(Some(Ok(Bytes::new())));
            }
            State::Over => {
                let held = self.held.take().filter(|held| !held.is_empty());
                return Poll::Ready(held.map(|held| Ok(held.into())));
            }
        }
        let piece = ready!(self.inner.poll_piece(context, &mut self.counted));
        self.count(tally);
        let passed = match piece {
            Some(Ok(bytes)) => self.read(&bytes, tally),
            Some(Err(failure)) => {
                self.label(tally);
                Err(failure)
            }
            None => self.complete(tally),
        };
        if passed.is_err() {
            self.state = State::Over;
            self.held = None;
        }
        Poll::Ready(Some(passed.map(Bytes::from)))
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        self.writer.end(failure)
    }
}

fn failure(error: ApiError) -> Failure {
    Failure {
        error,
        retry: Retry::Never,
        status: 0,
    }
}

fn unreadable(why: &str) -> Failure {
    failure(ApiError::upstream(format!(
        "the answer cannot be looked at by its guardrails: {why}"
    )))
}
