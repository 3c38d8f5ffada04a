//! An index of words, built aside: a file beside each day's, which is made from it and may be lost. It says which
//! entries can hold a text; whether they do is read from them.
//!
//! *Invariant:* what is not in the index yet is always among what can hold a text, so that a search misses nothing.

mod segment;

use std::{collections::BTreeSet, ops::RangeInclusive, path::Path, time::Duration};

use rusqlite::{Connection, OptionalExtension, params};
use stead_kernel::ports::traces::{Filter, Kind, Operator, Query};
use uuid::Uuid;

use self::segment::{Builder, PART, Wanted, places, wanted};
use super::{
    files::{File, Files, Tail},
    rows::{self, number},
};
use crate::{
    day::Day,
    sqlite::{self, Error, Layout, Result},
};

/// The file of the index. `docs` are the kinds (1 byte) and ids (16) of the entries at each place, apart from the words
/// so that only a segment with a match has them read. A file of another form (`0x5374_6577` had both in one table) is
/// made anew.
pub(super) const LAYOUT: Layout = Layout {
    what: "an index of words",
    application_id: 0x5374_6576,
    migrations: &["
CREATE TABLE segments (
    n INTEGER PRIMARY KEY,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    overlong BLOB NOT NULL,
    words BLOB NOT NULL
) STRICT;
CREATE TABLE docs (segment INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT;
CREATE TABLE parts (segment INTEGER NOT NULL, n INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (segment, n))
    STRICT, WITHOUT ROWID;
"],
};

/// A segment has about so many entries at most.
const SEGMENT: i64 = 8_192;
/// A segment takes no more entries once it has so many: there is room then for as many more as may be outside.
const FULL: i64 = SEGMENT * 3 / 4;
/// So many entries may be outside the index while more come; where the last segment is larger, a quarter of it.
const TAIL: i64 = 256;
/// For how long nothing comes before the rest of a day goes into its index.
pub(super) const REST: Duration = Duration::from_secs(10);
/// What part of the last segment may be outside then.
const RESTING_PART: i64 = 32;

/// The texts that an entry must hold to match a query, in lower case.
pub(super) fn texts(query: &Query) -> Vec<String> {
    let filters = query.filters.iter().filter(|filter| is_of_text(filter));
    let asked = filters.map(|filter| &filter.value).chain(&query.search);
    asked
        .map(|text| text.to_lowercase())
        .filter(|text| !wanted(text).is_empty())
        .collect()
}

fn is_of_text(filter: &Filter) -> bool {
    let compared = match filter.operator {
        Operator::Contains | Operator::StartsWith | Operator::EndsWith | Operator::Equal => true,
        Operator::NotContains
        | Operator::NotEqual
        | Operator::Greater
        | Operator::GreaterOrEqual
        | Operator::Less
        | Operator::LessOrEqual
        | Operator::IsEmpty
        | Operator::IsNotEmpty
        | Operator::In
        | Operator::NotIn => false,
    };
    // What lies at a path in a document is compared as it is without JSON's escapes, of which the index knows nothing.
    let known = [
        "input",
        "output",
        "metadata",
        "error_info",
        "name",
        "model",
        "thread_id",
        "tags",
    ];
    compared && filter.key.is_empty() && known.contains(&filter.field.as_str())
}

/// The entries of a day that can hold all of the texts; `None` where the index does not say.
pub(super) fn candidates(
    files: &Files,
    connection: &Connection,
    (day, kind): (Day, Kind),
    texts: &[String],
) -> Result<Option<BTreeSet<Uuid>>> {
    if texts.is_empty() || !is_of_blocks(connection)? || !files.path(File::Words(day)).exists() {
        return Ok(None);
    }
    let asked: Vec<Vec<Wanted>> = texts.iter().map(|text| wanted(text)).collect();
    let found = files.read(File::Words(day), |words| {
        let mut all = BTreeSet::new();
        let last = look(words, kind, (texts, &asked), &mut all)?;
        Ok((all, last))
    });
    let (mut all, last) = match found {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(%day, %error, "the index of words cannot be read; entries are read instead");
            return Ok(None);
        }
    };
    tail(connection, kind, last, (texts, &mut all))?;
    Ok(Some(all))
}

/// Adds those of the entries after the index that hold the texts: these are read, since nothing else says what they hold.
fn tail(
    connection: &Connection,
    kind: Kind,
    last: i64,
    (texts, all): (&[String], &mut BTreeSet<Uuid>),
) -> Result<()> {
    let mut statement = connection.prepare_cached("SELECT data FROM blocks WHERE seq > ?1")?;
    let mut rows = statement.query([last])?;
    while let Some(row) = rows.next()? {
        let block = rows::open_block(row.get_ref(0)?)?;
        for (_, id, body) in block.entries().filter(|(own, ..)| *own == kind) {
            let mut left: Vec<&str> = texts.iter().map(String::as_str).collect();
            let mut strike = |text: &str| {
                let lower = text.to_lowercase();
                left.retain(|wanted| !lower.contains(wanted));
                left.is_empty()
            };
            let holds = parts_of(body).any(&mut strike) || strike(&id.to_string()) || {
                let mut held = false;
                row_texts(connection, kind, id, |text| held = held || strike(text))?;
                held
            };
            if holds {
                all.insert(id);
            }
        }
    }
    Ok(())
}

/// Whether every entry of a file has its body in a block; those of files of the first format have not.
fn is_of_blocks(connection: &Connection) -> Result<bool> {
    let mut statement = connection.prepare_cached("SELECT value FROM marks WHERE name = 'of blocks'")?;
    Ok(statement.query_row([], |row| row.get::<_, i64>(0))? == 1)
}

fn damaged() -> Error {
    Error::damaged(Path::new("an index of words"), "a segment is damaged")
}

/// Adds the entries that can hold the texts; answers the last block that is in the index.
fn look(
    words: &Connection,
    kind: Kind,
    (texts, asked): (&[String], &[Vec<Wanted>]),
    all: &mut BTreeSet<Uuid>,
) -> Result<i64> {
    let mut statement = words.prepare_cached("SELECT n, last, overlong, words FROM segments ORDER BY n")?;
    let mut rows = statement.query([])?;
    let mut last = 0;
    while let Some(row) = rows.next()? {
        let n = row.get(0)?;
        last = row.get(1)?;
        let blob = |column: usize| row.get_ref(column)?.as_blob().map_err(|_| damaged());
        let overlong = places(blob(2)?, 0).ok_or_else(damaged)?;
        let listed = blob(3)?;
        let mut docs = Docs::new(words, n);
        let mut found: Option<BTreeSet<Uuid>> = None;
        for (text, wanted) in texts.iter().zip(asked) {
            let mut places: Option<BTreeSet<u32>> = None;
            for one in wanted {
                let mut these: BTreeSet<u32> = overlong.iter().copied().collect();
                for word in one.among(listed) {
                    these.extend(places_of(words, n, word)?);
                }
                places = Some(match places {
                    None => these,
                    Some(known) => known.intersection(&these).copied().collect(),
                });
            }
            let mut ids = docs.at(kind, places.unwrap_or_default())?;
            // A search finds ids by a part of them, too.
            if is_of_an_id(text) {
                ids.extend(docs.with(kind, text)?);
            }
            found = Some(match found {
                None => ids,
                Some(known) => known.intersection(&ids).copied().collect(),
            });
        }
        all.extend(found.into_iter().flatten());
    }
    Ok(last)
}

/// Whether a text can be a part of an id.
fn is_of_an_id(text: &str) -> bool {
    text.len() <= 36
        && text
            .bytes()
            .all(|letter| letter.is_ascii_hexdigit() || letter == b'-')
}

/// The entries at the places of a segment, read when they are first asked for.
struct Docs<'a> {
    words: &'a Connection,
    segment: i64,
    read: Option<Vec<u8>>,
}

