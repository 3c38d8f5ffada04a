//! What holds for records wherever they lie.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use stead_kernel::{
    Collection, Error, Reason, Result,
    ports::{RecordKey, RecordQuery, RecordWrite},
};

use crate::events::metric;

/// How many records a page has when the query does not say, and at most.
const LIMIT: usize = 100;
const MOST: usize = 1_000;
/// The longest id, in bytes.
const LONGEST_ID: usize = 512;
/// Columns that every query may order by.
pub(super) const COLUMNS: [&str; 2] = ["created", "updated"];

/// Checks the names of collections and fields, since they become part of statements.
///
/// # Errors
/// `Internal` when two collections have the same name, or a name is not made of letters, digits, `.`, `-` and `_`.
pub(super) fn check_names(collections: &[Collection]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for collection in collections {
        for name in collection.indexes.iter().copied().chain([collection.name]) {
            let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
            if name.is_empty() || !name.bytes().all(allowed) {
                return Err(Error::internal(format!(
                    "`{name}` is no name for a collection or its field"
                )));
            }
        }
        if !seen.insert(collection.name) {
            return Err(Error::internal(format!(
                "the collection {} is declared twice",
                collection.name
            )));
        }
    }
    Ok(())
}

/// A collection that nobody declared is a fault of ours.
pub(super) fn undeclared(collection: &str) -> Error {
    Error::internal(format!("no module declares the collection {collection}"))
}

/// A field that has no index.
pub(super) fn not_indexed(collection: &Collection, field: &str) -> Error {
    let fields: Vec<&str> = COLUMNS
        .into_iter()
        .chain(collection.indexes.iter().copied())
        .collect();
    Error::invalid(format!(
        "records of {} cannot be found by {field}",
        collection.name
    ))
    .hint(format!("use one of: {}", fields.join(", ")))
}

/// A list or an object equals nothing.
pub(super) fn not_a_scalar(field: &str) -> Error {
    Error::invalid(format!("{field} cannot be compared with a list or an object"))
}

/// A page that no list of this order ended with.
pub(super) fn not_a_page() -> Error {
    Error::invalid("after: this is not where a page of this list ended")
        .hint("give the `next` of the page before, with the same order")
}

/// How many records a page of a query has.
pub(super) fn limit(query: &RecordQuery) -> usize {
    match query.limit {
        0 => LIMIT,
        limit => limit.min(MOST),
    }
}

/// Which list a query is about, for its cursors: the field, `-` before it when descending.
pub(super) fn list_name(query: &RecordQuery) -> String {
    format!(
        "{}{}",
        if query.descending { "-" } else { "" },
        query.order_by.as_deref().unwrap_or("created")
    )
}

/// The key of a write.
pub(super) fn key_of(write: &RecordWrite) -> &RecordKey {
    match write {
        RecordWrite::Put { key, .. } | RecordWrite::Delete { key, .. } => key,
    }
}

/// The version that a write expects.
pub(super) fn expected(write: &RecordWrite) -> Option<u64> {
    match write {
        RecordWrite::Put { expected, .. } | RecordWrite::Delete { expected, .. } => *expected,
    }
}

/// What can be said about a write without looking into the store.
///
/// # Errors
/// `Invalid` for an id of the wrong length or with a NUL, and for a body that is no object.
pub(super) fn check(write: &RecordWrite) -> Result<()> {
    let key = key_of(write);
    if key.id.is_empty() || key.id.len() > LONGEST_ID {
        return Err(Error::invalid(format!(
            "the id of a record of {} must have 1 to {LONGEST_ID} bytes",
            key.collection
        )));
    }
    if !is_storable(key) {
        return Err(Error::invalid(format!(
            "the id of a record of {} has a NUL character",
            key.collection
        )));
    }
    match write {
        RecordWrite::Put { body, .. } if !body.is_object() => Err(Error::invalid(format!(
            "the body of record {} of {} is no JSON object",
            key.id, key.collection
        ))),
        _ => Ok(()),
    }
}

/// Whether a key can be that of a record: `PostgreSQL` keeps no NUL.
pub(super) fn is_storable(key: &RecordKey) -> bool {
    !key.id.contains('\0') && !key.project.contains('\0')
}

/// A record has another version than a write expects; 0 is one that is not there.
pub(super) fn conflict(key: &RecordKey, expected: u64, found: u64) -> Error {
    let RecordKey { collection, id, .. } = key;
    let message = match (expected, found) {
        (0, _) => format!("record {id} of {collection} exists already"),
        (_, 0) => format!("record {id} of {collection} does not exist any more"),
        _ => format!(
            "record {id} of {collection} was changed meanwhile: it has version {found}, not {expected}"
        ),
    };
    Error::conflict(message).hint("read it again, and make the change on what it is now")
}

/// What a store counts since it was opened.
#[derive(Default)]
pub(super) struct Counters {
    batches: AtomicU64,
    writes: AtomicU64,
    conflicts: AtomicU64,
}

impl Counters {
    /// Counts commits that were made or refused together.
    pub(super) fn count(&self, answers: &[Result<Vec<u64>>]) {
        let add = |counter: &AtomicU64, more: usize| {
            counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        let conflicts = answers.iter().filter_map(|answer| answer.as_ref().err());
        let conflicts = conflicts
            .filter(|error| error.reason() == Reason::Conflict)
            .count();
        add(&self.batches, 1);
        add(&self.conflicts, conflicts);
        add(&self.writes, answers.iter().flatten().map(Vec::len).sum());
    }

    /// In Prometheus' text format.
    pub(super) fn text(&self) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = [
            (
                "stead_records_batches_total",
                "Group commits of records.",
                read(&self.batches),
            ),
            (
                "stead_records_writes_total",
                "Records that were written or removed.",
                read(&self.writes),
            ),
            (
                "stead_records_conflicts_total",
                "Commits refused for a version.",
                read(&self.conflicts),
            ),
        ];
        all.into_iter()
            .map(|(name, help, value)| metric(name, "counter", help, value))
            .collect()
    }
}
