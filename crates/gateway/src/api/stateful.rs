//! `/v1/responses`: conversations that the gateway keeps (<https://platform.openai.com/docs/api-reference/responses>).
//!
//! What a request refers to is put into it before it is served as any other; what comes of it is kept before the
//! client hears that it is complete, so that its id can be used at once.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};
use stead_dialects::{
    chat::Wire,
    responses::{merge, own_input, state},
};
use stead_kernel::{Body, Error};

use super::{
    background,
    caller::Caller,
    conversations::no_conversation,
    error::ApiError,
    keeping::{Keeper, Place},
    serve::{PathModel, read, serve},
    surface::Surface,
};
use crate::{Gateway, responses::Turn};

/// How long a response that is cancelled may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

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
    if asked.background {
        return background::create(&gateway, parts, asked).await;
    }
    let request = Request::from_parts(parts, Body::from(asked.body));
    let response = serve(&gateway, surface, PathModel::default(), request).await;
    match asked.keep {
        Some(keeper) if response.status().is_success() => keeper.keep(response).await,
        _ => response,
    }
}

/// A request with everything that it refers to.
pub(super) struct Asked {
    pub(super) body: Bytes,
    is_longer: bool,
    background: bool,
    /// What to do with the answer; nothing when it is not to be kept.
    pub(super) keep: Option<Keeper>,
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
                background: false,
                keep: None,
            });
        }
        Err(error) => return Err((&error).into()),
    };
    let (body, background) = without_background(body);
    let project = caller.project();
    let kept = &gateway.responses;
    let earlier = match (&wanted.previous, &wanted.conversation) {
        (Some(id), _) => kept.history(project, id).await?.ok_or_else(|| no_previous(id))?,
        (None, Some(id)) => said_in(gateway, project, id).await?,
        (None, None) => Vec::new(),
    };
    let referred = kept.items(project, &wanted.references).await?;
    let place = Place {
        previous: wanted.previous,
        conversation: wanted.conversation,
        store: wanted.store,
        promised: None,
    };
    // Without a conversation of ours, they may be the provider's own.
    let refers = place.previous.is_some()
        || place.conversation.is_some()
        || (!wanted.references.is_empty() && referred.len() == wanted.references.len());
    if !refers {
        return Ok(Asked {
            keep: Keeper::new(gateway, project, body.clone(), place),
            is_longer: background,
            background,
            body,
        });
    }
    let whole = merge(&body, &earlier, &referred).map_err(|error| ApiError::from(&error))?;
    // What a conversation has it does not get again.
    let body = match &place.conversation {
        Some(_) => without_references(&body, &earlier),
        None => body,
    };
    let known = [earlier, referred].concat();
    let own = own_input(&body, &known).map_err(|error| ApiError::from(&error))?;
    Ok(Asked {
        body: whole.into(),
        is_longer: true,
        background,
        keep: Keeper::new(gateway, project, own.into(), place),
    })
}

/// What was said in a conversation.
async fn said_in(gateway: &Gateway, project: &str, id: &str) -> Result<Vec<Value>, ApiError> {
    let all = &gateway.conversations;
    let found = all.get(project, id).await?;
    found.ok_or_else(|| no_conversation(id).param("conversation"))?;
    Ok(all.items(project, id).await?)
}

/// A request without `background`, which is between the client and us, and whether it said so.
fn without_background(body: Bytes) -> (Bytes, bool) {
    let Ok(mut members) = serde_json::from_slice::<serde_json::Map<String, Value>>(&body) else {
        return (body, false);
    };
    match members.shift_remove("background") {
        None => (body, false),
        Some(given) => (Value::Object(members).to_string().into(), given == true),
    }
}

/// A request without references to items that are known.
fn without_references(body: &Bytes, known: &[Value]) -> Bytes {
    let Ok(mut body) = serde_json::from_slice::<Value>(body) else {
        return body.clone();
    };
    if let Some(items) = body.get_mut("input").and_then(Value::as_array_mut) {
        items.retain(|item| {
            let refers = item.get("type").is_some_and(|kind| kind == "item_reference")
                || (item.get("type").is_none() && item.get("role").is_none());
            !(refers && known.iter().any(|known| known.get("id") == item.get("id")))
        });
    }
    body.to_string().into()
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

pub(super) fn no_response(id: &str) -> ApiError {
    let id: String = id.chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "response_not_found",
        format!("there is no response `{id}` here"),
    )
}

async fn find(gateway: &Gateway, id: &str, request: Request) -> Result<(String, Turn), ApiError> {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = Caller::of(&parts, &snapshot, gateway.clock.now())?;
    let turn = gateway.responses.get(caller.project(), id).await?;
    let turn = turn.ok_or_else(|| no_response(id))?;
    Ok((caller.project().to_owned(), turn))
}

/// How a kept response is read.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Reading {
    stream: bool,
    starting_after: Option<u64>,
}

/// A kept response, or its events as far as they are still there.
pub(super) async fn one(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    reading: Result<Query<Reading>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(reading) = reading.map_err(|error| ApiError::from(Error::invalid(error.body_text())))?;
    let (project, mut turn) = find(&gateway, &id, request).await?;
    if reading.stream {
        return background::resume(&gateway, &project, &id, reading.starting_after);
    }
    if gateway.background.is_under_way(&project, &id) && turn.is_unfinished() {
        turn.set_status("in_progress");
    }
    Ok(Json(turn.response).into_response())
}

/// Removes a kept response; one that is still made is cancelled.
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, _) = find(&gateway, &id, request).await?;
    gateway.background.cancel(&project, &id, PATIENCE).await;
    if !gateway.responses.delete(&project, &id).await? {
        return Err(no_response(&id));
    }
    Ok(Json(json!({"id": id, "object": "response", "deleted": true})).into_response())
}

/// Ends a response that is made in the background; one that has ended stays as it is
/// (<https://platform.openai.com/docs/api-reference/responses/cancel>).
pub(super) async fn cancel(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    parts: Parts,
) -> Result<Response, ApiError> {
    let (project, turn) = find(&gateway, &id, Request::from_parts(parts, Body::empty())).await?;
    if turn.response.get("background") != Some(&Value::Bool(true)) {
        let message = "the response is not made in the background; close its connection instead";
        return Err(ApiError::invalid("not_in_background", message));
    }
    gateway.background.cancel(&project, &id, PATIENCE).await;
    let turn = gateway.responses.get(&project, &id).await?;
    let turn = turn.ok_or_else(|| no_response(&id))?;
    Ok(Json(turn.response).into_response())
}

/// What a list's address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Options {
    after: Option<String>,
    limit: Option<usize>,
    order: Option<String>,
}

impl Options {
    /// The first ones, in order.
    pub(super) fn first(limit: usize) -> Self {
        Self {
            after: None,
            limit: Some(limit),
            order: Some("asc".to_owned()),
        }
    }
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
pub(super) fn page(mut items: Vec<Value>, options: &Options) -> Result<Value, ApiError> {
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
