//! `/v1/conversations` (<https://platform.openai.com/docs/api-reference/conversations>).

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stead_kernel::{Error, Reason};

use super::{
    caller::Caller,
    error::ApiError,
    serve::read,
    stateful::{Options, page},
};
use crate::{
    Gateway,
    conversations::{Conversations, normal},
};

/// The most items that are added at once.
const AT_ONCE: usize = 20;
/// The most members of metadata, and the most letters of their names and values.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// What a body says.
#[derive(Default, Deserialize)]
struct Said {
    #[serde(default)]
    items: Option<Vec<Value>>,
    #[serde(default)]
    metadata: Option<Map<String, Value>>,
}

impl Said {
    fn items(self) -> Result<Vec<Value>, ApiError> {
        let items = self.items.unwrap_or_default();
        if items.len() > AT_ONCE {
            let message = format!("items: at most {AT_ONCE} at a time");
            return Err(ApiError::from(Error::invalid(message)).param("items"));
        }
        let normal = items.iter().map(normal).collect::<stead_kernel::Result<_>>();
        normal.map_err(|error| ApiError::from(error).param("items"))
    }
}

/// Who asks, in which project, and what the body says.
async fn open(gateway: &Gateway, request: Request) -> Result<(String, Said), ApiError> {
    let (parts, body) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = Caller::of(&parts, &snapshot, gateway.clock.now())?;
    let project = caller.project().to_owned();
    let body = read(gateway, &parts, body).await?;
    if body.trim_ascii().is_empty() {
        return Ok((project, Said::default()));
    }
    let said = serde_json::from_slice(&body)
        .map_err(|error| ApiError::invalid("invalid_body", format!("the body cannot be used: {error}")))?;
    Ok((project, said))
}

/// Metadata as OpenAI takes it.
fn checked(metadata: Map<String, Value>) -> Result<Map<String, Value>, ApiError> {
    let (count, name, value) = METADATA;
    let long = |text: &str, limit: usize| text.chars().count() > limit;
    let wrong = metadata.len() > count
        || metadata
            .iter()
            .any(|(key, given)| long(key, name) || given.as_str().is_none_or(|text| long(text, value)));
    if wrong {
        let message = format!(
            "metadata: at most {count} texts of {value} letters, with names of at most {name} letters"
        );
        return Err(ApiError::from(Error::invalid(message)).param("metadata"));
    }
    Ok(metadata)
}

pub(super) fn no_conversation(id: &str) -> ApiError {
    not_found("conversation_not_found", "conversation", id)
}

fn no_item(id: &str) -> ApiError {
    not_found("item_not_found", "item", id)
}

fn not_found(code: &'static str, what: &str, id: &str) -> ApiError {
    let id: String = id.chars().take(200).collect();
    let message = format!("there is no {what} `{id}` here");
    ApiError::new(StatusCode::NOT_FOUND, "invalid_request_error", code, message)
}

/// Makes a conversation.
pub(super) async fn create(
    State(gateway): State<Arc<Gateway>>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, mut said) = open(&gateway, request).await?;
    let metadata = checked(said.metadata.take().unwrap_or_default())?;
    let made = all(&gateway).create(&project, metadata, said.items()?).await?;
    Ok(Json(made.object()).into_response())
}

fn all(gateway: &Gateway) -> &Conversations {
    &gateway.conversations
}

/// A conversation.
pub(super) async fn one(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, _) = open(&gateway, request).await?;
    let found = all(&gateway).get(&project, &id).await?;
    let found = found.ok_or_else(|| no_conversation(&id))?;
    Ok(Json(found.object()).into_response())
}

/// Replaces its metadata.
pub(super) async fn update(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, said) = open(&gateway, request).await?;
    let metadata = checked(said.metadata.unwrap_or_default())?;
    let changed = all(&gateway).describe(&project, &id, &metadata).await?;
    let changed = changed.ok_or_else(|| no_conversation(&id))?;
    Ok(Json(changed.object()).into_response())
}

/// Removes it and its items.
pub(super) async fn delete(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, _) = open(&gateway, request).await?;
    if !all(&gateway).delete(&project, &id).await? {
        return Err(no_conversation(&id));
    }
    Ok(Json(json!({"id": id, "object": "conversation.deleted", "deleted": true})).into_response())
}

/// Its items.
pub(super) async fn items(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    options: Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let Query(options) = options.map_err(|error| ApiError::from(Error::invalid(error.body_text())))?;
    let (project, _) = open(&gateway, request).await?;
    if all(&gateway).get(&project, &id).await?.is_none() {
        return Err(no_conversation(&id));
    }
    let items = all(&gateway).items(&project, &id).await?;
    page(items, &options).map(|page| Json(page).into_response())
}

/// Adds items.
pub(super) async fn add(
    State(gateway): State<Arc<Gateway>>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, said) = open(&gateway, request).await?;
    let items = said.items()?;
    if items.is_empty() {
        let error = Error::invalid("items: the body must list at least one");
        return Err(ApiError::from(error).param("items"));
    }
    let added = all(&gateway).append(&project, &id, &items, &[]).await;
    let added = added.map_err(|error| {
        if error.reason() == Reason::NotFound {
            no_conversation(&id)
        } else {
            error.into()
        }
    })?;
    let options = Options::first(AT_ONCE);
    page(added, &options).map(|page| Json(page).into_response())
}

/// One of its items.
pub(super) async fn item(
    State(gateway): State<Arc<Gateway>>,
    Path((id, item)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, _) = open(&gateway, request).await?;
    let found = all(&gateway).item(&project, &id, &item).await?;
    let found = found.ok_or_else(|| no_item(&item))?;
    Ok(Json(found).into_response())
}

/// Removes one of its items.
pub(super) async fn remove(
    State(gateway): State<Arc<Gateway>>,
    Path((id, item)): Path<(String, String)>,
    request: Request,
) -> Result<Response, ApiError> {
    let (project, _) = open(&gateway, request).await?;
    let left = all(&gateway).remove_item(&project, &id, &item).await?;
    let left = left.ok_or_else(|| no_item(&item))?;
    Ok(Json(left.object()).into_response())
}
