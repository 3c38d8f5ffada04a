//! What happened: requests to models, and writes to resources.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{NanoUsd, Page, TokenUsage};
use crate::{Result, Timestamp};

/// Stores events and answers questions about them.
#[async_trait]
pub trait Events: Send + Sync {
    /// Stores events. Idempotent by id; durable and readable when it returns.
    async fn append(&self, events: Vec<Event>) -> Result<()>;

    /// Requests that match, newest first, without bodies.
    async fn requests(&self, query: RequestQuery) -> Result<Page<RequestRow>>;

    /// One request with its bodies, by its id or trace id.
    async fn request(&self, id: &str) -> Result<Option<RequestRow>>;

    /// Usage, exact, from rollups.
    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>>;

    /// Audit records that match, newest first.
    async fn audit(&self, query: AuditQuery) -> Result<Page<AuditRow>>;

    /// Removes a project's requests of before a time, but for what they add to usage; answers how many are gone.
    async fn retire(&self, _project: &str, _before: Timestamp) -> Result<u64> {
        Err(crate::Error::unsupported(
            "this process removes no requests by age",
        ))
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub enum Event {
    /// A request to a model.
    Request(Box<RequestRow>),
    /// A write to a resource.
    Audit(Box<AuditRow>),
}

/// A request to a model, with all its attempts.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RequestRow {
    /// A UUID of version 7.
    pub id: String,
    /// W3C trace id, 32 hex digits.
    pub trace_id: String,
    /// The id of this request's span in that trace, 16 hex digits; providers get it as their parent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub span_id: String,
    /// The id of the caller's span, 16 hex digits; empty when the caller told none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub parent_span_id: String,
    /// When it came.
    pub started: Timestamp,
    /// Until the last byte of the answer, in microseconds.
    pub duration_us: u64,
    /// Until the first content of the answer, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_token_us: Option<u64>,
    /// The project that is charged.
    pub project: String,
    /// Who asked: the owner of the key, or the user.
    pub user: String,
    /// The name of the `ApiKey`, empty for other credentials.
    pub key: String,
    /// The team of the key, empty when it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub team: String,
    /// The gateway process that answered, empty for the one with the stores.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub replica: String,
    /// The API it came by: `openai`, `anthropic`.
    pub dialect: String,
    /// `chat`, `completions`, `embeddings`.
    pub operation: String,
    /// Whether a stream was asked for.
    pub stream: bool,
    /// The model as the client named it.
    pub model: String,
    /// The `ModelRoute` that was used, if any.
    pub route: String,
    /// The provider that answered (or failed last).
    pub provider: String,
    /// The model as that provider names it.
    pub provider_model: String,
    /// The HTTP status that the client got; 0 when it left before one.
    pub status: u16,
    /// How it ended.
    pub outcome: Outcome,
    /// What went wrong; empty when nothing did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
    /// Tokens.
    pub usage: TokenUsage,
    /// What it cost; `None` when the model's price is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<NanoUsd>,
    /// Every try, in order.
    pub attempts: Vec<Attempt>,
    /// Labels from the key and the caller's metadata.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The request body, if captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// The response body or the text put together from the stream, if captured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

/// Where gateway processes send the rows of their journals: `POST`, a [`JournalBatch`] as JSON, compressed with zstd
/// or not at all (`content-encoding`). `204` means that all rows are stored for good; a row whose id is there
/// already is passed over, so that a batch can be sent again.
pub const JOURNAL_PATH: &str = "/api/gateway/journal";

/// Rows of a gateway's journal.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct JournalBatch {
    /// The rows, oldest first.
    pub rows: Vec<RequestRow>,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Answered to the end.
    #[default]
    Ok,
    /// Failed.
    Error,
    /// The client left first.
    Cancelled,
    /// The process died before it was settled; the reservation is billed.
    Interrupted,
}

impl Outcome {
    /// The outcome as one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
            Self::Interrupted => "interrupted",
        }
    }
}

/// One try at one target.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Attempt {
    /// The provider.
    pub provider: String,
    /// The model as the provider names it.
    pub model: String,
    /// When it began, in microseconds after the request's start.
    pub offset_us: u64,
    /// How long it took, in microseconds.
    pub duration_us: u64,
    /// The provider's HTTP status; 0 when there was none.
    pub status: u16,
    /// What went wrong; empty when nothing did.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub error: String,
}

