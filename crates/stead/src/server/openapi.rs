//! `GET /api/openapi.json`: the HTTP surfaces of this server but the resource API, which describes itself at
//! `/k8s/openapi/v3`.
//!
//! *Invariant:* what stands here is answered: a test asks a running server for each of it.

use axum::{Json, Router, routing::get};
use http::Extensions;
use serde_json::{Map, Value, json};
use stead_kernel::{Identity, http::ApiError};

use super::VERSION;

/// The route.
pub(crate) fn routes() -> Router {
    Router::new().route("/api/openapi.json", get(show))
}

async fn show(extensions: Extensions) -> Result<Json<Value>, ApiError> {
    Identity::require(&extensions)?;
    Ok(Json(document()))
}

/// A group of operations, and what it is about.
const TAGS: &[(&str, &str)] = &[
    (
        "Models",
        "OpenAI's and Anthropic's APIs; any SDK of theirs works with this server's address and a key.",
    ),
    ("Files and batches", "Files, and many requests as one batch."),
    (
        "Requests and usage",
        "What was asked, who answered, what it cost, and who changed what.",
    ),
    (
        "Traces",
        "Traces of applications and of the gateway, as one list.",
    ),
    (
        "Evaluations",
        "Suites of evaluations and comparisons of two runs.",
    ),
    ("Prompts", "Prompt templates by name and version."),
    ("Chat", "Conversations that the server keeps."),
    ("Sessions", "Signing in, links, passwords and tokens."),
    (
        "Server",
        "Settings, changes as they happen, and whether the server is up.",
    ),
];