impl<'a> Docs<'a> {
    fn new(words: &'a Connection, segment: i64) -> Self {
        Self {
            words,
            segment,
            read: None,
        }
    }

    fn bytes(&mut self) -> Result<&[u8]> {
        let read = match self.read.take() {
            Some(read) => read,
            None => self
                .words
                .prepare_cached("SELECT data FROM docs WHERE segment = ?1")?
                .query_row([self.segment], |row| row.get(0))
                .optional()?
                .ok_or_else(damaged)?,
        };
        Ok(self.read.insert(read))
    }

    /// The entries of a kind at some places.
    fn at(&mut self, kind: Kind, places: BTreeSet<u32>) -> Result<BTreeSet<Uuid>> {
        if places.is_empty() {
            return Ok(BTreeSet::new());
        }
        let docs = self.bytes()?;
        let each = places
            .into_iter()
            .filter_map(|place| doc(docs, usize::try_from(place).ok()?));
        Ok(each.filter(|(own, _)| *own == kind).map(|(_, id)| id).collect())
    }

    /// The entries of a kind whose id holds a text.
    fn with(&mut self, kind: Kind, text: &str) -> Result<BTreeSet<Uuid>> {
        let docs = self.bytes()?;
        let mut written = [0; 36];
        let each = (0..).map_while(|place| doc(docs, place));
        Ok(each
            .filter(|(own, id)| *own == kind && id.hyphenated().encode_lower(&mut written).contains(text))
            .map(|(_, id)| id)
            .collect())
    }
}

