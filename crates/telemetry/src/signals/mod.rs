//! Logs and metrics: a file per UTC day, one writer.
//!
//! *Invariant:* a write that was answered is on disk and readable; a day that is no longer kept goes with its file.

mod files;
mod pack;
mod read;
mod schema;
#[cfg(test)]
mod tests;
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
        Feed, Page, Signals, Told,
        signals::{LogQuery, LogRecord, LogRow, Measured, MetricQuery, MetricRow, Series},
    },
};

use self::{
    files::Files,
    pack::{pack_log, pack_point},
    writer::{Retired, Work, Writer},
};
use crate::{day::Day, events::metric, queue::Queue, rate::Rates, sqlite};

/// How often the store looks for days that are no longer kept.
const RETENTION_LOOK: Duration = Duration::from_mins(10);

/// What a store of logs and metrics needs.
pub struct SignalOptions {
    /// The folder of the files; made when there is none.
    pub folder: PathBuf,
    /// For how many days they are kept; 0 counts as 1.
    pub retention_days: u16,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// How many lines and points each workspace may send per second; 0 for no limit.
    pub rate: u32,
    /// Where the look for old days runs.
    pub tasks: Tasks,
}

/// The store of logs and metrics over `SQLite`.
pub struct SignalStore {
    rates: Rates,
    files: Arc<Files>,
    queue: Arc<Queue<Writer>>,
    feed: Arc<Feed>,
}

impl SignalStore {
    /// Opens the store, inside a Tokio runtime. A damaged file is set aside with a log line, and the others are used.
    ///
    /// # Errors
    /// `Unsupported` when a newer version wrote a file; `Unavailable` when the folder cannot be used.
    pub fn open(options: SignalOptions) -> Result<Self> {
        let days = i64::from(options.retention_days.max(1));
        let rates = Rates::new(Arc::clone(&options.clock), options.rate);
        let files = Arc::new(Files::open(options.folder, options.clock, days)?);
        let queue = Arc::new(Queue::start("signals-writer", Writer::new(Arc::clone(&files)))?);
        // The look must not keep the store open.
        let looked = Arc::downgrade(&queue);
        options
            .tasks
            .spawn_until_stopped("signals retention", async move {
                loop {
                    tokio::time::sleep(RETENTION_LOOK).await;
                    let Some(queue) = looked.upgrade() else { break };
                    queue.post(Work::Retain);
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
        let to = to.to_owned();
        self.read(move |files, _| {
            sqlite::create_folder(&to)?;
            let (days, _stay) = files.days();
            for day in days {
                sqlite::copy_file(&files.path(day), &to.join(day.file_name()))?;
            }
            Ok(())
        })
        .await
    }

    /// What the store counts, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let files = &self.files;
        let depth = u64::try_from(self.queue.depth()).unwrap_or(u64::MAX);
        let counters = [
            (
                "stead_logs_stored_total",
                "Lines of logs that were taken in.",
                &files.logs,
            ),
            (
                "stead_points_stored_total",
                "Points of metrics that were taken in.",
                &files.points,
            ),
            (
                "stead_signals_damaged_files_total",
                "Files of logs and metrics that were set aside.",
                &files.damaged,
            ),
            (
                "stead_signals_expired_days_total",
                "Days of logs and metrics whose file was removed.",
                &files.expired,
            ),
        ];
        let gauges = [
            (
                "stead_signals_queue_rows",
                "Lines and points that wait for the disk.",
                depth,
            ),
            (
                "stead_signals_bytes",
                "Bytes of the files of logs and metrics.",
                files.size(),
            ),
        ];
        let counters = counters
            .into_iter()
            .map(|(name, help, value)| metric(name, "counter", help, value.load(Ordering::Relaxed)));
        let gauges = gauges
            .into_iter()
            .map(|(name, help, value)| metric(name, "gauge", help, value));
        counters.chain(gauges).collect()
    }

    /// Stores what waits, then refuses further writes and closes the files. Reading goes on to work.
    pub async fn close(&self) {
        self.queue.close().await;
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Files, &mut Vec<Day>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = Arc::clone(&self.files);
        let reading = move || {
            let mut damaged = Vec::new();
            let answer = read(&files, &mut damaged);
            for day in damaged {
                tracing::error!(%day, "the file of this day of logs and metrics cannot be read; it is left out of answers");
            }
            answer
        };
        self.files.readers.timely(reading).await
    }
}

async fn packed<T: Send + 'static, P: Send + 'static>(
    all: Vec<T>,
    pack: fn(T) -> Result<P>,
) -> Result<Vec<P>> {
    let packing = move || all.into_iter().map(pack).collect::<Result<Vec<P>>>();
    let packed = tokio::task::spawn_blocking(packing).await;
    packed.map_err(|error| Error::internal("packing was cut off").because(error))?
}

#[async_trait]
impl Signals for SignalStore {
    async fn log(&self, workspace: &str, records: Vec<LogRecord>) -> Result<()> {
        if records.is_empty() {
            return Ok(());
        }
        let rows = records.len();
        self.rates.take(workspace, rows)?;
        let records = packed(records, pack_log).await?;
        self.queue
            .submit(Work::Log(workspace.to_owned(), records), rows)
            .await?;
        if self.feed.is_followed() {
            self.feed.tell(vec![Told::Logs {
                workspace: workspace.to_owned(),
            }]);
        }
        Ok(())
    }

    async fn logs(&self, query: LogQuery) -> Result<Page<LogRow>> {
        self.read(move |files, damaged| read::logs(files, &query, damaged))
            .await
    }

    async fn measure(&self, workspace: &str, points: Vec<Measured>) -> Result<()> {
        if points.is_empty() {
            return Ok(());
        }
        let rows = points.len();
        self.rates.take(workspace, rows)?;
        let points = packed(points, pack_point).await?;
        self.queue
            .submit(Work::Measure(workspace.to_owned(), points), rows)
            .await?;
        Ok(())
    }

    async fn known_metrics(&self, query: MetricQuery) -> Result<Vec<MetricRow>> {
        self.read(move |files, damaged| read::metrics(files, &query, damaged))
            .await
    }

    async fn points(&self, query: MetricQuery) -> Result<Vec<Series>> {
        self.read(move |files, damaged| read::points(files, &query, damaged))
            .await
    }

    async fn retire(
        &self,
        workspace: &str,
        lines: Option<Timestamp>,
        points: Option<Timestamp>,
    ) -> Result<(u64, u64)> {
        let days = self.files.days().0;
        let mut all = (0, 0);
        for day in days {
            loop {
                let part = Retired {
                    day,
                    workspace: workspace.to_owned(),
                    lines: lines.map(Timestamp::as_microsecond),
                    points: points.map(Timestamp::as_microsecond),
                };
                let gone = self.queue.submit(Work::Retire(part), 1).await?;
                if gone == (0, 0) {
                    break;
                }
                all = (all.0 + gone.0, all.1 + gone.1);
            }
        }
        Ok(all)
    }
}
