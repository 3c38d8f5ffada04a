//! `/v1/responses`: conversations that the gateway keeps (<https://platform.openai.com/docs/api-reference/responses>).
//!
//! What a request refers to is put into it before it is served as any other; what comes of it is kept before the
//! client hears that it is complete, so that its id can be used at once.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header, request::Parts};
use http_body::{Body as HttpBody, Frame};
use http_body_util::{BodyExt, Limited};
use memchr::memmem;
use serde::Deserialize;
use serde_json::{Value, json};
use stead_dialects::{
    chat::Wire,
    responses::{final_response, input_items, merge, state},
};
use stead_kernel::{Body, Error, Reason};

use super::{
    caller::Caller,
    error::ApiError,
    job::WARNINGS,
    serve::{PathModel, read, serve},
    surface::Surface,
};
use crate::{
    Gateway,
    responses::{Responses, Turn},
};

/// The largest answer that is kept, in bytes.
const ANSWER_LIMIT: usize = 64 << 20;
/// What the events are called with which a stream ends.
const ENDS: [&str; 3] = ["response.completed", "response.incomplete", "response.failed"];

/// Answers a request, with what was said before.
pub(super) async fn create(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::chat(Wire::Responses);
    let (mut parts, body) = request.into_parts();
    let asked = match prepare(&gateway, &parts, body).await {
        Ok(asked) => asked,
        Err(error) => return surface.refuse(error),
    };
    if asked.is_longer {
        parts.headers.remove(header::CONTENT_LENGTH);
    }
    let request = Request::from_parts(parts, Body::from(asked.body));
    let response = serve(&gateway, surface, PathModel::default(), request).await;
    match asked.keep {
        Some(keeper) if response.status().is_success() => keeper.keep(response).await,
        _ => response,
    }
}

/// A request with everything that it refers to.
struct Asked {
    body: Bytes,
    is_longer: bool,
    /// What to do with the answer; nothing when it is not to be kept.
    keep: Option<Keeper>,
}

async fn prepare(gateway: &Arc<Gateway>, parts: &Parts, body: Body) -> Result<Asked, ApiError> {
    let snapshot = gateway.snapshot.load();
    let caller = Caller::of(parts, &snapshot, gateway.clock.now())?;
    let body = read(gateway, parts, body).await?;
    let wanted = match state(&body) {
        Ok(wanted) => wanted,
        // What cannot be read at all is refused as everywhere.
        Err(error) if error.param == "body" => {
            return Ok(Asked {
                body,
                is_longer: false,
                keep: None,
            });
        }
        Err(error) => return Err((&error).into()),
    };
    if wanted.conversation.is_some() {
        let hint = "name the response before with previous_response_id";
        return Err(unsupported("conversations are not kept as objects here", hint).param("conversation"));
    }
    if is_background(&body) {
        let hint = "leave it out, or make a batch";
        return Err(unsupported("responses are not made in the background here", hint).param("background"));
    }
    let project = caller.project();
    let kept = &gateway.responses;
    let earlier = match &wanted.previous {
        Some(id) => kept.history(project, id).await?.ok_or_else(|| no_previous(id))?,
        None => Vec::new(),
    };
    let referred = kept.items(project, &wanted.references).await?;
    // Without a conversation of ours, they may be the provider's own.
    let refers = wanted.previous.is_some()
        || (!wanted.references.is_empty() && referred.len() == wanted.references.len());
    if !refers {
        let keep = wanted
            .store
            .then(|| Keeper::new(gateway, project, body.clone(), None));
        return Ok(Asked {
            body,
            is_longer: false,
            keep,
        });
    }
    let whole = merge(&body, &earlier, &referred).map_err(|error| ApiError::from(&error))?;
    let known = [earlier, referred].concat();
    let own = merge(&body, &[], &known).map_err(|error| ApiError::from(&error))?;
    let keep = wanted
        .store
        .then(|| Keeper::new(gateway, project, own.into(), wanted.previous));
    Ok(Asked {
        body: whole.into(),
        is_longer: true,
        keep,
    })
}

fn is_background(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Background {
        #[serde(default)]
        background: Value,
    }
    serde_json::from_slice::<Background>(body).is_ok_and(|body| body.background == true)
}

fn unsupported(what: &str, hint: &str) -> ApiError {
    Error::unsupported(what).hint(hint).into()
}

fn no_previous(id: &str) -> ApiError {
    let id: String = id.chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "previous_response_not_found",
        format!("there is no response `{id}` here, or one before it was deleted"),
    )
    .param("previous_response_id")
}

fn no_response(id: &str) -> ApiError {
    let id: String = id.chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "response_not_found",
        format!("there is no response `{id}` here"),
    )
}

/// Keeps what comes of a request.
struct Keeper {
    responses: Responses,
    project: String,
    /// The request without what was said before.
    body: Bytes,
    previous: Option<String>,
}

impl Keeper {
    fn new(gateway: &Gateway, project: &str, body: Bytes, previous: Option<String>) -> Self {
        Self {
            responses: gateway.responses.clone(),
            project: project.to_owned(),
            body,
            previous,
        }
    }

