//! The record store as a whole, over a real file.

use std::{collections::BTreeSet, fs};

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_kernel::{Reason, Timestamp, ports::Within};
use stead_testkit::ManualClock;
use tempfile::TempDir;
use tokio::task::JoinSet;

use super::*;

const THREADS: Collection = Collection {
    name: "chat.threads",
    indexes: &["owner", "rank"],
};
const NOTES: Collection = Collection {
    name: "notes",
    indexes: &[],
};

struct Bench {
    folder: TempDir,
    clock: Arc<ManualClock>,
    store: RecordStore,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let store = RecordStore::open(&folder.path().join("r.db"), &[THREADS, NOTES], clock.clone()).unwrap();
        Self { folder, clock, store }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("r.db")
    }

    fn reopen(&mut self, collections: &[Collection]) {
        self.store = RecordStore::open(&self.path(), collections, self.clock.clone()).unwrap();
    }

    async fn ids(&self, query: RecordQuery) -> Vec<String> {
        let page = self.store.list(query).await.unwrap();
        page.items.into_iter().map(|record| record.key.id).collect()
    }
}

fn key(id: &str) -> RecordKey {
    RecordKey {
        collection: "chat.threads".into(),
        project: "p".into(),
        id: id.into(),
    }
}

fn put(id: &str, expected: Option<u64>, body: Value) -> RecordWrite {
    RecordWrite::Put {
        key: key(id),
        expected,
        body,
    }
}

fn delete(id: &str, expected: Option<u64>) -> RecordWrite {
    RecordWrite::Delete {
        key: key(id),
        expected,
    }
}

fn threads() -> RecordQuery {
    RecordQuery {
        collection: "chat.threads".into(),
        ..RecordQuery::default()
    }
}

