//! Records in one `SQLite` file: one writer with group commits, many readers.

mod query;
mod tables;
pub(super) mod transfer;
mod write;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use stead_kernel::{
    Clock, Collection, Result,
    ports::{Page, Record, RecordKey, RecordQuery, RecordWrite, Records},
};

use self::{tables::Table, write::Writer};
use super::{
    RecordEngine,
    rules::{self, Counters, undeclared},
};
use crate::{events::metric, pool::Readers, queue::Queue, sqlite};

/// The declared collections by name.
type Tables = BTreeMap<&'static str, Table>;

/// The record store over `SQLite`. Times are kept in microseconds.
pub struct RecordStore {
    path: PathBuf,
    tables: Arc<Tables>,
    readers: Arc<Readers<()>>,
    queue: Queue<Writer>,
    counters: Arc<Counters>,
}

impl RecordStore {
    /// Opens or creates the file, and brings its tables and indexes to what the collections declare. The data of a
    /// collection that is no longer declared stays.
    ///
    /// # Errors
    /// `Unsupported` when a newer version wrote the file; `Unavailable` when it is damaged or cannot be used;
    /// `Internal` when two collections have the same name, or a name is not made of letters, digits, `.`, `-`
    /// and `_`.
    pub fn open(path: &Path, collections: &[Collection], clock: Arc<dyn Clock>) -> Result<Self> {
        let tables = Arc::new(tables::declare(collections)?);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            sqlite::create_folder(folder)?;
        }
        let mut connection = tables::open(path)?;
        tables::reconcile(&mut connection, &tables)?;
        let counters = Arc::new(Counters::default());
        let writer = Writer::new(
            connection,
            path.to_owned(),
            Arc::clone(&tables),
            clock,
            Arc::clone(&counters),
        );
        Ok(Self {
            path: path.to_owned(),
            tables,
            readers: Arc::new(Readers::new()),
            queue: Queue::start("records-writer", writer)?,
            counters,
        })
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&rusqlite::Connection, &Path) -> sqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let (readers, path) = (Arc::clone(&self.readers), self.path.clone());
        let work = move || Ok(readers.with((), &path, |connection| read(connection, &path))?);
        self.readers.blocking(work).await
    }

    fn table(&self, collection: &str) -> Result<Table> {
        self.tables
            .get(collection)
            .copied()
            .ok_or_else(|| undeclared(collection))
    }
}

#[async_trait]
impl RecordEngine for RecordStore {
    async fn backup(&self, to: &Path) -> Result<()> {
        let (path, to) = (self.path.clone(), to.to_owned());
        self.readers
            .blocking(move || Ok(sqlite::copy_file(&path, &to)?))
            .await
    }

    async fn check(&self) -> Result<()> {
        self.read(sqlite::check).await
    }

    fn metrics(&self) -> String {
        let mut text = self.counters.text();
        text += &metric(
            "stead_records_bytes",
            "gauge",
            "Bytes of the record file.",
            sqlite::size(&self.path),
        );
        text
    }

    async fn close(&self) {
        self.readers.clear();
        self.queue.close().await;
    }
}

#[async_trait]
impl Records for RecordStore {
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>> {
        let (table, key) = (self.table(&key.collection)?, key.clone());
        self.read(move |connection, path| query::get(connection, path, table, &key))
            .await
    }

    async fn list(&self, query: RecordQuery) -> Result<Page<Record>> {
        let list = query::List::plan(self.table(&query.collection)?, &query)?;
        self.read(move |connection, path| list.run(connection, path))
            .await
    }

    async fn get_many(&self, keys: Vec<RecordKey>) -> Result<Vec<Record>> {
        let keys = keys
            .into_iter()
            .map(|key| Ok((self.table(&key.collection)?, key)));
        let keys: Vec<(Table, RecordKey)> = keys.collect::<Result<_>>()?;
        self.read(move |connection, path| {
            let mut found = Vec::with_capacity(keys.len());
            for (table, key) in &keys {
                found.extend(query::get(connection, path, *table, key)?);
            }
            Ok(found)
        })
        .await
    }

    async fn count(&self, query: RecordQuery) -> Result<u64> {
        let count = query::Count::plan(self.table(&query.collection)?, &query)?;
        self.read(move |connection, _| count.run(connection)).await
    }

    async fn commit(&self, writes: Vec<RecordWrite>) -> Result<Vec<u64>> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        for write in &writes {
            self.table(&rules::key_of(write).collection)?;
            rules::check(write)?;
        }
        let rows = writes.len();
        self.queue.submit(writes, rows).await
    }
}
