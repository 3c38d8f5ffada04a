//! Whole collections into a file and out of one, as they are: versions and times too.

use std::{
    fs,
    path::{Path, PathBuf},
};

use rusqlite::{Connection, params};
use stead_kernel::{Collection, Error, Result, ports::Record};

use super::{query, tables};
use crate::sqlite;

/// How many records are taken at once.
const PART: usize = 1_000;

/// A new file that is filled; nothing of it stays unless it is finished.
pub(in super::super) struct Filled {
    /// Nothing once it is finished.
    connection: Option<Connection>,
    path: PathBuf,
    tables: super::Tables,
}

impl Filled {
    /// Makes the file.
    ///
    /// # Errors
    /// `Conflict` when there is one already; `Unavailable` when it cannot be made.
    pub(in super::super) fn create(path: &Path, collections: &[Collection]) -> Result<Self> {
        if path.exists() {
            return Err(Error::conflict(format!("{} exists already", path.display())).hint("name a new file"));
        }
        let tables = tables::declare(collections)?;
        let mut connection = tables::open(path)?;
        tables::reconcile(&mut connection, &tables)?;
        connection
            .execute_batch("BEGIN IMMEDIATE")
            .map_err(sqlite::Error::from)?;
        Ok(Self {
            connection: Some(connection),
            path: path.to_owned(),
            tables,
        })
    }

    /// Adds records that are not in it yet.
    pub(in super::super) fn add(&self, records: &[Record]) -> Result<()> {
        records.iter().try_for_each(|record| Ok(self.add_one(record)?))
    }

    fn add_one(&self, record: &Record) -> sqlite::Result<()> {
        let table = self.tables.get(record.key.collection.as_str());
        let (Some(table), Some(connection)) = (table, &self.connection) else {
            return Ok(());
        };
        let sql = format!(
            "INSERT INTO {} (project, id, version, created, updated, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            table.name()
        );
        connection.prepare_cached(&sql)?.execute(params![
            record.key.project,
            record.key.id,
            i64::try_from(record.version).unwrap_or(i64::MAX),
            record.created.as_microsecond(),
            record.updated.as_microsecond(),
            record.body.to_string(),
        ])?;
        Ok(())
    }

    /// Makes it durable.
    ///
    /// # Errors
    /// `Unavailable` when it cannot be written.
    pub(in super::super) fn finish(mut self) -> Result<()> {
        if let Some(connection) = &self.connection {
            connection.execute_batch("COMMIT").map_err(sqlite::Error::from)?;
        }
        if let Some(connection) = self.connection.take() {
            sqlite::close(connection, &self.path);
        }
        Ok(())
    }
}

impl Drop for Filled {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            for file in sqlite::family(&self.path) {
                fs::remove_file(file).ok();
            }
        }
    }
}

/// Reads every record of the declared collections, in parts; ends early when `take` says `false`.
///
/// # Errors
/// `Unsupported` when a newer version wrote the file; `Unavailable` when it is damaged or cannot be read.
pub(in super::super) fn read(
    path: &Path,
    collections: &[Collection],
    mut take: impl FnMut(Vec<Record>) -> bool,
) -> Result<()> {
    let tables = tables::declare(collections)?;
    let mut connection = tables::open(path)?;
    tables::reconcile(&mut connection, &tables)?;
    for table in tables.values() {
        let mut after = 0;
        loop {
            let (part, last) = query::part(&connection, path, *table, after, PART)?;
            let is_last = part.len() < PART;
            if !part.is_empty() && !take(part) {
                return Ok(());
            }
            if is_last {
                break;
            }
            after = last;
        }
    }
    Ok(())
}
