//! The HTTP surface: `/v1` in the dialect of `OpenAI`.

mod caller;
pub(crate) mod error;
mod models;
mod serve;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{Method, StatusCode};

use crate::{Gateway, scan::Operation};
use error::ApiError;

/// All routes.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat).fallback(wrong_method))
        .route("/v1/completions", post(completions).fallback(wrong_method))
        .route("/v1/embeddings", post(embeddings).fallback(wrong_method))
        .route("/v1/models", get(models::list).fallback(wrong_method))
        .route("/v1/models/{*id}", get(models::one).fallback(wrong_method))
        .route("/v1", any(unknown))
        .route("/v1/", any(unknown))
        .route("/v1/{*path}", any(unknown))
        .with_state(gateway)
}

async fn chat(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve::serve(&gateway, Operation::Chat, request).await
}

async fn completions(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve::serve(&gateway, Operation::Completions, request).await
}

async fn embeddings(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve::serve(&gateway, Operation::Embeddings, request).await
}

async fn unknown(request: Request) -> Response {
    let path: String = request.uri().path().chars().take(200).collect();
    ApiError::new(
        StatusCode::NOT_FOUND,
        "invalid_request_error",
        "unknown_url",
        format!("there is nothing at {} {path}", request.method()),
    )
    .into_response()
}

async fn wrong_method(method: Method) -> Response {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "invalid_request_error",
        "method_not_allowed",
        format!("this address does not take {method}"),
    )
    .into_response()
}
