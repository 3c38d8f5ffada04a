//! The store of logs and metrics in a temporary folder.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use stead_kernel::{
    Timestamp,
    ports::signals::{Metric, MetricKind, PointValue},
};
use stead_testkit::ManualClock;

use super::*;

struct Stand {
    folder: tempfile::TempDir,
    clock: Arc<ManualClock>,
    store: SignalStore,
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn open(folder: &Path, clock: &Arc<ManualClock>) -> SignalStore {
    SignalStore::open(SignalOptions {
        folder: folder.to_owned(),
        retention_days: 3,
        clock: clock.clone(),
        rate: 0,
        tasks: Tasks::new(),
    })
    .unwrap()
}

fn stand() -> Stand {
    let folder = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::default());
    clock.set(time("2026-11-21T12:00:00Z"));
    let store = open(folder.path(), &clock);
    Stand { folder, clock, store }
}

fn record(at: &str, severity: u8, body: &str) -> LogRecord {
    LogRecord {
        time: time(at),
        severity,
        body: body.into(),
        service: "shop".into(),
        ..LogRecord::default()
    }
}

fn query() -> LogQuery {
    LogQuery {
        workspaces: vec!["default".into()],
        ..LogQuery::default()
    }
}

async fn bodies(store: &SignalStore, query: LogQuery) -> Vec<String> {
    let page = store.logs(query).await.unwrap();
    let bodies = page
        .items
        .iter()
        .map(|row| row.record.body.as_str().unwrap().to_owned());
    bodies.collect()
}

/// A store with lines of three days' worth and of two projects.
async fn some_lines() -> Stand {
    let stand = stand();
    let traced = LogRecord {
        trace_id: "07".repeat(16),
        span_id: "08".repeat(8),
        service: "other".into(),
        attributes: serde_json::Map::from_iter([("user".to_owned(), json!("Ada"))]),
        ..record("2026-11-20T10:00:00Z", 17, "it broke")
    };
    let records = vec![
        record("2026-11-21T10:00:00Z", 9, "second"),
        traced,
        record("2026-11-21T11:00:00Z", 13, "third"),
    ];
    stand.store.log("default", records).await.unwrap();
    stand
        .store
        .log("research", vec![record("2026-11-21T11:30:00Z", 9, "elsewhere")])
        .await
        .unwrap();
    stand
}

#[tokio::test]
async fn lines_are_read_newest_first_and_by_everything_that_is_asked() {
    let stand = some_lines().await;
    let with = |change: fn(&mut LogQuery)| {
        let mut query = query();
        change(&mut query);
        query
    };
    for (query, expected) in [
        (query(), vec!["third", "second", "it broke"]),
        (
            with(|query| query.workspaces.push("research".into())),
            vec!["elsewhere", "third", "second", "it broke"],
        ),
        (with(|query| query.workspaces = vec!["nobody".into()]), vec![]),
        (with(|query| query.severity = Some(13)), vec!["third", "it broke"]),
        (
            with(|query| query.service = Some("other".into())),
            vec!["it broke"],
        ),
        (
            with(|query| query.trace = Some("07".repeat(16))),
            vec!["it broke"],
        ),
        (with(|query| query.span = Some("09".repeat(8))), vec![]),
        (with(|query| query.trace = Some("no id".into())), vec![]),
        (with(|query| query.text = Some("ada".into())), vec!["it broke"]),
        (with(|query| query.text = Some("BROKE".into())), vec!["it broke"]),
        (
            with(|query| query.since = Some(time("2026-11-21T11:00:00Z"))),
            vec!["third"],
        ),
        (
            with(|query| query.until = Some(time("2026-11-21T10:00:00Z"))),
            vec!["it broke"],
        ),
    ] {
        assert_eq!(bodies(&stand.store, query.clone()).await, expected, "{query:?}");
    }
    stand.store.close().await;
}

