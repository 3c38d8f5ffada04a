//! Records in `PostgreSQL`: for several processes, and for those who keep everything there.
//!
//! A table per collection, made and brought up to what is declared when the store is opened. The fields that lists may name lie
//! beside the body as bytes that sort as their values do (`key`), so that lists give the same whatever the database's language is.
//!
//! *Invariants:* a commit that was answered is on the server's disk, whatever the server's own setting for that is; passwords are in
//! no error.

mod connect;
mod key;
mod query;
mod schema;
mod write;

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use deadpool_postgres::{Object, Pool};
use stead_kernel::{
    Clock, Collection, Error, Result,
    ports::{Page, Record, RecordKey, RecordQuery, RecordWrite, Records},
};

use self::{connect::broken, schema::Table};
use super::{
    RecordEngine,
    rules::{self, Counters, undeclared},
    sqlite::transfer,
};

/// How many parts may wait while records are copied.
const PARTS: usize = 4;
/// How many records are read at once when all are.
const PART: i32 = 1_000;

/// What the store needs to be opened.
pub struct PostgresOptions<'a> {
    /// `postgres://user:password@host/database?sslmode=…`, or the words of libpq.
    pub url: &'a str,
    /// Which servers are trusted when TLS is asked for.
    pub tls: rustls::ClientConfig,
    /// Whose records there are.
    pub collections: &'a [Collection],
    /// What time it is.
    pub clock: Arc<dyn Clock>,
}

/// The record store over `PostgreSQL` 12 or newer. Times are kept in microseconds.
pub struct PostgresRecords {
    pool: Pool,
    collections: Vec<Collection>,
    tables: schema::Tables,
    clock: Arc<dyn Clock>,
    counters: Counters,
}

impl PostgresRecords {
    /// Connects, and brings tables and indexes to what the collections declare. The data of a collection that is no longer
    /// declared stays.
    ///
    /// # Errors
    /// `Invalid` when the address is none; `Unavailable` when the server does not answer or refuses; `Unsupported` when a newer
    /// version made the tables; `Internal` when names of collections are unfit.
    pub async fn open(options: PostgresOptions<'_>) -> Result<Self> {
        rules::check_names(options.collections)?;
        let pool = connect::pool(options.url, options.tls)?;
        let tables = schema::declare(options.collections);
        schema::reconcile(&mut connect::take(&pool).await?, &tables).await?;
        Ok(Self {
            pool,
            collections: options.collections.to_vec(),
            tables,
            clock: options.clock,
            counters: Counters::default(),
        })
    }

