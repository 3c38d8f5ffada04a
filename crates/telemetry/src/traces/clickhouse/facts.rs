//! Facts: what was told, one row each, as they lie in the table and travel as JSON. Pure.
//!
//! *Invariant:* a fact is never changed; what is known of an entry is what all its facts come to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::traces::{Comment, Fields, Json, Kind, Put, Score, Subject, TagChange},
};
use uuid::Uuid;

use crate::day::time;

/// The number of a thread's facts among kinds.
pub(super) const THREAD: u8 = 2;
/// The day of what has none.
pub(super) const NO_DAY: i32 = i32::MAX;

/// The number of a kind.
pub(super) const fn number_of(kind: Kind) -> u8 {
    match kind {
        Kind::Trace => 0,
        Kind::Span => 1,
    }
}

/// The kind with a number; none for a thread's.
pub(super) const fn kind_of(number: u8) -> Option<Kind> {
    match number {
        0 => Some(Kind::Trace),
        1 => Some(Kind::Span),
        _ => None,
    }
}

/// What sort of fact it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub(super) enum What {
    /// Something was told of an entry.
    #[default]
    Put,
    /// All before it is gone.
    Delete,
    /// A score was given.
    Score,
    /// Scores were taken back.
    Unscore,
    /// A comment was written.
    Comment,
    /// A comment's text was changed.
    Edit,
    /// A comment was removed.
    Uncomment,
    /// A trace told of a thread, or it was opened.
    Touch,
    /// A thread was closed.
    Close,
    /// A thread's labels are these.
    Tags,
    /// A thread's labels changed.
    ChangeTags,
}

/// A row.
#[derive(Debug, Clone, Serialize, Deserialize, Default)]
pub(super) struct Fact {
    /// The project of Stead.
    pub(super) workspace: String,
    /// 0 for a trace, 1 for a span, 2 for a thread.
    pub(super) kind: u8,
    /// Of which entry or thread.
    #[serde(with = "number")]
    pub(super) id: Uuid,
    /// Its place among the facts of one writer.
    pub(super) seq: u64,
    /// Who wrote it, to tell facts of the same place apart.
    pub(super) writer: u64,
    pub(super) what: What,
    /// When it came, in microseconds.
    pub(super) at: i64,
    /// Who told it.
    pub(super) by: String,
    /// The application's project; nil where none is told.
    #[serde(with = "number")]
    pub(super) project: Uuid,
    /// The trace of a span; nil where none is told.
    #[serde(with = "number")]
    pub(super) trace: Uuid,
    /// The thread of a trace, the name of a thread.
    pub(super) name: String,
    /// The comment.
    #[serde(with = "number")]
    pub(super) item: Uuid,
    /// The day with which it goes, counted from 1970.
    pub(super) day: i32,
    /// When the entry began, if this tells it, in microseconds.
    pub(super) start: Option<i64>,
    pub(super) rank: i64,
    /// Which of the next four there are.
    pub(super) mask: u8,
    /// What else is told, as JSON.
    pub(super) told: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) output: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

/// The columns of a fact without what may be large.
pub(super) const NARROW: &str = "workspace, kind, toString(id) AS id, seq, writer, what, at, by, toString(project) AS project, \
     toString(trace) AS trace, name, toString(item) AS item, day, start, rank, mask, told";
/// Those that may be large.
pub(super) const LARGE: &str = "input, output, metadata, error";

impl Fact {
    /// As a line.
    pub(super) fn line(&self, out: &mut Vec<u8>) -> Result<()> {
        serde_json::to_writer(&mut *out, self)
            .map_err(|error| Error::internal("a fact could not be written as JSON").because(error))?;
        out.push(b'\n');
        Ok(())
    }

    /// Its order among the facts of its entry.
    pub(super) const fn place(&self) -> (u64, u64) {
        (self.seq, self.writer)
    }

    /// What else is told.
    pub(super) fn tells<T: DeserializeOwned>(&self) -> Result<T> {
        serde_json::from_str(&self.told).map_err(|error| damaged().because(error))
    }

    /// What is told of an entry.
    pub(super) fn put(put: &mut Put, rank: i64) -> Self {
        let fields = &mut put.fields;
        let text = |part: Option<Json>| part.map(|part| part.get().to_owned());
        let (input, output) = (text(fields.input.take()), text(fields.output.take()));
        let (metadata, error) = (text(fields.metadata.take()), text(fields.error.take()));
        let parts = [&input, &output, &metadata, &error].into_iter().enumerate();
        Self {
            mask: parts.fold(0, |mask, (bit, part)| mask | u8::from(part.is_some()) << bit),
            workspace: put.workspace.clone(),
            kind: number_of(put.kind),
            id: put.id,
            by: put.by.clone(),
            project: put.project,
            trace: fields.trace_id.unwrap_or_default(),
            name: fields.thread.clone().unwrap_or_default(),
            start: fields.start.map(Timestamp::as_microsecond),
            rank,
            told: json(&Told::of(fields, &put.tags)),
            input,
            output,
            metadata,
            error,
            ..Self::default()
        }
    }

    /// What a put tells: fields, and what becomes of the labels.
    pub(super) fn fields(&mut self) -> Result<(Fields, TagChange)> {
        let told: Told = self.tells()?;
        let mut fields = Fields {
            trace_id: Some(self.trace).filter(|trace| !trace.is_nil()),
            start: self.start.map(time),
            ..Fields::default()
        };
        for (part, field) in [
            (self.input.take(), &mut fields.input),
            (self.output.take(), &mut fields.output),
            (self.metadata.take(), &mut fields.metadata),
            (self.error.take(), &mut fields.error),
        ] {
            *field = part
                .map(RawValue::from_string)
                .transpose()
                .map_err(|_| damaged())?;
        }
        Ok(told.into(fields))
    }
}

