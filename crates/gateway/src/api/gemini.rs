//! Gemini's addresses, which name the model and what to do with it:
//! `/v1beta/models/MODEL:generateContent` (newer SDKs of Google call `/v1`)
//! (<https://ai.google.dev/api/generate-content>).

use std::sync::Arc;

use axum::{
    extract::{Path, Request, State, rejection::PathRejection},
    response::Response,
};
use http::StatusCode;
use stead_dialects::chat::Wire;

use super::{
    error::ApiError,
    serve::{PathModel, serve},
    surface::Surface,
};
use crate::Gateway;

/// Answers what is called with a model.
pub(super) async fn call(
    State(gateway): State<Arc<Gateway>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let surface = Surface::chat(Wire::Gemini);
    let Ok(Path(path)) = path else {
        let message = "the model's name in the address is no UTF-8 text";
        return surface.refuse(ApiError::invalid("invalid_url", message));
    };
    let Some((model, method)) = path.rsplit_once(':') else {
        return unknown(&path);
    };
    let stream = match method {
        "generateContent" => false,
        "streamGenerateContent" => true,
        _ => return unknown(&path),
    };
    let path = PathModel {
        model: Some(model.to_owned()),
        stream,
        form: None,
    };
    serve(&gateway, surface, path, request).await
}

fn unknown(path: &str) -> Response {
    let path: String = path.chars().take(200).collect();
    Surface::chat(Wire::Gemini).refuse(ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "unknown_url",
        format!("there is nothing to call at models/{path}"),
    ))
}
