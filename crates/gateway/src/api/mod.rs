//! The HTTP surface: `/v1` in the dialects of `OpenAI` and Anthropic, Gemini's at `/v1beta`, Ollama's at `/ollama`.

mod caller;
pub(crate) mod error;
mod gemini;
mod job;
mod models;
mod serve;
mod surface;
mod waiting;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{Method, StatusCode};

use stead_dialects::chat::Wire;

use crate::{Gateway, scan::Operation};
use error::ApiError;
use serve::{PathModel, serve};
use surface::Surface;

/// All routes.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat).fallback(wrong_method))
        .route("/v1/completions", post(completions).fallback(wrong_method))
        .route("/v1/embeddings", post(embeddings).fallback(wrong_method))
        .route("/v1/responses", post(responses).fallback(wrong_method))
        .route("/v1/messages", post(messages).fallback(wrong_method))
        .route(
            "/v1beta/models/{*call}",
            post(gemini::call).fallback(wrong_method),
        )
        .route("/ollama/api/chat", post(ollama_chat).fallback(wrong_method))
        .route(
            "/ollama/api/generate",
            post(ollama_generate).fallback(wrong_method),
        )
        .route("/v1/models", get(models::list).fallback(wrong_method))
        .route(
            "/v1/models/{*id}",
            get(models::one).post(gemini::call).fallback(wrong_method),
        )
        .route("/v1", any(unknown))
        .route("/v1/", any(unknown))
        .route("/v1/{*path}", any(unknown))
        .with_state(gateway)
}

async fn chat(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve(
        &gateway,
        Surface::openai(Operation::Chat),
        PathModel::default(),
        request,
    )
    .await
}

async fn completions(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::openai(Operation::Completions);
    serve(&gateway, surface, PathModel::default(), request).await
}

async fn embeddings(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::openai(Operation::Embeddings);
    serve(&gateway, surface, PathModel::default(), request).await
}

async fn responses(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve(
        &gateway,
        Surface::chat(Wire::Responses),
        PathModel::default(),
        request,
    )
    .await
}

async fn messages(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve(
        &gateway,
        Surface::chat(Wire::Anthropic),
        PathModel::default(),
        request,
    )
    .await
}

async fn ollama_chat(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve(
        &gateway,
        Surface::chat(Wire::Ollama),
        PathModel::default(),
        request,
    )
    .await
}

async fn ollama_generate(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::chat(Wire::OllamaGenerate);
    serve(&gateway, surface, PathModel::default(), request).await
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
