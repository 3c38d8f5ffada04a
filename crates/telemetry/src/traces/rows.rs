//! Rows of a day's file: how entries are written and read.

use std::{
    cell::RefCell,
    collections::{BTreeMap, HashMap},
    sync::LazyLock,
};

use rusqlite::{Connection, OptionalExtension, Row as SqlRow, params, types::ValueRef};
use serde::{Serialize, de::DeserializeOwned};
use stead_kernel::{
    Timestamp,
    ports::{
        Prices, TokenUsage,
        traces::{Entry, Fields, Has, Kind, Score},
    },
};
use uuid::Uuid;

use super::{
    blocks::Block,
    codec::{inflate, pack_ranks, unpack_body, unpack_ranks},
    merge::{FIELDS, Ranks},
    usage,
};
use crate::{
    day::time,
    sqlite::{Error, Result},
};

/// The columns of an entry, in the order of [`Stored::read`].
pub(super) const COLUMNS: &str = "project, kind, id, trace, parent, name, sort, start, end, tags, model, provider, \
     usage, told_cost, cost_version, first_token, thread, source, environment, cost, mask, ranks, created, updated, \
     created_by, updated_by, body, slot";

/// A trace or span as it is stored, its body apart.
#[derive(Debug, Clone)]
pub(super) struct Stored {
    /// The number of its project in its file.
    pub(super) project: i64,
    pub(super) kind: Kind,
    pub(super) id: Uuid,
    /// What is told of it, without what lies apart.
    pub(super) fields: Fields,
    pub(super) ranks: Ranks,
    /// Which of input, output, metadata and error there are.
    pub(super) mask: u8,
    pub(super) cost: Option<f64>,
    pub(super) created: i64,
    pub(super) updated: i64,
    pub(super) created_by: String,
    pub(super) updated_by: String,
    /// Where its body lies.
    pub(super) body: Option<Place>,
}

/// Where a body lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// In a row of its own.
    Row(i64),
    /// In a slot of a block.
    Slot(i64, usize),
}

impl Place {
    /// From the columns `body` and `slot`.
    pub(super) fn read(row: &SqlRow<'_>, body: usize, slot: usize) -> rusqlite::Result<Option<Self>> {
        let Some(seq) = row.get::<_, Option<i64>>(body)? else {
            return Ok(None);
        };
        let slot: Option<i64> = row.get(slot)?;
        Ok(Some(match slot.and_then(|slot| usize::try_from(slot).ok()) {
            Some(slot) => Self::Slot(seq, slot),
            None => Self::Row(seq),
        }))
    }

    fn columns(self) -> (i64, Option<i64>) {
        match self {
            Self::Row(seq) => (seq, None),
            Self::Slot(seq, slot) => (seq, i64::try_from(slot).ok()),
        }
    }
}

/// The error of a file in which a body is not as it should be.
pub(super) fn damaged_body() -> Error {
    Error::damaged(std::path::Path::new("a file of traces"), "a body is damaged")
}

/// A block of a file, if it is there.
pub(super) fn block(connection: &Connection, seq: i64) -> Result<Option<Block>> {
    let mut statement = connection.prepare_cached("SELECT data FROM blocks WHERE seq = ?1")?;
    let mut rows = statement.query([seq])?;
    let row = rows.next()?;
    row.map(|row| open_block(row.get_ref(0)?)).transpose()
}

/// Unpacks what the column of a block holds.
pub(super) fn open_block(data: ValueRef<'_>) -> Result<Block> {
    data.as_blob().ok().and_then(Block::open).ok_or_else(damaged_body)
}

/// The bodies of a file, for one read; the blocks looked at last are kept.
pub(super) struct Bodies<'a> {
    pub(super) connection: &'a Connection,
    kept: RefCell<Vec<(i64, Block)>>,
}

/// So many blocks are kept: a list's neighbours lie in few.
const KEPT: usize = 4;

impl<'a> Bodies<'a> {
    pub(super) fn new(connection: &'a Connection) -> Self {
        Self {
            connection,
            kept: RefCell::default(),
        }
    }