fn places_of(words: &Connection, segment: i64, word: usize) -> Result<Vec<u32>> {
    let mut statement = words.prepare_cached("SELECT data FROM parts WHERE segment = ?1 AND n = ?2")?;
    let part = i64::try_from(word / PART).unwrap_or(i64::MAX);
    let found: Option<Vec<u32>> = statement.query_row(params![segment, part], |row| {
        Ok(row
            .get_ref(0)?
            .as_blob()
            .ok()
            .and_then(|part| places(part, word % PART)))
    })?;
    found.ok_or_else(damaged)
}

fn doc(docs: &[u8], place: usize) -> Option<(Kind, Uuid)> {
    let (kind, id) = docs.get(place * 17..)?.get(..17)?.split_first()?;
    let kind = if *kind == 0 { Kind::Trace } else { Kind::Span };
    Some((kind, Uuid::from_slice(id).ok()?))
}

/// Brings the indexes of days up to what was written to them; answers whether there is more to do.
pub(super) fn catch_up(files: &Files) -> Result<bool> {
    let Some((day, tail)) = files.next_to_index() else {
        return Ok(false);
    };
    let (_days, _stay) = files.days();
    if !files.has(day) {
        return Ok(true);
    }
    let path = files.path(File::Words(day));
    let opened = sqlite::open(&path, &LAYOUT);
    let index = match opened {
        Err(error) if error.is_damage() || matches!(error, Error::Foreign { .. }) => {
            for file in sqlite::family(&path) {
                std::fs::remove_file(file).ok();
            }
            // Who reads it already would go on to read what is gone.
            files.readers.forget(&File::Words(day));
            sqlite::open(&path, &LAYOUT)?
        }
        other => other?,
    };
    // It can be made again, and need not survive a power loss.
    index.pragma_update(None, "synchronous", "OFF")?;
    match files.read(File::Day(day), |connection| one_segment(connection, &index, tail))? {
        Step::More => files.to_index_on(day, tail),
        Step::Left if tail == Tail::Growing => files.rest(day),
        Step::Left | Step::Done => {}
    }
    Ok(true)
}

/// What a look at a day's words came to.
enum Step {
    /// There is more to do.
    More,
    /// Too few words are left outside of the index to make a segment anew for them.
    Left,
    /// All are in the index.
    Done,
}

