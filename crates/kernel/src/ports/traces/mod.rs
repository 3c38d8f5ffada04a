//! What applications trace: traces, their spans, scores and comments on them, and the threads that traces make up.
//!
//! A trace and a span are both an [`Entry`]: what is told about it comes in several writes, in any order, and is
//! merged field by field. A later value wins over an earlier one, a value over none, and what was told as a change
//! ([`Origin::Change`]) over what was told at the beginning or the end ([`Origin::Report`]).

mod costs;
mod filter;
mod sketch;
mod sums;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde_json::value::RawValue;
use uuid::Uuid;

pub use costs::{CostQuery, CostRow};
pub use filter::{Cell, Filter, Operator};
pub use sketch::Sketch;
pub use sums::{Bucket, Grouped, Sums};

use crate::{Result, Timestamp};

/// JSON text as it came.
pub type Json = Box<RawValue>;

/// Stores what applications trace and answers questions about it.
#[async_trait]
pub trait Traces: Send + Sync {
    /// Makes all the changes, or none; durable and readable when it returns.
    ///
    /// # Errors
    /// `Conflict` when an entry is told to be of another project, trace or parent than before; `NotFound` when a
    /// comment or a thread to change is not there.
    async fn write(&self, writes: Vec<Write>) -> Result<()>;

    /// One trace or span with all that is known of it.
    async fn entry(&self, kind: Kind, workspace: &str, id: Uuid) -> Result<Option<Entry>> {
        Ok(self.entries_of(kind, workspace, vec![id]).await?.pop())
    }

    /// Several traces or spans; those that are not there are left out. Their order is that of the ids.
    async fn entries_of(&self, kind: Kind, workspace: &str, ids: Vec<Uuid>) -> Result<Vec<Entry>>;

    /// The traces or spans that match, in order.
    async fn entries(&self, kind: Kind, query: Query) -> Result<Found<Entry>>;

    /// The threads that match, in order.
    async fn threads(&self, query: Query) -> Result<Found<Thread>>;

    /// Sums over what matches, in buckets of time in order; one that begins with the epoch when no length is told.
    async fn sums(&self, of: Counted, query: Query, bucket: Bucket) -> Result<Vec<(Timestamp, Sums)>>;

    /// Sums over what matches, apart for each value of a field (`model`, `tags`, or `metadata` with a key in it); what
    /// has several values counts for each, what has none for the empty one. Those with the most come first.
    async fn sums_by(&self, of: Counted, query: Query, bucket: Bucket, field: Order) -> Result<Grouped>;

    /// Removes what began before a time, in one project of an application or in all of the workspace, with its scores and
    /// comments; others go on writing and reading meanwhile. Answers how many traces and spans are gone.
    async fn retire(&self, workspace: &str, project: Option<Uuid>, before: Timestamp) -> Result<u64>;

    /// The names of scores that there are.
    async fn score_names(&self, on: Counted, workspace: &str, projects: &[Uuid]) -> Result<Vec<String>>;

    /// What spans cost, as sums by project, model, provider, user and hour; a store without such answers none.
    async fn costs(&self, query: CostQuery) -> Result<Vec<CostRow>> {
        let _ = query;
        Err(crate::Error::unsupported("this store sums up no costs"))
    }

    /// One comment.
    async fn comment(&self, workspace: &str, id: Uuid) -> Result<Option<Comment>>;
}

/// Whether an entry is a trace or a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A trace.
    Trace,
    /// A span.
    Span,
}

impl Kind {
    /// As one word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Span => "span",
        }
    }
}

/// What is counted and scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Counted {
    /// Traces.
    Traces,
    /// Spans.
    Spans,
    /// Threads.
    Threads,
}

/// What a score or a comment is on.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Subject {
    /// A trace or a span, which need not be there yet.
    Entry(Kind, Uuid),
    /// The thread of that name in a project.
    Thread(Uuid, String),
}

/// What an application tells of a trace or a span. What is absent was not told.
#[derive(Debug, Clone, Default)]
pub struct Fields {
    /// The trace of a span.
    pub trace_id: Option<Uuid>,
    /// The span that a span is in.
    pub parent_span_id: Option<Uuid>,
    /// The name.
    pub name: Option<String>,
    /// What a span is: `general`, `llm`, `tool`, `guardrail`.
    pub sort: Option<String>,
    /// When it began.
    pub start: Option<Timestamp>,
    /// When it ended.
    pub end: Option<Timestamp>,
    /// What went in.
    pub input: Option<Json>,
    /// What came out.
    pub output: Option<Json>,
    /// What else was told.
    pub metadata: Option<Json>,
    /// Labels.
    pub tags: Option<Vec<String>>,
    /// What went wrong: an object with `exception_type`, `message`, `traceback`.
    pub error: Option<Json>,
    /// The model of a span.
    pub model: Option<String>,
    /// The model's provider.
    pub provider: Option<String>,
    /// Tokens and what else the provider counts.
    pub usage: Option<BTreeMap<String, i64>>,
    /// What a span cost, in US dollars, as told.
    pub cost: Option<f64>,
    /// By which reckoning.
    pub cost_version: Option<String>,
    /// Milliseconds to the first token.
    pub first_token_ms: Option<f64>,
    /// The thread of a trace.
    pub thread: Option<String>,
    /// What made it: `sdk`, `experiment`, `playground`, `optimization`, `evaluator`.
    pub source: Option<String>,
    /// The environment: `production`.
    pub environment: Option<String>,
}