#[tokio::test]
async fn a_record_counts_its_versions_and_remembers_when_it_was_made() {
    let mut bench = Bench::new();
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
    bench.reopen(&[THREADS, NOTES]);
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

#[tokio::test]
async fn a_commit_is_whole_or_nothing() {
    let bench = Bench::new();
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

#[tokio::test]
async fn bad_writes_and_queries_are_refused() {
    let bench = Bench::new();
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

#[tokio::test]
async fn equality_keeps_types_apart_and_null_is_absent() {
    let bench = Bench::new();
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

#[tokio::test]
async fn projects_are_apart_unless_all_are_asked_for() {
    let bench = Bench::new();
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn pages_hold_every_record_once_in_order_whatever_the_values(
        ranks in prop::collection::vec(prop_oneof![
            Just(json!(null)), (-3i64..3).prop_map(|n| json!(n)), (-2.0f64..2.0).prop_map(|n| json!(n)),
            "[a-c]{0,2}".prop_map(|text| json!(text)), any::<bool>().prop_map(|flag| json!(flag)),
        ], 0..30),
        descending in any::<bool>(),
        one_project in any::<bool>(),
        limit in 1usize..7,
        order in prop::sample::select(vec![None, Some("rank"), Some("updated")]),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let bench = Bench::new();
            for (number, rank) in ranks.iter().enumerate() {
                let write = RecordWrite::Put {
                    key: RecordKey {
                        project: if one_project || number % 2 == 0 { "p" } else { "q" }.into(),
                        ..key(&format!("{:03}", number / 2 * 7 % 31 + if one_project { number * 100 } else { 0 }))
                    },
                    expected: None,
                    body: json!({"rank": rank}),
                };
                bench.store.commit(vec![write]).await.unwrap();
                bench.clock.advance(std::time::Duration::from_secs(number as u64 % 2));
            }
            let query = RecordQuery {
                project: one_project.then(|| "p".into()),
                order_by: order.map(Into::into),
                descending,
                ..threads()
            };
            let whole = bench.store.list(RecordQuery { limit: 1_000, ..query.clone() }).await.unwrap();
            assert_eq!(whole.next, None);
            let mut paged = Vec::new();
            let mut after = None;
            loop {
                let page = bench.store.list(RecordQuery { limit, after, ..query.clone() }).await.unwrap();
                assert!(page.items.len() == limit || page.next.is_none());
                paged.extend(page.items);
                assert!(paged.len() <= whole.items.len(), "a page repeats what an earlier one had");
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            let keys: BTreeSet<&RecordKey> = paged.iter().map(|record| &record.key).collect();
            assert_eq!(keys.len(), paged.len());
            assert_eq!(paged, whole.items);
        });
    }
}

#[tokio::test]
async fn a_page_of_another_order_is_refused() {
    let bench = Bench::new();
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

#[tokio::test]
async fn declared_indexes_are_used_and_follow_the_declaration() {
    let mut bench = Bench::new();
    bench
        .store
        .commit(vec![put("a", None, json!({"owner": "ada", "late": 3}))])
        .await
        .unwrap();
    let plan = |bench: &Bench, sql: &str| -> String {
        let connection = rusqlite::Connection::open(bench.path()).unwrap();
        connection
            .query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get(3))
            .unwrap()
    };
    let sql = |field: &str| {
        format!(
            "SELECT id FROM \"r/chat.threads\" WHERE project = 'p' AND json_extract(body, '$.\"{field}\"') = 'x'"
        )
    };
    assert!(plan(&bench, &sql("owner")).contains("r/chat.threads/owner"));
    bench.reopen(&[Collection {
        indexes: &["late"],
        ..THREADS
    }]);
    assert!(plan(&bench, &sql("late")).contains("r/chat.threads/late"));
    assert!(!plan(&bench, &sql("owner")).contains("r/chat.threads/owner"));
    let query = RecordQuery {
        equals: vec![("late".into(), json!(3))],
        ..threads()
    };
    assert_eq!(bench.ids(query).await, ["a"]);
    let undeclared = RecordKey {
        collection: "notes".into(),
        ..key("a")
    };
    assert_eq!(
        bench.store.get(&undeclared).await.unwrap_err().reason(),
        Reason::Internal
    );
}

#[tokio::test]
async fn names_that_could_break_a_statement_or_clash_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = |collections: &[Collection]| {
        RecordStore::open(
            &folder.path().join("r.db"),
            collections,
            Arc::new(ManualClock::default()),
        )
        .err()
    };
    for bad in [
        Collection {
            name: "a\"b",
            indexes: &[],
        },
        Collection {
            name: "",
            indexes: &[],
        },
        Collection {
            name: "a",
            indexes: &["x'"],
        },
    ] {
        assert_eq!(open(&[bad]).map(|error| error.reason()), Some(Reason::Internal));
    }
    assert!(open(&[NOTES, NOTES]).is_some());
}

#[tokio::test]
async fn many_writers_of_one_counter_lose_no_step() {
    let bench = Bench::new();
    let store = Arc::new(bench.store);
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

#[tokio::test]
async fn what_was_answered_survives_a_kill_and_a_backup_is_whole() {
    let mut bench = Bench::new();
    for number in 0..20 {
        bench
            .store
            .commit(vec![put(&number.to_string(), None, json!({}))])
            .await
            .unwrap();
        let copy = tempfile::tempdir().unwrap();
        for name in ["r.db", "r.db-wal"] {
            fs::copy(bench.folder.path().join(name), copy.path().join(name)).unwrap();
        }
        let found = RecordStore::open(
            &copy.path().join("r.db"),
            &[THREADS],
            Arc::new(ManualClock::default()),
        )
        .unwrap();
        assert_eq!(found.list(threads()).await.unwrap().items.len(), number + 1);
    }
    let target = bench.folder.path().join("copy.db");
    bench.store.backup(&target).await.unwrap();
    assert_eq!(
        bench.store.backup(&target).await.unwrap_err().reason(),
        Reason::Conflict
    );
    let copy = RecordStore::open(&target, &[THREADS], bench.clock.clone()).unwrap();
    copy.check().await.unwrap();
    assert_eq!(copy.list(threads()).await.unwrap().items.len(), 20);
    bench.store.close().await;
    assert_eq!(
        bench
            .store
            .commit(vec![delete("1", None)])
            .await
            .unwrap_err()
            .reason(),
        Reason::Unavailable
    );
    bench.reopen(&[THREADS]);
    assert_eq!(bench.ids(threads()).await.len(), 20);
}

#[tokio::test]
async fn a_damaged_foreign_or_newer_file_is_refused_and_left_as_it_is() {
    let bench = Bench::new();
    bench.store.close().await;
    let good = fs::read(bench.path()).unwrap();
    let open = || {
        RecordStore::open(&bench.path(), &[THREADS], bench.clock.clone())
            .err()
            .unwrap()
    };
    let mut spoiled = good.clone();
    spoiled[4_096..].fill(0xA5);
    for bytes in [b"garbage".repeat(1_000), spoiled] {
        fs::write(bench.path(), &bytes).unwrap();
        let error = open();
        assert_eq!(error.reason(), Reason::Unavailable, "{}", error.full_message());
        assert_eq!(fs::read(bench.path()).unwrap(), bytes);
    }
    fs::write(bench.path(), &good).unwrap();
    let connection = rusqlite::Connection::open(bench.path()).unwrap();
    connection.pragma_update(None, "user_version", 2).unwrap();
    drop(connection);
    assert_eq!(open().reason(), Reason::Unsupported);
}

#[test]
fn a_full_disk_refuses_a_whole_commit_and_takes_the_next_one_that_fits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("r.db");
    let tables = Arc::new(tables::declare(&[THREADS]).unwrap());
    let mut connection = tables::open(&path).unwrap();
    tables::reconcile(&mut connection, &tables).unwrap();
    connection.pragma_update(None, "max_page_count", 24).unwrap();
    let counters = Arc::new(write::Counters::default());
    let mut writer = Writer::new(
        connection,
        path,
        tables,
        Arc::new(ManualClock::default()),
        counters,
    );
    let big = json!({"big": "x".repeat(100_000)});
    let answers = crate::queue::Engine::run(
        &mut writer,
        vec![
            vec![put("a", Some(0), json!({}))],
            vec![put("b", Some(0), json!({})), put("c", None, big)],
            vec![put("b", Some(0), json!({})), put("a", Some(1), json!({}))],
        ],
    );
    let reasons: Vec<_> = answers
        .iter()
        .map(|answer| answer.as_ref().err().map(stead_kernel::Error::reason))
        .collect();
    assert_eq!(reasons, [None, Some(Reason::Unavailable), None]);
}

#[tokio::test]
async fn a_range_of_texts_is_found_in_order_in_parts_and_counted() {
    let bench = Bench::new();
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

#[tokio::test]
async fn several_records_are_read_at_once_in_the_order_of_their_keys() {
    let bench = Bench::new();
    let writes = vec![put("a", None, json!({})), put("b", None, json!({}))];
    bench.store.commit(writes).await.unwrap();
    let keys = vec![key("b"), key("missing"), key("a")];
    let found = bench.store.get_many(keys).await.unwrap();
    let ids: Vec<&str> = found.iter().map(|record| record.key.id.as_str()).collect();
    assert_eq!(ids, ["b", "a"]);
}
