//! How much processor time the store of traces takes per span, and how soon it answers: figures without thresholds, for
//! who works on it. `cargo bench -p stead-telemetry --bench traces -- [SPANS]`; the limits are held by `just bench observe`.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a program for developers that measures real time"
)]

use std::{fmt::Write as _, fs, path::Path, sync::Arc, time::Instant};

use serde_json::value::RawValue;
use stead_kernel::{
    Clock, SystemClock, Tasks, Timestamp,
    ports::{
        Price, Prices, Traces,
        traces::{Bucket, Count, Counted, Fields, Kind, Order, Origin, Put, Query, TagChange, Write},
    },
};
use stead_telemetry::{TraceOptions, TraceStore};
use uuid::Uuid;

struct NoPrices;

impl Prices for NoPrices {
    fn price(&self, _: &str, _: &str) -> Option<Arc<Price>> {
        None
    }
}

/// A small generator of numbers (xorshift64*), the same every time.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    fn sentence(&mut self, words: usize) -> String {
        let mut text = String::with_capacity(words * 9);
        for _ in 0..words {
            let word = self.next() % 5_000;
            write!(text, "word{word} ").unwrap();
        }
        text
    }

    fn id(&mut self, at: Timestamp) -> Uuid {
        let millis = u128::try_from(at.as_millisecond()).unwrap();
        let low = u128::from(self.next()) << 64 | u128::from(self.next());
        let low = low & ((1 << 80) - 1) & !(0xf << 76) & !(0b11 << 62);
        Uuid::from_u128(millis << 80 | 0x7 << 76 | 0b10 << 62 | low)
    }
}

fn raw(text: String) -> Box<RawValue> {
    RawValue::from_string(text).unwrap()
}

fn put(kind: Kind, id: Uuid, at: Timestamp, fields: Fields) -> Write {
    Write::Put(Box::new(Put {
        kind,
        workspace: "default".into(),
        project: Uuid::from_u128(7),
        id,
        origin: Origin::Report,
        told: at,
        by: "admin".into(),
        fields,
        tags: TagChange::default(),
    }))
}

/// A thousand spans in a hundred traces.
fn batch(chance: &mut Chance, at: Timestamp, traces: &mut Vec<Uuid>) -> Vec<Write> {
    let mut writes = Vec::with_capacity(1_000);
    for _ in 0..100 {
        let trace = chance.id(at);
        traces.push(trace);
        let mut root = None;
        for _ in 0..10 {
            let id = chance.id(at);
            let input = format!(
                "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{}\"}}]}}",
                chance.sentence(100)
            );
            let took = i64::try_from(chance.next() % 5_000_000).unwrap();
            let fields = Fields {
                trace_id: Some(trace),
                parent_span_id: root,
                name: Some("call".into()),
                sort: Some("llm".into()),
                start: Some(at),
                end: Timestamp::from_microsecond(at.as_microsecond() + took).ok(),
                input: Some(raw(input)),
                output: Some(raw(format!("{{\"content\": \"{}\"}}", chance.sentence(100)))),
                metadata: Some(raw(format!(
                    "{{\"temperature\": 0.5, \"session\": \"{}\"}}",
                    chance.sentence(20)
                ))),
                tags: Some(vec!["bench".into()]),
                model: Some("gpt-4o-mini".into()),
                provider: Some("openai".into()),
                usage: Some(
                    [
                        ("prompt_tokens", 100),
                        ("completion_tokens", 120),
                        ("total_tokens", 220),
                    ]
                    .map(|(name, count)| (name.to_owned(), count))
                    .into(),
                ),
                cost: Some(0.000_12),
                source: Some("sdk".into()),
                ..Fields::default()
            };
            root = root.or(Some(id));
            writes.push(put(Kind::Span, id, at, fields));
        }
    }
    writes
}

/// Seconds of processor time of this process (fields 14 and 15 of `/proc/self/stat`, in hundredths).
fn processor() -> f64 {
    let text = fs::read_to_string("/proc/self/stat").unwrap();
    let after = text.rsplit(')').next().unwrap();
    let ticks: u32 = after
        .split_whitespace()
        .skip(11)
        .take(2)
        .map(|field| field.parse::<u32>().unwrap())
        .sum();
    f64::from(ticks) / 100.0
}

fn query() -> Query {
    Query {
        workspace: "default".into(),
        project: Some(Uuid::from_u128(7)),
        limit: 50,
        ..Query::default()
    }
}

fn shown(what: &str, mut times: Vec<f64>) {
    times.sort_by(f64::total_cmp);
    let at = |percent: usize| times[(times.len() - 1) * percent / 100] * 1_000.0;
    println!("{what:<40} p50 {:>9.3} ms  p99 {:>9.3} ms", at(50), at(99));
}

