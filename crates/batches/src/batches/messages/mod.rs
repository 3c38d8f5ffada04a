//! Anthropic's message batches (<https://docs.anthropic.com/en/api/creating-message-batches>): the same work as OpenAI's,
//! told in Anthropic's way.
//!
//! *Invariant:* a batch of one API does not exist in the other, nor do the files that this one keeps its requests and
//! results in.

mod intake;
mod routes;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Batch, Status};

pub(crate) use routes::routes;

/// The batch as clients get it. `address` is where the server is for them: `https://HOST`.
fn document(id: &str, batch: &Batch, address: &str) -> Value {
    let times = &batch.times;
    let ended = [
        times.completed_at,
        times.failed_at,
        times.expired_at,
        times.cancelled_at,
    ];
    let is_over = is_over(batch);
    let ended = ended.into_iter().flatten().next().filter(|_| is_over);
    let has_results = is_over && batch.output_file_id.is_some();
    json!({
        "id": id,
        "type": "message_batch",
        "processing_status": processing(batch),
        "request_counts": counts(batch),
        "created_at": rfc3339(times.created_at),
        "expires_at": rfc3339(times.expires_at),
        "ended_at": ended.map(rfc3339),
        "cancel_initiated_at": times.cancelling_at.map(rfc3339),
        "archived_at": null,
        "results_url": has_results.then(|| format!("{address}/v1/messages/batches/{id}/results")),
    })
}

/// Whether nothing of it is under way any more, so that it can be removed.
fn is_over(batch: &Batch) -> bool {
    batch.status.is_final() && !batch.active
}

fn processing(batch: &Batch) -> &'static str {
    match batch.status {
        _ if is_over(batch) => "ended",
        Status::Cancelling | Status::Cancelled => "canceling",
        Status::Validating
        | Status::InProgress
        | Status::Finalizing
        | Status::Failed
        | Status::Completed
        | Status::Expired => "in_progress",
    }
}

/// Everything is being processed until the whole batch has ended.
fn counts(batch: &Batch) -> Value {
    let counts = &batch.counts;
    if !is_over(batch) {
        return json!({"processing": counts.total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0});
    }
    let asked = counts.failed.saturating_sub(batch.missing);
    let (errored, canceled, expired) = match batch.status {
        Status::Cancelled => (asked, batch.missing, 0),
        Status::Expired => (asked, 0, batch.missing),
        Status::Failed
        | Status::Completed
        | Status::Validating
        | Status::InProgress
        | Status::Finalizing
        | Status::Cancelling => (counts.failed, 0, 0),
    };
    json!({
        "processing": 0, "succeeded": counts.completed, "errored": errored, "canceled": canceled, "expired": expired,
    })
}

/// Seconds since 1970 as RFC 3339.
fn rfc3339(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}
