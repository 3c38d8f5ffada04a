//! Writing records: all commits that wait go into one transaction, each in a savepoint of its own.

use std::{path::PathBuf, sync::Arc};

use rusqlite::{Connection, OptionalExtension, params};
use serde_json::Value;
use stead_kernel::{
    Clock, Error as KernelError, Result as KernelResult,
    ports::{RecordKey, RecordWrite},
};

use super::{
    super::rules::{Counters, conflict, expected, key_of, undeclared},
    Tables,
};
use crate::{queue::Engine, sqlite};

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
        if let Some(expected) = expected(write).filter(|expected| *expected != version) {
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
        self.counters.count(&answers);
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::{Collection, Reason};
    use stead_testkit::ManualClock;

    use super::{super::tables, *};

    const THREADS: Collection = Collection {
        name: "chat.threads",
        indexes: &["owner", "rank"],
    };

    fn put(id: &str, expected: Option<u64>, body: Value) -> RecordWrite {
        RecordWrite::Put {
            key: RecordKey {
                collection: THREADS.name.into(),
                project: "p".into(),
                id: id.into(),
            },
            expected,
            body,
        }
    }

    #[test]
    fn a_full_disk_refuses_a_whole_commit_and_takes_the_next_one_that_fits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("r.db");
        let tables = Arc::new(tables::declare(&[THREADS]).unwrap());
        let mut connection = tables::open(&path).unwrap();
        tables::reconcile(&mut connection, &tables).unwrap();
        connection.pragma_update(None, "max_page_count", 24).unwrap();
        let counters = Arc::new(Counters::default());
        let mut writer = Writer::new(
            connection,
            path,
            tables,
            Arc::new(ManualClock::default()),
            counters,
        );
        let big = json!({"big": "x".repeat(100_000)});
        let answers = crate::queue::Engine::run(
            &mut writer,
            vec![
                vec![put("a", Some(0), json!({}))],
                vec![put("b", Some(0), json!({})), put("c", None, big)],
                vec![put("b", Some(0), json!({})), put("a", Some(1), json!({}))],
            ],
        );
        let reasons: Vec<_> = answers
            .iter()
            .map(|answer| answer.as_ref().err().map(stead_kernel::Error::reason))
            .collect();
        assert_eq!(reasons, [None, Some(Reason::Unavailable), None]);
    }
}