    /// The bytes of a body.
    pub(super) fn plain(&self, place: Place) -> Result<Vec<u8>> {
        let (seq, slot) = match place {
            Place::Row(seq) => {
                let mut statement = self
                    .connection
                    .prepare_cached("SELECT text FROM bodies WHERE seq = ?1")?;
                let bytes: Option<Vec<u8>> = statement.query_row([seq], |row| row.get(0)).optional()?;
                return bytes.and_then(|bytes| inflate(&bytes)).ok_or_else(damaged_body);
            }
            Place::Slot(seq, slot) => (seq, slot),
        };
        let mut kept = self.kept.borrow_mut();
        if !kept.iter().any(|(own, _)| *own == seq) {
            if kept.len() >= KEPT {
                kept.remove(0);
            }
            kept.push((seq, block(self.connection, seq)?.ok_or_else(damaged_body)?));
        }
        let found = kept.iter().find(|(own, _)| *own == seq);
        let body = found.and_then(|(_, block)| block.body(slot));
        body.map(<[u8]>::to_vec).ok_or_else(damaged_body)
    }
}

/// The bit of a mask that says that there is an error.
const ERROR: u8 = 8;

/// The number of a kind.
pub(super) const fn number(kind: Kind) -> i64 {
    match kind {
        Kind::Trace => 0,
        Kind::Span => 1,
    }
}

/// The error of a row in which something is not as it should be.
pub(super) fn damaged(what: &str) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Blob, what.into())
}

