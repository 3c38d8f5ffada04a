//! Events: a file per UTC day, one writer, rollups at commit.
//!
//! *Invariant:* an event's time lies in the day of its file, and an id lies in one file only; usage is never counted
//! from rows.

mod files;
mod insert;
mod names;
mod pack;
mod read;
mod rollup;
mod schema;
#[cfg(test)]
mod tests;
mod writer;

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use stead_kernel::{
    Clock, Error, Result, Tasks, Timestamp,
    ports::{
        Events, Feed, Page,
        events::{AuditQuery, AuditRow, Event, RequestQuery, RequestRow, UsageQuery, UsageRow},
    },
};

use self::{
    files::{File, Files},
    pack::{Packed, pack, weight},
    rollup::{Grain, Report},
    writer::{Work, Writer, folded_days},
};
use crate::{day::Day, feed, queue::Queue, sqlite};

/// Bodies beyond so many bytes are compressed off the runtime.
const INLINE: usize = 16 << 10;
/// How often the store looks for days that are no longer kept.
const RETENTION_LOOK: Duration = Duration::from_mins(10);

/// What an event store needs.
pub struct EventOptions {
    /// The folder of the day files; made when there is none.
    pub folder: PathBuf,
    /// For how many days events are kept; 0 counts as 1. The usage of older days is kept by the hour, for good.
    pub retention_days: u16,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// Where the look for old days and the check of suspect files run.
    pub tasks: Tasks,
}

/// The event store over `SQLite`.
///
/// Times are kept in microseconds. A time more than a day ahead of the clock is replaced by the time of arrival.
/// Events of days that are no longer kept are dropped, and counted in `metrics`.
pub struct EventStore {
    files: Arc<Files>,
    queue: Arc<Queue<Writer>>,
    tasks: Tasks,
    feed: Arc<Feed>,
}

impl EventStore {
    /// Opens the store, inside a Tokio runtime. A damaged file is set aside with a log line, and the others are
    /// used.
    ///
    /// # Errors
    /// `Unsupported` when a newer version wrote a file; `Unavailable` when the folder cannot be used.
    pub fn open(options: EventOptions) -> Result<Self> {
        let files = Arc::new(Files::find(options.folder, options.clock)?);
        let writer = Writer::open(Arc::clone(&files), options.retention_days)?;
        let store = Self {
            files,
            queue: Arc::new(Queue::start("events-writer", writer)?),
            tasks: options.tasks,
            feed: Arc::default(),
        };
        store.look_for_old_days();
        Ok(store)
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
            for file in all_files(&files.days()) {
                let path = files.path(file);
                let target = path.file_name().map_or_else(|| to.clone(), |name| to.join(name));
                sqlite::copy_file(&path, &target)?;
            }
            Ok(())
        };
        self.files.readers.blocking(copy).await
    }

    /// Reads every page of every file.
    ///
    /// # Errors
    /// `Unavailable` with the name of the first file that is damaged.
    pub async fn check(&self) -> Result<()> {
        let files = Arc::clone(&self.files);
        let check = move || {
            for file in all_files(&files.days()) {
                let path = files.path(file);
                files.read(file, |connection| sqlite::check(connection, &path))?;
            }
            Ok(())
        };
        self.files.readers.blocking(check).await
    }

    /// What the store counts, in Prometheus' text format.
    pub fn metrics(&self) -> String {
        let counters = self.files.counters.all();
        let mut text: String = counters
            .into_iter()
            .map(|(name, help, value)| metric(name, "counter", help, value))
            .collect();
        let depth = u64::try_from(self.queue.depth()).unwrap_or(u64::MAX);
        text += &metric(
            "stead_events_queue_rows",
            "gauge",
            "Events that wait for the disk.",
            depth,
        );
        text += &metric(
            "stead_events_bytes",
            "gauge",
            "Bytes of the event files.",
            self.files.size(),
        );
        text
    }

    /// Stores what waits, then refuses further events and closes the files. Reading goes on to work.
    pub async fn close(&self) {
        self.queue.close().await;
    }

    fn look_for_old_days(&self) {
        // The look must not keep the store open.
        let queue = Arc::downgrade(&self.queue);
        self.tasks.spawn_until_stopped("events retention", async move {
            loop {
                tokio::time::sleep(RETENTION_LOOK).await;
                let Some(queue) = queue.upgrade() else { break };
                queue.post(Work::Retain);
            }
        });
    }

    /// Reads off the runtime. Days that turn out to be damaged are left out of the answer and looked into.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Files, &mut Vec<Day>) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let files = Arc::clone(&self.files);
        let work = move || {
            let mut damaged = Vec::new();
            read(&files, &mut damaged).map(|answer| (answer, damaged))
        };
        let (answer, damaged) = self.files.readers.timely(work).await?;
        for day in damaged.into_iter().filter(|day| self.files.suspect(*day)) {
            tracing::error!(%day, "the file of this day of events cannot be read; it is left out of answers");
            self.look_into(day);
        }
        Ok(answer)
    }

    /// Checks the file of a day in the background, and has it set aside if it is damaged.
    fn look_into(&self, day: Day) {
        let (files, queue) = (Arc::clone(&self.files), Arc::downgrade(&self.queue));
        self.tasks.spawn_until_stopped("events check", async move {
            let checked = Arc::clone(&files);
            let check = move || {
                let _stay = checked.days();
                let path = checked.path(File::Day(day));
                let result = checked.read(File::Day(day), |connection| sqlite::check(connection, &path));
                Ok(result.err().filter(sqlite::Error::is_damage))
            };
            let found = files.readers.blocking(check).await;
            if let (Ok(Some(damage)), Some(queue)) = (found, queue.upgrade()) {
                queue.post(Work::SetAside(day, damage.to_string()));
            }
        });
    }
}

