//! Lists, from one snapshot; later pages show the state that the first one showed.

use std::{collections::BTreeMap, sync::Arc};

use rusqlite::Connection;

use super::{Key, Row, StoreError};

/// How many rows are read at a time.
const CHUNK: usize = 500;

/// The namespace and name of the last object of a page.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// What to list.
#[derive(Debug, Clone)]
pub(crate) struct ListQuery {
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: Option<String>,
    /// Begin after this object, as it was at this version.
    pub(crate) from: Option<(Position, u64)>,
    /// At most so many that are accepted; 0 for all.
    pub(crate) limit: usize,
}

/// The end of a list; the objects went to the caller's `accept`.
#[derive(Debug)]
pub(crate) struct Listing {
    /// The version whose state was listed.
    pub(crate) version: u64,
    /// The last object, when there may be more.
    pub(crate) next: Option<Position>,
    /// How many objects come after it, accepted or not.
    pub(crate) remaining: usize,
}

/// The version of the newest change.
pub(super) fn latest(connection: &Connection) -> rusqlite::Result<u64> {
    connection
        .prepare_cached("SELECT coalesce(max(version), 0) FROM changes")?
        .query_row([], |row| row.get(0))
}

pub(super) fn list(
    connection: &Connection,
    query: &ListQuery,
    mut accept: impl FnMut(&Row) -> bool,
) -> Result<Listing, StoreError> {
    let snapshot = connection.unchecked_transaction()?;
    let latest = latest(&snapshot)?;
    let version = query.from.as_ref().map_or(latest, |(_, version)| *version);
    let undone = if version == latest {
        BTreeMap::new()
    } else {
        changed_since(&snapshot, query, version, latest)?
    };
    let mut position = query.from.as_ref().map(|(position, _)| position.clone());
    let mut accepted = 0;
    loop {
        let (page, more) = page(&snapshot, query, position.as_ref(), &undone)?;
        for row in page {
            position = Some(Position {
                namespace: row.key.namespace.to_string(),
                name: row.key.name.to_string(),
            });
            accepted += usize::from(accept(&row));
            if accepted == query.limit && query.limit > 0 {
                let next = position.filter(|position| {
                    // Whether there is more is worth one more look: an empty last page surprises people.
                    self::page(&snapshot, query, Some(position), &undone)
                        .map_or(true, |(page, _)| !page.is_empty())
                });
                let remaining = match &next {
                    Some(last) => remaining(&snapshot, query, last, &undone)?,
                    None => 0,
                };
                return Ok(Listing {
                    version,
                    next,
                    remaining,
                });
            }
        }
        if !more {
            return Ok(Listing {
                version,
                next: None,
                remaining: 0,
            });
        }
    }
}

/// What objects were at `version`, for those that have changed since; `None` for those that did not exist.
type Undone = BTreeMap<Position, Option<(u64, Arc<[u8]>)>>;

fn changed_since(
    connection: &Connection,
    query: &ListQuery,
    version: u64,
    latest: u64,
) -> Result<Undone, StoreError> {
    let oldest: u64 = connection
        .prepare_cached("SELECT coalesce(min(version), 0) FROM changes")?
        .query_row([], |row| row.get(0))?;
    // In this order: a version comes from the client, and may be the largest number there is.
    if version > latest || version + 1 < oldest {
        return Err(StoreError::Expired);
    }
    let mut statement = connection.prepare_cached(
        "SELECT namespace, name, previous, previous_version FROM changes
         WHERE version > ?1 AND resource = ?2 ORDER BY version",
    )?;
    let mut rows = statement.query((version, &*query.resource))?;
    let mut undone = Undone::new();
    while let Some(row) = rows.next()? {
        let position = Position {
            namespace: row.get(0)?,
            name: row.get(1)?,
        };
        if query
            .namespace
            .as_ref()
            .is_some_and(|wanted| *wanted != position.namespace)
            || undone.contains_key(&position)
        {
            continue;
        }
        let previous: Option<Vec<u8>> = row.get(2)?;
        let before: Option<u64> = row.get(3)?;
        undone.insert(position, before.zip(previous.map(Arc::from)));
    }
    Ok(undone)
}

