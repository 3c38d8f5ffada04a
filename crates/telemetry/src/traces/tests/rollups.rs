//! Sums that are kept equal those that a reading of every entry gives.

use proptest::prelude::*;
use stead_kernel::ports::traces::Sums;

use super::*;

/// One step of a random history; numbers choose among few traces and spans, so that they meet.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Trace {
        which: u8,
        late: bool,
        end: Option<u16>,
        tags: u8,
    },
    Span {
        which: u8,
        trace: u8,
        model: Option<u8>,
        cost: Option<u8>,
        usage: Option<u8>,
        end: Option<u16>,
        told: u8,
        change: bool,
    },
    Score {
        span: bool,
        which: u8,
        value: u8,
    },
    Unscore {
        span: bool,
        which: u8,
    },
    Delete {
        span: bool,
        which: u8,
    },
    Commit,
}

pub(super) fn step() -> impl Strategy<Value = Step> {
    let end = || prop::option::of(0_u16..5_000);
    prop_oneof![
        3 => (0_u8..4, any::<bool>(), end(), 0_u8..3).prop_map(|(which, late, end, tags)| Step::Trace { which, late, end, tags }),
        6 => (0_u8..8, 0_u8..4, prop::option::of(0_u8..3), prop::option::of(0_u8..9), prop::option::of(0_u8..9), end(), 0_u8..4, any::<bool>())
            .prop_map(|(which, trace, model, cost, usage, end, told, change)| Step::Span { which, trace, model, cost, usage, end, told, change }),
        2 => (any::<bool>(), 0_u8..8, 0_u8..9).prop_map(|(span, which, value)| Step::Score { span, which, value }),
        1 => (any::<bool>(), 0_u8..8).prop_map(|(span, which)| Step::Unscore { span, which }),
        1 => (any::<bool>(), 0_u8..8).prop_map(|(span, which)| Step::Delete { span, which }),
        3 => Just(Step::Commit),
    ]
}

fn after(ms: i64) -> Timestamp {
    now().checked_add(jiff::SignedDuration::from_millis(ms)).unwrap()
}

/// Traces 0 and 1 are of yesterday, the others of today; spans are all of today, in several minutes.
fn trace(which: u8) -> Uuid {
    let seconds = if which < 2 { -86_400 } else { 0 };
    id_at(seconds + i64::from(which) * 40, 100 + u128::from(which))
}

fn span(which: u8) -> Uuid {
    id_at(i64::from(which) * 50, 200 + u128::from(which))
}

fn trace_told(which: u8, late: bool, end: Option<u16>, tags: u8) -> Write {
    let fields = Fields {
        start: (!late).then(|| after(i64::from(which) * 1_000)),
        end: end.map(|ms| after(i64::from(ms))),
        tags: (tags > 0).then(|| (0..tags).map(|tag| tag.to_string()).collect()),
        input: (tags > 1).then(|| json("1")),
        thread: (tags > 0).then(|| format!("thread {which}")),
        ..Fields::default()
    };
    write(put(Kind::Trace, trace(which), fields))
}

pub(super) fn score_given(subject: Subject, value: u8) -> Write {
    Write::Score {
        workspace: "default".into(),
        subject,
        score: Score {
            name: format!("s{}", value % 2),
            value: f64::from(value) / 10.0,
            category: None,
            reason: None,
            source: "sdk".into(),
            queue: None,
            author: "ada".into(),
            created: now(),
            updated: now(),
        },
    }
}

pub(super) fn writes(step: Step) -> Option<Write> {
    let subject = |is_span: bool, which: u8| {
        if is_span {
            Subject::Entry(Kind::Span, span(which))
        } else {
            Subject::Entry(Kind::Trace, trace(which % 4))
        }
    };
    Some(match step {
        Step::Commit => return None,
        Step::Trace {
            which,
            late,
            end,
            tags,
        } => trace_told(which, late, end, tags),
        Step::Span {
            which,
            trace: of,
            model,
            cost,
            usage,
            end,
            told,
            change,
        } => {
            // A span stays in the trace that it was in first.
            let fields = Fields {
                trace_id: Some(trace((which + of / 4) % 4)),
                start: (told != 1).then(|| after(i64::from(which) * 30_500)),
                end: end.map(|ms| after(i64::from(which) * 30_500 + i64::from(ms))),
                sort: model.map(|model| ["llm", "tool", "general"][usize::from(model)].to_owned()),
                model: model.map(|model| format!("m{model}")),
                provider: model.map(|model| format!("p{model}")),
                cost: cost.map(|cost| f64::from(cost) / 10.0),
                usage: usage.map(|tokens| [("total_tokens".to_owned(), i64::from(tokens))].into()),
                error: (told == 3).then(|| json("{\"message\": \"x\"}")),
                first_token_ms: end.map(f64::from),
                ..Fields::default()
            };
            let origin = if change { Origin::Change } else { Origin::Report };
            write(Put {
                told: after(i64::from(told)),
                origin,
                ..put(Kind::Span, span(which), fields)
            })
        }
        Step::Score { span, which, value } => score_given(subject(span, which), value),
        Step::Unscore { span, which } => Write::Unscore {
            workspace: "default".into(),
            subject: subject(span, which),
            names: vec!["s0".into()],
            author: None,
        },
        Step::Delete { span: is_span, which } => Write::Delete {
            kind: if is_span { Kind::Span } else { Kind::Trace },
            workspace: "default".into(),
            ids: vec![if is_span { span(which) } else { trace(which % 4) }],
        },
    })
}

