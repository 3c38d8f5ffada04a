//! The lines of an export: a JSON object each, which an import takes back. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Timestamp,
    ports::{
        events::RequestRow,
        traces::{Comment, Entry, Fields, Json, Kind, Score, Subject},
    },
};
use uuid::Uuid;

/// What a line tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) enum Of {
    /// A trace of an application.
    Trace,
    /// A span.
    Span,
    /// A request to the gateway.
    Request,
    /// The end of the export, with how many lines came before it.
    End,
}

/// A line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Line {
    #[serde(rename = "type")]
    pub(super) of: Of,
    /// A trace or a span.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) entry: Option<Box<Told>>,
    /// A request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) request: Option<Box<RequestRow>>,
    /// How many lines came before the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lines: Option<u64>,
}

/// All that is known of a trace or a span, as it was told.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Told {
    pub(super) id: Uuid,
    /// The name of the application's project.
    pub(super) application: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) trace_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) parent_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(super) sort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) start: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) end: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<Json>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) usage: Option<BTreeMap<String, i64>>,
    /// In dollars, where it was told; a cost by price is reckoned anew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) cost_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) first_token_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) thread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) origin: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) environment: Option<String>,
    /// When it was last told of.
    pub(super) updated: Timestamp,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) scores: Vec<ToldScore>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) comments: Vec<ToldComment>,
}

/// A score.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToldScore {
    pub(super) name: String,
    pub(super) value: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) reason: Option<String>,
    pub(super) source: String,
    pub(super) author: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
}

/// A comment.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ToldComment {
    pub(super) id: Uuid,
    pub(super) text: String,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) created_by: String,
    pub(super) updated_by: String,
}

impl Line {
    /// A trace or a span of an application's project.
    pub(super) fn of_entry(entry: Entry, application: &str) -> Self {
        let of = match entry.kind {
            Kind::Trace => Of::Trace,
            Kind::Span => Of::Span,
        };
        Self {
            of,
            entry: Some(Box::new(Told::of(entry, application))),
            request: None,
            lines: None,
        }
    }

    /// A request.
    pub(super) fn of_request(row: RequestRow) -> Self {
        Self {
            of: Of::Request,
            entry: None,
            request: Some(Box::new(row)),
            lines: None,
        }
    }

    /// The end after so many lines.
    pub(super) fn end(lines: u64) -> Self {
        Self {
            of: Of::End,
            entry: None,
            request: None,
            lines: Some(lines),
        }
    }
}

impl Told {
    fn of(entry: Entry, application: &str) -> Self {
        let fields = entry.fields;
        Self {
            id: entry.id,
            application: application.to_owned(),
            trace_id: fields.trace_id,
            parent_id: fields.parent_span_id,
            name: fields.name,
            sort: fields.sort,
            start: fields.start,
            end: fields.end,
            input: fields.input,
            output: fields.output,
            metadata: fields.metadata,
            tags: fields.tags,
            error: fields.error,
            model: fields.model,
            provider: fields.provider,
            usage: fields.usage,
            cost: fields.cost,
            cost_version: fields.cost_version,
            first_token_ms: fields.first_token_ms,
            thread: fields.thread,
            origin: fields.source,
            environment: fields.environment,
            updated: entry.updated,
            scores: entry.scores.into_iter().map(ToldScore::of).collect(),
            comments: entry.comments.into_iter().map(ToldComment::of).collect(),
        }
    }

    /// As the store is told.
    pub(super) fn fields(self) -> Fields {
        Fields {
            trace_id: self.trace_id,
            parent_span_id: self.parent_id,
            name: self.name,
            sort: self.sort,
            start: self.start,
            end: self.end,
            input: self.input,
            output: self.output,
            metadata: self.metadata,
            tags: self.tags,
            error: self.error,
            model: self.model,
            provider: self.provider,
            usage: self.usage,
            cost: self.cost,
            cost_version: self.cost_version,
            first_token_ms: self.first_token_ms,
            thread: self.thread,
            source: self.origin,
            environment: self.environment,
        }
    }
}

impl ToldScore {
    fn of(score: Score) -> Self {
        Self {
            name: score.name,
            value: score.value,
            category: score.category,
            reason: score.reason,
            source: score.source,
            author: score.author,
            created: score.created,
            updated: score.updated,
        }
    }

    /// As the store is told.
    pub(super) fn score(self) -> Score {
        Score {
            name: self.name,
            value: self.value,
            category: self.category,
            reason: self.reason,
            source: self.source,
            queue: None,
            author: self.author,
            created: self.created,
            updated: self.updated,
        }
    }
}

impl ToldComment {
    fn of(comment: Comment) -> Self {
        Self {
            id: comment.id,
            text: comment.text,
            created: comment.created,
            updated: comment.updated,
            created_by: comment.created_by,
            updated_by: comment.updated_by,
        }
    }

    /// As the store is told.
    pub(super) fn comment(self, subject: Subject) -> Comment {
        Comment {
            id: self.id,
            subject,
            text: self.text,
            queue: None,
            created: self.created,
            updated: self.updated,
            created_by: self.created_by,
            updated_by: self.updated_by,
        }
    }
}
