//! What holds for ClickHouse beside the contract: what differs from the file is nothing, a server that dies takes nothing
//! along that was answered, and a wrong address or right is one clear error.

use proptest::strategy::ValueTree;
use stead_net::{OutboundClient, OutboundOptions};
use stead_testkit::{ClickHouse, Signal};

use super::{
    super::clickhouse::{ClickHouseOptions, ClickHouseTraces},
    rollups::{Step, step, writes},
    *,
};

async fn open_at(url: &str, clock: &Arc<ManualClock>) -> stead_kernel::Result<ClickHouseTraces> {
    ClickHouseTraces::open(ClickHouseOptions {
        url,
        outbound: Arc::new(OutboundClient::new(OutboundOptions::default()).unwrap()),
        retention_days: 30,
        clock: clock.clone(),
        prices: Arc::new(NoPrices),
        rate: 0,
        tasks: Tasks::default(),
    })
    .await
}

/// A store in a new database.
pub(super) async fn fresh(server: &ClickHouse, database: &str) -> ClickHouseTraces {
    server.run(&format!("CREATE DATABASE {database}")).await;
    open_at(&server.url(database), &clock()).await.unwrap()
}

/// Everything that a store tells, but for what it gives by chance.
async fn all(store: &dyn Traces) -> Vec<String> {
    let mut told = Vec::new();
    for (kind, of) in [(Kind::Trace, Counted::Traces), (Kind::Span, Counted::Spans)] {
        let found = store.entries(kind, query()).await.unwrap();
        told.push(format!("{kind:?} {}", found.total));
        for mut entry in found.items {
            entry.scores.sort_by(|own, other| own.name.cmp(&other.name));
            told.push(format!("{entry:?}"));
        }
        for bucket in [Bucket::Whole, Bucket::Seconds(60)] {
            told.push(format!("{:?}", store.sums(of, query(), bucket).await.unwrap()));
        }
        let costly = Query {
            filters: vec![Filter::new("total_estimated_cost", "", Operator::Greater, "0.3")],
            order: vec![Order {
                field: "duration".into(),
                key: String::new(),
                descending: true,
            }],
            limit: 3,
            ..query()
        };
        let found = store.entries(kind, costly).await.unwrap();
        let ids: Vec<Uuid> = found.items.iter().map(|entry| entry.id).collect();
        told.push(format!("{ids:?} {}", found.total));
        let by = Order {
            field: "tags".into(),
            key: String::new(),
            descending: false,
        };
        told.push(format!(
            "{:?}",
            store.sums_by(of, query(), Bucket::Whole, by).await.unwrap()
        ));
        told.push(format!(
            "{:?}",
            store.score_names(of, "default", &[]).await.unwrap()
        ));
    }
    let mut threads = store.threads(query()).await.unwrap().items;
    threads.sort_by(|own, other| own.name.cmp(&other.name));
    for mut thread in threads {
        thread.id = Uuid::nil();
        told.push(format!("{thread:?}"));
    }
    told
}

/// Random histories, committed in parts, tell the same as the file does, also after what was removed is erased.
#[tokio::test]
async fn clickhouse_tells_the_same_of_random_histories_as_the_file() {
    let server = ClickHouse::start().await;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let histories = prop::collection::vec(step(), 1..40);
    for number in 0..12 {
        let history: Vec<Step> = histories.new_tree(&mut runner).unwrap().current();
        let folder = tempfile::tempdir().unwrap();
        let file = open(folder.path(), &clock());
        let store = fresh(&server, &format!("history_{number}")).await;
        let mut batch = Vec::new();
        for step in history.iter().copied().chain([Step::Commit]) {
            if let Some(write) = writes(step) {
                batch.push(write);
                continue;
            }
            let batch = std::mem::take(&mut batch);
            // Both refuse what contradicts itself.
            let (own, other) = (file.write(batch.clone()).await, store.write(batch).await);
            let reason = |answer: stead_kernel::Result<()>| answer.err().map(|error| error.reason());
            assert_eq!(reason(own), reason(other), "{history:?}");
        }
        let expected = all(&file).await;
        assert_eq!(all(&store).await, expected, "{history:?}");
        store.sweep().await.unwrap();
        assert_eq!(all(&store).await, expected, "after it was swept: {history:?}");
        store.close().await;
        file.close().await;
    }
}

