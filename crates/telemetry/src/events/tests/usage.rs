//! Rollups against counting by hand, retention, and repeated delivery.

use std::collections::BTreeMap;

use proptest::prelude::*;
use stead_kernel::ports::events::{UsageGroup, UsageQuery, UsageRow};

use super::*;

const DAY: i64 = 86_400;

fn sum(rows: &[RequestRow], group: impl Fn(&RequestRow) -> Vec<String>) -> Vec<UsageRow> {
    let mut groups: BTreeMap<Vec<String>, UsageRow> = BTreeMap::new();
    for row in rows {
        let sum = groups.entry(group(row)).or_default();
        sum.group = group(row);
        sum.requests += 1;
        sum.errors += u64::from(row.outcome == Outcome::Error);
        sum.refused += u64::from(row.is_refused());
        sum.usage = sum.usage.plus(&row.usage);
        sum.cost.0 += row.cost.unwrap_or_default().0;
        sum.unpriced += u64::from(row.cost.is_none());
        sum.duration_us += row.duration_us;
        sum.first_token_us += row.first_token_us.unwrap_or_default();
        sum.first_tokens += u64::from(row.first_token_us.is_some());
    }
    groups.into_values().collect()
}

fn name(by: UsageGroup, row: &RequestRow) -> String {
    let start_of = |format: &str| row.started.strftime(format).to_string();
    match by {
        UsageGroup::Project => row.project.clone(),
        UsageGroup::User => row.user.clone(),
        UsageGroup::Key => row.key.clone(),
        UsageGroup::Model => row.model.clone(),
        UsageGroup::Provider => row.provider.clone(),
        UsageGroup::Route => row.route.clone(),
        UsageGroup::Team => row.team.clone(),
        UsageGroup::Replica => row.replica.clone(),
        UsageGroup::Day => start_of("%Y-%m-%d"),
        UsageGroup::Hour => start_of("%Y-%m-%dT%H:00:00Z"),
    }
}