/// One operation: its tag, method, path, summary, and the query's parameters.
struct Operation(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

/// Every operation, in the order of [`TAGS`].
#[rustfmt::skip]
const OPERATIONS: &[Operation] = &[
    Operation("Models", "post", "/v1/chat/completions", "Answers a conversation, whole or streamed", ""),
    Operation("Models", "post", "/v1/completions", "Goes on with a text", ""),
    Operation("Models", "post", "/v1/responses", "Answers by OpenAI's newer API; keeps the answer when asked to", ""),
    Operation("Models", "post", "/v1/messages", "Answers by Anthropic's API", ""),
    Operation("Models", "post", "/v1/messages/count_tokens", "Counts the tokens of a request to Anthropic's API", ""),
    Operation("Models", "post", "/v1/embeddings", "Makes vectors of texts", ""),
    Operation("Models", "post", "/v1/rerank", "Orders documents by how well they fit a question", ""),
    Operation("Models", "post", "/v1/moderations", "Judges a text", ""),
    Operation("Models", "post", "/v1/images/generations", "Makes pictures", ""),
    Operation("Models", "post", "/v1/images/edits", "Changes pictures", ""),
    Operation("Models", "post", "/v1/audio/transcriptions", "Writes down what is said", ""),
    Operation("Models", "post", "/v1/audio/translations", "Writes down in English what is said", ""),
    Operation("Models", "post", "/v1/audio/speech", "Speaks a text", ""),
    Operation("Models", "get", "/v1/models", "Lists the models that the caller may use", ""),
    Operation("Models", "get", "/v1/models/{id}", "Shows one of them", ""),
    Operation("Files and batches", "get", "/v1/files", "Lists files", "limit after order purpose"),
    Operation("Files and batches", "post", "/v1/files", "Takes in a file", ""),
    Operation("Files and batches", "get", "/v1/files/{id}", "Shows a file", ""),
    Operation("Files and batches", "delete", "/v1/files/{id}", "Removes a file", ""),
    Operation("Files and batches", "get", "/v1/files/{id}/content", "Gives a file's content", ""),
    Operation("Files and batches", "get", "/v1/batches", "Lists batches", "limit after"),
    Operation("Files and batches", "post", "/v1/batches", "Begins a batch", ""),
    Operation("Files and batches", "get", "/v1/batches/{id}", "Shows a batch, with the steps of its work", ""),
    Operation("Files and batches", "post", "/v1/batches/{id}/cancel", "Ends a batch early; what was answered stays", ""),
    Operation("Requests and usage", "get", "/api/requests", "Lists requests to models, the newest first", "projects since until model provider key user outcome after limit"),
    Operation("Requests and usage", "get", "/api/requests/{id}", "Shows one request with its attempts", ""),
    Operation("Requests and usage", "get", "/api/usage", "Sums up requests, tokens and cost, exactly", "projects since until by"),
    Operation("Requests and usage", "get", "/api/audit", "Lists who changed what", "projects user resource since until after limit"),
    Operation("Traces", "get", "/api/traces", "Lists traces that fit a question", "q projects since until limit after"),
    Operation("Traces", "get", "/api/traces/histogram", "Counts them over time", "q projects since until"),
    Operation("Traces", "get", "/api/traces/tail", "Tells of them as they come (server-sent events)", "q projects"),
    Operation("Traces", "get", "/api/traces/export", "Gives them as lines of JSON", "q projects since until"),
    Operation("Traces", "post", "/api/traces/import", "Takes in what was exported", "project"),
    Operation("Traces", "get", "/api/traces/{id}", "Shows a trace as its tree", ""),
    Operation("Traces", "get", "/api/traces/{id}/spans/{span}", "Shows a span with its input and output", ""),
    Operation("Traces", "get", "/api/logs", "Lists log records that applications sent", ""),
    Operation("Traces", "get", "/api/logs/tail", "Tells of them as they come (server-sent events)", ""),
    Operation("Traces", "get", "/api/metrics", "Lists the metrics that applications sent", ""),
    Operation("Traces", "get", "/api/metrics/query", "Gives a metric over time", ""),
    Operation("Evaluations", "get", "/api/evaluations", "Lists runs of suites, the newest first", "project limit after"),
    Operation("Evaluations", "post", "/api/evaluations", "Runs a suite", "project"),
    Operation("Evaluations", "get", "/api/evaluations/{id}", "Shows a run with its progress", "project"),
    Operation("Evaluations", "post", "/api/evaluations/{id}/cancel", "Ends a run early; what was answered stays", "project"),
    Operation("Evaluations", "post", "/api/evaluations/{id}/resume", "Asks again what failed or was not asked", "project"),
    Operation("Evaluations", "get", "/api/comparisons", "Compares two runs, item by item", "project first second seed resamples confidence"),
    Operation("Evaluations", "post", "/api/alerts/{name}/test", "Sends an alert's message as a test", "project"),
    Operation("Prompts", "get", "/api/prompts", "Lists prompts", "project"),
    Operation("Prompts", "post", "/api/prompts", "Adds a version; the first one makes the prompt", "project"),
    Operation("Prompts", "get", "/api/prompts/{name}", "Shows a prompt with its versions", "project"),
    Operation("Prompts", "delete", "/api/prompts/{name}", "Removes a prompt with all its versions", "project"),
    Operation("Prompts", "get", "/api/prompts/{name}/versions/{version}", "Shows a version: a number, a label, an id or latest", "project"),
    Operation("Prompts", "put", "/api/prompts/{name}/labels/{label}", "Lets a label point to a version", "project"),
    Operation("Prompts", "delete", "/api/prompts/{name}/labels/{label}", "Takes a label away", "project"),
    Operation("Chat", "get", "/api/threads", "Lists conversations", "project"),
    Operation("Chat", "post", "/api/threads", "Begins a conversation", "project"),
    Operation("Chat", "get", "/api/threads/{id}", "Shows a conversation", "project"),
    Operation("Chat", "patch", "/api/threads/{id}", "Changes what is told of a conversation", "project"),
    Operation("Chat", "delete", "/api/threads/{id}", "Removes a conversation", "project"),
    Operation("Chat", "get", "/api/threads/{id}/messages", "Lists a conversation's messages", "project"),
    Operation("Chat", "post", "/api/threads/{id}/messages", "Adds a message", "project"),
    Operation("Chat", "get", "/api/threads/search", "Finds conversations by their words", ""),
    Operation("Chat", "post", "/api/threads/import", "Takes in conversations of Open WebUI or of this server", "project"),
    Operation("Chat", "post", "/api/threads/{id}/shares", "Shares a conversation as it is now", "project"),
    Operation("Chat", "get", "/api/shares", "Lists what the caller shares", ""),
    Operation("Chat", "get", "/api/shares/{id}", "Shows a shared conversation", ""),
    Operation("Chat", "delete", "/api/shares/{id}", "Ends a share", ""),
    Operation("Chat", "get", "/api/collections", "Lists collections of documents", ""),
    Operation("Chat", "post", "/api/collections", "Makes a collection", ""),
    Operation("Chat", "post", "/api/collections/search", "Finds the passages that are most alike", ""),
    Operation("Chat", "delete", "/api/collections/{id}", "Removes a collection with its documents", ""),
    Operation("Chat", "get", "/api/collections/{id}/documents", "Lists a collection's documents", ""),
    Operation("Chat", "post", "/api/collections/{id}/documents", "Adds a document", ""),
    Operation("Chat", "delete", "/api/collections/{id}/documents/{document}", "Removes a document", ""),
    Operation("Sessions", "get", "/api/session", "Says who is signed in", ""),
    Operation("Sessions", "post", "/api/session", "Signs in with a name and a password", ""),
    Operation("Sessions", "delete", "/api/session", "Signs out", ""),
    Operation("Sessions", "post", "/api/session/link", "Signs in by a link's secret, once", ""),
    Operation("Sessions", "post", "/api/session/links", "Makes a link that signs a browser in", ""),
    Operation("Sessions", "put", "/api/users/{name}/password", "Sets a user's password", ""),
    Operation("Sessions", "post", "/api/admin-token/rotate", "Replaces the admin token", ""),
    Operation("Sessions", "get", "/api/gateway/tokens", "Lists tokens of gateway processes", ""),
    Operation("Sessions", "post", "/api/gateway/tokens", "Makes one", ""),
    Operation("Sessions", "delete", "/api/gateway/tokens/{name}", "Makes one useless", ""),
    Operation("Server", "get", "/api/settings", "Lists what this server runs with, each value with its source", ""),
    Operation("Server", "get", "/api/openapi.json", "This document", ""),
    Operation("Server", "get", "/api/machine", "Says what this machine is and which models fit it", ""),
    Operation("Server", "get", "/api/stream", "Tells of changes of many kinds as they happen (server-sent events)", "topic"),
    Operation("Server", "get", "/livez", "Says that the process lives", ""),
    Operation("Server", "get", "/readyz", "Says whether it is ready, and if not, why", ""),
    Operation("Server", "get", "/version", "Says which version this is", ""),
    Operation("Server", "get", "/metrics", "Gives numbers for Prometheus", ""),
];

/// Pure: the whole document (<https://spec.openapis.org/oas/v3.1.0>).
fn document() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.2).or_insert_with(|| json!({}));
        if let Some(methods) = path.as_object_mut() {
            methods.insert(operation.1.to_owned(), operation.describe());
        }
    }
    let tags = TAGS
        .iter()
        .map(|(name, description)| json!({"name": name, "description": description}));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Stead",
            "version": VERSION,
            "description": "Everything that Stead answers over HTTP but the resource API, which describes itself at /k8s/openapi/v3.",
        },
        "tags": tags.collect::<Vec<_>>(),
        "paths": paths,
        "components": {"securitySchemes": {
            "bearer": {"type": "http", "scheme": "bearer", "description": "An API key for the model APIs, or the admin token."},
        }},
        "security": [{"bearer": []}],
    })
}

