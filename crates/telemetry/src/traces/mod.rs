//! Traces and spans: a file per UTC day, one writer, fields merged as they come.
//!
//! *Invariant:* a write that was answered is on disk and readable; what is told of an entry gives the same in any order.

mod apply;
mod cells;
mod change;
mod codec;
mod files;
mod merge;
mod read;
mod rows;
mod schema;
mod sums;
#[cfg(test)]
mod tests;
mod threads;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use stead_kernel::{
    Clock, Error, Result, Tasks, Timestamp,
    ports::{
        Prices, Traces,
        traces::{Bucket, Comment, Counted, Entry, Found, Kind, Query, Sums, Thread, Write},
    },
};
use uuid::Uuid;

use self::{
    apply::pack,
    files::Files,
    writer::{Change, Work, Writer},
};
use crate::{events::metric, queue::Queue, sqlite};

/// So many writes are packed on the runtime; more off it.
const INLINE: usize = 4;
/// How often the store looks for days that are no longer kept.
const RETENTION_LOOK: Duration = Duration::from_mins(10);

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
    /// Where the look for old days runs.
    pub tasks: Tasks,
}

/// The store of traces over `SQLite`.
pub struct TraceStore {
    files: Arc<Files>,
    queue: Arc<Queue<Writer>>,
}

impl TraceStore {
    /// Opens the store, inside a Tokio runtime. A damaged file is set aside with a log line, and the others are used.
    ///
    /// # Errors
    /// `Unsupported` when a newer version wrote a file; `Unavailable` when the folder cannot be used.
    pub fn open(options: TraceOptions) -> Result<Self> {
        let days = i64::from(options.retention_days.max(1));
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
        Ok(Self { files, queue })
    }

    /// Copies every file, each at one point in time, into a new or empty folder, while writes go on.
    ///
    /// # Errors
    /// `Conflict` when the folder holds such a file already; `Unavailable` when it cannot be written.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        let to = to.to_owned();
        self.read(move |files| {
            sqlite::create_folder(&to)?;
            let (_days, _stay) = files.days();
            for file in files.all() {
                let path = files.path(file);
                let target = path.file_name().map_or_else(|| to.clone(), |name| to.join(name));
                sqlite::copy_file(&path, &target)?;
            }
            Ok(())
        })
        .await
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
        self.files.readers.blocking(move || Ok(read(&files)?)).await
    }
}

#[async_trait]
impl Traces for TraceStore {
    async fn write(&self, writes: Vec<Write>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        let rows = writes.len();
        let pack_all = move || writes.into_iter().map(pack).collect::<Result<Vec<Change>>>();
        let changes = if rows > INLINE {
            let packed = tokio::task::spawn_blocking(pack_all).await;
            packed.map_err(|error| Error::internal("packing traces was cut off").because(error))??
        } else {
            pack_all()?
        };
        self.queue.submit(Work::Write(changes), rows).await
    }

    async fn entry(&self, kind: Kind, workspace: &str, id: Uuid) -> Result<Option<Entry>> {
        let workspace = workspace.to_owned();
        self.read(move |files| read::entry(files, kind, &workspace, id))
            .await
    }

    async fn entries_of(&self, kind: Kind, workspace: &str, ids: Vec<Uuid>) -> Result<Vec<Entry>> {
        let workspace = workspace.to_owned();
        self.read(move |files| {
            let mut found = Vec::with_capacity(ids.len());
            for id in ids {
                found.extend(read::entry(files, kind, &workspace, id)?);
            }
            Ok(found)
        })
        .await
    }

    async fn entries(&self, kind: Kind, query: Query) -> Result<Found<Entry>> {
        self.read(move |files| read::entries(files, kind, &query)).await
    }

    async fn threads(&self, query: Query) -> Result<Found<Thread>> {
        self.read(move |files| threads::threads(files, &query)).await
    }

    async fn sums(&self, of: Counted, query: Query, bucket: Bucket) -> Result<Vec<(Timestamp, Sums)>> {
        self.read(move |files| sums::sums(files, of, &query, bucket))
            .await
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

    async fn comment(&self, workspace: &str, id: Uuid) -> Result<Option<Comment>> {
        let workspace = workspace.to_owned();
        self.read(move |files| read::comment(files, &workspace, id)).await
    }
}
