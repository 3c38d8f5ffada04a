//! Looks for a kept answer, and keeps a new one.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::{Value, json};
use stead_dialects::chat::{Decoder, Wire};
use stead_kernel::Clock;

use super::{
    CacheSpec, Mode, Scope,
    gather::{Gather, is_complete},
    identity::{self, Print},
    store::{Bounds, Hit, Kept, Meaning, Shelf, Store, normalised},
};
use crate::{
    api::error::ApiError,
    dispatch::Failure,
    errand::Errand,
    operation::Operation,
    stream::Source,
    tally::{Tally, to_wire},
};

/// How long the vector of a question may take; without it the request goes on as if there were no like one.
const VECTOR_LIMIT: Duration = Duration::from_secs(10);
/// The longest question that is compared by its meaning, in bytes.
const LONGEST_QUESTION: usize = 16 << 10;

/// What a client wants of the cache (<https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1>).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CacheControl {
    /// Whether a kept answer will do.
    pub(crate) reads: bool,
    /// Whether the answer may be kept.
    pub(crate) keeps: bool,
}

impl CacheControl {
    /// Reads a request's headers.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        let values = headers.get_all(header::CACHE_CONTROL).iter();
        let text: Vec<String> = values
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|word| word.trim().to_ascii_lowercase())
            .collect();
        let says = |word: &str| text.iter().any(|other| other == word);
        Self {
            reads: !says("no-cache") && !says("no-store") && !says("max-age=0"),
            keeps: !says("no-store"),
        }
    }
}

/// A request, as far as the cache minds.
pub(crate) struct Asked<'a> {
    pub(crate) store: &'a Arc<Store>,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) spec: &'a CacheSpec,
    pub(crate) errand: &'a Errand,
    pub(crate) route: &'a Arc<str>,
    pub(crate) operation: Operation,
    pub(crate) wire: Wire,
    /// As providers get it: rendered, redacted.
    pub(crate) body: &'a Value,
    pub(crate) streams: bool,
    pub(crate) control: CacheControl,
}

/// What the cache says to a request.
pub(crate) enum Found {
    /// Nothing: it is not for the cache.
    Nothing,
    /// A kept answer.
    Hit {
        kept: Arc<Kept>,
        age: u64,
        /// `hit` or `semantic`.
        how: &'static str,
    },
    /// No answer; one that comes may be kept.
    Miss(Option<Box<Keep>>),
}

/// Where an answer will be kept.
pub(crate) struct Keep {
    store: Arc<Store>,
    clock: Arc<dyn Clock>,
    shelf: Shelf,
    print: Print,
    meaning: Option<Meaning>,
    bounds: Bounds,
    wire: Wire,
    operation: Operation,
}

/// Whether answers in a dialect can be read and written in both forms.
fn is_translated(operation: Operation, wire: Wire) -> bool {
    let both = stead_dialects::client(wire).is_some() && stead_dialects::provider(wire).is_some();
    operation == Operation::Chat && both
}

/// Looks for an answer.
pub(crate) async fn look_up(asked: &Asked<'_>) -> Found {
    let spec = asked.spec;
    let wanted = asked.control.reads || asked.control.keeps;
    let form = is_translated(asked.operation, asked.wire) || !asked.streams;
    // A response has an id under which its conversation goes on, so that no two may share one.
    let is_shared = asked.wire != Wire::Responses;
    if !wanted || !form || !is_shared || !identity::is_repeatable(asked.body) {
        return Found::Nothing;
    }
    let now = asked.clock.now();
    let shelf = Shelf {
        project: asked.errand.project.clone(),
        route: Arc::clone(asked.route),
        key: match spec.scope {
            Scope::Project => "".into(),
            Scope::Key => format!("{}\n{}", asked.errand.key, asked.errand.user).into(),
        },
    };
    let print = identity::print(asked.operation, asked.wire, asked.body);
    let hit = |hit: Hit, how| Found::Hit {
        age: u64::try_from((now - hit.since).get_seconds()).unwrap_or_default(),
        kept: hit.kept,
        how,
    };
    if asked.control.reads
        && let Some(found) = asked.store.exact(&shelf, &print, now)
    {
        return hit(found, "hit");
    }
    let meaning = meaning(asked).await;
    if asked.control.reads
        && let Some(meaning) = &meaning
        && let Some(found) = nearest(asked, &shelf, meaning).await
    {
        return hit(found, "semantic");
    }
    Found::Miss(asked.control.keeps.then(|| {
        Box::new(Keep {
            store: Arc::clone(asked.store),
            clock: Arc::clone(asked.clock),
            shelf,
            print,
            meaning,
            bounds: Bounds {
                ttl: spec.ttl.0,
                entries: usize::try_from(spec.max_entries).unwrap_or(usize::MAX),
            },
            wire: asked.wire,
            operation: asked.operation,
        })
    }))
}

/// Comparing ten thousand vectors takes milliseconds, which other requests should not wait for.
async fn nearest(asked: &Asked<'_>, shelf: &Shelf, meaning: &Meaning) -> Option<Hit> {
    #[expect(clippy::cast_possible_truncation, reason = "a threshold has few digits")]
    let threshold = asked.spec.threshold as f32;
    let (store, shelf, meaning) = (Arc::clone(asked.store), shelf.clone(), meaning.clone());
    let now = asked.clock.now();
    let compared = tokio::task::spawn_blocking(move || store.nearest(&shelf, &meaning, threshold, now));
    compared.await.ok().flatten()
}

