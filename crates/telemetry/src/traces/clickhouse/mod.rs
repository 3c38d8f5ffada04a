//! Traces over ClickHouse: what is told lies there as facts, and is merged when it is read.
//!
//! *Invariant:* a write that was answered is stored by the server and readable; facts are only added, so that servers which
//! write at once lose nothing of each other's; what cannot be reached is said so, and nothing is kept back to be stored
//! later.

mod costs;
mod facts;
mod fold;
mod ground;
mod http;
mod list;
mod read;
mod schema;
mod sums;
mod threads;
mod write;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use stead_kernel::{
    Clock, Error, Result, Tasks, Timestamp,
    ports::{
        Feed, Outbound, Prices, Traces,
        traces::{
            Bucket, Comment, CostQuery, CostRow, Counted, Detail, Entry, Found, Grouped, Kind, Order, Query,
            Sums, Thread, Write,
        },
    },
};
use tokio::{runtime::Handle, sync::Semaphore};
use uuid::Uuid;

use self::{http::Server, read::Reader, schema::TABLE, write::Writer};
use super::{TraceEngine, count_sent, page};
use crate::{events::metric, feed, queue::Queue, rate::Rates};

/// How often what was removed is erased, and what is no longer kept.
const SWEEP: Duration = Duration::from_mins(10);
/// How many reads go on at once, and of them such as read without a bound.
const READS: usize = 8;
const LONG: usize = 4;
/// How long an answer may take once it is worked on.
const PATIENCE: Duration = Duration::from_secs(30);
/// So many entries are removed at once when they are too old.
const RETIRED: usize = 500;

/// What a store of traces over ClickHouse needs.
pub struct ClickHouseOptions<'a> {
    /// The address: `http://user:password@host:8123/database`.
    pub url: &'a str,
    /// How it is reached.
    pub outbound: Arc<dyn Outbound>,
    /// For how many days traces are kept; 0 counts as 1.
    pub retention_days: u16,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What models cost.
    pub prices: Arc<dyn Prices>,
    /// How many traces and spans each workspace may send per second; 0 for no limit.
    pub rate: u32,
    /// Where the look for what is no longer kept runs.
    pub tasks: Tasks,
}

/// The store of traces over ClickHouse.
pub struct ClickHouseTraces {
    rates: Rates,
    reader: Arc<Reader>,
    queue: Arc<Queue<Writer>>,
    feed: Arc<Feed>,
    places: Semaphore,
    long: Semaphore,
    retention_days: i64,
}

impl ClickHouseTraces {
    /// Connects, makes the table where it is not there, and checks the server's version and the user's rights.
    ///
    /// # Errors
    /// `Invalid` for an address that is none; `Unavailable` when the server does not answer; `Forbidden` when the user may not
    /// do what is needed; `NotFound` without the database; `Unsupported` when the server is too old or a newer version of
    /// Stead made the table.
    pub async fn open(options: ClickHouseOptions<'_>) -> Result<Self> {
        let server = Server::new(options.url, options.outbound)?;
        schema::prepare(&server).await?;
        let rates = Rates::new(Arc::clone(&options.clock), options.rate);
        let reader = Arc::new(Reader {
            server,
            clock: options.clock,
            prices: options.prices,
            stored: AtomicU64::new(0),
            contradictions: AtomicU64::new(0),
        });
        let retention_days = i64::from(options.retention_days.max(1));
        let last = reader
            .count(&format!("SELECT max(seq) AS count FROM {TABLE}"))
            .await?;
        let (_, name) = Uuid::new_v4().as_u64_pair();
        let writer = Writer {
            reader: Arc::clone(&reader),
            handle: Handle::current(),
            retention_days,
            last,
            name,
        };
        let queue = Arc::new(Queue::start("traces-writer", writer)?);
        let swept = Arc::downgrade(&reader);
        options.tasks.spawn_until_stopped("traces retention", async move {
            loop {
                let Some(reader) = swept.upgrade() else { break };
                if let Err(error) = reader.sweep(retention_days).await {
                    tracing::warn!(error = %error.full_message(), "old traces could not be removed from ClickHouse");
                }
                drop(reader);
                tokio::time::sleep(SWEEP).await;
            }
        });
        Ok(Self {
            rates,
            reader,
            queue,
            feed: Arc::default(),
            places: Semaphore::new(READS),
            long: Semaphore::new(LONG),
            retention_days,
        })
    }

    /// Whether the server at an address can keep traces, as [`open`](Self::open) checks it.
    ///
    /// # Errors
    /// As `open` has them.
    pub async fn check(url: &str, outbound: Arc<dyn Outbound>) -> Result<()> {
        schema::prepare(&Server::new(url, outbound)?).await
    }

    /// Tells what is stored from now on.
    #[must_use]
    pub fn telling(mut self, feed: Arc<Feed>) -> Self {
        self.feed = feed;
        self
    }

