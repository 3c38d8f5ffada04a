//! What every store of traces keeps, whatever it is made of: each function is held against all of them.
#![expect(
    clippy::cognitive_complexity,
    reason = "each is a test, in which what is asserted counts as a branch"
)]

use stead_kernel::ports::traces::{CostQuery, Detail};
use stead_testkit::ClickHouse;

use super::{
    lists::{id_time, spans},
    *,
};

/// Holds each store to these.
macro_rules! contract {
    ($($name:ident)*) => {
        mod over_sqlite {
            $(
                #[tokio::test]
                async fn $name() {
                    let folder = tempfile::tempdir().unwrap();
                    let store = super::super::open(folder.path(), &super::super::clock());
                    super::$name(&store).await;
                    store.close().await;
                }
            )*
        }

        /// One server for all, since each start of one takes time.
        #[tokio::test]
        async fn the_contract_is_kept_over_clickhouse() {
            let server = ClickHouse::start().await;
            $(
                let store = clickhouse::fresh(&server, &stringify!($name).chars().take(60).collect::<String>()).await;
                $name(&store).await;
                store.close().await;
            )*
        }
    };
}

contract! {
    another_project_trace_or_parent_is_a_conflict_and_nothing_of_its_request_is_stored
    lists_are_newest_first_across_days_and_go_on_after_the_last_one_seen
    a_trace_is_worth_its_spans_even_those_of_another_day_and_takes_them_along_when_it_goes
    threads_are_put_together_closed_opened_scored_and_commented
    an_outline_has_everything_but_what_is_large_and_is_of_the_same_entries
    every_order_gives_the_pages_that_sorting_all_of_them_gives
    times_and_filters_on_narrow_columns_choose_as_the_whole_entries_would
    hostile_texts_come_back_as_they_were_and_are_found
    comments_and_scores_may_come_before_what_they_are_on
    comments_and_scores_are_taken_back
    what_is_removed_is_gone_and_may_come_anew
    threads_are_changed_by_their_ids
    costs_are_summed_once
}

pub(super) async fn another_project_trace_or_parent_is_a_conflict_and_nothing_of_its_request_is_stored(
    store: &dyn Traces,
) {
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
}

pub(super) async fn lists_are_newest_first_across_days_and_go_on_after_the_last_one_seen(store: &dyn Traces) {
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
}

pub(super) async fn a_trace_is_worth_its_spans_even_those_of_another_day_and_takes_them_along_when_it_goes(
    store: &dyn Traces,
) {
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
}

pub(super) async fn threads_are_put_together_closed_opened_scored_and_commented(store: &dyn Traces) {
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
}

pub(super) async fn an_outline_has_everything_but_what_is_large_and_is_of_the_same_entries(
    store: &dyn Traces,
) {
    spans(store, 40).await;
    for asked in [
        query(),
        Query {
            trace: Some(id_at(0, 1)),
            ..query()
        },
    ] {
        let whole = store.entries(Kind::Span, asked.clone()).await.unwrap();
        let outline = Query {
            detail: Detail::Outline,
            ..asked
        };
        let outline = store.entries(Kind::Span, outline).await.unwrap();
        assert_eq!((whole.total, outline.total), (40, 40));
        for (whole, mut outline) in whole.items.into_iter().zip(outline.items) {
            assert!(outline.fields.input.is_none() && whole.fields.input.is_some());
            assert!(outline.has.input);
            outline.fields.input = whole.fields.input.clone();
            assert_eq!(shown(&outline), shown(&whole));
        }
    }
}

pub(super) async fn every_order_gives_the_pages_that_sorting_all_of_them_gives(store: &dyn Traces) {
    spans(store, 60).await;
    let all = store.entries(Kind::Span, query()).await.unwrap().items;
    for field in [
        "name",
        "duration",
        "total_estimated_cost",
        "usage.total_tokens",
        "last_updated_at",
        "has_error",
    ] {
        for descending in [false, true] {
            let order = vec![Order {
                field: field.into(),
                key: String::new(),
                descending,
            }];
            let mut expected: Vec<(Vec<crate::traces::cells::Key>, Uuid)> = all
                .iter()
                .map(|entry| {
                    let cell = crate::traces::cells::of_entry(entry, field, "");
                    (vec![crate::traces::cells::Key::of(&cell)], entry.id)
                })
                .collect();
            expected.sort_by(|(own, _), (other, _)| crate::traces::cells::compare(own, other, &order));
            let mut found = Vec::new();
            for offset in [0, 25, 50] {
                let page = Query {
                    order: order.clone(),
                    offset,
                    limit: 25,
                    ..query()
                };
                let page = store.entries(Kind::Span, page).await.unwrap();
                assert_eq!(page.total, 60);
                found.extend(page.items.iter().map(|entry| entry.id));
            }
            let expected: Vec<Uuid> = expected.into_iter().map(|(_, id)| id).collect();
            assert_eq!(found, expected, "{field} {descending}");
        }
    }
}

