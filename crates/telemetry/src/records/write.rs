//! Writing records: all commits that wait go into one transaction, each in a savepoint of its own.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use stead_kernel::{
    Clock, Error as KernelError, Reason, Result as KernelResult,
    ports::{RecordKey, RecordWrite},
};

use super::{Tables, undeclared};
use crate::{queue::Engine, sqlite};

/// The longest id, in bytes.
const LONGEST_ID: usize = 512;

/// The key of a write.
pub(super) fn key_of(write: &RecordWrite) -> &RecordKey {
    match write {
        RecordWrite::Put { key, .. } | RecordWrite::Delete { key, .. } => key,
    }
}

/// What can be said about a write without looking into the file.
pub(super) fn check(write: &RecordWrite) -> KernelResult<()> {
    let key = key_of(write);
    if key.id.is_empty() || key.id.len() > LONGEST_ID {
        return Err(KernelError::invalid(format!(
            "the id of a record of {} must have 1 to {LONGEST_ID} bytes",
            key.collection
        )));
    }
    match write {
        RecordWrite::Put { body, .. } if !body.is_object() => Err(KernelError::invalid(format!(
            "the body of record {} of {} is no JSON object",
            key.id, key.collection
        ))),
        _ => Ok(()),
    }
}

/// What the store counts since it was opened.
#[derive(Default)]
pub(super) struct Counters {
    batches: AtomicU64,
    writes: AtomicU64,
    conflicts: AtomicU64,
}

impl Counters {
    /// Every counter with its metric's name and help.
    pub(super) fn all(&self) -> [(&'static str, &'static str, u64); 3] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
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
        ]
    }
}

/// The one writer.
pub(super) struct Writer {
    connection: Connection,
    path: PathBuf,
    tables: Arc<Tables>,
    clock: Arc<dyn Clock>,
    counters: Arc<Counters>,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        path: PathBuf,
        tables: Arc<Tables>,
        clock: Arc<dyn Clock>,
        counters: Arc<Counters>,
    ) -> Self {
        Self {
            connection,
            path,
            tables,
            clock,
            counters,
        }
    }

    /// All commits in one transaction: all of them are durable, or the error says why none is.
    fn together(&self, batch: &[Vec<RecordWrite>]) -> sqlite::Result<Vec<KernelResult<Vec<u64>>>> {
        self.connection.execute_batch("BEGIN IMMEDIATE")?;
        let result = self.in_transaction(batch);
        if result.is_err() && !self.connection.is_autocommit() {
            // The error that led here is the one to tell.
            self.connection.execute_batch("ROLLBACK").ok();
        }
        result
    }

    fn in_transaction(&self, batch: &[Vec<RecordWrite>]) -> sqlite::Result<Vec<KernelResult<Vec<u64>>>> {
        let mut answers = Vec::with_capacity(batch.len());
        for writes in batch {
            self.connection.execute_batch("SAVEPOINT part")?;
            let answer = match self.apply(writes) {
                Ok(versions) => Ok(versions),
                Err(Failure::Refused(error)) => {
                    self.connection.execute_batch("ROLLBACK TO part")?;
                    Err(error)
                }
                Err(Failure::File(error)) => return Err(error),
            };
            self.connection.execute_batch("RELEASE part")?;
            answers.push(answer);
        }
        self.connection.execute_batch("COMMIT")?;
        Ok(answers)
    }

    fn apply(&self, writes: &[RecordWrite]) -> Result<Vec<u64>, Failure> {
        let now = self.clock.now().as_microsecond();
        writes.iter().map(|write| self.apply_one(write, now)).collect()
    }

    fn apply_one(&self, write: &RecordWrite, now: i64) -> Result<u64, Failure> {
        let key = key_of(write);
        let Some(table) = self.tables.get(key.collection.as_str()) else {
            return Err(Failure::Refused(undeclared(&key.collection)));
        };
        let table = table.name();
        let found: Option<i64> = self
            .connection
            .prepare_cached(&format!(
                "SELECT version FROM {table} WHERE project = ?1 AND id = ?2"
            ))?
            .query_row(params![key.project, key.id], |row| row.get(0))
            .optional()?;
        let version = found.map_or(0, i64::unsigned_abs);
        let (RecordWrite::Put { expected, .. } | RecordWrite::Delete { expected, .. }) = write;
        if let Some(expected) = expected.filter(|expected| *expected != version) {
            return Err(Failure::Refused(conflict(key, expected, version)));
        }
        match write {
            RecordWrite::Put { body, .. } => self.put(&table, key, version + 1, body, now),
            RecordWrite::Delete { .. } => {
                let sql = format!("DELETE FROM {table} WHERE project = ?1 AND id = ?2");
                self.connection
                    .prepare_cached(&sql)?
                    .execute(params![key.project, key.id])?;
                Ok(0)
            }
        }
    }

    fn put(
        &self,
        table: &str,
        key: &RecordKey,
        version: u64,
        body: &Value,
        now: i64,
    ) -> Result<u64, Failure> {
        let sql = format!(
            "INSERT INTO {table} (project, id, version, created, updated, body) VALUES (?1, ?2, ?3, ?4, ?4, ?5)
             ON CONFLICT (project, id) DO UPDATE SET
                version = excluded.version, updated = excluded.updated, body = excluded.body"
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let stored = i64::try_from(version).unwrap_or(i64::MAX);
        statement.execute(params![key.project, key.id, stored, now, body.to_string()])?;
        Ok(version)
    }

    fn count(&self, answers: &[KernelResult<Vec<u64>>]) {
        let add = |counter: &AtomicU64, more: usize| {
            counter.fetch_add(u64::try_from(more).unwrap_or(u64::MAX), Ordering::Relaxed);
        };
        let conflicts = answers.iter().filter_map(|answer| answer.as_ref().err());
        let conflicts = conflicts
            .filter(|error| error.reason() == Reason::Conflict)
            .count();
        add(&self.counters.batches, 1);
        add(&self.counters.conflicts, conflicts);
        add(
            &self.counters.writes,
            answers.iter().flatten().map(Vec::len).sum(),
        );
    }
}

