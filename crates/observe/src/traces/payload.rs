//! What a node of a tree holds: input, output and all else that a tree does not show.

use serde::Serialize;
use serde_json::Value;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{
        events::RequestRow,
        traces::{Entry, Json, Kind},
    },
};
use uuid::Uuid;

use super::{
    desk::{Desk, Found, Scope},
    tree::request_of,
};

/// The payload of a trace, a span or a request.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    input: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<std::collections::BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    scores: Vec<ShownScore>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    comments: Vec<ShownComment>,
    /// A request with all that is stored of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<Box<RequestRow>>,
}

#[derive(Debug, Serialize)]
struct ShownScore {
    name: String,
    value: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    source: String,
    author: String,
    updated: Timestamp,
}

#[derive(Debug, Serialize)]
struct ShownComment {
    id: Uuid,
    text: String,
    author: String,
    created: Timestamp,
}

/// The payload of a node of what was found.
///
/// # Errors
/// `NotFound` when it has no such node.
pub(super) async fn read(desk: &Desk, scope: &Scope, found: Found, node: &str) -> Result<Payload> {
    let missing = || Error::not_found(format!("the trace has no span {node:?}"));
    let hex = match found {
        Found::Trace(entry, project, otel) => {
            if let Ok(id) = Uuid::try_parse(node) {
                if id == entry.id {
                    return Ok(of_entry(*entry));
                }
                let span = desk.ports.traces.entry(Kind::Span, &project, id).await?;
                if let Some(span) = span.filter(|span| span.fields.trace_id == Some(entry.id)) {
                    return Ok(of_entry(span));
                }
            }
            otel.map(|otel| otel.hex).ok_or_else(missing)?
        }
        Found::Request(request) => request.trace_id,
    };
    let request = desk.ports.events.request(request_of(node)).await?;
    let request = request.filter(|row| scope.has(&row.project) && row.trace_id == hex);
    request.map(of_request).ok_or_else(missing)
}

fn of_entry(entry: Entry) -> Payload {
    let fields = entry.fields;
    let usage = entry.spans.map(|spans| spans.usage).or(fields.usage);
    Payload {
        id: entry.id.to_string(),
        input: fields.input,
        output: fields.output,
        metadata: fields.metadata,
        error: fields.error,
        usage: usage.filter(|usage| !usage.is_empty()),
        tags: fields.tags,
        model: fields.model,
        provider: fields.provider,
        scores: entry
            .scores
            .into_iter()
            .map(|score| ShownScore {
                name: score.name,
                value: score.value,
                category: score.category,
                reason: score.reason,
                source: score.source,
                author: score.author,
                updated: score.updated,
            })
            .collect(),
        comments: entry
            .comments
            .into_iter()
            .map(|comment| ShownComment {
                id: comment.id,
                text: comment.text,
                author: comment.created_by,
                created: comment.created,
            })
            .collect(),
        request: None,
    }
}

/// A body that is JSON as that, another one as a text.
fn of_request(mut row: RequestRow) -> Payload {
    let body = |text: Option<String>| {
        let text = text?;
        let raw = serde_json::value::RawValue::from_string(text.clone());
        raw.ok()
            .or_else(|| serde_json::value::to_raw_value(&Value::String(text)).ok())
    };
    let (input, output) = (body(row.input.take()), body(row.output.take()));
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Payload {
        id: row.id.clone(),
        input,
        output,
        model: some(&row.model),
        provider: some(&row.provider),
        request: Some(Box::new(row)),
        ..Payload::default()
    }
}
