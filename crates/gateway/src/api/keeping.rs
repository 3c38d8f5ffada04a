//! Keeping responses: alone, or together with what they add to a conversation.
//!
//! *Invariant:* a client hears of the end of a response only after it is kept.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Limited};
use memchr::memmem;
use serde_json::{Value, json};
use stead_dialects::{
    chat::Wire,
    responses::{final_response, input_items, output_items},
};
use stead_kernel::{Body, Error, Reason, Result};

use super::{error::ApiError, job::WARNINGS};
use crate::{
    Gateway,
    conversations::{Conversations, normal},
    responses::{Responses, Turn},
};

/// The largest answer that is kept, in bytes.
pub(super) const ANSWER_LIMIT: usize = 64 << 20;
/// What the events are called with which a stream ends.
const ENDS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// Keeps what comes of a request.
pub(super) struct Keeper {
    responses: Responses,
    conversations: Conversations,
    project: String,
    /// The request without what was said before.
    body: Bytes,
    place: Place,
}

/// Where a response belongs, and what is kept of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Place {
    /// The response before it.
    pub(super) previous: Option<String>,
    /// The conversation that it adds to.
    pub(super) conversation: Option<String>,
    /// Whether the response itself is kept.
    pub(super) store: bool,
    /// The id under which it was promised, where it is made in the background; a provider may give it another one.
    pub(super) promised: Option<String>,
}

