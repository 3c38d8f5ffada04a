//! `GET /v1/models`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use http::{HeaderValue, header};
use serde_json::{Value, json};
use stead_dialects::{chat::Wire, gemini};
use stead_kernel::Body;

use super::{caller::Caller, error::ApiError};
use crate::Gateway;

/// All models that the caller may use.
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let names = snapshot.names(caller.asker());
    if parts.headers.contains_key("anthropic-version") {
        return Json(anthropic(&gateway, &names)).into_response();
    }
    let models: Vec<Value> = names
        .iter()
        .map(|(id, owner)| model(&gateway, id, owner))
        .collect();
    Json(json!({"object": "list", "data": models})).into_response()
}

/// The list as Anthropic's clients want it (<https://docs.anthropic.com/en/api/models-list>).
fn anthropic(gateway: &Gateway, names: &[(String, &str)]) -> Value {
    let created = gateway.started.to_string();
    let id = |name: Option<&(String, &str)>| name.map(|(id, _)| id.clone());
    let models: Vec<Value> = names
        .iter()
        .map(|(id, _)| json!({"type": "model", "id": id, "display_name": id, "created_at": created}))
        .collect();
    json!({"data": models, "has_more": false, "first_id": id(names.first()), "last_id": id(names.last())})
}

/// What Gemini's clients may call a model for.
const METHODS: [&str; 3] = ["generateContent", "countTokens", "embedContent"];

fn listed(name: &str) -> gemini::Listed<'_> {
    gemini::Listed {
        name,
        description: None,
        input_tokens: None,
        output_tokens: None,
        methods: &METHODS,
    }
}

/// All models, for Gemini's clients.
pub(super) async fn gemini_list(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => {
            let names = snapshot.names(caller.asker());
            let listed: Vec<_> = names.iter().map(|(name, _)| listed(name)).collect();
            document(gemini::models(&listed))
        }
        Err(error) => error.respond(Wire::Gemini),
    }
}

/// One of them, for Gemini's clients.
pub(super) async fn gemini_one(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => caller,
        Err(error) => return error.respond(Wire::Gemini),
    };
    match id {
        Ok(Path(id)) if snapshot.resolve(caller.asker(), &id).is_ok() => {
            document(gemini::model(&listed(&id)))
        }
        Ok(Path(id)) => ApiError::unknown_model(&id).respond(Wire::Gemini),
        Err(_) => ApiError::unknown_model("").respond(Wire::Gemini),
    }
}

/// A JSON document as it is.
pub(super) fn document(body: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(body));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

/// One of them.
pub(super) async fn one(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let Ok(Path(id)) = id else {
        let message = "the model's name in the address is no UTF-8 text";
        return ApiError::invalid("invalid_url", message).into_response();
    };
    match snapshot.resolve(caller.asker(), &id) {
        Ok(route) => {
            let direct = route.name.is_empty();
            let provider = route
                .targets
                .first()
                .filter(|_| direct)
                .map(|target| &*target.provider.name);
            Json(model(&gateway, &id, provider.unwrap_or("stead"))).into_response()
        }
        Err(_) => ApiError::unknown_model(&id).into_response(),
    }
}

fn model(gateway: &Gateway, id: &str, owner: &str) -> Value {
    json!({"id": id, "object": "model", "created": gateway.started.as_second(), "owned_by": owner})
}