/// Start, end, change and score of a span, in every order and in one batch or several, give the same span.
#[tokio::test]
async fn clickhouse_merges_what_is_told_in_any_order() {
    let server = ClickHouse::start().await;
    let store = fresh(&server, "orders").await;
    let mut orders: Vec<Vec<usize>> = vec![Vec::new()];
    for place in 0..4 {
        let longer = orders.iter().flat_map(|order| {
            (0..=order.len()).map(move |at| {
                let mut order = order.clone();
                order.insert(at, place);
                order
            })
        });
        orders = longer.collect();
    }
    assert_eq!(orders.len(), 24);
    let mut shapes = std::collections::BTreeSet::new();
    for (number, order) in orders.iter().enumerate() {
        let number = u128::try_from(number).unwrap();
        let (trace, span) = (id_at(0, 1), id_at(0, 100 + number));
        let mut batch = Vec::new();
        for (at, place) in order.iter().enumerate() {
            batch.push(life(trace, span).swap_remove(*place));
            if (number >> at) & 1 == 1 {
                store.write(std::mem::take(&mut batch)).await.unwrap();
            }
        }
        store.write(batch).await.unwrap();
        let entry = store.entry(Kind::Span, "default", span).await.unwrap().unwrap();
        assert_eq!(entry.fields.name.as_deref(), Some("changed"));
        shapes.insert(shown(&entry));
    }
    assert_eq!(shapes.len(), 1, "{shapes:?}");
    store.close().await;
}

#[tokio::test]
async fn what_was_answered_outlives_clickhouse_that_is_killed_while_it_stores() {
    let mut server = ClickHouse::start().await;
    server.run("CREATE DATABASE killed").await;
    let store = Arc::new(open_at(&server.url("killed"), &clock()).await.unwrap());
    let mut answered: Vec<Uuid> = Vec::new();
    for round in 0..5_u128 {
        let mut writing = tokio::task::JoinSet::new();
        for number in 0..40 {
            let (store, id) = (Arc::clone(&store), id_at(0, round * 1_000 + number + 1));
            let fields = Fields {
                input: Some(json(&format!("\"{}\"", "x".repeat(20_000)))),
                ..Fields::default()
            };
            let told = vec![write(put(Kind::Trace, id, fields))];
            writing.spawn(async move { (id, store.write(told).await) });
        }
        // One is stored for certain; the others are under way.
        let (first, stored) = writing.join_next().await.unwrap().unwrap();
        assert!(stored.is_ok(), "{stored:?}");
        answered.push(first);
        server.kill().await;
        let error = store
            .write(vec![write(put(
                Kind::Trace,
                id_at(0, 999_999),
                Fields::default(),
            ))])
            .await;
        let error = error.unwrap_err();
        assert_eq!(error.reason(), Reason::Unavailable);
        assert!(
            error.get_retry_after().is_some()
                && error.get_hint().is_some_and(|hint| hint.contains("eventsUrl")),
            "{error:?}"
        );
        assert!(store.entries(Kind::Trace, query()).await.is_err());
        while let Some(done) = writing.join_next().await {
            let (id, stored) = done.unwrap();
            answered.extend(stored.is_ok().then_some(id));
        }
        server.start_again().await;
        let found = store
            .entries_of(Kind::Trace, "default", answered.clone())
            .await
            .unwrap();
        assert_eq!(found.len(), answered.len(), "in round {round}");
        assert!(found.iter().all(|entry| entry.fields.input.is_some()));
    }
    store.close().await;
    let again = open_at(&server.url("killed"), &clock()).await.unwrap();
    let found = again
        .entries_of(Kind::Trace, "default", answered.clone())
        .await
        .unwrap();
    assert_eq!(found.len(), answered.len());
    again.close().await;
}