    /// Whether it holds nothing.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn is_empty(&self) -> Result<bool> {
        let some = format!("SELECT count() AS count FROM (SELECT 1 FROM {TABLE} LIMIT 1)");
        Ok(self.reader.count(&some).await? == 0)
    }

    /// Erases what was removed and what is no longer kept, as is done from time to time.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn sweep(&self) -> Result<()> {
        self.reader.sweep(self.retention_days).await
    }

    /// Reads, with a place among those who read and a deadline.
    async fn read<T>(&self, places: &Semaphore, read: impl Future<Output = Result<T>>) -> Result<T> {
        let closed = |_| Error::unavailable("the store is closed");
        let _place = places.acquire().await.map_err(closed)?;
        match tokio::time::timeout(PATIENCE, read).await {
            Ok(answer) => answer,
            Err(_) => Err(Error::timeout("reading traces took too long")
                .hint("ask for less: a shorter time, or fewer filters on what is large")),
        }
    }
}

#[async_trait]
impl TraceEngine for ClickHouseTraces {
    fn metrics(&self) -> String {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let depth = u64::try_from(self.queue.depth()).unwrap_or(u64::MAX);
        metric(
            "stead_traces_stored_total",
            "counter",
            "Traces and spans that were new.",
            read(&self.reader.stored),
        ) + &metric(
            "stead_traces_contradictions_total",
            "counter",
            "Writes that were left out since servers that write at once contradict each other.",
            read(&self.reader.contradictions),
        ) + &metric(
            "stead_traces_queue_rows",
            "gauge",
            "Changes that wait for ClickHouse.",
            depth,
        )
    }

    async fn close(&self) {
        self.queue.close().await;
    }
}

#[async_trait]
impl Traces for ClickHouseTraces {
    async fn write(&self, writes: Vec<Write>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        count_sent(&self.rates, &writes)?;
        let rows = writes.len();
        let told = self.feed.is_followed().then(|| feed::of_writes(&writes));
        self.queue.submit(writes, rows).await?;
        self.feed.tell(told.unwrap_or_default());
        Ok(())
    }

    async fn entries_of(&self, kind: Kind, workspace: &str, ids: Vec<Uuid>) -> Result<Vec<Entry>> {
        let reading = self.reader.entries_of((kind, workspace), &ids, Detail::Whole);
        self.read(&self.places, reading).await
    }

    async fn entries(&self, kind: Kind, query: Query) -> Result<Found<Entry>> {
        let is_short = page::is_plain(&query) && query.since.is_none() && query.until.is_none();
        let places = if is_short { &self.places } else { &self.long };
        self.read(places, list::entries(&self.reader, kind, &query)).await
    }

    async fn threads(&self, query: Query) -> Result<Found<Thread>> {
        self.read(&self.long, threads::threads(&self.reader, &query))
            .await
    }

    async fn sums(&self, of: Counted, query: Query, bucket: Bucket) -> Result<Vec<(Timestamp, Sums)>> {
        self.read(&self.long, sums::sums(&self.reader, of, &query, bucket))
            .await
    }

    async fn sums_by(&self, of: Counted, query: Query, bucket: Bucket, field: Order) -> Result<Grouped> {
        self.read(
            &self.long,
            sums::sums_by(&self.reader, of, &query, bucket, &field),
        )
        .await
    }

    async fn retire(&self, workspace: &str, project: Option<Uuid>, before: Timestamp) -> Result<u64> {
        let query = Query {
            workspace: workspace.to_owned(),
            project,
            until: Some(before),
            ..Query::default()
        };
        let mut removed = 0;
        // A trace takes its spans along.
        for kind in [Kind::Trace, Kind::Span] {
            loop {
                let reading = list::old(&self.reader, kind, &query, RETIRED);
                let (ids, spans) = self.read(&self.long, reading).await?;
                if ids.is_empty() {
                    break;
                }
                removed += ids.len() as u64 + spans;
                let workspace = workspace.to_owned();
                self.write(vec![Write::Delete { kind, workspace, ids }]).await?;
            }
        }
        Ok(removed)
    }

    async fn score_names(&self, on: Counted, workspace: &str, projects: &[Uuid]) -> Result<Vec<String>> {
        let reading = sums::score_names(&self.reader, on, workspace, projects);
        Ok(self.read(&self.long, reading).await?.into_iter().collect())
    }

    async fn costs(&self, query: CostQuery) -> Result<Vec<CostRow>> {
        self.read(&self.long, costs::costs(&self.reader, &query)).await
    }

    async fn comment(&self, workspace: &str, id: Uuid) -> Result<Option<Comment>> {
        let ids = [id].into();
        let found = self.read(&self.places, self.reader.comments_by_id(&ids)).await?;
        let mut own = found.into_iter().filter(|(of, _)| of == workspace);
        Ok(own.next().map(|(_, comment)| comment))
    }
}