fn uuid(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Option<Uuid>> {
    let bytes: Option<[u8; 16]> = row.get(index)?;
    Ok(bytes.map(Uuid::from_bytes))
}

fn stored_json<T: DeserializeOwned>(row: &SqlRow<'_>, index: usize) -> rusqlite::Result<Option<T>> {
    let text: Option<String> = row.get(index)?;
    text.map(|text| serde_json::from_str(&text).map_err(|_| damaged("no JSON")))
        .transpose()
}

fn json_text<T: Serialize>(value: Option<&T>) -> Option<String> {
    value.and_then(|value| serde_json::to_string(value).ok())
}

impl Stored {
    /// From the [`COLUMNS`] of a row.
    pub(super) fn read(row: &SqlRow<'_>) -> rusqlite::Result<Self> {
        let micros = |index: usize| -> rusqlite::Result<Option<Timestamp>> {
            let at: Option<i64> = row.get(index)?;
            Ok(at.map(time))
        };
        let ranks: Vec<u8> = row.get(21)?;
        let (created, created_by): (i64, String) = (row.get(22)?, row.get(24)?);
        Ok(Self {
            project: row.get(0)?,
            kind: if row.get::<_, i64>(1)? == 0 {
                Kind::Trace
            } else {
                Kind::Span
            },
            id: uuid(row, 2)?.ok_or_else(|| damaged("no id"))?,
            fields: Fields {
                trace_id: uuid(row, 3)?,
                parent_span_id: uuid(row, 4)?,
                name: row.get(5)?,
                sort: row.get(6)?,
                start: micros(7)?,
                end: micros(8)?,
                tags: stored_json(row, 9)?,
                model: row.get(10)?,
                provider: row.get(11)?,
                usage: row
                    .get_ref(12)?
                    .as_str_or_null()
                    .ok()
                    .flatten()
                    .map(usage::read)
                    .transpose()?,
                cost: row.get(13)?,
                cost_version: row.get(14)?,
                first_token_ms: row.get(15)?,
                thread: row.get(16)?,
                source: row.get(17)?,
                environment: row.get(18)?,
                ..Fields::default()
            },
            cost: row.get(19)?,
            mask: row.get(20)?,
            ranks: unpack_ranks(&ranks).ok_or_else(|| damaged("no ranks"))?,
            created,
            // What was told of once only repeats nothing.
            updated: Some(row.get(23)?)
                .filter(|updated| *updated != 0)
                .unwrap_or(created),
            updated_by: Some(row.get(25)?)
                .filter(|by: &String| !by.is_empty())
                .unwrap_or_else(|| created_by.clone()),
            created_by,
            body: Place::read(row, 26, 27)?,
        })
    }

    /// Writes the row.
    pub(super) fn write(&self, connection: &Connection) -> Result<()> {
        let fields = &self.fields;
        let micros = |at: Option<Timestamp>| at.map(Timestamp::as_microsecond);
        let (seq, slot) = self.body.map(Place::columns).unzip();
        connection
            .prepare_cached(
                "REPLACE INTO entries VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, \
                 ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28)",
            )?
            .execute(params![
                self.project,
                number(self.kind),
                self.id.as_bytes(),
                fields.trace_id.as_ref().map(Uuid::as_bytes),
                fields.parent_span_id.as_ref().map(Uuid::as_bytes),
                fields.name,
                fields.sort,
                micros(fields.start),
                micros(fields.end),
                json_text(fields.tags.as_ref()),
                fields.model,
                fields.provider,
                fields.usage.as_ref().map(usage::text),
                fields.cost,
                fields.cost_version,
                fields.first_token_ms,
                fields.thread,
                fields.source,
                fields.environment,
                self.cost,
                self.mask,
                pack_ranks(&self.ranks),
                self.created,
                if self.updated == self.created { 0 } else { self.updated },
                self.created_by,
                if self.updated_by == self.created_by { "" } else { &self.updated_by },
                seq,
                slot,
            ])?;
        Ok(())
    }

    /// The entry without scores, comments and totals.
    pub(super) fn entry(self, project: Uuid) -> Entry {
        let Self {
            kind,
            id,
            mut fields,
            mask,
            cost,
            created,
            updated,
            created_by,
            updated_by,
            ..
        } = self;
        // A change may come before the beginning; the id tells when that was.
        fields.start = fields.start.or_else(|| id_time(id));
        Entry {
            kind,
            id,
            project,
            fields,
            has: Has {
                input: mask & 1 != 0,
                output: mask & 2 != 0,
                metadata: mask & 4 != 0,
                error: mask & ERROR != 0,
            },
            created: time(created),
            updated: time(updated),
            created_by,
            updated_by,
            scores: Vec::new(),
            comments: Vec::new(),
            cost,
            spans: None,
        }
    }

    /// Puts what lies apart back.
    pub(super) fn load_body(&mut self, bodies: &Bodies<'_>) -> Result<()> {
        let Some(place) = self.body.filter(|_| self.mask != 0) else {
            return Ok(());
        };
        unpack_body(self.mask, &bodies.plain(place)?, &mut self.fields).ok_or_else(damaged_body)
    }

    /// Puts the error back, if there is one, and nothing else of what lies apart.
    pub(super) fn load_error(&mut self, bodies: &Bodies<'_>) -> Result<()> {
        if self.mask & ERROR == 0 {
            return Ok(());
        }
        self.load_body(bodies)?;
        let fields = &mut self.fields;
        (fields.input, fields.output, fields.metadata) = (None, None, None);
        Ok(())
    }

    /// A row of which nothing was told yet.
    pub(super) fn fresh(kind: Kind, id: Uuid, now: i64, by: &str) -> Self {
        Self {
            project: 0,
            kind,
            id,
            fields: Fields::default(),
            ranks: [0; FIELDS],
            mask: 0,
            cost: None,
            created: now,
            updated: now,
            created_by: by.to_owned(),
            updated_by: by.to_owned(),
            body: None,
        }
    }

    /// Sets what it cost: as told, else by the price of its model.
    pub(super) fn reckon(&mut self, prices: &dyn Prices) {
        self.cost = self.fields.cost.or_else(|| {
            let usage = tokens(self.fields.usage.as_ref()?);
            let model = self.fields.model.as_deref()?;
            let price = prices.price(vendor(self.fields.provider.as_deref().unwrap_or_default()), model)?;
            Some(price.cost(&usage).dollars())
        });
    }
}

/// Whose prices hold for a provider as Opik names it.
fn vendor(provider: &str) -> &str {
    match provider {
        "google_ai" => "gemini",
        "google_vertexai" | "anthropic_vertexai" => "vertex",
        "azure" => "azure-openai",
        other => other,
    }
}

/// The tokens among what a span counts: Opik's own names, and those of the provider under `original_usage.`
/// (<https://www.comet.com/docs/opik/tracing/cost_tracking>).
fn tokens(usage: &BTreeMap<String, i64>) -> TokenUsage {
    let first = |names: &[&str]| {
        let found = names.iter().find_map(|name| {
            let original = format!("original_usage.{name}");
            usage.get(*name).or_else(|| usage.get(&original)).copied()
        });
        u64::try_from(found.unwrap_or(0)).unwrap_or(0)
    };
    let cached = first(&[
        "prompt_tokens_details.cached_tokens",
        "input_tokens_details.cached_tokens",
        "cache_read_input_tokens",
        "cached_content_token_count",
    ]);
    let cache_write = first(&["cache_creation_input_tokens"]);
    // Anthropic counts what was cached apart from its `input_tokens`; Opik's `prompt_tokens` repeats those.
    let apart = ["cache_read_input_tokens", "cache_creation_input_tokens"];
    let is_apart = apart
        .iter()
        .any(|name| usage.contains_key(&format!("original_usage.{name}")));
    let input = first(&["prompt_tokens", "input_tokens", "prompt_token_count"]);
    TokenUsage {
        input: if is_apart {
            first(&["input_tokens"])
                .saturating_add(cached)
                .saturating_add(cache_write)
        } else {
            input
        },
        output: first(&["completion_tokens", "output_tokens", "candidates_token_count"]),
        cached_input: cached,
        cache_write,
        reasoning: first(&[
            "completion_tokens_details.reasoning_tokens",
            "output_tokens_details.reasoning_tokens",
            "reasoning_tokens",
            "thoughts_token_count",
        ]),
        audio_input: first(&["prompt_tokens_details.audio_tokens"]),
        audio_output: first(&["completion_tokens_details.audio_tokens"]),
        ..TokenUsage::default()
    }
}

/// The time that an id of version 7 tells.
pub(super) fn id_time(id: Uuid) -> Option<Timestamp> {
    if id.get_version_num() != 7 {
        return None;
    }
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    let micros = i64::try_from(seconds).ok()?.checked_mul(1_000_000)?;
    Some(time(micros.checked_add(i64::from(nanos / 1_000))?))
}

/// One row by its id.
pub(super) fn by_id(connection: &Connection, kind: Kind, id: Uuid) -> Result<Option<Stored>> {
    let mut statement = connection.prepare_cached(&BY_ID)?;
    let row = statement.query_row(params![number(kind), id.as_bytes()], Stored::read);
    Ok(row.optional()?)
}

static BY_ID: LazyLock<String> =
    LazyLock::new(|| format!("SELECT {COLUMNS} FROM entries WHERE kind = ?1 AND id = ?2"));

/// The projects of a file: their numbers, workspaces and ids.
pub(super) type Projects = HashMap<i64, (String, Uuid)>;

/// All projects of a file.
pub(super) fn projects(connection: &Connection) -> Result<Projects> {
    let mut statement = connection.prepare_cached("SELECT n, workspace, id FROM projects")?;
    let rows = statement.query_map([], |row| {
        let id: [u8; 16] = row.get(2)?;
        Ok((row.get(0)?, (row.get(1)?, Uuid::from_bytes(id))))
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

/// The columns of a score, in the order of [`read_score`].
pub(super) const SCORE: &str = "name, value, category, reason, source, queue, author, created, updated";

/// A score from its columns.
pub(super) fn read_score(row: &SqlRow<'_>) -> rusqlite::Result<Score> {
    Ok(Score {
        name: row.get(0)?,
        value: row.get(1)?,
        category: row.get(2)?,
        reason: row.get(3)?,
        source: row.get(4)?,
        queue: uuid(row, 5)?,
        author: row.get(6)?,
        created: time(row.get(7)?),
        updated: time(row.get(8)?),
    })
}

/// The scores on an entry.
pub(super) fn scores(connection: &Connection, kind: Kind, id: Uuid) -> Result<Vec<Score>> {
    let sql = format!("SELECT {SCORE} FROM scores WHERE kind = ?1 AND id = ?2");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![number(kind), id.as_bytes()], read_score)?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cached_tokens_count_once_whoever_counted_them() {
        let usage = |pairs: &[(&str, i64)]| -> BTreeMap<String, i64> {
            pairs
                .iter()
                .map(|(name, count)| ((*name).to_owned(), *count))
                .collect()
        };
        let openai = tokens(&usage(&[
            ("prompt_tokens", 100),
            ("completion_tokens", 5),
            ("original_usage.prompt_tokens_details.cached_tokens", 80),
        ]));
        assert_eq!((openai.input, openai.cached_input, openai.output), (100, 80, 5));
        let anthropic = tokens(&usage(&[
            ("prompt_tokens", 20),
            ("completion_tokens", 5),
            ("original_usage.input_tokens", 20),
            ("original_usage.cache_read_input_tokens", 80),
            ("original_usage.cache_creation_input_tokens", 10),
        ]));
        assert_eq!(
            (anthropic.input, anthropic.cached_input, anthropic.cache_write),
            (110, 80, 10)
        );
    }
}
