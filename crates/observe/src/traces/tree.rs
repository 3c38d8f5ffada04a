//! A trace as a tree without its payloads: an application's spans, the gateway's requests made under them, and each
//! request's attempts.
//!
//! *Invariant:* a node whose parent is not known stands at the top, so that none is lost.

use std::collections::HashSet;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};
use stead_kernel::{
    Result, Timestamp,
    ports::{
        NanoUsd,
        events::RequestRow,
        traces::{Count, Detail, Entry, Kind, Query},
    },
};

use super::{
    desk::{Desk, Found, Otel, Scope},
    row::{self, Row, Source, Tokens},
};
use crate::otlp::span_id;

/// The most spans of a trace that are shown.
const SPANS: usize = 100_000;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Sort {
    /// A span of no special sort.
    #[default]
    General,
    /// A span that asks a model.
    Llm,
    /// A span that uses a tool.
    Tool,
    /// A span that guards.
    Guardrail,
    /// A request to the gateway.
    Request,
    /// A try of the gateway at a provider.
    Attempt,
}

/// A node of the tree.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Node {
    /// The id, for its payload.
    pub(crate) id: String,
    /// The node that it is in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) parent: Option<String>,
    /// From whom it comes.
    pub(crate) source: Source,
    /// What it is.
    #[serde(rename = "type")]
    pub(crate) sort: Sort,
    /// What it is called.
    pub(crate) name: String,
    /// When it began.
    pub(crate) start: Timestamp,
    /// How long it took, in microseconds, if it has ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) duration_us: Option<u64>,
    /// `ok`, `error`, `running`, `cancelled` or `interrupted`.
    pub(crate) status: String,
    /// The model asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) model: Option<String>,
    /// Its provider.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) provider: Option<String>,
    /// Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) tokens: Option<Tokens>,
    /// What it cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cost: Option<NanoUsd>,
    /// What went wrong, in short.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
}

/// A trace with all its nodes, the earliest first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tree {
    trace: Row,
    spans: Vec<Node>,
}

/// Reads the tree of what was found.
pub(super) async fn read(desk: &Desk, scope: &Scope, found: Found) -> Result<Tree> {
    match found {
        Found::Trace(entry, project, otel) => {
            let query = Query {
                workspace: project.clone(),
                trace: Some(entry.id),
                limit: SPANS,
                count: Count::None,
                detail: Detail::Outline,
                ..Query::default()
            };
            let spans = desk.ports.traces.entries(Kind::Span, query).await?.items;
            let requests = match &otel {
                Some(otel) => desk.requests_of(scope, &otel.hex).await?,
                None => Vec::new(),
            };
            let application = desk.application(&project, entry.project).await?;
            let nodes = joined(spans.iter().map(of_span).collect(), &requests, otel.as_ref());
            Ok(Tree {
                trace: Row::of_trace(&entry, &project, application),
                spans: nodes,
            })
        }
        Found::Request(request) => {
            let mut requests = desk.requests_of(scope, &request.trace_id).await?;
            if !requests.iter().any(|row| row.id == request.id) {
                requests.push((*request).clone());
            }
            Ok(Tree {
                trace: Row::of_request(&request),
                spans: joined(Vec::new(), &requests, None),
            })
        }
    }
}

/// Spans and requests as one tree.
fn joined(mut nodes: Vec<Node>, requests: &[RequestRow], otel: Option<&Otel>) -> Vec<Node> {
    for request in requests {
        let own = requests
            .iter()
            .find(|other| !request.parent_span_id.is_empty() && other.span_id == request.parent_span_id)
            .map(|other| other.id.clone());
        let span = otel.and_then(|otel| span_id(otel.named, &otel.hex, &request.parent_span_id));
        let parent = own.or(span.map(|id| id.to_string()));
        nodes.extend(of_request(request, parent));
    }
    let known: HashSet<String> = nodes.iter().map(|node| node.id.clone()).collect();
    for node in &mut nodes {
        node.parent = node
            .parent
            .take()
            .filter(|parent| known.contains(parent) && *parent != node.id);
    }
    nodes.sort_by(|own, other| (own.start, &own.id).cmp(&(other.start, &other.id)));
    nodes
}