/// Holds for every entry, and makes the store read them.
fn by_reading(query: Query) -> Query {
    let always = Filter::new("id", "", Operator::IsNotEmpty, "");
    Query {
        filters: [query.filters, vec![always]].concat(),
        ..query
    }
}

async fn sums(store: &TraceStore, of: Counted, query: Query, bucket: Bucket) -> Vec<(Timestamp, Sums)> {
    store.sums(of, query, bucket).await.unwrap()
}

async fn check(store: &TraceStore) -> Result<(), TestCaseError> {
    let ragged = Query {
        since: Some(after(17_500)),
        until: Some(after(190_300)),
        ..query()
    };
    let short = Query {
        since: Some(after(31_000)),
        until: Some(after(33_000)),
        ..query()
    };
    for of in [Counted::Traces, Counted::Spans] {
        for asked in [query(), ragged.clone(), short.clone()] {
            for bucket in [
                Bucket::Whole,
                Bucket::Seconds(60),
                Bucket::Seconds(3_600),
                Bucket::Seconds(7 * 86_400),
            ] {
                let kept = sums(store, of, asked.clone(), bucket).await;
                let read = sums(store, of, by_reading(asked.clone()), bucket).await;
                prop_assert_eq!(kept, read, "{:?} {:?} {:?}", of, asked.since, bucket);
            }
        }
    }
    let of_model = Query {
        filters: vec![Filter::new("model", "", Operator::Equal, "m1")],
        ..query()
    };
    let kept = sums(store, Counted::Spans, of_model.clone(), Bucket::Whole).await;
    let read = sums(store, Counted::Spans, by_reading(of_model), Bucket::Whole).await;
    prop_assert_eq!(kept, read);
    let by = Order {
        field: "provider".into(),
        key: String::new(),
        descending: false,
    };
    let kept = store
        .sums_by(Counted::Spans, query(), Bucket::Seconds(60), by.clone())
        .await
        .unwrap();
    let read = store
        .sums_by(Counted::Spans, by_reading(query()), Bucket::Seconds(60), by)
        .await
        .unwrap();
    prop_assert_eq!(kept, read);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn kept_sums_equal_a_reading_of_every_entry_after_any_order_of_writes(
        steps in prop::collection::vec(step(), 1..40),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let store = open(folder.path(), &clock());
            let mut batch = Vec::new();
            for step in steps {
                match writes(step) {
                    Some(one) => batch.push(one),
                    None => store.write(std::mem::take(&mut batch)).await.unwrap(),
                }
            }
            store.write(batch).await.unwrap();
            check(&store).await?;
            store.close().await;
            Ok::<(), TestCaseError>(())
        })?;
    }
}

#[tokio::test]
async fn a_file_of_the_first_format_is_summed_up_when_it_is_opened() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    let made: Vec<Write> = (0..6)
        .filter_map(|which| {
            writes(Step::Span {
                which,
                trace: which,
                model: Some(which % 3),
                cost: Some(3),
                usage: Some(2),
                end: Some(70),
                told: 0,
                change: false,
            })
        })
        .chain((0..4).filter_map(|which| {
            writes(Step::Trace {
                which,
                late: false,
                end: Some(9),
                tags: 2,
            })
        }))
        .collect();
    store.write(made).await.unwrap();
    let expected = sums(&store, Counted::Traces, query(), Bucket::Whole).await;
    store.close().await;
    for day in ["2026-11-21.db", "2026-11-20.db"] {
        let file = rusqlite::Connection::open(folder.path().join(day)).unwrap();
        file.execute_batch(
            "DELETE FROM rollups; DELETE FROM totals; UPDATE marks SET value = 0 WHERE name = 'summed up'",
        )
        .unwrap();
    }
    let store = open(folder.path(), &clock());
    assert_eq!(
        sums(&store, Counted::Traces, query(), Bucket::Whole).await,
        expected
    );
    assert_eq!(expected[0].1.spans, 6);
    check(&store).await.unwrap();
    store.close().await;
}
