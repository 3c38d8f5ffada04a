//! Lists, pages and single requests.

use stead_kernel::{
    Reason,
    ports::events::{AuditQuery, Event},
};

use super::*;

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_request_comes_back_as_it_was_by_its_id_and_by_its_trace() {
    let mut bench = Bench::new();
    let row = full_row();
    bench.append(std::slice::from_ref(&row)).await.unwrap();
    for _ in 0..2 {
        assert_eq!(bench.store.request(&row.id).await.unwrap().as_ref(), Some(&row));
        assert_eq!(
            bench.store.request(&row.trace_id).await.unwrap().as_ref(),
            Some(&row)
        );
        assert_eq!(bench.store.request("nobody").await.unwrap(), None);
        let listed = bench.list(RequestQuery::default()).await;
        let bare = RequestRow {
            input: None,
            output: None,
            ..row.clone()
        };
        assert_eq!(listed, [bare]);
        bench.reopen();
    }
}

#[tokio::test]
async fn the_newest_request_of_a_trace_over_days_is_found() {
    let bench = Bench::new();
    let trace = |row: RequestRow| RequestRow {
        trace_id: "not-hex".into(),
        ..row
    };
    bench
        .append(&[trace(row(1, -2 * DAY)), trace(row(2, 0)), row(3, 10)])
        .await
        .unwrap();
    assert_eq!(
        bench.store.request("not-hex").await.unwrap().unwrap().id,
        row(2, 0).id
    );
}

#[tokio::test]
async fn a_request_that_began_its_trace_is_found_by_it_until_a_newer_one_is() {
    let bench = Bench::new();
    let first = row(1, 0);
    let trace_id = first.id.replace('-', "");
    let first = RequestRow {
        trace_id: trace_id.clone(),
        ..first
    };
    bench.append(std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(bench.store.request(&trace_id).await.unwrap(), Some(first));
    let second = RequestRow {
        trace_id: trace_id.clone(),
        ..row(2, 10)
    };
    bench.append(std::slice::from_ref(&second)).await.unwrap();
    assert_eq!(bench.store.request(&trace_id).await.unwrap(), Some(second));
}

#[tokio::test]
async fn pages_over_days_hold_every_request_once_newest_first_even_at_the_same_time() {
    let bench = Bench::new();
    let mut rows: Vec<RequestRow> = (0..40).map(|n| row(n, -i64::from(n / 4) * DAY / 3)).collect();
    rows.reverse();
    bench.append(&rows).await.unwrap();
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let query = RequestQuery {
            after,
            limit: 7,
            ..RequestQuery::default()
        };
        let page = bench.store.requests(query).await.unwrap();
        assert!(page.items.len() <= 7);
        seen.extend(page.items);
        // What comes meanwhile is newer, and changes nothing for the pages that follow.
        bench
            .append(&[row(1_000 + u32::try_from(seen.len()).unwrap(), 60)])
            .await
            .unwrap();
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let mut ids: Vec<&str> = seen.iter().map(|row| row.id.as_str()).collect();
    assert!(seen.windows(2).all(|pair| pair[0].started >= pair[1].started));
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
}

/// Shorthand for a question.
fn query(change: impl FnOnce(&mut RequestQuery)) -> RequestQuery {
    let mut query = RequestQuery::default();
    change(&mut query);
    query
}

fn of_projects(names: &[&str]) -> RequestQuery {
    query(|query| query.projects = Some(names.iter().map(|name| (*name).to_owned()).collect()))
}

#[tokio::test]
async fn filters_choose_and_time_bounds_are_from_inclusive_to_exclusive() {
    let bench = Bench::new();
    let rows = [
        row(1, 0),
        RequestRow {
            project: "research".into(),
            model: "big".into(),
            ..row(2, 10)
        },
        RequestRow {
            outcome: Outcome::Error,
            provider: "far".into(),
            ..row(3, 20)
        },
        RequestRow {
            outcome: Outcome::Interrupted,
            user: "bob".into(),
            key: "k".into(),
            ..row(4, DAY)
        },
    ];
    bench.append(&rows).await.unwrap();
    let cases = [
        (query(|_| ()), vec![4, 3, 2, 1]),
        (of_projects(&["research"]), vec![2]),
        (of_projects(&["no", "default"]), vec![4, 3, 1]),
        (of_projects(&[]), vec![]),
        (query(|q| q.model = Some("big".into())), vec![2]),
        (query(|q| q.model = Some("never".into())), vec![]),
        (query(|q| q.provider = Some("far".into())), vec![3]),
        (query(|q| q.user = Some("bob".into())), vec![4]),
        (
            query(|q| (q.key, q.user) = (Some("k".into()), Some("ada".into()))),
            vec![],
        ),
        (query(|q| q.outcome = Some(Outcome::Ok)), vec![2, 1]),
        (query(|q| q.outcome = Some(Outcome::Error)), vec![3]),
        (
            query(|q| (q.since, q.until) = (Some(at(10)), Some(at(20)))),
            vec![2],
        ),
        (query(|q| q.since = Some(at(11))), vec![4, 3]),
        (query(|q| q.until = Some(at(0))), vec![]),
    ];
    for (query, expected) in cases {
        let ids: Vec<String> = bench
            .list(query.clone())
            .await
            .into_iter()
            .map(|row| row.id)
            .collect();
        let expected: Vec<String> = expected
            .iter()
            .map(|number| rows[number - 1].id.clone())
            .collect();
        assert_eq!(ids, expected, "{query:?}");
    }
}

#[tokio::test]
async fn a_page_marker_that_is_garbage_is_refused() {
    let bench = Bench::new();
    let query = RequestQuery {
        after: Some("garbage".into()),
        ..RequestQuery::default()
    };
    assert_eq!(
        bench.store.requests(query).await.unwrap_err().reason(),
        Reason::Invalid
    );
}

#[tokio::test]
async fn audit_records_come_back_once_by_filter_and_page() {
    let mut bench = Bench::new();
    let rows: Vec<AuditRow> = (0..10)
        .map(|number| audit_row(number, i64::from(number) * 7_200))
        .collect();
    let events = || {
        rows.iter()
            .cloned()
            .map(|row| Event::Audit(Box::new(row)))
            .collect::<Vec<_>>()
    };
    bench.store.append(events()).await.unwrap();
    bench.reopen();
    bench.store.append(events()).await.unwrap();
    let first = AuditQuery {
        limit: 6,
        ..AuditQuery::default()
    };
    let page = bench.store.audit(first.clone()).await.unwrap();
    let rest = bench
        .store
        .audit(AuditQuery {
            after: page.next,
            ..first
        })
        .await
        .unwrap();
    let all: Vec<AuditRow> = page.items.into_iter().chain(rest.items).collect();
    assert_eq!(all, rows.iter().rev().cloned().collect::<Vec<_>>());
    assert_eq!(rest.next, None);
    let query = AuditQuery {
        projects: Some(vec!["default".into()]),
        ..AuditQuery::default()
    };
    assert_eq!(bench.store.audit(query).await.unwrap().items.len(), 5);
    let query = AuditQuery {
        resource: Some("secrets".into()),
        ..AuditQuery::default()
    };
    assert!(bench.store.audit(query).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn an_event_without_an_id_is_refused_and_an_empty_append_is_nothing() {
    let bench = Bench::new();
    let nameless = RequestRow {
        id: String::new(),
        ..row(1, 0)
    };
    assert_eq!(
        bench.append(&[nameless]).await.unwrap_err().reason(),
        Reason::Invalid
    );
    bench.append(&[]).await.unwrap();
}