/// What a question means, if the route compares meanings and the vector can be had.
async fn meaning(asked: &Asked<'_>) -> Option<Meaning> {
    if asked.spec.mode != Mode::Semantic || asked.operation != Operation::Chat {
        return None;
    }
    let route = asked.spec.embedding_route.as_deref()?;
    let (question, rest) = identity::question(asked.body)?;
    if question.len() > LONGEST_QUESTION {
        return None;
    }
    let answer = vector(asked, route, &question).await?;
    let vectors: Vectors = serde_json::from_slice(&answer).ok()?;
    let vector = vectors.data.into_iter().next()?.embedding;
    Some(Meaning {
        context: identity::print(asked.operation, asked.wire, &rest),
        vector: normalised(vector)?,
    })
}

/// What the route that makes vectors answers to a question.
async fn vector(asked: &Asked<'_>, route: &str, question: &str) -> Option<Bytes> {
    let body = json!({"model": route, "input": question});
    let vector = asked.errand.ask(Operation::Embeddings, &body, "cache");
    let code = match tokio::time::timeout(VECTOR_LIMIT, vector).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(error)) => error.code,
        Err(_) => "timeout".into(),
    };
    tracing::warn!(
        route,
        code = &*code,
        "the cache got no vector; the request goes on without"
    );
    None
}

#[derive(Deserialize)]
struct Vectors {
    data: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    embedding: Vec<f32>,
}

impl Keep {
    /// Keeps a whole answer, if it is complete.
    pub(crate) fn whole(self, status: StatusCode, body: &Bytes) {
        if status != StatusCode::OK {
            return;
        }
        let answer = if self.operation == Operation::Chat {
            let dialect = stead_dialects::provider(self.wire);
            match dialect.map(|dialect| dialect.answer(body)) {
                Some(Ok(answer)) if is_complete(&answer) => Some(answer),
                Some(_) => return,
                None => None,
            }
        } else {
            None
        };
        if answer.is_none() && !is_finished(self.operation, body) {
            return;
        }
        let kept = Kept {
            answer,
            whole: Some((status, body.clone())),
        };
        self.put(kept);
    }

    fn put(self, kept: Kept) {
        let now = self.clock.now();
        self.store
            .put(&self.shelf, self.print, kept, self.meaning, (now, self.bounds));
    }

    /// A stream that is kept when it is complete. `head` is what was read of it already.
    pub(crate) fn stream(self, source: Box<dyn Source>, head: &[u8]) -> Box<dyn Source> {
        let Some(dialect) = stead_dialects::provider(self.wire) else {
            return source;
        };
        let mut keeping = Keeping {
            source,
            decoder: dialect.stream(),
            gathered: Some((Gather::default(), self)),
        };
        keeping.read(head);
        Box::new(keeping)
    }
}

/// Whether an answer of an API without a dialect of ours ended of itself.
fn is_finished(operation: Operation, body: &[u8]) -> bool {
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    if operation == Operation::Embeddings {
        return answer.get("data").is_some_and(Value::is_array);
    }
    let choices = answer.get("choices").and_then(Value::as_array);
    choices.is_some_and(|choices| {
        !choices.is_empty()
            && choices
                .iter()
                .all(|choice| choice.get("finish_reason").and_then(Value::as_str) == Some("stop"))
    })
}

/// A stream that is read along.
struct Keeping {
    source: Box<dyn Source>,
    decoder: Box<dyn Decoder>,
    /// `None` once it cannot be kept any more.
    gathered: Option<(Gather, Keep)>,
}

impl Keeping {
    fn read(&mut self, bytes: &[u8]) {
        let Some((gather, _)) = &mut self.gathered else {
            return;
        };
        let mut events = Vec::new();
        if self.decoder.push(bytes, &mut events).is_err() {
            self.gathered = None;
            return;
        }
        for event in events {
            gather.event(event);
        }
    }

    fn complete(&mut self, tally: &Tally) {
        let Some((gather, keep)) = self.gathered.take() else {
            return;
        };
        let Some(mut answer) = gather.finish() else { return };
        // The client may not have asked for it.
        answer.usage = answer.usage.or(tally.usage.as_ref().map(to_wire));
        keep.put(Kept {
            answer: Some(answer),
            whole: None,
        });
    }
}

impl Source for Keeping {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        let piece = ready!(self.source.poll_piece(context, tally));
        match &piece {
            Some(Ok(bytes)) => self.read(bytes),
            Some(Err(_)) => self.gathered = None,
            None => self.complete(tally),
        }
        Poll::Ready(piece)
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        self.source.end(failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_says_what_it_wants_of_the_cache() {
        let cases = [
            (None, true, true),
            (Some("no-cache"), false, true),
            (Some("No-Store"), false, false),
            (Some("max-age=0, no-transform"), false, true),
            (Some("max-age=60"), true, true),
        ];
        for (value, reads, keeps) in cases {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::CACHE_CONTROL, value.parse().unwrap());
            }
            assert_eq!(
                CacheControl::of(&headers),
                CacheControl { reads, keeps },
                "{value:?}"
            );
        }
    }

    #[test]
    fn answers_that_ended_of_themselves_are_told_from_others() {
        let cases = [
            (Operation::Embeddings, r#"{"data": []}"#, true),
            (
                Operation::Completions,
                r#"{"choices": [{"finish_reason": "stop"}]}"#,
                true,
            ),
            (
                Operation::Completions,
                r#"{"choices": [{"finish_reason": "length"}]}"#,
                false,
            ),
            (Operation::Completions, r#"{"choices": []}"#, false),
            (Operation::Completions, "oops", false),
        ];
        for (operation, body, expected) in cases {
            assert_eq!(is_finished(operation, body.as_bytes()), expected, "{body}");
        }
    }
}