/// In which way something was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Origin {
    /// At the beginning or the end of what is traced.
    Report,
    /// As a change, which outranks every report.
    Change,
}

/// A change of labels that does not replace them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagChange {
    /// To be there.
    pub add: Vec<String>,
    /// To be gone.
    pub remove: Vec<String>,
}

/// What is told of one trace or span.
#[derive(Debug, Clone)]
pub struct Put {
    /// A trace or a span.
    pub kind: Kind,
    /// The project of Stead.
    pub workspace: String,
    /// The application's project.
    pub project: Uuid,
    /// The id.
    pub id: Uuid,
    /// In which way it was told.
    pub origin: Origin,
    /// When it was told, by the teller's clock if they said so.
    pub told: Timestamp,
    /// Who told it.
    pub by: String,
    /// What was told.
    pub fields: Fields,
    /// What becomes of the labels that are there.
    pub tags: TagChange,
}

/// A score.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// The name.
    pub name: String,
    /// The value.
    pub value: f64,
    /// A word for the value.
    pub category: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// `sdk`, `ui`, `online_scoring`.
    pub source: String,
    /// The queue it was given in.
    pub queue: Option<Uuid>,
    /// Whose opinion it is; each author has one on each name.
    pub author: String,
    /// When it was first given.
    pub created: Timestamp,
    /// When it was last given.
    pub updated: Timestamp,
}

/// A comment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Comment {
    /// The id.
    pub id: Uuid,
    /// On what.
    pub subject: Subject,
    /// What it says.
    pub text: String,
    /// The queue it was written in.
    pub queue: Option<Uuid>,
    /// When it was written.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// Who wrote it.
    pub created_by: String,
    /// Who changed it last.
    pub updated_by: String,
}

/// One change.
#[derive(Debug, Clone)]
pub enum Write {
    /// Tells something of a trace or a span.
    Put(Box<Put>),
    /// Removes traces with their spans, or spans, with scores and comments; what is not there is passed over.
    Delete {
        /// Traces or spans.
        kind: Kind,
        /// The project of Stead.
        workspace: String,
        /// Which.
        ids: Vec<Uuid>,
    },
    /// Gives a score, or replaces the author's score of that name.
    Score {
        /// The project of Stead.
        workspace: String,
        /// On what.
        subject: Subject,
        /// The score.
        score: Score,
    },
    /// Takes scores back.
    Unscore {
        /// The project of Stead.
        workspace: String,
        /// From what.
        subject: Subject,
        /// Of which names.
        names: Vec<String>,
        /// Only this author's.
        author: Option<String>,
    },
    /// Writes a comment.
    Comment {
        /// The project of Stead.
        workspace: String,
        /// The comment.
        comment: Comment,
    },
    /// Changes a comment's text.
    EditComment {
        /// The project of Stead.
        workspace: String,
        /// Which.
        id: Uuid,
        /// What it says from now on.
        text: String,
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
    },
    /// Removes comments.
    DeleteComments {
        /// The project of Stead.
        workspace: String,
        /// Which.
        ids: Vec<Uuid>,
    },
    /// Changes threads.
    Thread {
        /// The project of Stead.
        workspace: String,
        /// Which.
        threads: Threads,
        /// What becomes of them.
        change: ThreadChange,
        /// When.
        at: Timestamp,
        /// Who.
        by: String,
    },
    /// Removes all that is in a project.
    DeleteProject {
        /// The project of Stead.
        workspace: String,
        /// The application's project.
        project: Uuid,
    },
}

/// Which threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Threads {
    /// Of these names in a project.
    Named(Uuid, Vec<String>),
    /// With these ids.
    Ids(Vec<Uuid>),
}

/// What becomes of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ThreadChange {
    /// It goes on.
    Open,
    /// It has ended.
    Close,
    /// Its labels are these.
    Tags(Vec<String>),
    /// Its labels change.
    ChangeTags(TagChange),
    /// It is removed with its traces.
    Delete,
}

