//! Traces and spans: a file per UTC day, one writer, fields merged as they come.
//!
//! *Invariant:* a write that was answered is on disk and readable; what is told of an entry gives the same in any order.

mod apply;
mod blocks;
mod cells;
mod change;
mod clickhouse;
mod codec;
mod costs;
mod dayfile;
mod files;
mod merge;
mod page;
mod read;
mod retire;
mod rollup;
mod rows;
mod schema;
mod sums;
#[cfg(test)]
mod tests;
mod threads;
mod usage;
mod walk;
mod words;
mod writer;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use stead_kernel::{
    Clock, Error, Result, Tasks, Timestamp,
    ports::{
        Feed, Prices, Traces,
        traces::{
            Bucket, Comment, CostQuery, CostRow, Counted, Entry, Found, Grouped, Kind, Order, Query, Sums,
            Thread, Write,
        },
    },
};
use uuid::Uuid;

pub use self::clickhouse::{ClickHouseOptions, ClickHouseTraces};
use self::{
    apply::pack,
    files::Files,
    retire::Retirement,
    writer::{Work, Writer},
};
use crate::{events::metric, feed, queue::Queue, rate::Rates, sqlite};

/// So many writes are packed on the runtime; more off it.
const INLINE: usize = 4;
/// How often the store looks for days that are no longer kept.
const RETENTION_LOOK: Duration = Duration::from_mins(10);
/// How often the store looks for words that are in no index.
const INDEX_LOOK: Duration = Duration::from_millis(500);
/// So many traces, and spans without one, are removed in one commit, so that nobody waits long for it.
const RETIRED_TRACES: usize = 50;
const RETIRED_SPANS: usize = 500;

/// A store of traces, as the one who runs it sees it.
#[async_trait]
pub trait TraceEngine: Traces {
    /// What the store counts, in Prometheus' text format.
    fn metrics(&self) -> String;

    /// Stores what waits, then refuses further writes and closes the store. Reading goes on to work where it can.
    async fn close(&self);
}

/// What a store of traces needs.
pub struct TraceOptions {
    /// The folder of the files; made when there is none.
    pub folder: PathBuf,
    /// For how many days traces are kept; 0 counts as 1.
    pub retention_days: u16,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What models cost.
    pub prices: Arc<dyn Prices>,
    /// How many traces and spans each workspace may send per second; 0 for no limit.
    pub rate: u32,
    /// Where the look for old days runs.
    pub tasks: Tasks,
}

/// The store of traces over `SQLite`.
pub struct TraceStore {
    rates: Rates,
    files: Arc<Files>,
    queue: Arc<Queue<Writer>>,
    feed: Arc<Feed>,
}

impl TraceStore {
    /// Opens the store, inside a Tokio runtime. A damaged file is set aside with a log line, and the others are used.
    ///
    /// # Errors
    /// `Unsupported` when a newer version wrote a file; `Unavailable` when the folder cannot be used.
    pub fn open(options: TraceOptions) -> Result<Self> {
        let days = i64::from(options.retention_days.max(1));
        let rates = Rates::new(Arc::clone(&options.clock), options.rate);
        let files = Arc::new(Files::open(options.folder, options.clock, options.prices, days)?);
        let writer = Writer::open(Arc::clone(&files))?;
        let queue = Arc::new(Queue::start("traces-writer", writer)?);
        // The look must not keep the store open.
        let looked = Arc::downgrade(&queue);
        options.tasks.spawn_until_stopped("traces retention", async move {
            loop {
                tokio::time::sleep(RETENTION_LOOK).await;
                let Some(queue) = looked.upgrade() else { break };
                queue.post(Work::Retain);
            }
        });
        let indexed = Arc::downgrade(&files);
        options.tasks.spawn_until_stopped("words of traces", async move {
            loop {
                tokio::time::sleep(INDEX_LOOK).await;
                let Some(files) = indexed.upgrade() else { break };
                index(&files).await;
            }
        });
        Ok(Self {
            rates,
            files,
            queue,
            feed: Arc::default(),
        })
    }