/// The next rows after a position, and whether there are more.
///
/// Reads as many rows more as there are undone changes: then taking some away and putting others back among
/// them never lets a row slip in before one that was not read.
fn page(
    connection: &Connection,
    query: &ListQuery,
    after: Option<&Position>,
    undone: &Undone,
) -> Result<(Vec<Row>, bool), StoreError> {
    let wanted = CHUNK + undone.len() + 1;
    let rows = read_rows(connection, query, after, wanted)?;
    let complete = rows.len() < wanted;
    if undone.is_empty() {
        let more = !complete;
        return Ok((rows, more));
    }
    let mut merged: BTreeMap<Position, Row> = rows
        .into_iter()
        .map(|row| {
            let position = Position {
                namespace: row.key.namespace.to_string(),
                name: row.key.name.to_string(),
            };
            (position, row)
        })
        .collect();
    for (position, before) in undone {
        if after.is_some_and(|after| position <= after) {
            continue;
        }
        match before {
            None => {
                merged.remove(position);
            }
            Some((version, body)) => {
                let row = Row {
                    key: Key::new(&query.resource, &position.namespace, &position.name),
                    version: *version,
                    body: Arc::clone(body),
                };
                merged.insert(position.clone(), row);
            }
        }
    }
    let keep = if complete { merged.len() } else { CHUNK };
    let more = merged.len() > keep || !complete;
    Ok((merged.into_values().take(keep).collect(), more))
}

/// How many objects there are after a position.
fn remaining(
    connection: &Connection,
    query: &ListQuery,
    last: &Position,
    undone: &Undone,
) -> Result<usize, StoreError> {
    let mut count: usize = match &query.namespace {
        Some(own) => connection
            .prepare_cached(
                "SELECT count(*) FROM objects WHERE resource = ?1 AND namespace = ?2 AND name > ?3",
            )?
            .query_row((&*query.resource, own, &*last.name), |row| row.get(0))?,
        None => connection
            .prepare_cached(
                "SELECT count(*) FROM objects WHERE resource = ?1 AND (namespace, name) > (?2, ?3)",
            )?
            .query_row((&*query.resource, &*last.namespace, &*last.name), |row| {
                row.get(0)
            })?,
    };
    let mut lookup = connection
        .prepare_cached("SELECT 1 FROM objects WHERE resource = ?1 AND namespace = ?2 AND name = ?3")?;
    for (position, before) in undone.iter().filter(|(position, _)| *position > last) {
        let is_there = lookup.exists((&*query.resource, &*position.namespace, &*position.name))?;
        match (before.is_some(), is_there) {
            (true, false) => count += 1,
            (false, true) => count = count.saturating_sub(1),
            (true, true) | (false, false) => {}
        }
    }
    Ok(count)
}

fn read_rows(
    connection: &Connection,
    query: &ListQuery,
    after: Option<&Position>,
    count: usize,
) -> Result<Vec<Row>, StoreError> {
    let (namespace, name) = after.map_or(("", ""), |after| (&*after.namespace, &*after.name));
    let read = |row: &rusqlite::Row<'_>| {
        Ok(Row {
            key: Key {
                resource: Arc::clone(&query.resource),
                namespace: row.get(0)?,
                name: row.get(1)?,
            },
            version: row.get(2)?,
            body: row.get_ref(3)?.as_blob()?.into(),
        })
    };
    let rows = match &query.namespace {
        Some(own) => connection
            .prepare_cached(
                "SELECT namespace, name, version, body FROM objects
                 WHERE resource = ?1 AND namespace = ?2 AND name > ?3 ORDER BY name LIMIT ?4",
            )?
            .query_map((&*query.resource, own, name, count), read)?
            .collect::<Result<_, _>>()?,
        None => connection
            .prepare_cached(
                "SELECT namespace, name, version, body FROM objects
                 WHERE resource = ?1 AND (namespace, name) > (?2, ?3) ORDER BY namespace, name LIMIT ?4",
            )?
            .query_map((&*query.resource, namespace, name, count), read)?
            .collect::<Result<_, _>>()?,
    };
    Ok(rows)
}