pub(super) async fn times_and_filters_on_narrow_columns_choose_as_the_whole_entries_would(
    store: &dyn Traces,
) {
    spans(store, 60).await;
    let all = store.entries(Kind::Span, query()).await.unwrap().items;
    let filter = |field: &str, operator, value: &str| Filter::new(field, "", operator, value);
    for filters in [
        vec![filter("error_info", Operator::IsNotEmpty, "")],
        vec![filter("error_info", Operator::IsEmpty, "")],
        vec![filter("error_info", Operator::Contains, "m")],
        vec![
            filter("name", Operator::Equal, "NAME7"),
            filter("duration", Operator::Greater, "20"),
        ],
        vec![Filter::new(
            "feedback_scores",
            "quality",
            Operator::GreaterOrEqual,
            "12",
        )],
        vec![filter("usage.total_tokens", Operator::Less, "4")],
        vec![filter("last_updated_at", Operator::GreaterOrEqual, NOW)],
        vec![filter("last_updated_by", Operator::Equal, "ada")],
    ] {
        let since = id_time(3);
        let expected: Vec<Uuid> = all
            .iter()
            .filter(|entry| entry.fields.start.unwrap() >= since)
            .filter(|entry| {
                crate::traces::cells::all_hold(&filters, |field, key| {
                    crate::traces::cells::of_entry(entry, field, key)
                })
            })
            .map(|entry| entry.id)
            .collect();
        let asked = Query {
            filters: filters.clone(),
            since: Some(since),
            ..query()
        };
        let found = store.entries(Kind::Span, asked).await.unwrap();
        assert_eq!(
            found.items.iter().map(|entry| entry.id).collect::<Vec<_>>(),
            expected,
            "{filters:?}"
        );
        assert_eq!(found.total, expected.len() as u64);
    }
}

/// Names, bodies and threads of every kind come back as they were, and are found by what is in them.
pub(super) async fn hostile_texts_come_back_as_they_were_and_are_found(store: &dyn Traces) {
    let texts = [
        "'; DROP TABLE stead_facts; --",
        "unhex('00')",
        "\0\u{1}\u{7f}\u{feff}",
        "a\tb\nc\\d\r\"e\"",
        "🦀 ü \u{202e}x",
        "{x:String} %s ? :1",
        " ",
    ];
    for (number, text) in texts.iter().enumerate() {
        let quoted = serde_json::to_string(text).unwrap();
        let fields = Fields {
            name: Some((*text).to_owned()),
            thread: Some((*text).to_owned()),
            input: Some(json(&format!(
                "{{\"q\":{quoted}, \"n\": 1e400, \"u\": \"\\ud800\"}}"
            ))),
            tags: Some(vec![(*text).to_owned()]),
            first_token_ms: Some(0.1 + 0.2),
            cost: Some(f64::MIN_POSITIVE),
            usage: Some([((*text).to_owned(), i64::MAX), ("small".into(), i64::MIN)].into()),
            ..Fields::default()
        };
        let id = id_at(i64::try_from(number).unwrap(), 1);
        let told = Put {
            by: (*text).to_owned(),
            ..put(Kind::Trace, id, fields.clone())
        };
        store.write(vec![write(told)]).await.unwrap();
        let entry = store.entry(Kind::Trace, "default", id).await.unwrap().unwrap();
        let read = Fields {
            start: None,
            ..entry.fields
        };
        assert_eq!(format!("{read:?}"), format!("{fields:?}"));
        assert_eq!(entry.created_by, *text);
        let named = Query {
            filters: vec![Filter::new("name", "", Operator::Equal, *text)],
            search: Some((*text).to_owned()),
            ..query()
        };
        let found = store.entries(Kind::Trace, named).await.unwrap().items;
        assert!(found.iter().any(|entry| entry.id == id), "{text:?}");
        let thread = Query {
            filters: vec![Filter::new("id", "", Operator::Equal, *text)],
            ..query()
        };
        assert_eq!(store.threads(thread).await.unwrap().total, 1, "{text:?}");
    }
    for workspace in ["it's", "a\\b", ""] {
        let other = Query {
            workspace: workspace.to_owned(),
            ..query()
        };
        assert_eq!(store.entries(Kind::Trace, other).await.unwrap().total, 0);
    }
}