/// The error of a table in which something is not as it should be.
pub(super) fn damaged() -> Error {
    Error::unavailable("a row of stead_facts in ClickHouse is not as it was written")
}

/// The rows of an answer.
pub(super) fn rows<T: DeserializeOwned>(answer: &[u8]) -> Result<Vec<T>> {
    let lines = answer
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty());
    lines
        .map(|line| serde_json::from_slice(line).map_err(|error| damaged().because(error)))
        .collect()
}

/// As JSON, which all that is told can be.
pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// What is told of an entry beside what has a column of its own.
#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
struct Told {
    #[serde(skip_serializing_if = "Option::is_none")]
    parent: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sort: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<BTreeMap<String, i64>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost: Option<Exact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cost_version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    first_token_ms: Option<Exact>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    add: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    remove: Vec<String>,
}

impl Told {
    fn of(fields: &Fields, tags: &TagChange) -> Self {
        Self {
            parent: fields.parent_span_id,
            name: fields.name.clone(),
            sort: fields.sort.clone(),
            end: fields.end.map(Timestamp::as_microsecond),
            tags: fields.tags.clone(),
            model: fields.model.clone(),
            provider: fields.provider.clone(),
            usage: fields.usage.clone(),
            cost: fields.cost.map(Exact),
            cost_version: fields.cost_version.clone(),
            first_token_ms: fields.first_token_ms.map(Exact),
            thread: fields.thread.clone(),
            source: fields.source.clone(),
            environment: fields.environment.clone(),
            add: tags.add.clone(),
            remove: tags.remove.clone(),
        }
    }

    fn into(self, apart: Fields) -> (Fields, TagChange) {
        let fields = Fields {
            parent_span_id: self.parent,
            name: self.name,
            sort: self.sort,
            end: self.end.map(time),
            tags: self.tags,
            model: self.model,
            provider: self.provider,
            usage: self.usage,
            cost: self.cost.map(|cost| cost.0),
            cost_version: self.cost_version,
            first_token_ms: self.first_token_ms.map(|ms| ms.0),
            thread: self.thread,
            source: self.source,
            environment: self.environment,
            ..apart
        };
        let tags = TagChange {
            add: self.add,
            remove: self.remove,
        };
        (fields, tags)
    }
}

/// A number as text, so that it comes back to the last bit.
#[derive(Clone, Copy)]
struct Exact(f64);

impl Serialize for Exact {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// A score.
#[derive(Serialize, Deserialize)]
pub(super) struct ScoreTold {
    name: String,
    value: Exact,
    category: Option<String>,
    reason: Option<String>,
    source: String,
    queue: Option<Uuid>,
    created: i64,
    updated: i64,
}

impl ScoreTold {
    pub(super) fn of(score: Score) -> Self {
        Self {
            value: Exact(score.value),
            created: score.created.as_microsecond(),
            updated: score.updated.as_microsecond(),
            name: score.name,
            category: score.category,
            reason: score.reason,
            source: score.source,
            queue: score.queue,
        }
    }

    pub(super) fn score(self, author: String) -> Score {
        Score {
            name: self.name,
            value: self.value.0,
            category: self.category,
            reason: self.reason,
            source: self.source,
            queue: self.queue,
            author,
            created: time(self.created),
            updated: time(self.updated),
        }
    }
}

/// Scores that are taken back: of these names, of all authors or of one.
#[derive(Serialize, Deserialize)]
pub(super) struct UnscoreTold {
    pub(super) names: Vec<String>,
    pub(super) author: Option<String>,
}

/// A comment, or what becomes of its text.
#[derive(Serialize, Deserialize)]
pub(super) struct CommentTold {
    pub(super) text: String,
    queue: Option<Uuid>,
    created: i64,
    updated: i64,
    updated_by: String,
}

impl CommentTold {
    pub(super) fn of(comment: &Comment) -> Self {
        Self {
            text: comment.text.clone(),
            queue: comment.queue,
            created: comment.created.as_microsecond(),
            updated: comment.updated.as_microsecond(),
            updated_by: comment.updated_by.clone(),
        }
    }

    pub(super) fn edit(text: String, at: Timestamp, by: String) -> Self {
        Self {
            text,
            queue: None,
            created: 0,
            updated: at.as_microsecond(),
            updated_by: by,
        }
    }

    /// As a comment on what the fact is about.
    pub(super) fn comment(self, fact: &Fact) -> Comment {
        Comment {
            id: fact.item,
            subject: match kind_of(fact.kind) {
                Some(kind) => Subject::Entry(kind, fact.id),
                None => Subject::Thread(fact.project, fact.name.clone()),
            },
            text: self.text,
            queue: self.queue,
            created: time(self.created),
            updated: time(self.updated),
            created_by: fact.by.clone(),
            updated_by: self.updated_by,
        }
    }

    /// Changes a comment's text.
    pub(super) fn change(self, comment: &mut Comment) {
        comment.text = self.text;
        comment.updated = time(self.updated);
        comment.updated_by = self.updated_by;
    }
}

mod number {
    //! Ids as numbers of 128 bits, in whose order ClickHouse sorts them as we do.
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use uuid::Uuid;

    pub(super) fn serialize<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&id.as_u128())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map(Uuid::from_u128).map_err(D::Error::custom)
    }
}

/// An id in a statement.
pub(super) fn literal(id: Uuid) -> String {
    format!("toUInt128('{}')", id.as_u128())
}

/// Ids in a statement; there is at least one.
pub(super) fn list(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().copied().map(literal).collect();
    format!("({})", ids.join(", "))
}
