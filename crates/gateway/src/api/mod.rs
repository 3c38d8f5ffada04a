//! The HTTP surface: `/v1` in the dialects of `OpenAI` and Anthropic, Gemini's at `/v1beta`, Ollama's at `/ollama`.

pub(crate) mod background;
mod caller;
mod content;
mod controls;
mod conversations;
pub(crate) mod error;
mod gemini;
pub(crate) mod idempotency;
mod job;
mod keeping;
mod models;
mod ollama;
mod realtime;
mod serve;
mod stateful;
mod stored;
pub(crate) mod surface;
mod waiting;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::{IntoResponse, Response},
    routing::{any, get, post},
};
use http::{Method, StatusCode, header};

use stead_dialects::chat::Wire;

use crate::{Gateway, operation::Operation};
use error::ApiError;
use serve::{PathModel, serve};
use surface::{Form, Surface};

/// All routes.
pub(crate) fn router(gateway: Arc<Gateway>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(chat).fallback(wrong_method))
        .route("/v1/completions", post(completions).fallback(wrong_method))
        .route("/v1/embeddings", post(embeddings).fallback(wrong_method))
        .merge(kept())
        .route("/v1/messages", post(messages).fallback(wrong_method))
        .route(
            "/v1/messages/count_tokens",
            post(count_tokens).fallback(wrong_method),
        )
        .route("/v1beta/models", get(models::gemini_list).fallback(wrong_method))
        .route(
            "/v1beta/models/{*call}",
            post(gemini::call).get(models::gemini_one).fallback(wrong_method),
        )
        .merge(ollama::routes())
        .route("/v1/rerank", post(rerank).fallback(wrong_method))
        .route("/v2/rerank", post(rerank).fallback(wrong_method))
        .route("/v1/moderations", post(moderations).fallback(wrong_method))
        .route("/v1/images/generations", post(images).fallback(wrong_method))
        .route("/v1/images/edits", post(image_edits).fallback(wrong_method))
        .route(
            "/v1/images/variations",
            post(image_variations).fallback(wrong_method),
        )
        .route(
            "/v1/audio/transcriptions",
            post(transcriptions).fallback(wrong_method),
        )
        .route(
            "/v1/audio/translations",
            post(translations).fallback(wrong_method),
        )
        .route("/v1/audio/speech", post(speech).fallback(wrong_method))
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

/// `/v1/responses` and `/v1/conversations`, and conversations over WebSocket.
fn kept() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/v1/responses", post(stateful::create).fallback(wrong_method))
        .route(
            "/v1/responses/{id}",
            get(stateful::one).delete(stateful::delete).fallback(wrong_method),
        )
        .route(
            "/v1/responses/{id}/input_items",
            get(stateful::items).fallback(wrong_method),
        )
        .route(
            "/v1/responses/{id}/cancel",
            post(stateful::cancel).fallback(wrong_method),
        )
        .route(
            "/v1/conversations",
            post(conversations::create).fallback(wrong_method),
        )
        .route(
            "/v1/conversations/{id}",
            get(conversations::one)
                .post(conversations::update)
                .delete(conversations::delete)
                .fallback(wrong_method),
        )
        .route(
            "/v1/conversations/{id}/items",
            get(conversations::items)
                .post(conversations::add)
                .fallback(wrong_method),
        )
        .route(
            "/v1/conversations/{id}/items/{item}",
            get(conversations::item)
                .delete(conversations::remove)
                .fallback(wrong_method),
        )
        .route("/v1/realtime", any(realtime::open))
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

/// What is asked in JSON, or in a form with uploads.
async fn other(gateway: &Arc<Gateway>, operation: Operation, request: Request) -> Response {
    let sort = request.headers().get(header::CONTENT_TYPE);
    let is_form = sort.is_some_and(|sort| sort.as_bytes().starts_with(b"multipart/form-data"));
    let path = PathModel {
        form: sort.filter(|_| is_form).cloned(),
        ..PathModel::default()
    };
    serve(gateway, Surface::openai(operation), path, request).await
}

async fn rerank(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::Rerank, request).await
}

async fn moderations(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::Moderations, request).await
}

async fn images(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::Images, request).await
}

async fn image_edits(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::ImageEdits, request).await
}

async fn image_variations(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::ImageVariations, request).await
}

async fn transcriptions(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::Transcriptions, request).await
}

async fn translations(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::Translations, request).await
}

async fn speech(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    other(&gateway, Operation::Speech, request).await
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

async fn count_tokens(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::chat(Wire::Anthropic).with(Operation::CountTokens, Form::Usual);
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
