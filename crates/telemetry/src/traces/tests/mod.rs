//! A real store in a temporary folder.

mod clickhouse;
mod contract;
mod lists;
mod rollups;
mod search;

use std::sync::Arc;

use proptest::prelude::*;
use serde_json::value::RawValue;
use stead_kernel::{
    Reason, Tasks, Timestamp,
    ports::{
        Price, Prices, Traces,
        traces::{
            Bucket, Comment, Counted, Entry, Fields, Filter, Kind, Operator, Order, Origin, Put, Query,
            Score, Subject, TagChange, ThreadChange, Threads, Write,
        },
    },
};
use stead_testkit::ManualClock;
use uuid::Uuid;

use super::{TraceEngine, TraceOptions, TraceStore};

const NOW: &str = "2026-11-21T12:00:00Z";

struct NoPrices;

impl Prices for NoPrices {
    fn price(&self, _: &str, _: &str) -> Option<Arc<Price>> {
        None
    }
}

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn open(folder: &std::path::Path, clock: &Arc<ManualClock>) -> TraceStore {
    TraceStore::open(TraceOptions {
        folder: folder.to_owned(),
        retention_days: 30,
        clock: clock.clone(),
        prices: Arc::new(NoPrices),
        rate: 0,
        tasks: Tasks::default(),
    })
    .unwrap()
}

fn clock() -> Arc<ManualClock> {
    let clock = Arc::new(ManualClock::default());
    clock.set(now());
    clock
}

/// An id that tells `seconds` after now.
fn id_at(seconds: i64, low: u128) -> Uuid {
    let millis = u128::try_from(now().as_millisecond() + seconds * 1_000).unwrap();
    Uuid::from_u128(millis << 80 | 0x7 << 76 | 0b10 << 62 | low)
}

fn project() -> Uuid {
    Uuid::from_u128(77)
}

fn put(kind: Kind, id: Uuid, fields: Fields) -> Put {
    Put {
        kind,
        workspace: "default".into(),
        project: project(),
        id,
        origin: Origin::Report,
        told: now(),
        by: "ada".into(),
        fields,
        tags: TagChange::default(),
    }
}

fn write(put: Put) -> Write {
    Write::Put(Box::new(put))
}

fn json(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).unwrap()
}

fn query() -> Query {
    Query {
        workspace: "default".into(),
        project: Some(project()),
        limit: 100,
        ..Query::default()
    }
}

fn shown(entry: &Entry) -> String {
    format!("{:?} {:?} {:?}", entry.fields, entry.project, entry.scores)
}

/// The writes of one span's life, each at its own time.
fn life(trace: Uuid, span: Uuid) -> Vec<Write> {
    let told = |second: i64| {
        now()
            .checked_add(jiff::SignedDuration::from_secs(second))
            .unwrap()
    };
    let start = Fields {
        trace_id: Some(trace),
        name: Some("start".into()),
        start: Some(now()),
        input: Some(json("{\"q\": 1}")),
        ..Fields::default()
    };
    let end = Fields {
        trace_id: Some(trace),
        name: Some("end".into()),
        start: Some(now()),
        end: Some(told(1)),
        input: Some(json("{\"q\": 1}")),
        output: Some(json("{\"a\": 2}")),
        ..Fields::default()
    };
    let change = Fields {
        trace_id: Some(trace),
        name: Some("changed".into()),
        metadata: Some(json("{\"m\": true}")),
        ..Fields::default()
    };
    let score = Score {
        name: "quality".into(),
        value: 0.5,
        category: None,
        reason: None,
        source: "sdk".into(),
        queue: None,
        author: "ada".into(),
        created: now(),
        updated: now(),
    };
    vec![
        write(Put {
            told: told(0),
            ..put(Kind::Span, span, start)
        }),
        write(Put {
            told: told(2),
            ..put(Kind::Span, span, end)
        }),
        write(Put {
            told: told(1),
            origin: Origin::Change,
            ..put(Kind::Span, span, change)
        }),
        Write::Score {
            workspace: "default".into(),
            subject: Subject::Entry(Kind::Span, span),
            score,
        },
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn start_end_change_and_score_give_the_same_span_in_any_order_and_any_batches(
        order in Just((0..4).collect::<Vec<usize>>()).prop_shuffle(),
        cuts in prop::collection::vec(prop::bool::ANY, 4),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path(), &clock());
            let (trace, span) = (id_at(0, 1), id_at(0, 2));
            let mut batch = Vec::new();
            for (place, cut) in order.iter().zip(&cuts) {
                batch.push(life(trace, span).swap_remove(*place));
                if *cut {
                    store.write(std::mem::take(&mut batch)).await.unwrap();
                }
            }
            store.write(batch).await.unwrap();
            let entry = store.entry(Kind::Span, "default", span).await.unwrap().unwrap();
            prop_assert_eq!(entry.fields.name.as_deref(), Some("changed"));
            prop_assert_eq!(entry.fields.output.as_ref().map(|json| json.get()), Some("{\"a\": 2}"));
            prop_assert_eq!(entry.fields.metadata.as_ref().map(|json| json.get()), Some("{\"m\": true}"));
            prop_assert_eq!(entry.duration_ms(), Some(1_000.0));
            prop_assert_eq!(entry.scores.len(), 1);
            store.close().await;
            let again = open(folder.path(), &clock());
            let read = again.entry(Kind::Span, "default", span).await.unwrap().unwrap();
            prop_assert_eq!(shown(&read), shown(&entry));
            again.close().await;
            Ok(())
        })?;
    }
}