prop_compose! {
    fn any_row()(
        number in 0u32..60,
        minutes in -5 * 1_440i64..600,
        names in [0usize..3, 0..3, 0..2, 0..3, 0..2],
        tokens in proptest::array::uniform14(0u64..1_000_000),
        places in [0usize..3, 0..2, 0..2],
        cost in proptest::option::of(0i64..10_000_000_000),
        first in proptest::option::of(0u64..9_000_000),
        outcome in prop::sample::select(vec![Outcome::Ok, Outcome::Error, Outcome::Cancelled, Outcome::Interrupted]),
        odd_id in any::<bool>(),
    ) -> RequestRow {
        let pick = |index: usize| ["", "a", "b"].get(names[index]).copied().unwrap_or("c").to_owned();
        let base = row(number, minutes * 60 + 17);
        RequestRow {
            id: if odd_id { format!("odd-{number}") } else { base.id.clone() },
            project: pick(0), user: pick(1), key: pick(2), model: pick(3), provider: pick(4),
            route: ["", "a", "b"][places[0]].into(), team: ["", "a"][places[1]].into(),
            replica: ["", "a"][places[2]].into(),
            usage: TokenUsage::of_counts(tokens),
            cost: cost.map(NanoUsd),
            first_token_us: first,
            outcome,
            ..base
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn usage_is_what_counting_each_request_once_gives(
        rows in prop::collection::vec(any_row(), 1..60),
        cuts in prop::collection::vec(0usize..60, 0..4),
        by in prop::sample::subsequence(
            vec![UsageGroup::Day, UsageGroup::Project, UsageGroup::User, UsageGroup::Key, UsageGroup::Model,
                 UsageGroup::Provider, UsageGroup::Route, UsageGroup::Team, UsageGroup::Replica, UsageGroup::Hour], 0..4),
        window in proptest::option::of((-4 * 1_440i64..0, 0i64..600)),
        fold in any::<bool>(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(check(rows, cuts, by, window, fold));
    }
}

/// Delivers the rows twice, in different batches, over a restart; then compares with counting.
async fn check(
    rows: Vec<RequestRow>,
    cuts: Vec<usize>,
    by: Vec<UsageGroup>,
    window: Option<(i64, i64)>,
    fold: bool,
) {
    let mut bench = Bench::new();
    bench.append(&rows).await.unwrap();
    bench.reopen();
    for cut in cuts {
        bench.append(&rows[cut.min(rows.len())..]).await.unwrap();
    }
    // Only the first of each id counts.
    let mut seen = std::collections::BTreeSet::new();
    let mut first: Vec<RequestRow> = rows
        .into_iter()
        .filter(|row| seen.insert(row.id.clone()))
        .collect();
    if fold {
        // Lets the older half go; whole hours are then asked for.
        bench.clock.set(at(5 * DAY));
        bench
            .store
            .queue
            .submit(super::super::Work::Retain, 1)
            .await
            .unwrap();
    }
    let round = if fold { 60 } else { 1 };
    let bounds = window.map(|(from, to)| (at(from / round * round * 60), at(to / round * round * 60)));
    if let Some((since, until)) = bounds {
        first.retain(|row| row.started >= since && row.started < until);
    }
    let query = UsageQuery {
        since: bounds.map(|bounds| bounds.0),
        until: bounds.map(|bounds| bounds.1),
        by: by.clone(),
        ..UsageQuery::default()
    };
    let mut expected = sum(&first, |row| by.iter().map(|by| name(*by, row)).collect());
    if expected.is_empty() && by.is_empty() {
        expected.push(UsageRow::default());
    }
    assert_eq!(bench.store.usage(query).await.unwrap(), expected);
}

#[tokio::test]
async fn the_bounds_of_usage_are_rounded_to_minutes_outwards() {
    let bench = Bench::new();
    bench
        .append(&[row(1, 30), row(2, 90), row(3, 150)])
        .await
        .unwrap();
    let query = UsageQuery {
        since: Some(at(45)),
        until: Some(at(61)),
        ..UsageQuery::default()
    };
    let rows = bench.store.usage(query).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.requests).collect::<Vec<_>>(), [2]);
    let other = UsageQuery {
        projects: Some(vec!["other".into()]),
        ..UsageQuery::default()
    };
    assert_eq!(bench.store.usage(other).await.unwrap(), [UsageRow::default()]);
}

#[tokio::test]
async fn old_days_go_and_their_usage_stays() {
    let mut bench = Bench::new();
    bench
        .append(&[row(1, 0), row(2, DAY), row(3, 3_600)])
        .await
        .unwrap();
    assert_eq!(
        bench.files(),
        ["2026-11-21.db", "2026-11-22.db", "ids.db", "usage.db"]
    );
    bench.clock.set(at(7 * DAY));
    bench.append(&[row(4, 7 * DAY)]).await.unwrap();
    assert_eq!(bench.files().len(), 5, "the day is kept for seven days more");
    bench.clock.set(at(8 * DAY));
    bench.append(&[row(5, 8 * DAY)]).await.unwrap();
    for _ in 0..2 {
        assert!(!bench.files().contains(&"2026-11-21.db".to_owned()));
        assert_eq!(bench.list(RequestQuery::default()).await.len(), 3);
        assert_eq!(bench.store.request(&row(1, 0).id).await.unwrap(), None);
        let by_day = UsageQuery {
            by: vec![UsageGroup::Day],
            ..UsageQuery::default()
        };
        let days = bench.store.usage(by_day).await.unwrap();
        let days: Vec<(&str, u64)> = days
            .iter()
            .map(|row| (row.group[0].as_str(), row.requests))
            .collect();
        assert_eq!(
            days,
            [
                ("2026-11-21", 2),
                ("2026-11-22", 1),
                ("2026-11-28", 1),
                ("2026-11-29", 1)
            ]
        );
        // Delivered again, an event of a day that is gone is not counted again.
        bench.append(&[row(1, 0)]).await.unwrap();
        bench.reopen();
    }
}

#[tokio::test]
async fn a_crash_between_summing_a_day_up_and_removing_its_file_counts_it_once() {
    let mut bench = Bench::new();
    bench.append(&[row(1, 0), row(2, DAY)]).await.unwrap();
    bench.store.close().await;
    let path = bench.folder.path().join("2026-11-21.db");
    let copy = std::fs::read(&path).unwrap();
    bench.clock.set(at(8 * DAY));
    bench.reopen();
    assert!(!path.exists());
    // The file comes back, as if it had never been removed.
    std::fs::write(&path, copy).unwrap();
    bench.reopen();
    assert!(!path.exists());
    assert_eq!(
        bench.store.usage(UsageQuery::default()).await.unwrap()[0].requests,
        2
    );
}

#[tokio::test]
async fn an_id_counts_once_whatever_time_it_comes_with() {
    let mut bench = Bench::new();
    let original = row(1, 0);
    let moved = RequestRow {
        started: at(-2 * DAY),
        ..original.clone()
    };
    let odd = RequestRow {
        id: "odd".into(),
        ..row(2, 0)
    };
    let odd_moved = RequestRow {
        started: at(-DAY),
        ..odd.clone()
    };
    bench.append(&[original.clone(), odd.clone()]).await.unwrap();
    bench.append(&[moved.clone(), odd_moved.clone()]).await.unwrap();
    bench.reopen();
    bench.append(&[moved, odd_moved]).await.unwrap();
    // The other way around: first with a time that its id contradicts.
    let early = RequestRow {
        started: at(-DAY),
        ..row(3, 0)
    };
    bench.append(std::slice::from_ref(&early)).await.unwrap();
    bench.append(&[row(3, 0), early.clone()]).await.unwrap();
    assert_eq!(
        bench.list(RequestQuery::default()).await,
        [odd.clone(), original, early.clone()]
    );
    assert_eq!(
        bench.store.usage(UsageQuery::default()).await.unwrap()[0].requests,
        3
    );
    assert_eq!(bench.store.request(&early.id).await.unwrap(), Some(early));
    assert_eq!(bench.store.request("odd").await.unwrap(), Some(odd));
}

#[tokio::test]
async fn a_time_far_in_the_future_becomes_the_time_of_arrival() {
    let bench = Bench::new();
    let future = row(1, 400 * DAY);
    bench.append(&[future.clone(), future.clone()]).await.unwrap();
    bench.clock.advance(std::time::Duration::from_mins(1));
    bench.append(&[future]).await.unwrap();
    let rows = bench.list(RequestQuery::default()).await;
    assert_eq!(rows.iter().map(|row| row.started).collect::<Vec<_>>(), [at(0)]);
}

#[tokio::test]
async fn requests_that_are_retired_are_gone_and_counted_once_even_when_they_are_sent_again() {
    let mut bench = Bench::new();
    let mut rows: Vec<RequestRow> = (0..1_200)
        .map(|number| row(number, -DAY + i64::from(number)))
        .collect();
    rows.push(RequestRow {
        id: "odd".into(),
        ..full_row()
    });
    rows.push(RequestRow {
        project: "research".into(),
        ..row(5_000, -DAY)
    });
    bench.append(&rows).await.unwrap();
    let usage = async |bench: &Bench| bench.store.usage(UsageQuery::default()).await.unwrap();
    let before = usage(&bench).await;
    assert_eq!(bench.store.retire("default", at(-60)).await.unwrap(), 1_200);
    assert_eq!(bench.store.retire("default", at(1)).await.unwrap(), 1);
    bench.reopen();
    bench.append(&rows).await.unwrap();
    assert_eq!(usage(&bench).await, before);
    let left = bench
        .list(RequestQuery {
            limit: 10,
            ..RequestQuery::default()
        })
        .await;
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].project, "research");
    assert!(bench.store.request("odd").await.unwrap().is_none());
}
