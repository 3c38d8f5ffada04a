//! The event store as a whole, over real files.

mod faults;
mod listing;
mod usage;

use std::sync::Arc;

use stead_kernel::{
    Result, Tasks, Timestamp,
    ports::{
        Events, NanoUsd, TokenUsage,
        events::{Attempt, AuditRow, Event, Outcome, RequestQuery, RequestRow},
    },
};
use stead_testkit::ManualClock;
use tempfile::TempDir;
use uuid::{NoContext, Uuid};

use super::{EventOptions, EventStore};

const NOON: &str = "2026-11-21T12:00:00Z";

/// A folder, a clock, and the store of one "process".
struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
    store: EventStore,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOON.parse().unwrap()));
        let store = open(&folder, &clock).unwrap();
        Self { folder, clock, store }
    }

    /// Drops the store without closing it, as a killed process would, and opens it anew.
    fn reopen(&mut self) {
        self.store = open(&self.folder, &self.clock).unwrap();
    }

    async fn append(&self, rows: &[RequestRow]) -> Result<()> {
        self.store
            .append(rows.iter().cloned().map(request).collect())
            .await
    }

    async fn list(&self, query: RequestQuery) -> Vec<RequestRow> {
        self.store.requests(query).await.unwrap().items
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with("-wal") && !name.ends_with("-shm"))
            .collect();
        names.sort();
        names
    }
}

fn open(folder: &TempDir, clock: &Arc<ManualClock>) -> Result<EventStore> {
    EventStore::open(EventOptions {
        folder: folder.path().to_owned(),
        retention_days: 7,
        clock: clock.clone(),
        tasks: Tasks::new(),
    })
}

fn request(row: RequestRow) -> Event {
    Event::Request(Box::new(row))
}

fn at(seconds: i64) -> Timestamp {
    NOON.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_secs(seconds)
}

/// The `number`th UUID of version 7 at this time.
fn id_at(time: Timestamp, number: u32) -> String {
    let stamp = uuid::Timestamp::from_unix(NoContext, time.as_second().unsigned_abs(), 0);
    let mut bytes = Uuid::new_v7(stamp).into_bytes();
    (bytes[6], bytes[7]) = (0x70, 0);
    bytes[8..12].copy_from_slice(&[0x80, 0, 0, 0]);
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    Uuid::from_bytes(bytes).to_string()
}

/// A request `seconds` after noon.
fn row(number: u32, seconds: i64) -> RequestRow {
    RequestRow {
        id: id_at(at(seconds), number),
        started: at(seconds),
        duration_us: 1_000,
        project: "default".into(),
        user: "ada".into(),
        key: "ci".into(),
        model: "chat".into(),
        provider: "local".into(),
        usage: TokenUsage {
            input: 10,
            output: 5,
            ..TokenUsage::default()
        },
        cost: Some(NanoUsd(7)),
        status: 200,
        ..RequestRow::default()
    }
}

/// A request with something in every field.
fn full_row() -> RequestRow {
    RequestRow {
        trace_id: "4bf92f3577b34da6a3ce929d0e0e4736".into(),
        span_id: "00f067aa0ba902b7".into(),
        parent_span_id: "b9c7c989f97918e1".into(),
        first_token_us: Some(400),
        dialect: "openai".into(),
        operation: "chat".into(),
        stream: true,
        route: "chat".into(),
        provider_model: "smollm2-135m".into(),
        outcome: Outcome::Cancelled,
        error: "the client left".into(),
        usage: TokenUsage {
            input: 1,
            output: 2,
            cached_input: 3,
            reasoning: 4,
            cache_write: 5,
            images: 6,
            ..TokenUsage::default()
        },
        team: "blue".into(),
        replica: "second".into(),
        attempts: vec![Attempt {
            provider: "other".into(),
            model: "m".into(),
            offset_us: 1,
            duration_us: 2,
            status: 503,
            error: "busy".into(),
        }],
        labels: [("team".to_owned(), "blue".to_owned())].into(),
        input: Some("what is the capital of France? ".repeat(50)),
        output: Some("Paris".into()),
        ..row(1, 0)
    }
}

fn audit_row(number: u32, seconds: i64) -> AuditRow {
    AuditRow {
        id: format!("write-{number}"),
        time: at(seconds),
        user: "ada".into(),
        verb: "create".into(),
        group: "stead.dev".into(),
        resource: "modelproviders".into(),
        project: if number.is_multiple_of(2) { "default" } else { "" }.into(),
        name: format!("p{number}"),
        resource_version: number.to_string(),
        detail: serde_json::json!({"n": number}),
        ..AuditRow::default()
    }
}
