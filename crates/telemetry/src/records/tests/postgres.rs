//! What holds for the database: the contract, and what the file has no equal of.

use tokio_postgres::{Client, NoTls};

use super::*;

fn tls() -> rustls::ClientConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth()
}

pub(super) async fn open(
    url: &str,
    collections: &[Collection],
    clock: &Arc<ManualClock>,
) -> Result<PostgresRecords> {
    PostgresRecords::open(PostgresOptions {
        url,
        tls: tls(),
        collections,
        clock: clock.clone(),
    })
    .await
}

/// A connection beside the store.
#[expect(clippy::disallowed_methods, reason = "the connection ends with the test")]
pub(super) async fn client(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

/// One server for all, since each start of one takes seconds.
#[tokio::test]
async fn the_contract_is_kept_over_postgres() {
    let server = Postgres::start().await;
    macro_rules! keeps {
        ($($name:ident)*) => {
            $(
                contract::$name(Bench::over(&server, stringify!($name)).await).await;
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
    let ranks = [
        json!(null),
        json!(2),
        json!("b"),
        json!(2.5),
        json!(true),
        json!(2),
        json!(""),
        json!(-1),
        json!([1]),
    ];
    let all = [(true, true), (true, false), (false, true), (false, false)];
    for (number, (descending, one_project)) in all.into_iter().enumerate() {
        for (limit, order) in [
            (1, Some("rank")),
            (2, None),
            (4, Some("updated")),
            (9, Some("rank")),
        ] {
            let bench = Bench::over(&server, &format!("pages_{number}_{limit}")).await;
            let asked = contract::Asked {
                descending,
                one_project,
                limit,
                order,
            };
            contract::pages_hold_every_record_once_in_order(&bench, &ranks, asked).await;
        }
    }
}

#[tokio::test]
async fn records_outlive_a_crash_of_postgres_and_the_store_finds_its_way_back() {
    let mut server = Postgres::start().await;
    let bench = Bench::over(&server, "crash").await;
    for round in 0..3 {
        let ids: Vec<String> = (0..10).map(|number| format!("{round}-{number}")).collect();
        for id in &ids {
            bench
                .store
                .commit(vec![put(id, Some(0), json!({}))])
                .await
                .unwrap();
        }
        server.crash_and_start().await;
        let found = bench
            .store
            .list(RecordQuery {
                limit: 1_000,
                ..threads()
            })
            .await
            .unwrap();
        assert_eq!(found.items.len(), (round + 1) * 10);
    }
}

#[tokio::test]
async fn a_copy_of_postgres_is_a_file_and_a_file_is_taken_into_postgres() {
    let server = Postgres::start().await;
    let bench = Bench::over(&server, "source").await;
    let writes: Vec<RecordWrite> = (0..2_500)
        .map(|number| {
            put(
                &format!("{number:04}"),
                None,
                json!({"rank": number, "owner": format!("u{}", number % 7)}),
            )
        })
        .collect();
    bench.store.commit(writes).await.unwrap();
    bench
        .store
        .commit(vec![put("0007", None, json!({"rank": "again"}))])
        .await
        .unwrap();
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    bench.store.backup(&copy).await.unwrap();
    assert_eq!(
        bench.store.backup(&copy).await.unwrap_err().reason(),
        Reason::Conflict
    );

    let file = RecordStore::open(&copy, &[THREADS, NOTES], bench.clock.clone()).unwrap();
    assert_eq!(file.count(threads()).await.unwrap(), 2_500);
    assert_eq!(
        file.get(&key("0007")).await.unwrap(),
        bench.store.get(&key("0007")).await.unwrap()
    );
    RecordEngine::close(&file).await;

    let other = Bench::over(&server, "target").await;
    let Place::Database(url) = &other.place else {
        panic!("it is a database")
    };
    let target = open(url, &[THREADS, NOTES], &other.clock).await.unwrap();
    assert_eq!(target.import(&copy).await.unwrap(), 2_500);
    assert_eq!(
        target.get(&key("0007")).await.unwrap(),
        bench.store.get(&key("0007")).await.unwrap()
    );
    let of = RecordQuery {
        equals: vec![("owner".into(), json!("u3"))],
        ..threads()
    };
    assert_eq!(
        target.count(of.clone()).await.unwrap(),
        bench.store.count(of).await.unwrap()
    );
    assert_eq!(target.import(&copy).await.unwrap_err().reason(), Reason::Conflict);
}

#[tokio::test]
async fn a_newer_layout_and_a_bad_address_are_refused_by_postgres_and_no_password_is_told() {
    let server = Postgres::start().await;
    let bench = Bench::over(&server, "layout").await;
    let Place::Database(url) = &bench.place else {
        panic!("it is a database")
    };
    client(url)
        .await
        .batch_execute("UPDATE \"stead\" SET layout = 9")
        .await
        .unwrap();
    let error = open(url, &[THREADS], &bench.clock).await.err().unwrap();
    assert_eq!(error.reason(), Reason::Unsupported);
    let clock = Arc::new(ManualClock::default());
    for (url, reason) in [
        (
            "postgres://u:hunter2@127.0.0.1:1/x?connect_timeout=1",
            Reason::Unavailable,
        ),
        ("postgres://u:hunter2@127.0.0.1:x/y", Reason::Invalid),
        ("mysql://u:hunter2@h/x", Reason::Invalid),
    ] {
        let error = open(url, &[THREADS], &clock).await.err().unwrap();
        assert_eq!(error.reason(), reason, "{url}: {error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}