    /// Keeps a whole answer now and a stream when it ends.
    async fn keep(self, response: Response) -> Response {
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
        if let (Some(previous), Some(members)) = (&self.previous, answer.as_object_mut()) {
            members.insert("previous_response_id".to_owned(), previous.as_str().into());
        }
        let text = answer.to_string();
        if !self.store(answer).await {
            let value = HeaderValue::from_static("the response could not be kept");
            parts.headers.append(WARNINGS, value);
        }
        Response::from_parts(parts, Body::from(text))
    }

    /// Keeps a response. Returns whether it is kept.
    async fn store(self, mut response: Value) -> bool {
        let Some(id) = response.get("id").and_then(Value::as_str).map(str::to_owned) else {
            return false;
        };
        if let (Some(previous), Some(members)) = (&self.previous, response.as_object_mut()) {
            members.insert("previous_response_id".to_owned(), previous.as_str().into());
        }
        let Ok(input) = input_items(&self.body, &id) else {
            return false;
        };
        let turn = Turn {
            response,
            input,
            previous: self.previous,
        };
        match self.responses.keep(&self.project, &id, &turn).await {
            Ok(()) => true,
            // A gateway without records says so in a header of each answer.
            Err(error) if error.reason() == Reason::Unsupported => false,
            Err(error) => {
                tracing::warn!(
                    response = id,
                    error = error.full_message(),
                    "a response was not kept"
                );
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
                self.state = Keeping::Storing(Box::pin(keeper.store(response)), piece);
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
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
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

async fn find(gateway: &Gateway, id: &str, request: Request) -> Result<(String, Turn), ApiError> {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = Caller::of(&parts, &snapshot, gateway.clock.now())?;
    let turn = gateway.responses.get(caller.project(), id).await?;
    let turn = turn.ok_or_else(|| no_response(id))?;
    Ok((caller.project().to_owned(), turn))
}

/// A kept response.
pub(super) async fn one(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let query = request.uri().query().unwrap_or_default();
    if query.split('&').any(|pair| pair == "stream=true") {
        let hint = "leave stream out";
        return Err(unsupported("a kept response is not streamed again", hint).param("stream"));
    }
    let (_, turn) = find(&gateway, &id, request).await?;
    Ok(Json(turn.response).into_response())
}

/// Removes a kept response.
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, _) = find(&gateway, &id, request).await?;
    if !gateway.responses.delete(&project, &id).await? {
        return Err(no_response(&id));
    }
    Ok(Json(json!({"id": id, "object": "response", "deleted": true})).into_response())
}

/// What a list's address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    after: Option<String>,
    limit: Option<usize>,
    order: Option<String>,
}

/// The items of a kept response's own question.
pub(super) async fn items(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|error| ApiError::from(Error::invalid(error.body_text())))?;
    let (_, turn) = find(&gateway, &id, request).await?;
    page(turn.input, &options).map(|page| Json(page).into_response())
}

/// A page of items as OpenAI gives it
/// (<https://platform.openai.com/docs/api-reference/responses/input-items>).
fn page(mut items: Vec<Value>, options: &Options) -> Result<Value, ApiError> {
    let id = |item: &Value| item.get("id").cloned();
    match options.order.as_deref() {
        None | Some("desc") => items.reverse(),
        Some("asc") => {}
        Some(_) => return Err(Error::invalid("order: must be asc or desc").into()),
    }
    let limit = options.limit.unwrap_or(20);
    if !(1..=100).contains(&limit) {
        return Err(Error::invalid("limit: must be from 1 to 100").into());
    }
    let skip = options.after.as_ref().map_or(0, |after| {
        let place = items
            .iter()
            .position(|item| id(item).as_ref().and_then(Value::as_str) == Some(after));
        place.map_or(items.len(), |place| place + 1)
    });
    let has_more = items.len() > skip + limit;
    let data: Vec<Value> = items.into_iter().skip(skip).take(limit).collect();
    Ok(json!({
        "object": "list", "first_id": data.first().and_then(id), "last_id": data.last().and_then(id),
        "has_more": has_more, "data": data,
    }))
}

/// Only responses that are made in the background could be.
pub(super) async fn cancel() -> ApiError {
    unsupported(
        "responses are not made in the background here",
        "close the connection instead",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_items_go_on_after_the_last_one() {
        let items: Vec<Value> = ["a", "b", "c"].map(|id| json!({"id": id})).to_vec();
        let read = |after: Option<&str>, limit, order: &str| {
            let options = Options {
                after: after.map(str::to_owned),
                limit: Some(limit),
                order: Some(order.to_owned()),
            };
            let page = page(items.clone(), &options).unwrap();
            (
                page["first_id"].clone(),
                page["last_id"].clone(),
                page["has_more"] == true,
            )
        };
        assert_eq!(read(None, 2, "asc"), (json!("a"), json!("b"), true));
        assert_eq!(read(Some("b"), 2, "asc"), (json!("c"), json!("c"), false));
        assert_eq!(read(None, 100, "desc"), (json!("c"), json!("a"), false));
        assert_eq!(read(Some("x"), 2, "asc"), (Value::Null, Value::Null, false));
    }
}
