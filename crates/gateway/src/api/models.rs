//! `GET /v1/models`.

use std::sync::Arc;

use axum::{
    Json,
    extract::{Path, Request, State, rejection::PathRejection},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};

use super::{caller::Caller, error::ApiError};
use crate::Gateway;

/// All models that the caller may use.
pub(super) async fn list(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let models: Vec<Value> = snapshot
        .names(caller.asker())
        .iter()
        .map(|(id, owner)| model(&gateway, id, owner))
        .collect();
    Json(json!({"object": "list", "data": models})).into_response()
}

/// One of them.
pub(super) async fn one(
    State(gateway): State<Arc<Gateway>>,
    id: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot) {
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