#[tokio::test]
async fn a_clickhouse_that_stalls_fills_the_queue_which_refuses_more_and_then_stores_what_waited() {
    let server = ClickHouse::start().await;
    let store = Arc::new(fresh(&server, "full").await);
    server.signal(Signal::STOP);
    let batch = |number: u128| -> Vec<Write> {
        let ids = (0..1_000).map(|low| id_at(0, number * 1_000 + low + 1));
        ids.map(|id| write(put(Kind::Trace, id, Fields::default())))
            .collect()
    };
    let mut waiting = tokio::task::JoinSet::new();
    for number in 0..20 {
        let (store, batch) = (Arc::clone(&store), batch(number));
        waiting.spawn(async move { store.write(batch).await });
    }
    tokio::task::yield_now().await;
    let error = store.write(batch(99)).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Unavailable, "{error:?}");
    assert!(error.get_retry_after().is_some() && store.metrics().contains("stead_traces_queue_rows 20000"));
    server.signal(Signal::CONT);
    while let Some(done) = waiting.join_next().await {
        done.unwrap().unwrap();
    }
    assert_eq!(store.entries(Kind::Trace, query()).await.unwrap().total, 20_000);
    store.close().await;
}

#[tokio::test]
async fn two_servers_at_one_clickhouse_lose_nothing_of_each_other_and_contradictions_are_told() {
    let server = ClickHouse::start().await;
    let store = fresh(&server, "two").await;
    let other = open_at(&server.url("two"), &clock()).await.unwrap();
    let (trace, span) = (id_at(0, 1), id_at(0, 2));
    let [start, end, change, score] = <[Write; 4]>::try_from(life(trace, span)).unwrap();
    store.write(vec![start]).await.unwrap();
    other.write(vec![end, score]).await.unwrap();
    store.write(vec![change]).await.unwrap();
    for reader in [&store, &other] {
        let entry = reader.entry(Kind::Span, "default", span).await.unwrap().unwrap();
        assert_eq!(entry.fields.name.as_deref(), Some("changed"));
        assert_eq!((entry.duration_ms(), entry.scores.len()), (Some(1_000.0), 1));
    }
    let elsewhere = put(
        Kind::Span,
        span,
        Fields {
            trace_id: Some(id_at(0, 9)),
            ..Fields::default()
        },
    );
    let error = other.write(vec![write(elsewhere)]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::Conflict, "what is seen is refused");
    // As if both had looked before either wrote.
    server
        .run(
            "INSERT INTO two.stead_facts SELECT * REPLACE (seq + 1000000 AS seq, toUInt128(9) AS trace) \
             FROM two.stead_facts WHERE what = 'put' AND trace != 0 ORDER BY seq LIMIT 1",
        )
        .await;
    let entry = store.entry(Kind::Span, "default", span).await.unwrap().unwrap();
    assert_eq!(entry.fields.trace_id, Some(trace), "what came first counts");
    let metrics = store.metrics();
    assert!(
        metrics.contains("stead_traces_contradictions_total 1"),
        "{metrics}"
    );
    store.close().await;
    other.close().await;
}