/// A trace or a span as it is known.
#[derive(Debug, Clone)]
pub struct Entry {
    /// A trace or a span.
    pub kind: Kind,
    /// The id.
    pub id: Uuid,
    /// The application's project.
    pub project: Uuid,
    /// What was told.
    pub fields: Fields,
    /// What there is of what lies apart, whether or not it was read.
    pub has: Has,
    /// When it was first heard of.
    pub created: Timestamp,
    /// When it was last told of.
    pub updated: Timestamp,
    /// Who told of it first.
    pub created_by: String,
    /// Who told of it last.
    pub updated_by: String,
    /// Scores on it.
    pub scores: Vec<Score>,
    /// Comments on it, oldest first.
    pub comments: Vec<Comment>,
    /// What it cost in US dollars: as told, or by the price of its model; a trace costs what its spans do.
    pub cost: Option<f64>,
    /// Of a trace: what its spans come to.
    pub spans: Option<SpanTotals>,
}

/// What there is of an entry's large parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "one for each part")]
pub struct Has {
    /// An input.
    pub input: bool,
    /// An output.
    pub output: bool,
    /// Metadata.
    pub metadata: bool,
    /// An error.
    pub error: bool,
}

impl Entry {
    /// How long it took, in milliseconds.
    pub fn duration_ms(&self) -> Option<f64> {
        duration_ms(self.fields.start?, self.fields.end?)
    }
}

/// Milliseconds between two times, exact to the microsecond.
pub fn duration_ms(start: Timestamp, end: Timestamp) -> Option<f64> {
    let micros = end.as_microsecond().checked_sub(start.as_microsecond())?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "a duration has far fewer than 2^53 microseconds"
    )]
    Some(micros as f64 / 1_000.0)
}

/// What the spans of a trace come to.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SpanTotals {
    /// How many there are.
    pub spans: u64,
    /// How many ask a language model.
    pub llm_spans: u64,
    /// How many use a tool.
    pub tool_spans: u64,
    /// The sum of what each counts.
    pub usage: BTreeMap<String, i64>,
    /// The providers asked.
    pub providers: Vec<String>,
    /// The models asked.
    pub models: Vec<String>,
    /// The mean of the spans' scores, by name.
    pub scores: BTreeMap<String, f64>,
}

/// Traces that tell of the same conversation.
#[derive(Debug, Clone)]
pub struct Thread {
    /// The name that the application gave it.
    pub name: String,
    /// The id that the store gave it.
    pub id: Uuid,
    /// The application's project.
    pub project: Uuid,
    /// When its first trace began.
    pub start: Option<Timestamp>,
    /// When its last one ended.
    pub end: Option<Timestamp>,
    /// What went into its first trace.
    pub first_message: Option<Json>,
    /// What came out of its last one.
    pub last_message: Option<Json>,
    /// How many traces it has.
    pub traces: u64,
    /// Whether it goes on.
    pub active: bool,
    /// What its spans count.
    pub usage: BTreeMap<String, i64>,
    /// What its spans cost in US dollars.
    pub cost: Option<f64>,
    /// Labels.
    pub tags: Vec<String>,
    /// The environment of its last trace.
    pub environment: Option<String>,
    /// Scores on it.
    pub scores: Vec<Score>,
    /// Comments on it, oldest first.
    pub comments: Vec<Comment>,
    /// When it was first heard of.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Timestamp,
    /// Who told of it first.
    pub created_by: String,
    /// Who told of it last.
    pub updated_by: String,
}

impl Thread {
    /// How long it has gone on, in milliseconds.
    pub fn duration_ms(&self) -> Option<f64> {
        duration_ms(self.start?, self.end?)
    }
}

/// Which entries or threads, in which order, and how many.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// The project of Stead.
    pub workspace: String,
    /// The application's project; `None` for all of the workspace.
    pub project: Option<Uuid>,
    /// Only spans of this trace.
    pub trace: Option<Uuid>,
    /// Begun at or after.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
    /// All of these hold.
    pub filters: Vec<Filter>,
    /// This text is in the id, the name, the input, the output or the metadata; any case.
    pub search: Option<String>,
    /// By what it is ordered, the first the most important; the newest first when nothing is told.
    pub order: Vec<Order>,
    /// The last one of what was seen, in the order of newest first.
    pub after: Option<Uuid>,
    /// So many are passed over.
    pub offset: usize,
    /// So many at most.
    pub limit: usize,
    /// Whether all that match are counted.
    pub count: Count,
    /// How much of each entry is read.
    pub detail: Detail,
}

/// How much of an entry a list shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Detail {
    /// All that is known of it.
    #[default]
    Whole,
    /// Without input, output and metadata, which takes a fraction of the time; [`Entry::has`] tells of them.
    Outline,
}

/// Whether all that match are counted, which takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Count {
    /// They are.
    #[default]
    All,
    /// They are not; the total is 0.
    None,
}

/// By what a list is ordered: fields as filters name them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The field.
    pub field: String,
    /// The key in it, or empty.
    pub key: String,
    /// Whether the largest come first.
    pub descending: bool,
}

/// A part of what was found.
#[derive(Debug, Clone)]
pub struct Found<T> {
    /// What is in this part.
    pub items: Vec<T>,
    /// How many were found in all.
    pub total: u64,
}