fn commented(subject: &Subject, id: Uuid, seconds: i64) -> Write {
    let comment = Comment {
        id,
        subject: subject.clone(),
        text: "as it was".into(),
        queue: None,
        created: now()
            .checked_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap(),
        updated: now(),
        created_by: "ada".into(),
        updated_by: "ada".into(),
    };
    Write::Comment {
        workspace: "default".into(),
        comment,
    }
}

fn edited(id: Uuid) -> Write {
    Write::EditComment {
        workspace: "default".into(),
        id,
        text: "new".into(),
        at: now(),
        by: "bob".into(),
    }
}

/// Comments and scores come before what they are on, and what is not there cannot be changed.
pub(super) async fn comments_and_scores_may_come_before_what_they_are_on(store: &dyn Traces) {
    let (trace, first, second) = (id_at(0, 1), id_at(0, 2), id_at(0, 3));
    let subject = Subject::Entry(Kind::Trace, trace);
    let score = super::rollups::score_given(subject.clone(), 3);
    let told = vec![
        commented(&subject, second, 9),
        commented(&subject, first, 1),
        score,
    ];
    store.write(told).await.unwrap();
    store.write(vec![edited(first)]).await.unwrap();
    let error = store.write(vec![edited(id_at(0, 77))]).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotFound);
    store
        .write(vec![write(put(Kind::Trace, trace, Fields::default()))])
        .await
        .unwrap();
    let entry = store.entry(Kind::Trace, "default", trace).await.unwrap().unwrap();
    let said: Vec<&str> = entry
        .comments
        .iter()
        .map(|comment| comment.text.as_str())
        .collect();
    assert_eq!(
        (said.as_slice(), entry.scores.len()),
        (["new", "as it was"].as_slice(), 1)
    );
    assert_eq!(entry.comments[0].updated_by, "bob");
    assert_eq!(
        store.comment("default", first).await.unwrap().unwrap().text,
        "new"
    );
    assert!(store.comment("research", first).await.unwrap().is_none());
    let names = store.score_names(Counted::Traces, "default", &[project()]).await;
    assert_eq!(names.unwrap(), ["s1"]);
}

/// What was said of a trace is taken back, and then it is not there.
pub(super) async fn comments_and_scores_are_taken_back(store: &dyn Traces) {
    let (trace, first, second) = (id_at(0, 1), id_at(0, 2), id_at(0, 3));
    let subject = Subject::Entry(Kind::Trace, trace);
    let score = super::rollups::score_given(subject.clone(), 3);
    let told = write(put(Kind::Trace, trace, Fields::default()));
    let told = vec![
        told,
        commented(&subject, first, 1),
        commented(&subject, second, 9),
        score,
    ];
    store.write(told).await.unwrap();
    let gone = Write::DeleteComments {
        workspace: "default".into(),
        ids: vec![first],
    };
    let unscore = Write::Unscore {
        workspace: "default".into(),
        subject: subject.clone(),
        names: vec!["s1".into()],
        author: Some("ada".into()),
    };
    store.write(vec![gone, unscore]).await.unwrap();
    let entry = store.entry(Kind::Trace, "default", trace).await.unwrap().unwrap();
    assert_eq!((entry.comments.len(), entry.scores.len()), (1, 0));
    assert!(store.comment("default", first).await.unwrap().is_none());
    assert!(store.write(vec![edited(first)]).await.is_err());
    let names = store.score_names(Counted::Traces, "default", &[]).await.unwrap();
    assert_eq!(names, [""; 0]);
}

