//! Idempotency keys: a request that is sent again with the same key gets the first one's answer, and nobody is asked
//! or billed twice (after <https://datatracker.ietf.org/doc/draft-ietf-httpapi-idempotency-key-header/>).
//!
//! Answers are kept in memory, for an hour and within a bound: this protects against a client's retries, not against
//! a restart of this process.
//!
//! *Invariant:* only complete, successful answers are given again.

use std::{
    collections::{HashMap, VecDeque},
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, StatusCode, request::Parts};
use http_body::{Body as HttpBody, Frame, SizeHint};
use sha2::{Digest, Sha256};
use stead_kernel::{Body, ports::events::Outcome};
use tokio::time::Instant;

use super::error::ApiError;

/// The header.
pub(super) const HEADER: &str = "idempotency-key";
/// Says that an answer was given before.
const REPLAYED: &str = "idempotent-replayed";
/// The longest key, in bytes.
const KEY_LIMIT: usize = 255;
/// For how long an answer is kept.
const KEPT: Duration = Duration::from_hours(1);
/// The longest answer that is kept, in bytes.
const ANSWER_LIMIT: usize = 4 << 20;
/// How many bytes of answers are kept; the oldest go first.
const TOTAL_LIMIT: usize = 64 << 20;
/// How many keys are remembered.
const COUNT_LIMIT: usize = 10_000;

/// Who uses which key for what.
type Id = [u8; 32];

/// The answers that may be asked for again. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Replies(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    replies: HashMap<Id, Entry>,
    /// In the order in which they came.
    order: VecDeque<(Id, Instant)>,
    bytes: usize,
}

struct Entry {
    /// Of the request's body.
    body: [u8; 32],
    since: Instant,
    /// `None` while the first request is under way.
    reply: Option<Reply>,
}

#[derive(Clone)]
struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

/// What becomes of a request with a key.
pub(super) enum Claim {
    /// It is the first; its answer goes through [`Slot::record`].
    First(Slot),
    /// It was answered before.
    Again(Box<Response>),
}

/// The place for an answer; dropped without one, the key is free again.
pub(super) struct Slot {
    replies: Replies,
    id: Id,
    kept: bool,
}

impl Replies {
    /// Claims the key of a request, when it has one.
    ///
    /// # Errors
    /// A key that is too long, that is under way, or that came with another body.
    pub(super) fn claim(&self, parts: &Parts, who: &str, body: &[u8]) -> Result<Option<Claim>, ApiError> {
        let Some(key) = parts.headers.get(HEADER) else {
            return Ok(None);
        };
        if key.is_empty() || key.len() > KEY_LIMIT {
            let message = format!("{HEADER} must have 1 to {KEY_LIMIT} bytes");
            return Err(ApiError::invalid("invalid_idempotency_key", message));
        }
        let mut hash = Sha256::new();
        for part in [who.as_bytes(), parts.uri.path().as_bytes(), key.as_bytes()] {
            hash.update(part);
            hash.update([0]);
        }
        let id: Id = hash.finalize().into();
        let body: [u8; 32] = Sha256::digest(body).into();
        let now = Instant::now();
        let mut known = self.known();
        known.expire(now);
        let Some(entry) = known.replies.get(&id) else {
            known.add(id, body, now);
            drop(known);
            return Ok(Some(Claim::First(Slot {
                replies: self.clone(),
                id,
                kept: false,
            })));
        };
        if entry.body != body {
            return Err(ApiError::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "invalid_request_error",
                "idempotency_key_reused",
                format!("this {HEADER} was used for another request; use a new one for each request"),
            ));
        }
        match &entry.reply {
            Some(reply) => Ok(Some(Claim::Again(Box::new(reply.clone().into_response())))),
            None => Err(ApiError::new(
                StatusCode::CONFLICT,
                "invalid_request_error",
                "idempotency_key_in_use",
                "the first request with this key is still under way",
            )
            .retry_after(Some(Duration::from_secs(1)))),
        }
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn add(&mut self, id: Id, body: [u8; 32], now: Instant) {
        self.replies.insert(
            id,
            Entry {
                body,
                since: now,
                reply: None,
            },
        );
        self.order.push_back((id, now));
    }

    fn keep(&mut self, id: Id, reply: Reply) {
        let Some(entry) = self.replies.get_mut(&id) else {
            return;
        };
        self.bytes += reply.body.len();
        entry.reply = Some(reply);
        while self.bytes > TOTAL_LIMIT || self.replies.len() > COUNT_LIMIT {
            if !self.drop_oldest() {
                break;
            }
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.order.front().is_some_and(|(_, since)| now - *since > KEPT) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) -> bool {
        let Some((id, since)) = self.order.pop_front() else {
            return false;
        };
        // The key may be in use again since.
        if self.replies.get(&id).is_some_and(|entry| entry.since == since) {
            self.remove(&id);
        }
        true
    }

    fn remove(&mut self, id: &Id) {
        if let Some(Entry {
            reply: Some(reply), ..
        }) = self.replies.remove(id)
        {
            self.bytes -= reply.body.len();
        }
    }
}

impl Reply {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers;
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

impl Slot {
    /// Keeps the answer while it is sent. `outcome` is told when the request is settled.
    pub(super) fn record(self, response: Response, outcome: Arc<OnceLock<Outcome>>) -> Response {
        let (parts, body) = response.into_parts();
        let recorder = Recorder {
            inner: body,
            reply: Some(Reply {
                status: parts.status,
                headers: parts.headers.clone(),
                body: Bytes::new(),
            }),
            read: BytesMut::new(),
            slot: self,
            outcome,
        };
        Response::from_parts(parts, Body::new(recorder))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.kept {
            self.replies.known().remove(&self.id);
        }
    }
}

/// A body that is remembered while it is sent.
struct Recorder {
    inner: Body,
    reply: Option<Reply>,
    read: BytesMut,
    slot: Slot,
    outcome: Arc<OnceLock<Outcome>>,
}

impl Recorder {
    fn finish(&mut self) {
        let Some(mut reply) = self.reply.take() else {
            return;
        };
        if self.outcome.get() == Some(&Outcome::Ok) {
            reply.body = std::mem::take(&mut self.read).freeze();
            self.slot.kept = true;
            self.slot.replies.known().keep(self.slot.id, reply);
        }
    }
}

impl HttpBody for Recorder {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.inner).poll_frame(context);
        match &polled {
            Poll::Ready(Some(Ok(frame))) => {
                if let Some(data) = frame.data_ref() {
                    this.read.extend_from_slice(data);
                }
                if this.read.len() > ANSWER_LIMIT {
                    this.reply = None;
                    this.read = BytesMut::new();
                } else if this.inner.is_end_stream() {
                    this.finish();
                }
            }
            Poll::Ready(None) => this.finish(),
            Poll::Ready(Some(Err(_))) => this.reply = None,
            Poll::Pending => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