    /// Tells what is stored from now on.
    #[must_use]
    pub fn telling(mut self, feed: Arc<Feed>) -> Self {
        self.feed = feed;
        self
    }

    /// Copies every file, each at one point in time, into a new or empty folder, while writes go on.
    ///
    /// # Errors
    /// `Conflict` when the folder holds such a file already; `Unavailable` when it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        let (files, to) = (Arc::clone(&self.files), to.to_owned());
        let copy = move || {
            sqlite::create_folder(&to)?;
            let (_days, _stay) = files.days();
            for file in files.all() {
                let path = files.path(file);
                let target = path.file_name().map_or_else(|| to.clone(), |name| to.join(name));
                sqlite::copy_file(&path, &target)?;
            }
            Ok(())
        };
        self.files.readers.blocking(copy).await
    }

    /// What the store counts, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let files = &self.files;
        let read = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let depth = u64::try_from(self.queue.depth()).unwrap_or(u64::MAX);
        metric(
            "stead_traces_stored_total",
            "counter",
            "Traces and spans that were new.",
            read(&files.stored),
        ) + &metric(
            "stead_traces_damaged_files_total",
            "counter",
            "Files that were set aside.",
            read(&files.damaged),
        ) + &metric(
            "stead_traces_expired_days_total",
            "counter",
            "Days whose file was removed.",
            read(&files.expired),
        ) + &metric(
            "stead_traces_queue_rows",
            "gauge",
            "Changes that wait for the disk.",
            depth,
        ) + &metric(
            "stead_traces_bytes",
            "gauge",
            "Bytes of the files of traces.",
            files.size(),
        )
    }

    /// Stores what waits, then refuses further writes and closes the files. Reading goes on to work.
    pub async fn close(&self) {
        self.queue.close().await;
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Files) -> sqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = Arc::clone(&self.files);
        self.files.readers.timely(move || Ok(read(&files)?)).await
    }

    /// Reads what may be all that a workspace has.
    async fn read_long<T: Send + 'static>(
        &self,
        workspace: &str,
        read: impl FnOnce(&Files) -> sqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = Arc::clone(&self.files);
        let work = move || Ok(read(&files)?);
        self.files.readers.long(workspace, work).await
    }
}

/// Counts what each workspace sends.
fn count_sent(rates: &Rates, writes: &[Write]) -> Result<()> {
    let mut sent: BTreeMap<&str, usize> = BTreeMap::new();
    for write in writes {
        if let Write::Put(put) = write {
            *sent.entry(&put.workspace).or_default() += 1;
        }
    }
    sent.into_iter()
        .try_for_each(|(workspace, count)| rates.take(workspace, count))
}

/// Brings the indexes of words up to what was written.
async fn index(files: &Arc<Files>) {
    files.wake(words::REST);
    loop {
        let looked = Arc::clone(files);
        let done = tokio::task::spawn_blocking(move || words::catch_up(&looked)).await;
        match done {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) | Err(_) => return,
            Ok(Err(error)) => {
                tracing::warn!(%error, "words of traces could not be indexed; searches read the entries");
                return;
            }
        }
    }
}

#[async_trait]
impl TraceEngine for TraceStore {
    fn metrics(&self) -> String {
        Self::metrics(self)
    }

    async fn close(&self) {
        Self::close(self).await;
    }
}

#[async_trait]
impl Traces for TraceStore {
    async fn write(&self, writes: Vec<Write>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        count_sent(&self.rates, &writes)?;
        let rows = writes.len();
        let told = self.feed.is_followed().then(|| feed::of_writes(&writes));
        let request = if rows > INLINE {
            let packed = tokio::task::spawn_blocking(move || pack(writes)).await;
            packed.map_err(|error| Error::internal("packing traces was cut off").because(error))??
        } else {
            pack(writes)?
        };
        self.queue.submit(Work::Write(request), rows).await?;
        self.feed.tell(told.unwrap_or_default());
        Ok(())
    }

