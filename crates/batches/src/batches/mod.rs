//! Batches: what they are, where they are kept, their routes, and the work itself
//! (<https://platform.openai.com/docs/api-reference/batch>; `messages` has Anthropic's).

mod form;
mod keeping;
mod lines;
mod messages;
mod outputs;
mod plan;
mod routes;
mod runner;
mod store;
#[cfg(test)]
mod tests;
mod work;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stead_kernel::steps::StepStatus;

use crate::caller::Creator;
use form::{Form, Missing};
pub(crate) use messages::routes as message_routes;
pub(crate) use routes::routes;
pub(crate) use runner::Runner;
pub(crate) use store::reads;

/// The collection of batches.
pub(crate) const BATCHES: &str = "batches.batches";
/// The collection of answers of batches that are not over yet.
pub(crate) const RESULTS: &str = "batches.results";

/// Where a batch stands, in OpenAI's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// Its file is being read.
    Validating,
    /// Its file cannot be used.
    Failed,
    /// Its requests are being made.
    InProgress,
    /// Its results are being written.
    Finalizing,
    /// It is over.
    Completed,
    /// Its time was over before its requests were.
    Expired,
    /// It makes no new requests, and waits for those under way.
    Cancelling,
    /// It was cancelled; what was done is kept.
    Cancelled,
}

impl Status {
    /// Whether nothing changes any more.
    const fn is_final(self) -> bool {
        matches!(
            self,
            Self::Failed | Self::Completed | Self::Expired | Self::Cancelled
        )
    }
}

/// How many requests a batch has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Counts {
    total: u64,
    completed: u64,
    failed: u64,
}

/// What is wrong with a line of the file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct LineError {
    code: String,
    message: String,
    /// From 1; nothing when it is the file as a whole.
    line: Option<u64>,
    param: Option<String>,
}

/// When a batch came to where it stands, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
#[expect(
    clippy::struct_field_names,
    reason = "the names that clients see, and that the record has"
)]
struct Times {
    created_at: i64,
    in_progress_at: Option<i64>,
    expires_at: i64,
    finalizing_at: Option<i64>,
    completed_at: Option<i64>,
    failed_at: Option<i64>,
    expired_at: Option<i64>,
    cancelling_at: Option<i64>,
    cancelled_at: Option<i64>,
}

/// A batch as it is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Batch {
    /// Whether there is something left to do.
    active: bool,
    /// In whose API it was made.
    #[serde(default)]
    form: Form,
    endpoint: String,
    input_file_id: String,
    completion_window: String,
    status: Status,
    errors: Vec<LineError>,
    output_file_id: Option<String>,
    error_file_id: Option<String>,
    times: Times,
    counts: Counts,
    /// How many of the failed requests were not made at all.
    #[serde(default)]
    missing: u64,
    /// After how many seconds the files of its results expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    output_lifetime: Option<u64>,
    /// The `anthropic-beta` header that its requests get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    beta: Option<String>,
    metadata: Option<Map<String, Value>>,
    creator: Creator,
    steps: Vec<StepStatus>,
}

impl Batch {
    /// The batch as clients get it: OpenAI's object, and the steps of the work.
    fn document(&self, id: &str) -> Value {
        let errors = (!self.errors.is_empty()).then(|| json!({"object": "list", "data": self.errors}));
        json!({
            "id": id,
            "object": "batch",
            "endpoint": self.endpoint,
            "errors": errors,
            "input_file_id": self.input_file_id,
            "completion_window": self.completion_window,
            "status": self.status,
            "output_file_id": self.output_file_id,
            "error_file_id": self.error_file_id,
            "created_at": self.times.created_at,
            "in_progress_at": self.times.in_progress_at,
            "expires_at": self.times.expires_at,
            "finalizing_at": self.times.finalizing_at,
            "completed_at": self.times.completed_at,
            "failed_at": self.times.failed_at,
            "expired_at": self.times.expired_at,
            "cancelling_at": self.times.cancelling_at,
            "cancelled_at": self.times.cancelled_at,
            "request_counts": self.counts,
            "metadata": self.metadata,
            "steps": self.steps,
        })
    }

    /// Comes to its end.
    fn finish(&mut self, status: Status, now: i64) {
        self.status = status;
        let time = match status {
            Status::Completed => &mut self.times.completed_at,
            Status::Expired => &mut self.times.expired_at,
            Status::Cancelled => &mut self.times.cancelled_at,
            Status::Failed
            | Status::Validating
            | Status::InProgress
            | Status::Finalizing
            | Status::Cancelling => &mut self.times.failed_at,
        };
        *time = Some(now);
    }
}