#[tokio::test]
async fn lines_come_page_by_page_and_are_there_after_a_restart() {
    let stand = some_lines().await;
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = stand
            .store
            .logs(LogQuery {
                after,
                limit: 1,
                ..query()
            })
            .await
            .unwrap();
        seen.extend(
            page.items
                .into_iter()
                .map(|row| row.record.body.as_str().unwrap().to_owned()),
        );
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["third", "second", "it broke"]);
    stand.store.close().await;
    // And after a restart.
    let again = open(stand.folder.path(), &stand.clock);
    assert_eq!(bodies(&again, query()).await.len(), 3);
    again.close().await;
}

#[tokio::test]
async fn a_line_with_an_id_of_its_own_is_stored_once() {
    let stand = stand();
    let line = LogRecord {
        uid: "u1".into(),
        ..record("2026-11-21T10:00:00Z", 9, "once")
    };
    for _ in 0..3 {
        stand
            .store
            .log(
                "default",
                vec![line.clone(), record("2026-11-21T10:00:00Z", 9, "again")],
            )
            .await
            .unwrap();
    }
    let all = bodies(&stand.store, query()).await;
    assert_eq!(all.iter().filter(|body| *body == "once").count(), 1);
    assert_eq!(all.len(), 4);
    stand.store.close().await;
}

#[tokio::test]
async fn what_comes_is_followed_in_its_order_whatever_time_it_tells() {
    let stand = stand();
    stand
        .store
        .log("default", vec![record("2026-11-21T10:00:00Z", 9, "before")])
        .await
        .unwrap();
    let follow = async |place: &str| {
        let page = stand
            .store
            .logs(LogQuery {
                came_after: Some(place.into()),
                ..query()
            })
            .await
            .unwrap();
        let bodies: Vec<Value> = page.items.into_iter().map(|row| row.record.body).collect();
        (bodies, page.next.unwrap())
    };
    let (none, place) = follow("").await;
    assert!(none.is_empty());
    let later = vec![
        record("2026-11-21T09:00:00Z", 9, "a"),
        record("2026-11-20T09:00:00Z", 9, "b"),
    ];
    stand.store.log("default", later).await.unwrap();
    let (mut found, next) = follow(&place).await;
    found.sort_by_key(Value::to_string);
    assert_eq!(found, ["a", "b"]);
    assert!(follow(&next).await.0.is_empty());
    assert!(
        stand
            .store
            .logs(LogQuery {
                came_after: Some("x".into()),
                ..query()
            })
            .await
            .is_err()
    );
    stand.store.close().await;
}

fn point(name: &str, at: &str, host: &str, value: f64) -> Measured {
    Measured {
        metric: Metric {
            name: name.into(),
            kind: MetricKind::Gauge,
            unit: "By".into(),
            ..Metric::default()
        },
        labels: BTreeMap::from([("host".to_owned(), host.to_owned())]),
        time: time(at),
        value: PointValue::Number(value, None),
    }
}

#[tokio::test]
async fn points_are_series_and_one_at_the_same_time_takes_the_others_place() {
    let stand = stand();
    let points = vec![
        point("memory", "2026-11-20T10:00:00Z", "a", 1.0),
        point("memory", "2026-11-21T10:00:00Z", "a", 2.0),
        point("memory", "2026-11-21T10:00:00Z", "b", 3.0),
        point("load", "2026-11-21T10:00:00Z", "a", 4.0),
    ];
    stand.store.measure("default", points).await.unwrap();
    stand
        .store
        .measure("default", vec![point("memory", "2026-11-21T10:00:00Z", "b", 5.0)])
        .await
        .unwrap();
    let query = |name: Option<&str>| MetricQuery {
        workspaces: vec!["default".into()],
        name: name.map(str::to_owned),
        ..MetricQuery::default()
    };
    let metrics = stand.store.known_metrics(query(None)).await.unwrap();
    let shown: Vec<_> = metrics
        .iter()
        .map(|row| (row.metric.name.as_str(), row.series, &row.labels["host"]))
        .collect();
    assert_eq!(
        shown,
        [
            ("load", 1, &vec!["a".to_owned()]),
            ("memory", 2, &vec!["a".into(), "b".into()])
        ]
    );
    let series = stand.store.points(query(Some("memory"))).await.unwrap();
    let values: Vec<Vec<f64>> = series
        .iter()
        .map(|series| {
            let values = series.points.iter().map(|(_, value)| match value {
                PointValue::Number(value, _) => *value,
                other => panic!("{other:?}"),
            });
            values.collect()
        })
        .collect();
    assert_eq!(values, [vec![1.0, 2.0], vec![5.0]]);
    let mut only = query(Some("memory"));
    only.labels.insert("host".into(), "b".into());
    assert_eq!(stand.store.points(only).await.unwrap().len(), 1);
    let mut few = query(Some("memory"));
    few.limit = 2;
    assert_eq!(
        stand.store.points(few).await.unwrap_err().reason(),
        stead_kernel::Reason::TooLarge
    );
    stand.store.close().await;
}

