//! A real store in a temporary folder.

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

use super::{TraceOptions, TraceStore};

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

#[tokio::test]
async fn another_project_trace_or_parent_is_a_conflict_and_nothing_of_its_request_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    let (trace, span, parent) = (id_at(0, 1), id_at(0, 2), id_at(0, 3));
    let told = |trace, parent| Fields {
        trace_id: Some(trace),
        parent_span_id: Some(parent),
        ..Fields::default()
    };
    store
        .write(vec![write(put(Kind::Span, span, told(trace, parent)))])
        .await
        .unwrap();
    let elsewhere = Put {
        project: Uuid::from_u128(78),
        ..put(Kind::Span, span, told(trace, parent))
    };
    let strange = Put {
        workspace: "research".into(),
        ..put(Kind::Span, span, told(trace, parent))
    };
    for wrong in [
        elsewhere,
        strange,
        put(Kind::Span, span, told(id_at(0, 9), parent)),
        put(Kind::Span, span, told(trace, id_at(0, 9))),
    ] {
        let beside = put(Kind::Span, id_at(0, 5), told(trace, parent));
        let error = store.write(vec![write(beside), write(wrong)]).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Conflict);
    }
    assert!(
        store
            .entry(Kind::Span, "default", id_at(0, 5))
            .await
            .unwrap()
            .is_none()
    );
    assert!(store.entry(Kind::Span, "research", span).await.unwrap().is_none());
    store.close().await;
}

#[tokio::test]
async fn lists_are_newest_first_across_days_and_go_on_after_the_last_one_seen() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    // Two of them tell days that have no file of their own: they lie with today's.
    let ages = [0, -10, -86_400, -86_410, -40 * 86_400, -41 * 86_400];
    let ids: Vec<Uuid> = ages.iter().map(|age| id_at(*age, 1)).collect();
    let writes = ids
        .iter()
        .rev()
        .map(|id| write(put(Kind::Trace, *id, Fields::default())));
    store.write(writes.collect()).await.unwrap();
    let all = store.entries(Kind::Trace, query()).await.unwrap();
    assert_eq!(all.total, 6);
    let mut walked = Vec::new();
    let mut after = None;
    loop {
        let page = Query {
            after,
            limit: 2,
            count: stead_kernel::ports::traces::Count::None,
            ..query()
        };
        let found = store.entries(Kind::Trace, page).await.unwrap().items;
        let Some(last) = found.last() else { break };
        after = Some(last.id);
        walked.extend(found.iter().map(|entry| entry.id));
    }
    assert_eq!(walked, all.items.iter().map(|entry| entry.id).collect::<Vec<_>>());
    let mut sorted = walked.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 6);
    store.close().await;
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
async fn a_trace_is_worth_its_spans_even_those_of_another_day_and_takes_them_along_when_it_goes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    let trace = id_at(-86_400, 1);
    let fields = Fields {
        name: Some("t".into()),
        tags: Some(vec!["a".into()]),
        ..Fields::default()
    };
    store
        .write(vec![
            write(put(Kind::Trace, trace, fields)),
            llm_span(trace, id_at(-86_400, 2), 5, 0.25),
            llm_span(trace, id_at(0, 3), 7, 0.5),
        ])
        .await
        .unwrap();
    let entry = store.entry(Kind::Trace, "default", trace).await.unwrap().unwrap();
    let spans = entry.spans.unwrap();
    assert_eq!(
        (spans.spans, spans.llm_spans, spans.usage["total_tokens"]),
        (2, 2, 12)
    );
    assert_eq!(entry.cost, Some(0.75));
    let costly = Query {
        filters: vec![Filter::new("usage.total_tokens", "", Operator::Greater, "11")],
        order: vec![Order {
            field: "total_estimated_cost".into(),
            key: String::new(),
            descending: true,
        }],
        ..query()
    };
    assert_eq!(store.entries(Kind::Trace, costly).await.unwrap().total, 1);
    let sums = store.sums(Counted::Spans, query(), Bucket::Whole).await.unwrap();
    assert_eq!((sums[0].1.count, sums[0].1.cost), (2, 0.75));
    let delete = Write::Delete {
        kind: Kind::Trace,
        workspace: "default".into(),
        ids: vec![trace],
    };
    store.write(vec![delete]).await.unwrap();
    assert_eq!(store.entries(Kind::Span, query()).await.unwrap().total, 0);
    assert_eq!(store.entries(Kind::Trace, query()).await.unwrap().total, 0);
    store.close().await;
}

#[tokio::test]
async fn threads_are_put_together_closed_opened_scored_and_commented() {
    let folder = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = open(folder.path(), &clock);
    for (second, text) in [(0, "\"first\""), (5, "\"last\"")] {
        let at = now()
            .checked_add(jiff::SignedDuration::from_secs(second))
            .unwrap();
        let fields = Fields {
            thread: Some("chat".into()),
            start: Some(at),
            end: Some(at),
            input: Some(json(text)),
            output: Some(json(text)),
            ..Fields::default()
        };
        store
            .write(vec![write(put(Kind::Trace, id_at(second, 1), fields))])
            .await
            .unwrap();
    }
    let subject = Subject::Thread(project(), "chat".into());
    let comment = Comment {
        id: id_at(1, 9),
        subject: subject.clone(),
        text: "good".into(),
        queue: None,
        created: now(),
        updated: now(),
        created_by: "ada".into(),
        updated_by: "ada".into(),
    };
    store
        .write(vec![Write::Comment {
            workspace: "default".into(),
            comment,
        }])
        .await
        .unwrap();
    let change = |change| Write::Thread {
        workspace: "default".into(),
        threads: Threads::Named(project(), vec!["chat".into()]),
        change,
        at: now(),
        by: "ada".into(),
    };
    store.write(vec![change(ThreadChange::Close)]).await.unwrap();
    let thread = store.threads(query()).await.unwrap().items.remove(0);
    assert_eq!(
        (thread.traces, thread.active, thread.comments.len()),
        (2, false, 1)
    );
    assert_eq!(thread.first_message.unwrap().get(), "\"first\"");
    assert_eq!(thread.last_message.unwrap().get(), "\"last\"");
    store.write(vec![change(ThreadChange::Open)]).await.unwrap();
    assert!(store.threads(query()).await.unwrap().items[0].active);
    store.write(vec![change(ThreadChange::Delete)]).await.unwrap();
    assert_eq!(store.threads(query()).await.unwrap().total, 0);
    assert_eq!(store.entries(Kind::Trace, query()).await.unwrap().total, 0);
    store.close().await;
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