/// Why a commit was not made.
enum Failure {
    /// It breaks a rule: the others of its batch are made.
    Refused(KernelError),
    /// The file cannot be written.
    File(sqlite::Error),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::File(error.into())
    }
}

fn conflict(key: &RecordKey, expected: u64, found: u64) -> KernelError {
    let RecordKey { collection, id, .. } = key;
    let message = match (expected, found) {
        (0, _) => format!("record {id} of {collection} exists already"),
        (_, 0) => format!("record {id} of {collection} does not exist any more"),
        _ => format!(
            "record {id} of {collection} was changed meanwhile: it has version {found}, not {expected}"
        ),
    };
    KernelError::conflict(message).hint("read it again, and make the change on what it is now")
}

impl Engine for Writer {
    type Work = Vec<RecordWrite>;
    type Answer = Vec<u64>;

    /// One transaction for all; if the file refuses, one for each, so that one commit does not take the others
    /// with it.
    fn run(&mut self, batch: Vec<Vec<RecordWrite>>) -> Vec<KernelResult<Vec<u64>>> {
        let answers = match self.together(&batch) {
            Ok(answers) => answers,
            Err(error) if batch.len() == 1 => vec![Err(error.into())],
            Err(_) => batch.iter().map(|writes| self.alone(writes)).collect(),
        };
        self.count(&answers);
        answers
    }

    fn close(self) {
        sqlite::close(self.connection, &self.path);
    }
}

impl Writer {
    fn alone(&self, writes: &[RecordWrite]) -> KernelResult<Vec<u64>> {
        let mut answers = self.together(&[writes.to_vec()])?;
        answers
            .pop()
            .unwrap_or_else(|| Err(KernelError::internal("a commit has no answer")))
    }
}
