//! Ollama's API (<https://github.com/ollama/ollama/blob/main/docs/api.md>), below `/ollama`.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use stead_dialects::{chat::Wire, ollama};
use stead_kernel::http::read_body;

use super::{
    caller::Caller,
    error::ApiError,
    models::document,
    serve::{PathModel, serve},
    surface::{Form, Surface},
};
use crate::{Gateway, operation::Operation};

/// The version of Ollama's API that is spoken; clients refuse older ones.
const VERSION: &str = "0.12.0";
/// The longest question about a model, in bytes.
const QUESTION_LIMIT: usize = 64 << 10;

/// All routes.
pub(super) fn routes() -> Router<Arc<Gateway>> {
    Router::new()
        .route("/ollama", get(alive))
        .route("/ollama/", get(alive))
        .route("/ollama/api/chat", post(chat))
        .route("/ollama/api/generate", post(generate))
        .route("/ollama/api/embed", post(embed))
        .route("/ollama/api/embeddings", post(embeddings))
        .route("/ollama/api/tags", get(tags))
        .route("/ollama/api/show", post(show))
        .route("/ollama/api/ps", get(running))
        .route("/ollama/api/version", get(version))
}

async fn alive() -> &'static str {
    "Ollama is running"
}

async fn version() -> Response {
    document(ollama::version(VERSION))
}

/// Nothing is loaded on a client's behalf.
async fn running() -> Response {
    document(ollama::ps(&[]))
}

async fn chat(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    serve(
        &gateway,
        Surface::chat(Wire::Ollama),
        PathModel::default(),
        request,
    )
    .await
}

async fn generate(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::chat(Wire::OllamaGenerate);
    serve(&gateway, surface, PathModel::default(), request).await
}

async fn embed(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::chat(Wire::Ollama).with(Operation::Embeddings, Form::Usual);
    serve(&gateway, surface, PathModel::default(), request).await
}

async fn embeddings(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let surface = Surface::chat(Wire::Ollama).with(Operation::Embeddings, Form::Single);
    serve(&gateway, surface, PathModel::default(), request).await
}

fn listed(name: &str) -> ollama::Listed<'_> {
    ollama::Listed {
        name,
        capabilities: &["completion", "tools"],
        ..ollama::Listed::default()
    }
}

async fn tags(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => {
            let names = snapshot.names(caller.asker());
            let listed: Vec<_> = names.iter().map(|(name, _)| listed(name)).collect();
            document(ollama::tags(&listed))
        }
        Err(error) => error.respond(Wire::Ollama),
    }
}

#[derive(Deserialize)]
struct Question {
    #[serde(alias = "name")]
    model: String,
}

async fn show(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => caller,
        Err(error) => return error.respond(Wire::Ollama),
    };
    let body = read_body(&parts.headers, body, QUESTION_LIMIT)
        .await
        .unwrap_or_default();
    let Ok(question) = serde_json::from_slice::<Question>(&body) else {
        let error = ApiError::invalid("invalid_body", "the body must be {\"model\": NAME}");
        return error.respond(Wire::Ollama);
    };
    match snapshot.resolve(caller.asker(), &question.model) {
        Ok(_) => document(ollama::show(&listed(&question.model))),
        Err(_) => ApiError::unknown_model(&question.model).respond(Wire::Ollama),
    }
}