/// Adds a segment, or makes the last one anew with what came since.
fn one_segment(connection: &Connection, index: &Connection, tail: Tail) -> Result<Step> {
    let last: Option<(i64, i64, i64, i64)> = {
        let mut statement =
            index.prepare_cached("SELECT n, first, last, entries FROM segments ORDER BY n DESC LIMIT 1")?;
        let mut rows =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        rows.next().transpose()?
    };
    let (n, first, from, known) = match last {
        Some((n, first, last, entries)) if entries < FULL => (n, first, last + 1, entries),
        Some((n, _, last, _)) => (n + 1, last + 1, last + 1, 0),
        None => (1, 0, 0, 0),
    };
    let (new, end) = extent(connection, from, SEGMENT - known)?;
    let least = match tail {
        Tail::Growing => TAIL.max(known / 4),
        Tail::Resting => known / RESTING_PART + 1,
    };
    if new < least {
        return Ok(if new == 0 { Step::Done } else { Step::Left });
    }
    let transaction = index.unchecked_transaction()?;
    build(connection, &transaction, n, first..=end)?;
    transaction.commit()?;
    Ok(Step::More)
}

/// How many entries the blocks from a number on have, up to a limit, and the last block of them.
fn extent(connection: &Connection, from: i64, limit: i64) -> Result<(i64, i64)> {
    let mut statement =
        connection.prepare_cached("SELECT seq, entries FROM uses WHERE seq >= ?1 ORDER BY seq")?;
    let mut rows = statement.query([from])?;
    let (mut entries, mut last) = (0, from);
    while entries < limit
        && let Some(row) = rows.next()?
    {
        last = row.get(0)?;
        entries += row.get::<_, i64>(1)?;
    }
    Ok((entries, last))
}

fn build(connection: &Connection, index: &Connection, n: i64, blocks: RangeInclusive<i64>) -> Result<()> {
    let mut builder = Builder::default();
    let mut docs: Vec<u8> = Vec::new();
    let mut statement =
        connection.prepare_cached("SELECT seq FROM blocks WHERE seq BETWEEN ?1 AND ?2 ORDER BY seq")?;
    let mut found = statement.query([blocks.start(), blocks.end()])?;
    while let Some(row) = found.next()? {
        let Some(block) = rows::block(connection, row.get(0)?)? else {
            continue;
        };
        for (kind, id, body) in block.entries() {
            let place = u32::try_from(docs.len() / 17).unwrap_or(u32::MAX);
            docs.push(u8::from(kind == Kind::Span));
            docs.extend(id.as_bytes());
            for part in parts_of(body) {
                builder.add(place, part);
            }
            row_texts(connection, kind, id, |text| builder.add(place, text))?;
        }
    }
    let segment = builder.finish();
    index
        .prepare_cached("DELETE FROM parts WHERE segment = ?1")?
        .execute([n])?;
    let entries = i64::try_from(docs.len() / 17).unwrap_or(i64::MAX);
    index
        .prepare_cached("REPLACE INTO segments VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
        .execute(params![
            n,
            blocks.start(),
            blocks.end(),
            entries,
            segment.overlong,
            segment.words
        ])?;
    index
        .prepare_cached("REPLACE INTO docs VALUES (?1, ?2)")?
        .execute(params![n, docs])?;
    for (number, part) in segment.parts.iter().enumerate() {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        index
            .prepare_cached("INSERT INTO parts VALUES (?1, ?2, ?3)")?
            .execute(params![n, number, part])?;
    }
    Ok(())
}

/// The texts of a body.
fn parts_of(body: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = body;
    std::iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (text, after) = after.split_at_checked(length)?;
        rest = after;
        Some(std::str::from_utf8(text).unwrap_or_default())
    })
}

/// The texts of an entry's row by which it can be found.
fn row_texts(connection: &Connection, kind: Kind, id: Uuid, mut show: impl FnMut(&str)) -> Result<()> {
    let mut statement = connection
        .prepare_cached("SELECT name, model, thread, tags FROM entries WHERE kind = ?1 AND id = ?2")?;
    let mut rows = statement.query(params![number(kind), id.as_bytes()])?;
    if let Some(row) = rows.next()? {
        for column in 0..3 {
            show(
                row.get_ref(column)?
                    .as_str_or_null()
                    .ok()
                    .flatten()
                    .unwrap_or_default(),
            );
        }
        let tags: Option<String> = row.get(3)?;
        let tags: Vec<String> = tags
            .and_then(|tags| serde_json::from_str(&tags).ok())
            .unwrap_or_default();
        for tag in &tags {
            show(tag);
        }
    }
    Ok(())
}