    /// Whether it holds no record at all.
    ///
    /// # Errors
    /// `Unavailable` when the server does not answer.
    pub async fn is_empty(&self) -> Result<bool> {
        let client = self.client().await?;
        for table in self.tables.values() {
            let sql = format!("SELECT 1 FROM {} LIMIT 1", table.name());
            if client.query_opt(&sql, &[]).await.map_err(broken)?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Takes in every record of a `SQLite` file, all of them or none, as they are. Returns how many.
    ///
    /// # Errors
    /// `Conflict` when there are records here already; `Unavailable` when the file is damaged or the server does not answer.
    pub async fn import(&self, from: &Path) -> Result<u64> {
        if !self.is_empty().await? {
            return Err(Error::conflict(
                "there are records in the database already, and they are not mixed with others",
            )
            .hint("name an empty database, or another schema: …?options=-csearch_path%3DNAME"));
        }
        let (sender, mut parts) = tokio::sync::mpsc::channel(PARTS);
        let (path, collections) = (from.to_owned(), self.collections.clone());
        let reading = tokio::task::spawn_blocking(move || {
            transfer::read(&path, &collections, |part| sender.blocking_send(part).is_ok())
        });
        let mut client = self.client().await?;
        let transaction = client.transaction().await.map_err(broken)?;
        let mut count = 0;
        while let Some(part) = parts.recv().await {
            for record in part {
                let table = self.table(&record.key.collection)?;
                write::insert(&transaction, table, &record)
                    .await
                    .map_err(broken)?;
                count += 1;
            }
        }
        reading
            .await
            .map_err(|error| Error::internal("the copy broke off").because(error))??;
        transaction.commit().await.map_err(broken)?;
        Ok(count)
    }

    async fn client(&self) -> Result<Object> {
        connect::take(&self.pool).await
    }

    fn table(&self, collection: &str) -> Result<&Table> {
        self.tables.get(collection).ok_or_else(|| undeclared(collection))
    }
}

#[async_trait]
impl Records for PostgresRecords {
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>> {
        let table = self.table(&key.collection)?;
        if !rules::is_storable(key) {
            return Ok(None);
        }
        query::get(&self.client().await?, table, key).await
    }

    async fn list(&self, query: RecordQuery) -> Result<Page<Record>> {
        let list = query::List::plan(self.table(&query.collection)?, &query)?;
        list.run(&self.client().await?).await
    }

    async fn count(&self, query: RecordQuery) -> Result<u64> {
        let count = query::Count::plan(self.table(&query.collection)?, &query)?;
        count.run(&self.client().await?).await
    }

    async fn commit(&self, writes: Vec<RecordWrite>) -> Result<Vec<u64>> {
        if writes.is_empty() {
            return Ok(Vec::new());
        }
        for write in &writes {
            self.table(&rules::key_of(write).collection)?;
            rules::check(write)?;
        }
        let now = self.clock.now().as_microsecond();
        let answer = write::commit(&mut self.client().await?, &self.tables, &writes, now).await;
        let answer = [answer];
        self.counters.count(&answer);
        let [answer] = answer;
        answer
    }
}

#[async_trait]
impl RecordEngine for PostgresRecords {
    async fn backup(&self, to: &Path) -> Result<()> {
        let (sender, mut parts) = tokio::sync::mpsc::channel::<Vec<Record>>(PARTS);
        let (path, collections) = (to.to_owned(), self.collections.clone());
        let writing = tokio::task::spawn_blocking(move || {
            let file = transfer::Filled::create(&path, &collections)?;
            let mut whole = false;
            while let Some(part) = parts.blocking_recv() {
                whole = part.is_empty();
                file.add(&part)?;
            }
            if !whole {
                return Err(Error::unavailable("the database broke off while it was copied"));
            }
            file.finish()
        });
        let read = self.send_all(sender).await;
        let written = writing
            .await
            .map_err(|error| Error::internal("the copy broke off").because(error))?;
        // What the reader says is the cause when both failed, but for a file that was not taken.
        match (read, written) {
            (_, Err(error)) if error.reason() == stead_kernel::Reason::Conflict => Err(error),
            (Err(error), _) | (Ok(()), Err(error)) => Err(error),
            (Ok(()), Ok(())) => Ok(()),
        }
    }

    async fn check(&self) -> Result<()> {
        self.client()
            .await?
            .simple_query("SELECT 1")
            .await
            .map_err(broken)?;
        Ok(())
    }

    fn metrics(&self) -> String {
        let status = self.pool.status();
        let open = u64::try_from(status.size).unwrap_or(u64::MAX);
        let help = "Connections to the database of records.";
        self.counters.text() + &crate::events::metric("stead_records_connections", "gauge", help, open)
    }

    async fn close(&self) {
        self.pool.close();
    }
}

impl PostgresRecords {
    /// Sends every record as of one point in time, in parts; an empty part says that these were all.
    async fn send_all(&self, sender: tokio::sync::mpsc::Sender<Vec<Record>>) -> Result<()> {
        let mut client = self.client().await?;
        let transaction = client
            .build_transaction()
            .isolation_level(tokio_postgres::IsolationLevel::RepeatableRead)
            .read_only(true)
            .start()
            .await
            .map_err(broken)?;
        for table in self.tables.values() {
            let portal = transaction
                .bind(&query::everything(table), &[])
                .await
                .map_err(broken)?;
            loop {
                let rows = transaction.query_portal(&portal, PART).await.map_err(broken)?;
                if rows.is_empty() {
                    break;
                }
                let records = rows
                    .iter()
                    .map(|row| query::record(row, table))
                    .collect::<Result<_>>()?;
                if sender.send(records).await.is_err() {
                    return Ok(());
                }
            }
        }
        sender.send(Vec::new()).await.ok();
        Ok(())
    }
}