fn open(folder: &Path) -> Arc<TraceStore> {
    let options = TraceOptions {
        folder: folder.to_owned(),
        retention_days: 30,
        clock: Arc::new(SystemClock),
        prices: Arc::new(NoPrices),
        rate: 0,
        tasks: Tasks::default(),
    };
    Arc::new(TraceStore::open(options).unwrap())
}

/// Stores so many spans, spread over a week, twenty batches prepared at a time.
async fn fill(store: &Arc<TraceStore>, count: u32, traces: &mut Vec<Uuid>) {
    let (mut chance, mut stored, mut used, mut wall) = (Chance(7), 0_u32, 0.0, 0.0);
    let week = 7.0 * 86_400.0;
    while stored < count {
        let batches: Vec<Vec<Write>> = (0..20_u32)
            .map(|number| {
                let back = week * (1.0 - f64::from(stored + number * 1_000) / f64::from(count));
                let at = SystemClock.now() - jiff::SignedDuration::from_secs_f64(back.max(0.0));
                batch(&mut chance, at, traces)
            })
            .collect();
        let (before, begun) = (processor(), Instant::now());
        let mut done = tokio::task::JoinSet::new();
        for writes in batches {
            let store = Arc::clone(store);
            done.spawn(async move { store.write(writes).await.unwrap() });
            if done.len() >= 4 {
                done.join_next().await.unwrap().unwrap();
            }
        }
        while done.join_next().await.is_some() {}
        stored += 20_000;
        used += processor() - before;
        wall += begun.elapsed().as_secs_f64();
    }
    let spans = f64::from(stored);
    println!(
        "{stored} spans: {:.2} µs of processor time each, {:.0} a second",
        used / spans * 1e6,
        spans / wall
    );
}

async fn measure<T>(what: &str, times: usize, mut ask: impl AsyncFnMut(usize) -> T) {
    let mut took = Vec::with_capacity(times);
    for number in 0..times {
        let begun = Instant::now();
        ask(number).await;
        took.push(begun.elapsed().as_secs_f64());
    }
    shown(what, took);
}

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let count = words.iter().find_map(|word| word.parse().ok()).unwrap_or(100_000);
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut traces = Vec::new();
    fill(&store, count, &mut traces).await;
    let files = fs::read_dir(folder.path()).unwrap();
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    println!("{} bytes each, all files", bytes / u64::from(count));
    measure("list of 50", 200, async |_| {
        assert_eq!(store.entries(Kind::Span, query()).await.unwrap().items.len(), 50);
    })
    .await;
    measure("a trace", 100, async |number| {
        let asked = Query {
            trace: Some(traces[number * traces.len() / 100]),
            ..query()
        };
        assert_eq!(store.entries(Kind::Span, asked).await.unwrap().items.len(), 10);
    })
    .await;
    for (what, of) in [
        ("spans by the hour", Counted::Spans),
        ("traces by the hour", Counted::Traces),
    ] {
        measure(what, 20, async |_| {
            store.sums(of, query(), Bucket::Seconds(3_600)).await.unwrap()
        })
        .await;
    }
    long_trace(&store).await;
    store.close().await;
}

/// A trace of 100 spans and one of 10,000, and lists by their fields.
async fn long_trace(store: &Arc<TraceStore>) {
    let (mut chance, at) = (Chance(99), SystemClock.now());
    for size in [100_usize, 10_000] {
        let trace = chance.id(at);
        let mut left = size;
        while left > 0 {
            let mut writes = batch(&mut chance, at, &mut Vec::new());
            writes.truncate(left);
            for write in &mut writes {
                if let Write::Put(put) = write {
                    put.fields.trace_id = Some(trace);
                    put.fields.parent_span_id = None;
                }
            }
            left -= writes.len();
            store.write(writes).await.unwrap();
        }
        let asked = || Query {
            trace: Some(trace),
            limit: 100_000,
            count: Count::None,
            ..query()
        };
        measure(&format!("a trace of {size} spans"), 10, async |_| {
            assert_eq!(
                store.entries(Kind::Span, asked()).await.unwrap().items.len(),
                size
            );
        })
        .await;
    }
    for field in [
        "name",
        "duration",
        "total_estimated_cost",
        "usage.total_tokens",
        "last_updated_at",
    ] {
        let order = Order {
            field: field.into(),
            key: String::new(),
            descending: true,
        };
        let asked = || Query {
            order: vec![order.clone()],
            ..query()
        };
        measure(&format!("a list of 50 by {field}"), 3, async |_| {
            assert_eq!(store.entries(Kind::Span, asked()).await.unwrap().items.len(), 50);
        })
        .await;
    }
}
