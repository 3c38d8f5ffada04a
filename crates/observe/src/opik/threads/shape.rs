//! Threads on the wire (`TraceThread`). Pure.

use serde::{Deserialize, Serialize, Serializer, ser::SerializeMap};
use stead_kernel::ports::traces::Thread;
use uuid::Uuid;

use crate::opik::{
    entries::{comments_of, cut, shown_scores},
    wire::{Written, text},
};

/// Which thread is meant (`TraceThreadIdentifier`, `TraceThreadBatchIdentifier`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Named {
    pub(super) project_name: Option<String>,
    pub(super) project_id: Option<Uuid>,
    pub(super) thread_id: Option<String>,
    pub(super) thread_ids: Option<Vec<String>>,
    pub(super) truncate: Option<bool>,
}

/// What a search asks for (`TraceThreadSearchStreamRequest`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Asked {
    pub(super) project_name: Option<String>,
    pub(super) project_id: Option<Uuid>,
    pub(super) filters: Option<Vec<Written>>,
    pub(super) last_retrieved_thread_model_id: Option<Uuid>,
    pub(super) limit: Option<usize>,
    pub(super) truncate: Option<bool>,
    pub(super) from_time: Option<String>,
    pub(super) to_time: Option<String>,
}

/// A change of labels (`TraceThreadUpdate`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Change {
    pub(super) tags: Option<Vec<String>>,
    pub(super) tags_to_add: Option<Vec<String>>,
    pub(super) tags_to_remove: Option<Vec<String>>,
}

/// A change of many (`TraceThreadBatchUpdate`).
#[derive(Debug, Deserialize)]
pub(super) struct Changes {
    pub(super) ids: Vec<Uuid>,
    pub(super) update: Change,
    #[serde(default)]
    pub(super) merge_tags: Option<bool>,
}

/// Scores that are taken back (`DeleteThreadFeedbackScores`).
#[derive(Debug, Deserialize)]
pub(super) struct Removed {
    pub(super) project_name: String,
    pub(super) thread_id: String,
    pub(super) names: Vec<String>,
    #[serde(default)]
    pub(super) author: Option<String>,
}

/// Fields that filters and sorting may name.
pub(in crate::opik) fn known(field: &str) -> bool {
    SORTABLE.contains(&field)
        || field.starts_with("usage.")
        || ["feedback_scores", "environment", "thread_model_id", "usage"].contains(&field)
}

/// By what lists can be sorted.
pub(super) const SORTABLE: [&str; 14] = [
    "id",
    "status",
    "start_time",
    "end_time",
    "duration",
    "number_of_messages",
    "first_message",
    "last_message",
    "total_estimated_cost",
    "tags",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
];

/// A thread on its way out.
pub(super) struct Shown<'a> {
    pub(super) thread: &'a Thread,
    pub(super) slim: bool,
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { thread, slim } = *self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &thread.name)?;
        map.serialize_entry("project_id", &thread.project)?;
        map.serialize_entry("thread_model_id", &thread.id)?;
        for (name, time) in [("start_time", thread.start), ("end_time", thread.end)] {
            if let Some(time) = time {
                map.serialize_entry(name, &text(time))?;
            }
        }
        if let Some(duration) = thread.duration_ms() {
            map.serialize_entry("duration", &duration)?;
        }
        for (name, message) in [
            ("first_message", &thread.first_message),
            ("last_message", &thread.last_message),
        ] {
            if let Some(message) = message {
                map.serialize_entry(name, &cut(message, slim))?;
            }
        }
        map.serialize_entry("feedback_scores", &shown_scores(&thread.scores))?;
        map.serialize_entry("status", if thread.active { "active" } else { "inactive" })?;
        // A trace is a question and an answer.
        map.serialize_entry("number_of_messages", &thread.traces.saturating_mul(2))?;
        if let Some(cost) = thread.cost {
            map.serialize_entry("total_estimated_cost", &cost)?;
        }
        if !thread.usage.is_empty() {
            map.serialize_entry("usage", &thread.usage)?;
        }
        if !thread.comments.is_empty() {
            map.serialize_entry("comments", &comments_of(&thread.comments))?;
        }
        if !thread.tags.is_empty() {
            map.serialize_entry("tags", &thread.tags)?;
        }
        if let Some(environment) = &thread.environment {
            map.serialize_entry("environment", environment)?;
        }
        map.serialize_entry("created_at", &text(thread.created))?;
        map.serialize_entry("last_updated_at", &text(thread.updated))?;
        map.serialize_entry("created_by", &thread.created_by)?;
        map.serialize_entry("last_updated_by", &thread.updated_by)?;
        map.end()
    }
}