/// A write to a resource.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AuditRow {
    /// Unique; delivering it twice stores it once.
    pub id: String,
    /// When.
    pub time: Timestamp,
    /// Who.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// API group.
    pub group: String,
    /// Plural resource name.
    pub resource: String,
    /// Subresource, or empty.
    pub subresource: String,
    /// Project, or empty.
    pub project: String,
    /// The object's name.
    pub name: String,
    /// The resource version that the write made.
    pub resource_version: String,
    /// More, without secret values.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub detail: Value,
}

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct RequestQuery {
    /// Of these projects; `None` for all.
    pub projects: Option<Vec<String>>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// By this model as the client named it.
    pub model: Option<String>,
    /// By this provider.
    pub provider: Option<String>,
    /// By this key.
    pub key: Option<String>,
    /// By this user.
    pub user: Option<String>,
    /// With this outcome.
    pub outcome: Option<Outcome>,
    /// Of this trace, 32 hex digits.
    pub trace: Option<String>,
    /// Only those that were made in a trace that began elsewhere.
    pub traced: bool,
    /// Where the last page ended.
    pub after: Option<String>,
    /// At most so many; 0 means 50.
    pub limit: usize,
}

/// By what usage is summed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum UsageGroup {
    /// Project.
    Project,
    /// User.
    User,
    /// API key.
    Key,
    /// Model as the client named it.
    Model,
    /// Provider.
    Provider,
    /// `ModelRoute`.
    Route,
    /// Team.
    Team,
    /// Gateway process.
    Replica,
    /// Calendar day, UTC.
    Day,
    /// Hour, UTC.
    Hour,
}

/// Which usage.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct UsageQuery {
    /// Of these projects; `None` for all.
    pub projects: Option<Vec<String>>,
    /// At or after; rounded down to the minute.
    pub since: Option<Timestamp>,
    /// Before; rounded up to the minute.
    pub until: Option<Timestamp>,
    /// By what, in this order; nothing gives one row of totals.
    pub by: Vec<UsageGroup>,
}

/// A sum of usage.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UsageRow {
    /// What it is a sum of, in the order of [`UsageQuery::by`].
    pub group: Vec<String>,
    /// Requests.
    pub requests: u64,
    /// Of them, those that failed.
    pub errors: u64,
    /// Of them, those that were sent to no provider.
    #[serde(skip_serializing_if = "is_zero")]
    pub refused: u64,
    /// Tokens.
    pub usage: TokenUsage,
    /// Cost of the requests whose price is known.
    pub cost: NanoUsd,
    /// Requests whose price is unknown.
    pub unpriced: u64,
    /// Sum of durations, in microseconds.
    pub duration_us: u64,
    /// Sum of times to first token, in microseconds.
    pub first_token_us: u64,
    /// How many requests that last sum is over.
    pub first_tokens: u64,
}

impl UsageRow {
    /// Adds another sum; the group stays.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.errors = self.errors.saturating_add(other.errors);
        self.refused = self.refused.saturating_add(other.refused);
        self.usage = self.usage.plus(&other.usage);
        self.cost = NanoUsd(self.cost.0.saturating_add(other.cost.0));
        self.unpriced = self.unpriced.saturating_add(other.unpriced);
        self.duration_us = self.duration_us.saturating_add(other.duration_us);
        self.first_token_us = self.first_token_us.saturating_add(other.first_token_us);
        self.first_tokens = self.first_tokens.saturating_add(other.first_tokens);
    }
}

impl RequestRow {
    /// Whether it was sent to no provider, and is none of those of which nobody knows.
    pub fn is_refused(&self) -> bool {
        self.attempts.is_empty() && self.outcome != Outcome::Interrupted
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// Which audit records.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Of these projects; `None` for all and for what is in none.
    pub projects: Option<Vec<String>>,
    /// By this user.
    pub user: Option<String>,
    /// On this resource.
    pub resource: Option<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// Where the last page ended.
    pub after: Option<String>,
    /// At most so many; 0 means 50.
    pub limit: usize,
}
