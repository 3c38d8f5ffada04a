//! A trace as `opik export` writes it: the trace and its spans in the form of Opik's REST API (`TracePublic` and
//! `SpanPublic` of <https://www.comet.com/docs/opik/reference/rest-api/overview>), times as Python writes them. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::traces::{Json, Kind},
};
use uuid::Uuid;

use crate::traces::line::{Told, ToldComment, ToldScore};

#[derive(Deserialize)]
struct Document {
    trace: Box<Entry>,
    #[serde(default)]
    spans: Vec<Entry>,
    #[serde(default)]
    project_name: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    id: Uuid,
    #[serde(default)]
    trace_id: Option<Uuid>,
    #[serde(default)]
    parent_span_id: Option<Uuid>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default, rename = "type")]
    sort: Option<String>,
    #[serde(default)]
    start_time: Option<Timestamp>,
    #[serde(default)]
    end_time: Option<Timestamp>,
    #[serde(default)]
    input: Option<Json>,
    #[serde(default)]
    output: Option<Json>,
    #[serde(default)]
    metadata: Option<Json>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    error_info: Option<Json>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    usage: Option<BTreeMap<String, i64>>,
    #[serde(default)]
    total_estimated_cost: Option<f64>,
    #[serde(default)]
    ttft: Option<f64>,
    #[serde(default)]
    thread_id: Option<String>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    last_updated_at: Option<Timestamp>,
    #[serde(default)]
    feedback_scores: Option<Vec<Score>>,
    #[serde(default)]
    comments: Option<Vec<Comment>>,
}

#[derive(Deserialize)]
struct Score {
    name: String,
    value: f64,
    #[serde(default)]
    category_name: Option<String>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    source: Option<String>,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    last_updated_at: Option<Timestamp>,
    #[serde(default)]
    created_by: Option<String>,
}

#[derive(Deserialize)]
struct Comment {
    id: Uuid,
    text: String,
    #[serde(default)]
    created_at: Option<Timestamp>,
    #[serde(default)]
    last_updated_at: Option<Timestamp>,
    #[serde(default)]
    created_by: Option<String>,
}

/// The trace and the spans of a document.
pub(super) fn read(text: &str) -> Result<Vec<(Kind, Box<Told>)>> {
    let document: Document = serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("it is no trace as Opik exports it: {error}")))?;
    let application = document.project_name.unwrap_or_default();
    let trace = document.trace.id;
    let mut all = vec![(Kind::Trace, document.trace.told(Kind::Trace, &application))];
    for mut span in document.spans {
        span.trace_id.get_or_insert(trace);
        all.push((Kind::Span, span.told(Kind::Span, &application)));
    }
    if let Some((_, told)) = all.iter().find(|(_, told)| told.id.get_version_num() != 7) {
        return Err(Error::invalid(format!("id {} is no UUID of version 7", told.id)));
    }
    Ok(all)
}

impl Entry {
    fn told(self, kind: Kind, application: &str) -> Box<Told> {
        let at = self.last_updated_at.or(self.end_time).or(self.start_time);
        let at = at.unwrap_or(Timestamp::UNIX_EPOCH);
        // What a trace costs and counts is what its spans do.
        let is_span = kind == Kind::Span;
        Box::new(Told {
            id: self.id,
            application: application.to_owned(),
            trace_id: self.trace_id.filter(|_| is_span),
            parent_id: self.parent_span_id.filter(|_| is_span),
            name: self.name,
            sort: self.sort.filter(|_| is_span),
            start: self.start_time,
            end: self.end_time,
            input: some(self.input),
            output: some(self.output),
            metadata: some(self.metadata),
            tags: self.tags,
            error: some(self.error_info),
            model: self.model.filter(|_| is_span),
            provider: self.provider.filter(|_| is_span),
            usage: self.usage.filter(|_| is_span),
            cost: self.total_estimated_cost.filter(|_| is_span),
            first_token_ms: self.ttft,
            thread: self.thread_id,
            environment: self.environment,
            updated: at,
            scores: scores(self.feedback_scores, at),
            comments: comments(self.comments, at),
            ..Told::default()
        })
    }
}

fn some(json: Option<Json>) -> Option<Json> {
    json.filter(|json| json.get() != "null")
}

fn scores(scores: Option<Vec<Score>>, at: Timestamp) -> Vec<ToldScore> {
    let scores = scores.into_iter().flatten();
    scores
        .map(|score| ToldScore {
            name: score.name,
            value: score.value,
            category: score.category_name,
            reason: score.reason,
            source: score.source.unwrap_or_else(|| "sdk".to_owned()),
            author: score.created_by.unwrap_or_default(),
            created: score.created_at.unwrap_or(at),
            updated: score.last_updated_at.or(score.created_at).unwrap_or(at),
        })
        .collect()
}

fn comments(comments: Option<Vec<Comment>>, at: Timestamp) -> Vec<ToldComment> {
    let comments = comments.into_iter().flatten();
    comments
        .map(|comment| {
            let by = comment.created_by.unwrap_or_default();
            ToldComment {
                id: comment.id,
                text: comment.text,
                created: comment.created_at.unwrap_or(at),
                updated: comment.last_updated_at.or(comment.created_at).unwrap_or(at),
                created_by: by.clone(),
                updated_by: by,
            }
        })
        .collect()
}