    async fn entries_of(&self, kind: Kind, workspace: &str, ids: Vec<Uuid>) -> Result<Vec<Entry>> {
        let workspace = workspace.to_owned();
        self.read(move |files| read::entries_of(files, kind, &workspace, &ids))
            .await
    }

    async fn entries(&self, kind: Kind, query: Query) -> Result<Found<Entry>> {
        if page::is_plain(&query) {
            return self.read(move |files| page::entries(files, kind, &query)).await;
        }
        let workspace = query.workspace.clone();
        self.read_long(&workspace, move |files| page::entries(files, kind, &query))
            .await
    }

    async fn threads(&self, query: Query) -> Result<Found<Thread>> {
        let workspace = query.workspace.clone();
        self.read_long(&workspace, move |files| threads::threads(files, &query))
            .await
    }

    async fn sums(&self, of: Counted, query: Query, bucket: Bucket) -> Result<Vec<(Timestamp, Sums)>> {
        if sums::is_kept(of, &query, bucket, None) {
            return self
                .read(move |files| sums::sums(files, of, &query, bucket))
                .await;
        }
        let workspace = query.workspace.clone();
        self.read_long(&workspace, move |files| sums::sums(files, of, &query, bucket))
            .await
    }

    async fn sums_by(&self, of: Counted, query: Query, bucket: Bucket, field: Order) -> Result<Grouped> {
        if sums::is_kept(of, &query, bucket, Some(&field)) {
            let read = move |files: &Files| sums::sums_by(files, of, &query, bucket, &field);
            return self.read(read).await;
        }
        let workspace = query.workspace.clone();
        let read = move |files: &Files| sums::sums_by(files, of, &query, bucket, &field);
        self.read_long(&workspace, read).await
    }

    async fn retire(&self, workspace: &str, project: Option<Uuid>, before: Timestamp) -> Result<u64> {
        let retirement = Retirement {
            workspace: workspace.to_owned(),
            project,
            before,
        };
        let asked = retirement.clone();
        let days = self.read(move |files| asked.days(files)).await?;
        let mut removed = 0;
        for (day, entries) in days {
            let work = Work::Retire(day, Box::new(retirement.clone()));
            self.queue.submit(work, 1).await?;
            removed += if self.files.has(day) { 0 } else { entries };
        }
        // A trace takes its spans along.
        for (kind, part) in [(Kind::Trace, RETIRED_TRACES), (Kind::Span, RETIRED_SPANS)] {
            loop {
                let asked = retirement.clone();
                let ids = self.read(move |files| asked.some(files, kind, part)).await?;
                if ids.is_empty() {
                    break;
                }
                removed += ids.len() as u64;
                let workspace = retirement.workspace.clone();
                self.write(vec![Write::Delete { kind, workspace, ids }]).await?;
            }
        }
        Ok(removed)
    }

    async fn score_names(&self, on: Counted, workspace: &str, projects: &[Uuid]) -> Result<Vec<String>> {
        let (workspace, projects) = (workspace.to_owned(), projects.to_vec());
        let mut names: Vec<String> = self
            .read(move |files| match on {
                Counted::Traces => read::score_names(files, Kind::Trace, &workspace, &projects)
                    .map(|names| names.into_iter().collect()),
                Counted::Spans => read::score_names(files, Kind::Span, &workspace, &projects)
                    .map(|names| names.into_iter().collect()),
                Counted::Threads => threads::score_names(files, &workspace, &projects),
            })
            .await?;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn costs(&self, query: CostQuery) -> Result<Vec<CostRow>> {
        self.read(move |files| costs::costs(files, &query)).await
    }

    async fn comment(&self, workspace: &str, id: Uuid) -> Result<Option<Comment>> {
        let workspace = workspace.to_owned();
        self.read(move |files| read::comment(files, &workspace, id)).await
    }
}