fn of_span(entry: &Entry) -> Node {
    let fields = &entry.fields;
    Node {
        id: entry.id.to_string(),
        parent: fields.parent_span_id.map(|id| id.to_string()),
        source: Source::Application,
        sort: match fields.sort.as_deref() {
            Some("llm") => Sort::Llm,
            Some("tool") => Sort::Tool,
            Some("guardrail") => Sort::Guardrail,
            _ => Sort::General,
        },
        name: fields.name.clone().unwrap_or_default(),
        start: row::began(entry),
        duration_us: row::took(fields.start, fields.end),
        status: row::status(entry).to_owned(),
        model: fields.model.clone(),
        provider: fields.provider.clone(),
        tokens: fields.usage.as_ref().and_then(Tokens::of_counts),
        cost: entry.cost.map(row::nano),
        error: fields.error.as_ref().map(row::error_text),
    }
}

/// A request, and its attempts below it where there is more to them than itself.
fn of_request(request: &RequestRow, parent: Option<String>) -> Vec<Node> {
    let of_row = Row::of_request(request);
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let mut nodes = vec![Node {
        id: request.id.clone(),
        parent,
        source: Source::Gateway,
        sort: Sort::Request,
        name: of_row.name,
        start: request.started,
        duration_us: Some(request.duration_us),
        status: of_row.status,
        model: some(&request.model),
        provider: some(&request.provider),
        tokens: of_row.tokens,
        cost: request.cost,
        error: of_row.error,
    }];
    for (index, attempt) in request.attempts.iter().enumerate() {
        let offset = i64::try_from(attempt.offset_us).unwrap_or(i64::MAX);
        let start = request.started.checked_add(SignedDuration::from_micros(offset));
        let failed = !attempt.error.is_empty() || attempt.status >= 400;
        nodes.push(Node {
            id: attempt_id(&request.id, index),
            parent: Some(request.id.clone()),
            source: Source::Gateway,
            sort: Sort::Attempt,
            name: format!("{}/{}", attempt.provider, attempt.model),
            start: start.unwrap_or(request.started),
            duration_us: Some(attempt.duration_us),
            status: if failed { "error" } else { "ok" }.to_owned(),
            model: some(&attempt.model),
            provider: some(&attempt.provider),
            error: some(&attempt.error),
            ..Node::default()
        });
    }
    nodes
}

/// The id of a request's attempt.
fn attempt_id(request: &str, index: usize) -> String {
    format!("{request}.{}", index + 1)
}

/// The request that a node's id is of: its own, or that of an attempt.
pub(super) fn request_of(node: &str) -> &str {
    match node.rsplit_once('.') {
        Some((request, number)) if number.parse::<usize>().is_ok() => request,
        _ => node,
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::ports::events::Attempt;

    use super::*;

    #[test]
    fn requests_stand_below_each_other_and_attempts_below_them() {
        let request = |id: &str, span: &str, parent: &str| RequestRow {
            id: id.into(),
            span_id: span.into(),
            parent_span_id: parent.into(),
            attempts: vec![Attempt {
                provider: "far".into(),
                model: "big".into(),
                offset_us: 5,
                status: 503,
                ..Attempt::default()
            }],
            ..RequestRow::default()
        };
        let requests = [
            request("r1", "aaaaaaaaaaaaaaaa", "cccccccccccccccc"),
            request("r2", "bbbbbbbbbbbbbbbb", "aaaaaaaaaaaaaaaa"),
        ];
        let nodes = joined(Vec::new(), &requests, None);
        let shown: Vec<(&str, Option<&str>, &str)> = nodes
            .iter()
            .map(|node| (node.id.as_str(), node.parent.as_deref(), node.status.as_str()))
            .collect();
        assert_eq!(
            shown,
            [
                ("r1", None, "ok"),
                ("r2", Some("r1"), "ok"),
                ("r1.1", Some("r1"), "error"),
                ("r2.1", Some("r2"), "error"),
            ]
        );
        assert_eq!(
            (request_of("r1.1"), request_of("r1"), request_of("a.b")),
            ("r1", "r1", "a.b")
        );
    }
}