#[tokio::test]
async fn days_that_are_no_longer_kept_go_with_their_file() {
    let stand = stand();
    stand
        .store
        .log("default", vec![record("2026-11-19T10:00:00Z", 9, "old")])
        .await
        .unwrap();
    // What is older than what is kept lies where it came.
    stand
        .store
        .log("default", vec![record("2020-01-01T00:00:00Z", 9, "older")])
        .await
        .unwrap();
    let files = || {
        let mut names: Vec<String> = std::fs::read_dir(stand.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "db"))
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    };
    assert_eq!(files(), ["2026-11-19.db", "2026-11-21.db"]);
    stand.clock.set(time("2026-11-23T12:00:00Z"));
    stand.store.queue.submit(Work::Retain, 1).await.unwrap();
    assert_eq!(files(), ["2026-11-21.db"]);
    assert_eq!(bodies(&stand.store, query()).await, ["older"]);
    assert!(
        stand
            .store
            .metrics()
            .contains("stead_signals_expired_days_total 1")
    );
    stand.store.close().await;
}

#[tokio::test]
async fn a_damaged_day_is_set_aside_and_the_others_are_read() {
    let stand = stand();
    stand
        .store
        .log(
            "default",
            vec![
                record("2026-11-20T10:00:00Z", 9, "a"),
                record("2026-11-21T10:00:00Z", 9, "b"),
            ],
        )
        .await
        .unwrap();
    stand.store.close().await;
    std::fs::write(stand.folder.path().join("2026-11-20.db"), vec![7_u8; 9_000]).unwrap();
    let again = open(stand.folder.path(), &stand.clock);
    assert_eq!(bodies(&again, query()).await, ["b"]);
    let copy = tempfile::tempdir().unwrap();
    again.backup(&copy.path().join("copy")).await.unwrap();
    assert!(copy.path().join("copy/2026-11-21.db").exists());
    again.close().await;
}

#[tokio::test]
async fn what_is_older_than_a_project_keeps_goes_line_by_line_and_others_stay() {
    let stand = some_lines().await;
    let store = &stand.store;
    let old = point("load", "2026-11-20T10:00:00Z", "a", 1.0);
    let other = point("old", "2026-11-20T10:00:00Z", "a", 1.0);
    let new = point("load", "2026-11-21T10:00:00Z", "a", 2.0);
    store.measure("default", vec![old, other, new]).await.unwrap();
    let before = Some(time("2026-11-21T10:30:00Z"));
    assert_eq!(store.retire("default", before, None).await.unwrap(), (2, 0));
    assert_eq!(bodies(store, query()).await, ["third"]);
    let elsewhere = LogQuery {
        workspaces: vec!["research".into()],
        ..LogQuery::default()
    };
    assert_eq!(bodies(store, elsewhere).await, ["elsewhere"]);
    let day = Some(time("2026-11-21T00:00:00Z"));
    assert_eq!(store.retire("default", None, day).await.unwrap(), (0, 2));
    let known = store
        .known_metrics(MetricQuery {
            workspaces: vec!["default".into()],
            ..MetricQuery::default()
        })
        .await
        .unwrap();
    assert_eq!(known.len(), 1);
    assert_eq!(store.retire("default", before, day).await.unwrap(), (0, 0));
    // What comes again after its series was removed is a series again.
    let again = point("old", "2026-11-20T11:00:00Z", "a", 3.0);
    store.measure("default", vec![again]).await.unwrap();
    store.close().await;
}