/// What is removed is gone with what belongs to it, and may be told anew, elsewhere too.
pub(super) async fn what_is_removed_is_gone_and_may_come_anew(store: &dyn Traces) {
    let (trace, span, other) = (id_at(0, 1), id_at(0, 2), id_at(0, 3));
    let elsewhere = Uuid::from_u128(78);
    let told = || {
        vec![
            write(put(Kind::Trace, trace, Fields::default())),
            llm_span(trace, span, 5, 0.5),
            write(Put {
                project: elsewhere,
                ..put(Kind::Trace, other, Fields::default())
            }),
        ]
    };
    store.write(told()).await.unwrap();
    let remove = |project| Write::DeleteProject {
        workspace: "default".into(),
        project,
    };
    store.write(vec![remove(project())]).await.unwrap();
    assert_eq!(store.entries(Kind::Span, query()).await.unwrap().total, 0);
    assert!(
        store
            .entry(Kind::Trace, "default", trace)
            .await
            .unwrap()
            .is_none()
    );
    let everywhere = Query {
        project: None,
        ..query()
    };
    assert_eq!(
        store
            .entries(Kind::Trace, everywhere.clone())
            .await
            .unwrap()
            .total,
        1
    );
    let delete = Write::Delete {
        kind: Kind::Trace,
        workspace: "default".into(),
        ids: vec![other],
    };
    let here = write(put(Kind::Trace, other, Fields::default()));
    store.write(vec![delete]).await.unwrap();
    store.write(vec![here]).await.unwrap();
    let moved = store.entries(Kind::Trace, query()).await.unwrap();
    assert_eq!((moved.total, moved.items[0].id), (1, other));
    store.write(told()).await.unwrap_err();
    let before = now().checked_add(jiff::SignedDuration::from_secs(60)).unwrap();
    assert_eq!(store.retire("default", Some(elsewhere), before).await.unwrap(), 0);
    assert_eq!(store.retire("default", None, before).await.unwrap(), 1);
    assert_eq!(store.entries(Kind::Trace, everywhere).await.unwrap().total, 0);
}

/// Threads are changed by their ids, too; what is not there is not found.
pub(super) async fn threads_are_changed_by_their_ids(store: &dyn Traces) {
    let fields = Fields {
        thread: Some("chat".into()),
        ..Fields::default()
    };
    store
        .write(vec![write(put(Kind::Trace, id_at(0, 1), fields))])
        .await
        .unwrap();
    let id = store.threads(query()).await.unwrap().items[0].id;
    let change = |id, change| Write::Thread {
        workspace: "default".into(),
        threads: Threads::Ids(vec![id]),
        change,
        at: now(),
        by: "ada".into(),
    };
    let tags = |add: &[&str], remove: &[&str]| {
        let owned = |tags: &[&str]| tags.iter().map(|tag| (*tag).to_owned()).collect();
        ThreadChange::ChangeTags(TagChange {
            add: owned(add),
            remove: owned(remove),
        })
    };
    store
        .write(vec![change(id, ThreadChange::Tags(vec!["a".into()]))])
        .await
        .unwrap();
    store
        .write(vec![change(id, tags(&["b", "c"], &["a"]))])
        .await
        .unwrap();
    assert_eq!(store.threads(query()).await.unwrap().items[0].tags, ["b", "c"]);
    let error = store
        .write(vec![change(id_at(0, 9), ThreadChange::Open)])
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::NotFound);
    store.write(vec![change(id, ThreadChange::Delete)]).await.unwrap();
    assert_eq!(store.threads(query()).await.unwrap().total, 0);
    assert_eq!(store.entries(Kind::Trace, query()).await.unwrap().total, 0);
}

/// What spans cost is summed by hour and model, without those whose cost is counted elsewhere.
pub(super) async fn costs_are_summed_once(store: &dyn Traces) {
    let trace = id_at(0, 1);
    let within = |id, parent: Option<Uuid>| {
        let Write::Put(mut put) = llm_span(trace, id, 5, 0.25) else {
            unreachable!("a put")
        };
        put.fields.parent_span_id = parent;
        Write::Put(put)
    };
    let spans = [id_at(0, 2), id_at(0, 3), id_at(0, 4)];
    store
        .write(vec![
            within(spans[0], None),
            within(spans[1], Some(spans[0])),
            within(spans[2], None),
        ])
        .await
        .unwrap();
    let asked = CostQuery {
        workspaces: vec!["default".into()],
        ..CostQuery::default()
    };
    let rows = store.costs(asked.clone()).await.unwrap();
    assert_eq!((rows.len(), rows[0].spans, rows[0].cost.0), (1, 3, 750_000_000));
    assert_eq!((rows[0].model.as_str(), rows[0].hour), ("m", now()));
    let counted = CostQuery {
        counted: vec![(trace, spans[1])],
        ..asked
    };
    let rows = store.costs(counted).await.unwrap();
    assert_eq!((rows[0].spans, rows[0].cost.0), (1, 250_000_000));
}