impl Operation {
    fn describe(&self) -> Value {
        let Self(tag, method, path, summary, query) = self;
        let in_path = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        let in_query = query
            .split_whitespace()
            .map(|name| json!({"name": name, "in": "query", "schema": {"type": "string"}}));
        let mut description = json!({
            "tags": [tag],
            "summary": summary,
            "operationId": format!("{method}{}", path.replace(['/', '{', '}', '.'], "-")),
            "parameters": in_path.chain(in_query).collect::<Vec<_>>(),
            "responses": {"default": {"description": "What was asked for, or an error that says what, why and what to do"}},
        });
        let has_body = matches!(*method, "post" | "put" | "patch");
        if let Some(fields) = description.as_object_mut().filter(|_| has_body) {
            let body = json!({"content": {"application/json": {"schema": {"type": "object"}}}});
            fields.insert("requestBody".into(), body);
        }
        description
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_operation_is_there_once_below_a_tag_that_is_described() {
        let mut seen = BTreeSet::new();
        for operation in OPERATIONS {
            assert!(
                TAGS.iter().any(|(name, _)| *name == operation.0),
                "{}",
                operation.0
            );
            assert!(seen.insert((operation.1, operation.2)), "{} twice", operation.2);
        }
        let document = document();
        let written: usize = document["paths"]
            .as_object()
            .unwrap()
            .values()
            .map(|path| path.as_object().unwrap().len())
            .sum();
        assert_eq!(written, OPERATIONS.len());
    }

    #[test]
    fn parts_of_a_path_and_of_the_query_are_parameters() {
        let document = document();
        let list = &document["paths"]["/api/prompts/{name}/labels/{label}"]["put"];
        let names: Vec<&str> = list["parameters"]
            .as_array()
            .unwrap()
            .iter()
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["name", "label", "project"]);
        assert!(list["requestBody"].is_object());
    }
}