fn llm_span(trace: Uuid, id: Uuid, tokens: i64, cost: f64) -> Write {
    let fields = Fields {
        trace_id: Some(trace),
        sort: Some("llm".into()),
        model: Some("m".into()),
        provider: Some("p".into()),
        usage: Some([("total_tokens".to_owned(), tokens)].into()),
        cost: Some(cost),
        start: Some(now()),
        ..Fields::default()
    };
    write(put(Kind::Span, id, fields))
}

#[tokio::test]
async fn old_days_go_and_what_comes_for_them_later_lies_with_today() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open(folder.path(), &clock);
    store
        .write(vec![write(put(Kind::Trace, id_at(0, 1), Fields::default()))])
        .await
        .unwrap();
    store.close().await;
    clock.set(
        now()
            .checked_add(jiff::SignedDuration::from_hours(24 * 40))
            .unwrap(),
    );
    let store = open(folder.path(), &clock);
    assert_eq!(store.entries(Kind::Trace, query()).await.unwrap().total, 0);
    store
        .write(vec![write(put(Kind::Trace, id_at(0, 1), Fields::default()))])
        .await
        .unwrap();
    assert!(
        store
            .entry(Kind::Trace, "default", id_at(0, 1))
            .await
            .unwrap()
            .is_some()
    );
    store.close().await;
}

#[tokio::test]
async fn what_began_before_a_time_is_retired_by_file_or_by_entry_and_others_projects_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    let (day, mut writes) = (86_400, Vec::new());
    for (seconds, low) in [(-2 * day, 1), (-day, 2), (-100, 3), (0, 4)] {
        let trace = id_at(seconds, low);
        writes.push(write(put(Kind::Trace, trace, Fields::default())));
        let within = Fields {
            trace_id: Some(trace),
            ..Fields::default()
        };
        writes.push(write(put(Kind::Span, id_at(seconds, 10 + low), within)));
    }
    let other = Put {
        project: Uuid::from_u128(78),
        ..put(Kind::Trace, id_at(-day, 9), Fields::default())
    };
    writes.push(write(other));
    let comment_id = id_at(1, 99);
    let comment = Comment {
        id: comment_id,
        subject: Subject::Entry(Kind::Trace, id_at(-2 * day, 1)),
        text: "old".into(),
        queue: None,
        created: now(),
        updated: now(),
        created_by: "ada".into(),
        updated_by: "ada".into(),
    };
    writes.push(Write::Comment {
        workspace: "default".into(),
        comment,
    });
    store.write(writes).await.unwrap();
    let before = now().checked_sub(jiff::SignedDuration::from_secs(50)).unwrap();
    assert_eq!(
        store.retire("default", Some(Uuid::nil()), before).await.unwrap(),
        0
    );
    let gone = store.retire("default", Some(project()), before).await.unwrap();
    assert_eq!(gone, 4, "two of the unlinked file, and two with their spans");
    let kept: Vec<Uuid> = store
        .entries(Kind::Trace, query())
        .await
        .unwrap()
        .items
        .iter()
        .map(|entry| entry.id)
        .collect();
    assert_eq!(kept, [id_at(0, 4)]);
    assert!(
        !folder.path().join("2026-11-19.db").exists(),
        "a day that is gone whole is unlinked"
    );
    assert!(folder.path().join("2026-11-20.db").exists());
    assert!(store.comment("default", comment_id).await.unwrap().is_none());
    let all = Query {
        project: None,
        ..query()
    };
    assert_eq!(store.entries(Kind::Trace, all).await.unwrap().total, 2);
    assert_eq!(
        store.sums(Counted::Traces, query(), Bucket::Whole).await.unwrap()[0]
            .1
            .spans,
        1
    );
    store.close().await;
}
