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
    surface::{Form, Surface},
};
use crate::{Gateway, operation::Operation};

/// Answers what is called with a model.
pub(super) async fn call(
    State(gateway): State<Arc<Gateway>>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let is_sse = query.split('&').any(|pair| pair == "alt=sse");
    let surface = Surface::chat(Wire::Gemini);
    let Ok(Path(path)) = path else {
        let message = "the model's name in the address is no UTF-8 text";
        return surface.refuse(ApiError::invalid("invalid_url", message));
    };
    let Some((model, method)) = path.rsplit_once(':') else {
        return unknown(&path);
    };
    let (operation, form) = match method {
        "generateContent" => (Operation::Chat, Form::Usual),
        "streamGenerateContent" if is_sse => (Operation::Chat, Form::Usual),
        "streamGenerateContent" => (Operation::Chat, Form::Array),
        "countTokens" => (Operation::CountTokens, Form::Usual),
        "embedContent" => (Operation::Embeddings, Form::Usual),
        "batchEmbedContents" => (Operation::Embeddings, Form::Batch),
        _ => return unknown(&path),
    };
    let surface = surface.with(operation, form);
    let path = PathModel {
        model: Some(model.to_owned()),
        stream: method == "streamGenerateContent",
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