impl Keeper {
    /// What keeps a response; `None` when nothing of it is to be kept.
    pub(super) fn new(gateway: &Gateway, project: &str, body: Bytes, place: Place) -> Option<Self> {
        (place.store || place.conversation.is_some()).then(|| Self {
            responses: gateway.responses.clone(),
            conversations: gateway.conversations.clone(),
            project: project.to_owned(),
            body,
            place,
        })
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    /// The request without what was said before.
    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    /// Whether the response itself is kept.
    pub(super) fn stores(&self) -> bool {
        self.place.store
    }

    /// The same for a response that is made in the background and was promised under an id.
    pub(super) fn promised(mut self, id: String) -> Self {
        self.place.promised = Some(id);
        self
    }

    /// Keeps a whole answer now and a stream when it ends.
    pub(super) async fn keep(self, response: Response) -> Response {
        let sort = response.headers().get(header::CONTENT_TYPE);
        let (is_stream, is_json) = (
            sort.is_some_and(|sort| sort.as_bytes().starts_with(b"text/event-stream")),
            sort.is_some_and(|sort| sort.as_bytes().starts_with(b"application/json")),
        );
        if is_stream {
            let (parts, body) = response.into_parts();
            let body = KeptBody {
                body,
                state: Keeping::Waiting(self),
            };
            return Response::from_parts(parts, Body::new(body));
        }
        if is_json {
            self.whole(response).await
        } else {
            response
        }
    }

    async fn whole(self, response: Response) -> Response {
        let (mut parts, body) = response.into_parts();
        let Ok(body) = Limited::new(body, ANSWER_LIMIT).collect().await else {
            let message = "the answer is too large to be kept; ask with store: false";
            return ApiError::upstream(message).respond(Wire::Responses);
        };
        let body = body.to_bytes();
        let Ok(mut answer) = serde_json::from_slice::<Value>(&body) else {
            return Response::from_parts(parts, Body::from(body));
        };
        let told = if self.complete(&mut answer) {
            answer.to_string().into()
        } else {
            // What a provider of the same dialect said passes as it is.
            body
        };
        if !self.stored(answer).await {
            let value = HeaderValue::from_static("the response could not be kept");
            parts.headers.append(WARNINGS, value);
        }
        Response::from_parts(parts, Body::from(told))
    }

    /// Says in a response where it belongs; returns whether there was anything to say.
    pub(super) fn complete(&self, response: &mut Value) -> bool {
        let Some(members) = response.as_object_mut() else {
            return false;
        };
        let place = &self.place;
        let previous = place.previous.as_deref();
        members.extend(previous.map(|previous| ("previous_response_id".to_owned(), previous.into())));
        let conversation = place.conversation.as_ref();
        members.extend(conversation.map(|id| ("conversation".to_owned(), json!({"id": id}))));
        if let Some(id) = &place.promised {
            members.insert("id".to_owned(), id.as_str().into());
            members.insert("background".to_owned(), true.into());
        }
        previous.is_some() || conversation.is_some() || place.promised.is_some()
    }

    /// What is kept of a response.
    pub(super) fn turn(&self, mut response: Value) -> Result<(String, Turn)> {
        let id = response.get("id").and_then(Value::as_str).map(str::to_owned);
        let id = id.ok_or_else(|| Error::internal("a response has no id"))?;
        self.complete(&mut response);
        let input = input_items(&self.body, &id)
            .map_err(|error| Error::invalid(format!("{}: {}", error.param, error.message)))?;
        let turn = Turn {
            response,
            input,
            previous: self.place.previous.clone(),
        };
        Ok((id, turn))
    }

    /// Keeps a response, and adds it to its conversation, in one step.
    ///
    /// # Errors
    /// When it is not kept.
    pub(super) async fn store(&self, response: Value) -> Result<()> {
        let (id, turn) = self.turn(response)?;
        let mut writes = Vec::new();
        if self.place.store {
            if self.place.promised.is_some() {
                writes.push(Responses::put(&self.project, &id, &turn, None)?);
                writes.push(Responses::done(&self.project, &id));
            } else {
                // The id may be one that a provider gave, so that no other turn is replaced.
                writes.push(Responses::put(&self.project, &id, &turn, Some(0))?);
            }
        }
        let status = turn.response.get("status").and_then(Value::as_str);
        // What failed was not said.
        let was_said = matches!(status, Some("completed" | "incomplete"));
        match &self.place.conversation {
            Some(conversation) if was_said => {
                let mut items = turn.input.iter().map(normal).collect::<Result<Vec<Value>>>()?;
                items.extend(output_items(&turn.response));
                let adding = self
                    .conversations
                    .append(&self.project, conversation, &items, &writes);
                adding.await.map(drop)
            }
            Some(_) | None => self.responses.commit(writes).await,
        }
    }

    /// Keeps a response. Returns whether it is kept.
    async fn stored(self, response: Value) -> bool {
        match self.store(response).await {
            Ok(()) => true,
            // A gateway without records says so in a header of each answer.
            Err(error) if error.reason() == Reason::Unsupported => false,
            Err(error) => {
                tracing::warn!(error = error.full_message(), "a response was not kept");
                false
            }
        }
    }
}

/// A stream whose last event waits until the response that it tells is kept.
struct KeptBody {
    body: Body,
    state: Keeping,
}

enum Keeping {
    Waiting(Keeper),
    Storing(Pin<Box<dyn Future<Output = bool> + Send>>, Bytes),
    Over,
}

impl KeptBody {
    /// What to send of a piece now; nothing while the response is being kept.
    fn take(&mut self, piece: Bytes) -> Option<Bytes> {
        let may_end = ENDS
            .iter()
            .any(|end| memmem::find(&piece, end.as_bytes()).is_some());
        let Some(response) = may_end.then(|| final_response(&piece)).flatten() else {
            return Some(piece);
        };
        match std::mem::replace(&mut self.state, Keeping::Over) {
            Keeping::Waiting(keeper) => {
                self.state = Keeping::Storing(Box::pin(keeper.stored(response)), piece);
                None
            }
            Keeping::Storing(..) | Keeping::Over => Some(piece),
        }
    }
}

impl HttpBody for KeptBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        loop {
            if let Keeping::Storing(work, piece) = &mut this.state {
                ready!(work.as_mut().poll(context));
                let piece = std::mem::take(piece);
                this.state = Keeping::Over;
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
            let frame = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                rest => return Poll::Ready(rest),
            };
            match frame.into_data() {
                Ok(piece) => {
                    if let Some(piece) = this.take(piece) {
                        return Poll::Ready(Some(Ok(Frame::data(piece))));
                    }
                }
                Err(other) => return Poll::Ready(Some(Ok(other))),
            }
        }
    }
}