fn all_files(days: &BTreeSet<Day>) -> Vec<File> {
    // The index of ids comes after the days: an entry without its event does no harm, the reverse would.
    days.iter()
        .copied()
        .map(File::Day)
        .chain([File::Ids, File::Usage])
        .collect()
}

pub(crate) fn metric(name: &str, kind: &str, help: &str, value: u64) -> String {
    format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n")
}

#[async_trait]
impl Events for EventStore {
    async fn append(&self, events: Vec<Event>) -> Result<()> {
        if events.is_empty() {
            return Ok(());
        }
        let now = self.files.clock.now();
        let rows = events.len();
        let told = self.feed.is_followed().then(|| feed::of_events(&events));
        let heavy = events.iter().map(weight).sum::<usize>() > INLINE;
        let pack_all = move || events.into_iter().map(|event| pack(event, now)).collect();
        let packed: Result<Vec<Packed>> = if heavy {
            let packed = tokio::task::spawn_blocking(pack_all).await;
            packed.map_err(|error| Error::internal("packing events was cut off").because(error))?
        } else {
            pack_all()
        };
        self.queue.submit(Work::Append(packed?), rows).await?;
        self.feed.tell(told.unwrap_or_default());
        Ok(())
    }

    async fn requests(&self, query: RequestQuery) -> Result<Page<RequestRow>> {
        self.read(move |files, damaged| read::requests(files, &query, damaged))
            .await
    }

    async fn request(&self, id: &str) -> Result<Option<RequestRow>> {
        let id = id.to_owned();
        self.read(move |files, damaged| read::request(files, &id, damaged))
            .await
    }

    async fn usage(&self, query: UsageQuery) -> Result<Vec<UsageRow>> {
        self.read(move |files, damaged| usage(files, query, damaged))
            .await
    }

    async fn audit(&self, query: AuditQuery) -> Result<Page<AuditRow>> {
        self.read(move |files, damaged| read::audit(files, &query, damaged))
            .await
    }

    async fn retire(&self, project: &str, before: Timestamp) -> Result<u64> {
        let last = Day::of(before.as_microsecond());
        let days: Vec<Day> = self.files.days().range(..=last).copied().collect();
        let mut all = 0;
        for day in days {
            loop {
                let work = Work::Retire(day, project.to_owned(), before.as_microsecond());
                let gone = self.queue.submit(work, 1).await?;
                if gone == 0 {
                    break;
                }
                all += gone;
            }
        }
        Ok(all)
    }
}

/// Sums usage over the days' files and the file of past days. A day that is in both counts once: as past.
fn usage(files: &Files, query: UsageQuery, damaged: &mut Vec<Day>) -> Result<Vec<UsageRow>> {
    let mut report = Report::new(query);
    let (first, end) = (report.first_minute(Grain::Minute), report.end_minute());
    let days = files.days();
    let past = files.read(File::Usage, |connection| {
        // One transaction, so that the list of past days and their sums are of the same moment.
        let snapshot = connection.unchecked_transaction()?;
        let past = folded_days(&snapshot)?;
        report.read(&snapshot, Grain::Hour)?;
        Ok(past)
    })?;
    let asked = |day: &Day| day.first_minute() < end && day.first_minute() + crate::day::MINUTES > first;
    for day in days
        .iter()
        .copied()
        .filter(|day| asked(day) && !past.contains(day))
    {
        match files.read(File::Day(day), |connection| {
            report.read(connection, Grain::Minute)
        }) {
            Err(error) if error.is_damage() => damaged.push(day),
            other => other?,
        }
    }
    Ok(report.finish())
}
