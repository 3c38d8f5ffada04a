//! Searches by the index of words find what a reading of every entry does.

use super::{
    super::{files::File, words},
    *,
};

fn named(number: u32) -> Write {
    let fields = Fields {
        trace_id: Some(id_at(0, 1)),
        name: Some(format!("call {}", number % 7)),
        input: Some(json(&format!("{{\"q\": \"Needle{number} and straw\"}}"))),
        tags: Some(vec![format!("tag-{}", number % 3)]),
        ..Fields::default()
    };
    write(put(
        Kind::Span,
        id_at(i64::from(number), 1_000 + u128::from(number)),
        fields,
    ))
}

async fn found(store: &TraceStore, text: &str) -> u64 {
    let asked = Query {
        search: Some(text.into()),
        ..query()
    };
    store.entries(Kind::Span, asked).await.unwrap().total
}

fn index_all(store: &TraceStore) {
    while words::catch_up(&store.files).unwrap() {}
}

#[tokio::test]
async fn a_search_misses_nothing_before_and_after_it_is_indexed_changed_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    for part in 0..3_u32 {
        let writes = (part * 200..part * 200 + 200).map(named).collect();
        store.write(writes).await.unwrap();
    }
    let expected = [
        ("needle17", 11),
        ("dle5 and str", 1),
        ("CALL 3", 86),
        ("tag-2", 200),
        ("needle9999", 0),
        ("\", \"", 0),
    ];
    for (text, count) in expected {
        assert_eq!(found(&store, text).await, count, "{text} without an index");
    }
    index_all(&store);
    assert!(folder.path().join("2026-11-21.words").exists());
    for (text, count) in expected {
        assert_eq!(found(&store, text).await, count, "{text} with an index");
    }
    let id = id_at(5, 1_005);
    let part = &id.to_string()[24..];
    assert_eq!(found(&store, part).await, 1, "a part of an id");
    let renamed = Fields {
        trace_id: Some(id_at(0, 1)),
        name: Some("quite another".into()),
        ..Fields::default()
    };
    let change = Put {
        origin: Origin::Change,
        ..put(Kind::Span, id, renamed)
    };
    let delete = Write::Delete {
        kind: Kind::Span,
        workspace: "default".into(),
        ids: vec![id_at(17, 1_017)],
    };
    store.write(vec![write(change), delete]).await.unwrap();
    assert_eq!(found(&store, "another").await, 1, "changed, not in the index yet");
    assert_eq!(found(&store, "needle5 ").await, 1, "its body is still found");
    assert_eq!(found(&store, "needle17").await, 10);
    store.close().await;
    let store = open(folder.path(), &clock());
    store.write((600..900).map(named).collect()).await.unwrap();
    assert_eq!(found(&store, "needle88").await, 11);
    index_all(&store);
    assert_eq!(found(&store, "needle88").await, 11);
    assert_eq!(found(&store, "another").await, 1);
    let only = Query {
        filters: vec![Filter::new("input", "", Operator::Contains, "needle77 AND")],
        ..query()
    };
    assert_eq!(store.entries(Kind::Span, only).await.unwrap().total, 1);
    store.close().await;
}

/// How many entries of the only day are in no index.
fn outside(store: &TraceStore) -> i64 {
    let (days, _stay) = store.files.days();
    let last = store.files.indexed(days[0]);
    let count = |connection: &rusqlite::Connection| {
        let sql = "SELECT coalesce(sum(entries), 0) FROM uses WHERE seq > ?1";
        Ok(connection.query_row(sql, [last], |row| row.get(0))?)
    };
    store.files.read(File::Day(days[0]), count).unwrap()
}

#[tokio::test]
async fn the_index_goes_on_when_a_segment_is_nearly_full_and_takes_the_rest_when_nothing_more_comes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    let add = async |from: u32, to: u32| {
        for part in (from..to).step_by(500) {
            store
                .write((part..(part + 500).min(to)).map(named).collect())
                .await
                .unwrap();
        }
    };
    for (from, to) in [(0, 7_500), (7_500, 9_000), (9_000, 11_000)] {
        add(from, to).await;
        index_all(&store);
        assert!(
            outside(&store) < 2_048,
            "{} of {to} are in no index",
            outside(&store)
        );
    }
    add(11_000, 11_250).await;
    index_all(&store);
    assert!(outside(&store) >= 250, "more may come soon");
    store.files.wake(std::time::Duration::ZERO);
    index_all(&store);
    assert!(outside(&store) < 250, "{} are in no index", outside(&store));
    assert_eq!(found(&store, "needle11249 ").await, 1);
    store.close().await;
}

#[tokio::test]
async fn an_index_of_another_form_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), &clock());
    store.write((0..600).map(named).collect()).await.unwrap();
    index_all(&store);
    assert_eq!(outside(&store), 0);
    store.close().await;
    let words = rusqlite::Connection::open(folder.path().join("2026-11-21.words")).unwrap();
    words
        .execute_batch("PRAGMA application_id = 1400137079; DROP TABLE docs; DELETE FROM segments;")
        .unwrap();
    drop(words);
    let store = open(folder.path(), &clock());
    assert_eq!(outside(&store), 600);
    index_all(&store);
    assert_eq!(outside(&store), 0);
    assert_eq!(found(&store, "needle17").await, 11);
    store.close().await;
}
