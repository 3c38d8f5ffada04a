//! What holds for the file.

use super::*;

macro_rules! keeps {
    ($($name:ident)*) => {
        $(
            #[tokio::test]
            async fn $name() {
                contract::$name(Bench::new()).await;
            }
        )*
    };
}

keeps! {
    a_record_counts_its_versions_and_remembers_when_it_was_made
    a_commit_is_whole_or_nothing
    bad_writes_and_queries_are_refused
    equality_keeps_types_apart_and_null_is_absent
    projects_are_apart_unless_all_are_asked_for
    a_page_of_another_order_is_refused
    many_writers_of_one_counter_lose_no_step
    a_range_of_texts_is_found_in_order_in_parts_and_counted
    several_records_are_read_at_once_in_the_order_of_their_keys
    a_field_that_is_declared_later_is_found_in_what_was_there
    texts_of_every_kind_come_back_as_they_were
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
        let asked = contract::Asked { descending, one_project, limit, order };
        runtime.block_on(contract::pages_hold_every_record_once_in_order(&Bench::new(), &ranks, asked));
    }
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
    bench
        .reopen(&[Collection {
            indexes: &["late"],
            ..THREADS
        }])
        .await;
    assert!(plan(&bench, &sql("late")).contains("r/chat.threads/late"));
    assert!(!plan(&bench, &sql("owner")).contains("r/chat.threads/owner"));
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
            fs::copy(bench.folder().join(name), copy.path().join(name)).unwrap();
        }
        let found = RecordStore::open(
            &copy.path().join("r.db"),
            &[THREADS],
            Arc::new(ManualClock::default()),
        )
        .unwrap();
        assert_eq!(found.list(threads()).await.unwrap().items.len(), number + 1);
    }
    let target = bench.folder().join("copy.db");
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
    bench.reopen(&[THREADS]).await;
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
