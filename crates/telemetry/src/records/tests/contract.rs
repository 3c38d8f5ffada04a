//! What holds for records wherever they lie. Each is run over every engine.

use stead_kernel::{Timestamp, ports::Within};
use tokio::task::JoinSet;

use super::*;

pub(super) async fn a_record_counts_its_versions_and_remembers_when_it_was_made(mut bench: Bench) {
    let made: Timestamp = stead_kernel::Clock::now(&*bench.clock);
    assert_eq!(
        bench
            .store
            .commit(vec![put("a", Some(0), json!({"n": 1}))])
            .await
            .unwrap(),
        [1]
    );
    bench.clock.advance(std::time::Duration::from_secs(5));
    assert_eq!(
        bench
            .store
            .commit(vec![put("a", Some(1), json!({"z": 2, "a": [1]}))])
            .await
            .unwrap(),
        [2]
    );
    bench.reopen(&[THREADS, NOTES]).await;
    let record = bench.store.get(&key("a")).await.unwrap().unwrap();
    assert_eq!((record.version, record.created), (2, made));
    assert_eq!(record.updated, made + std::time::Duration::from_secs(5));
    assert_eq!(record.body.to_string(), r#"{"z":2,"a":[1]}"#);
    assert_eq!(
        bench
            .store
            .commit(vec![delete("a", Some(2)), delete("a", None)])
            .await
            .unwrap(),
        [0, 0]
    );
    assert_eq!(bench.store.get(&key("a")).await.unwrap(), None);
}

pub(super) async fn a_commit_is_whole_or_nothing(bench: Bench) {
    bench.store.commit(vec![put("a", None, json!({}))]).await.unwrap();
    let cases = [
        (
            put("a", Some(0), json!({})),
            "record a of chat.threads exists already",
        ),
        (
            put("a", Some(3), json!({})),
            "record a of chat.threads was changed meanwhile: it has version 1, not 3",
        ),
        (
            delete("b", Some(1)),
            "record b of chat.threads does not exist any more",
        ),
    ];
    for (clash, message) in cases {
        let error = bench
            .store
            .commit(vec![put("x", None, json!({})), clash])
            .await
            .unwrap_err();
        assert_eq!((error.reason(), error.message()), (Reason::Conflict, message));
    }
    assert_eq!(bench.ids(threads()).await, ["a"]);
    assert!(bench.store.metrics().contains("stead_records_conflicts_total 3"));
}

pub(super) async fn bad_writes_and_queries_are_refused(bench: Bench) {
    let elsewhere = RecordWrite::Delete {
        key: RecordKey {
            collection: "nowhere".into(),
            ..key("a")
        },
        expected: None,
    };
    for (write, reason) in [
        (put("", None, json!({})), Reason::Invalid),
        (put("a", None, json!([1])), Reason::Invalid),
        (elsewhere, Reason::Internal),
    ] {
        assert_eq!(
            bench.store.commit(vec![write]).await.unwrap_err().reason(),
            reason
        );
    }
    let base = threads;
    for query in [
        RecordQuery {
            order_by: Some("secret".into()),
            ..base()
        },
        RecordQuery {
            equals: vec![("x' OR 1".into(), json!(1))],
            ..base()
        },
        RecordQuery {
            equals: vec![("owner".into(), json!([1]))],
            ..base()
        },
        RecordQuery {
            after: Some("garbage".into()),
            ..base()
        },
    ] {
        assert_eq!(
            bench.store.list(query.clone()).await.unwrap_err().reason(),
            Reason::Invalid,
            "{query:?}"
        );
    }
}

pub(super) async fn equality_keeps_types_apart_and_null_is_absent(bench: Bench) {
    let bodies = [
        json!(1),
        json!("1"),
        json!(true),
        json!(1.5),
        json!(null),
        json!(false),
    ];
    let writes = bodies
        .iter()
        .enumerate()
        .map(|(n, rank)| put(&n.to_string(), None, json!({"rank": rank})));
    bench
        .store
        .commit(writes.chain([put("6", None, json!({}))]).collect())
        .await
        .unwrap();
    let cases = [
        (json!(1), vec!["0"]),
        (json!("1"), vec!["1"]),
        (json!(true), vec!["2"]),
        (json!(1.5), vec!["3"]),
        (json!(null), vec!["4", "6"]),
        (json!(false), vec!["5"]),
        (json!(7), vec![]),
    ];
    for (value, expected) in cases {
        let query = RecordQuery {
            equals: vec![("rank".into(), value.clone())],
            ..threads()
        };
        assert_eq!(bench.ids(query).await, expected, "{value}");
    }
}

pub(super) async fn projects_are_apart_unless_all_are_asked_for(bench: Bench) {
    let other = RecordWrite::Put {
        key: RecordKey {
            project: "q".into(),
            ..key("a")
        },
        expected: Some(0),
        body: json!({"owner": "bob"}),
    };
    bench
        .store
        .commit(vec![put("a", Some(0), json!({"owner": "ada"})), other])
        .await
        .unwrap();
    let of = |project: &str| RecordQuery {
        project: Some(project.into()),
        ..threads()
    };
    assert_eq!(
        bench.store.list(of("q")).await.unwrap().items[0].body["owner"],
        "bob"
    );
    assert_eq!(bench.ids(of("r")).await.len(), 0);
    assert_eq!(bench.ids(threads()).await, ["a", "a"]);
}

pub(super) async fn a_page_of_another_order_is_refused(bench: Bench) {
    bench
        .store
        .commit(vec![put("a", None, json!({})), put("b", None, json!({}))])
        .await
        .unwrap();
    let next = bench
        .store
        .list(RecordQuery {
            limit: 1,
            ..threads()
        })
        .await
        .unwrap()
        .next;
    let query = RecordQuery {
        after: next,
        descending: true,
        ..threads()
    };
    assert_eq!(
        bench.store.list(query).await.unwrap_err().reason(),
        Reason::Invalid
    );
}

pub(super) async fn many_writers_of_one_counter_lose_no_step(bench: Bench) {
    let store = bench.store;
    store
        .commit(vec![put("counter", Some(0), json!({"n": 0}))])
        .await
        .unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for _ in 0..10 {
                loop {
                    let record = store.get(&key("counter")).await.unwrap().unwrap();
                    let n = record.body["n"].as_i64().unwrap() + 1;
                    let write = put("counter", Some(record.version), json!({"n": n}));
                    match store.commit(vec![write]).await {
                        Ok(_) => break,
                        Err(error) => assert_eq!(error.reason(), Reason::Conflict),
                    }
                }
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    let record = store.get(&key("counter")).await.unwrap().unwrap();
    assert_eq!((record.body["n"].as_i64(), record.version), (Some(80), 81));
}

pub(super) async fn a_range_of_texts_is_found_in_order_in_parts_and_counted(bench: Bench) {
    let places = [
        json!("d/1"),
        json!("d/3"),
        json!("d/2"),
        json!("e/1"),
        json!("d"),
        json!(7),
        Value::Null,
    ];
    let writes = places.iter().enumerate();
    let writes = writes.map(|(at, place)| put(&at.to_string(), None, json!({"owner": place})));
    bench.store.commit(writes.collect()).await.unwrap();
    let query = RecordQuery {
        project: Some("p".into()),
        within: vec![Within::prefix("owner", "d/")],
        order_by: Some("owner".into()),
        descending: true,
        ..threads()
    };
    assert_eq!(bench.store.count(query.clone()).await.unwrap(), 3);
    assert_eq!(bench.ids(query.clone()).await, ["1", "2", "0"]);
    let part = RecordQuery {
        skip: 1,
        limit: 1,
        ..query.clone()
    };
    let page = bench.store.list(part).await.unwrap();
    assert_eq!((page.items[0].key.id.as_str(), page.next.is_some()), ("2", true));
    let mut below = query.clone();
    below.within[0].below = "d/2".into();
    assert_eq!(bench.ids(below).await, ["0"]);
    let unknown = RecordQuery {
        within: vec![Within::prefix("secret", "d/")],
        ..query
    };
    assert_eq!(
        bench.store.count(unknown).await.unwrap_err().reason(),
        Reason::Invalid
    );
}

pub(super) async fn several_records_are_read_at_once_in_the_order_of_their_keys(bench: Bench) {
    let writes = vec![put("a", None, json!({})), put("b", None, json!({}))];
    bench.store.commit(writes).await.unwrap();
    let keys = vec![key("b"), key("missing"), key("a")];
    let found = bench.store.get_many(keys).await.unwrap();
    let ids: Vec<&str> = found.iter().map(|record| record.key.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
}

pub(super) async fn a_field_that_is_declared_later_is_found_in_what_was_there(mut bench: Bench) {
    let writes = vec![
        put("a", None, json!({"owner": "ada", "late": 3})),
        put("b", None, json!({"late": "x".repeat(5_000)})),
    ];
    bench.store.commit(writes).await.unwrap();
    bench
        .reopen(&[Collection {
            indexes: &["late"],
            ..THREADS
        }])
        .await;
    let of = |late: Value| RecordQuery {
        equals: vec![("late".into(), late)],
        ..threads()
    };
    assert_eq!(bench.ids(of(json!(3))).await, ["a"]);
    assert_eq!(bench.ids(of(json!("x".repeat(5_000)))).await, ["b"]);
    assert_eq!(bench.ids(of(json!("x".repeat(5_001)))).await.len(), 0);
    bench
        .store
        .commit(vec![put("a", None, json!({"late": 4}))])
        .await
        .unwrap();
    assert_eq!(bench.ids(of(json!(4))).await, ["a"]);
    let undeclared = RecordKey {
        collection: "notes".into(),
        ..key("a")
    };
    let error = bench.store.get(&undeclared).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Internal);
}

pub(super) async fn texts_of_every_kind_come_back_as_they_were(bench: Bench) {
    let odd = "a\0b \u{1f980} \u{202e}\u{feff} ' \" \\ \n";
    let body = json!({"owner": odd, "rank": u64::MAX, "deep": [[{"": null}]], "small": 1e-300});
    bench
        .store
        .commit(vec![put("id '\" \u{1f980}", None, body.clone())])
        .await
        .unwrap();
    let found = bench.store.get(&key("id '\" \u{1f980}")).await.unwrap().unwrap();
    assert_eq!(found.body, body);
    let query = RecordQuery {
        equals: vec![("owner".into(), json!(odd))],
        ..threads()
    };
    assert_eq!(bench.store.count(query).await.unwrap(), 1);
    let error = bench
        .store
        .commit(vec![put("a\0", None, json!({}))])
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::Invalid);
    assert_eq!(bench.store.get(&key("a\0")).await.unwrap(), None);
}

/// What a list is asked for.
pub(super) struct Asked {
    pub(super) descending: bool,
    pub(super) one_project: bool,
    pub(super) limit: usize,
    pub(super) order: Option<&'static str>,
}

/// Its pages hold every record once, in order.
pub(super) async fn pages_hold_every_record_once_in_order(bench: &Bench, ranks: &[Value], asked: Asked) {
    let Asked {
        descending,
        one_project,
        limit,
        order,
    } = asked;
    for (number, rank) in ranks.iter().enumerate() {
        let write = RecordWrite::Put {
            key: RecordKey {
                project: if one_project || number % 2 == 0 { "p" } else { "q" }.into(),
                ..key(&format!(
                    "{:03}",
                    number / 2 * 7 % 31 + if one_project { number * 100 } else { 0 }
                ))
            },
            expected: None,
            body: json!({"rank": rank}),
        };
        bench.store.commit(vec![write]).await.unwrap();
        bench
            .clock
            .advance(std::time::Duration::from_secs(number as u64 % 2));
    }
    let query = RecordQuery {
        project: one_project.then(|| "p".into()),
        order_by: order.map(Into::into),
        descending,
        ..threads()
    };
    let whole = bench
        .store
        .list(RecordQuery {
            limit: 1_000,
            ..query.clone()
        })
        .await
        .unwrap();
    assert_eq!(whole.next, None);
    let mut paged = Vec::new();
    let mut after = None;
    loop {
        let page = bench
            .store
            .list(RecordQuery {
                limit,
                after,
                ..query.clone()
            })
            .await
            .unwrap();
        assert!(page.items.len() == limit || page.next.is_none());
        paged.extend(page.items);
        assert!(
            paged.len() <= whole.items.len(),
            "a page repeats what an earlier one had"
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let keys: BTreeSet<&RecordKey> = paged.iter().map(|record| &record.key).collect();
    assert_eq!(keys.len(), paged.len());
    assert_eq!(paged, whole.items);
}