#[tokio::test]
async fn a_clickhouse_that_cannot_be_used_is_one_clear_error() {
    let server = ClickHouse::start().await;
    let port = server.port();
    let old = "CREATE TABLE newer.stead_facts (x UInt8) ENGINE = MergeTree ORDER BY x COMMENT 'stead: facts of traces, form 9'";
    server.run("CREATE DATABASE newer").await;
    server.run(old).await;
    for (url, reason, said) in [
        (
            format!("http://stead:wrong@127.0.0.1:{port}/default"),
            Reason::Forbidden,
            "does not let this user in",
        ),
        (
            format!("http://stead:{}@127.0.0.1:{port}/nowhere", ClickHouse::PASSWORD),
            Reason::NotFound,
            "has no database nowhere",
        ),
        (server.url("newer"), Reason::Unsupported, "form 9"),
        (
            "http://ada:hunter2@127.0.0.1:1/x".to_owned(),
            Reason::Unavailable,
            "cannot be reached",
        ),
        (
            "postgres://ada:hunter2@h/d".to_owned(),
            Reason::Invalid,
            "no way to reach ClickHouse",
        ),
    ] {
        let Err(error) = open_at(&url, &clock()).await else {
            panic!("{url} was taken")
        };
        let text = format!("{} {error:?}", error.full_message());
        assert_eq!(error.reason(), reason, "{text}");
        assert!(text.contains(said) && !text.contains("hunter2"), "{text}");
    }
}

/// Of entries that were told of thousands of times, and of those of which few match, each is on one page.
#[tokio::test]
async fn clickhouse_finds_what_is_older_than_thousands_of_facts() {
    let server = ClickHouse::start().await;
    let store = fresh(&server, "deep").await;
    let told = |second: i64, name: &str| {
        let fields = Fields {
            name: Some(name.to_owned()),
            start: Some(now()),
            ..Fields::default()
        };
        write(put(Kind::Span, id_at(second, 1), fields))
    };
    store
        .write((0..40).map(|second| told(second, "old")).collect())
        .await
        .unwrap();
    for _ in 0..3 {
        let batch = (0..1_000).map(|number| told(100 + number % 10, "new"));
        store.write(batch.collect()).await.unwrap();
    }
    let all: Vec<Uuid> = (0..40)
        .chain(100..110)
        .rev()
        .map(|second| id_at(second, 1))
        .collect();
    for (offset, limit) in [(0, 5), (0, 50), (8, 4), (45, 50), (60, 5)] {
        let page = Query {
            offset,
            limit,
            ..query()
        };
        let found = store.entries(Kind::Span, page).await.unwrap();
        let ids: Vec<Uuid> = found.items.iter().map(|entry| entry.id).collect();
        let expected: Vec<Uuid> = all.iter().copied().skip(offset).take(limit).collect();
        assert_eq!((ids, found.total), (expected, 50), "{offset} {limit}");
    }
    let old = Query {
        filters: vec![Filter::new("name", "", Operator::Equal, "old")],
        since: Some(now()),
        limit: 3,
        ..query()
    };
    let found = store.entries(Kind::Span, old).await.unwrap();
    assert_eq!((found.items[0].id, found.total), (id_at(39, 1), 40));
    store.close().await;
}

/// What is old goes, and what is told of it later lies with today.
#[tokio::test]
async fn clickhouse_lets_go_of_what_is_no_longer_kept() {
    let server = ClickHouse::start().await;
    server.run("CREATE DATABASE old").await;
    let clock = clock();
    let store = open_at(&server.url("old"), &clock).await.unwrap();
    let fields = |thread: &str| Fields {
        thread: Some(thread.to_owned()),
        ..Fields::default()
    };
    store
        .write(vec![write(put(Kind::Trace, id_at(0, 1), fields("gone")))])
        .await
        .unwrap();
    let later = now()
        .checked_add(jiff::SignedDuration::from_hours(24 * 40))
        .unwrap();
    clock.set(later);
    store
        .write(vec![write(put(Kind::Trace, id_at(0, 2), fields("kept")))])
        .await
        .unwrap();
    store.sweep().await.unwrap();
    let found = store.entries(Kind::Trace, query()).await.unwrap().items;
    assert_eq!(
        found.iter().map(|entry| entry.id).collect::<Vec<_>>(),
        [id_at(0, 2)]
    );
    assert_eq!(
        server.run("SELECT count() FROM old.stead_facts").await.trim(),
        "{\"count()\":2}"
    );
    store.close().await;
}
