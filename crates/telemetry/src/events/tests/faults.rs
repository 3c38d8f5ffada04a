//! Damage, full disks, kills, newer files, and many writers at once.

use std::{fs, time::Duration};

use stead_kernel::{Reason, ports::events::UsageQuery};
use tokio::task::JoinSet;

use super::*;
use crate::events::Work;

const DAY: i64 = 86_400;

async fn requests(bench: &Bench) -> u64 {
    bench.store.usage(UsageQuery::default()).await.unwrap()[0].requests
}

#[tokio::test]
async fn what_was_answered_is_in_a_copy_of_the_files_of_a_running_store() {
    let bench = Bench::new();
    let rows: Vec<RequestRow> = (0..300)
        .map(|number| row(number, -i64::from(number) * 600))
        .collect();
    for (index, part) in rows.chunks(30).enumerate() {
        bench.append(part).await.unwrap();
        // What a machine that loses its process, and nothing else, would find.
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(bench.folder.path()).unwrap() {
            let entry = entry.unwrap();
            if !entry.file_name().to_string_lossy().ends_with("-shm") {
                fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
            }
        }
        let found = Bench {
            store: open(&copy, &bench.clock).unwrap(),
            folder: copy,
            clock: bench.clock.clone(),
        };
        assert_eq!(requests(&found).await, 30 * (u64::try_from(index).unwrap() + 1));
        found.append(part).await.unwrap();
        assert_eq!(requests(&found).await, 30 * (u64::try_from(index).unwrap() + 1));
    }
}

#[tokio::test]
async fn concurrent_appends_with_repeats_count_each_request_once() {
    let bench = Bench::new();
    let store = Arc::new(bench.store);
    let mut tasks = JoinSet::new();
    for task in 0..40u32 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            for step in 0..10 {
                // Every request comes from two tasks.
                let number = task / 2 * 10 + step;
                store
                    .append(vec![request(row(number, i64::from(number)))])
                    .await
                    .unwrap();
                let id = row(number, i64::from(number)).id;
                assert!(
                    store.request(&id).await.unwrap().is_some(),
                    "it can be read once it is answered"
                );
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    let usage = store.usage(UsageQuery::default()).await.unwrap();
    assert_eq!(usage[0].requests, 200);
    let metrics = store.metrics();
    assert!(
        metrics.contains("stead_events_stored_total 200")
            && metrics.contains("stead_events_repeated_total 200")
    );
}

/// Text that does not compress away.
fn noise(seed: u32) -> String {
    let step = |state: &mut u32| {
        *state ^= *state << 13;
        *state ^= *state >> 17;
        *state ^= *state << 5;
        Some(char::from_u32(33 + *state % 90).unwrap())
    };
    let mut state = seed.wrapping_mul(2_654_435_761);
    std::iter::from_fn(|| step(&mut state)).take(20_000).collect()
}

#[tokio::test]
async fn a_full_disk_refuses_whole_appends_and_passes() {
    let mut bench = Bench::new();
    bench.append(&[row(1, 0)]).await.unwrap();
    bench.store.queue.submit(Work::LimitPages(80), 1).await.unwrap();
    let big = |number: u32| RequestRow {
        input: Some(noise(number)),
        ..row(number, i64::from(number))
    };
    let (mut stored, mut refused) = (1, Vec::new());
    for number in 2..40 {
        match bench.append(&[big(number), row(100 + number, 0)]).await {
            Ok(()) => stored += 2,
            Err(error) => {
                assert_eq!(error.reason(), Reason::Unavailable);
                assert!(error.message().contains("full"), "{}", error.full_message());
                refused.push(number);
            }
        }
    }
    assert!(!refused.is_empty() && stored > 1);
    assert_eq!(requests(&bench).await, stored, "nothing is stored by halves");
    assert_eq!(
        bench
            .list(RequestQuery {
                limit: 500,
                ..RequestQuery::default()
            })
            .await
            .len() as u64,
        stored
    );
    bench.reopen();
    for number in refused {
        bench.append(&[big(number), row(100 + number, 0)]).await.unwrap();
        stored += 2;
    }
    assert_eq!(requests(&bench).await, stored);
    bench.store.check().await.unwrap();
}

#[tokio::test]
async fn a_damaged_day_is_set_aside_and_the_others_stay() {
    let mut bench = Bench::new();
    bench.append(&[row(1, 0), row(2, DAY)]).await.unwrap();
    bench.store.close().await;
    fs::write(
        bench.folder.path().join("2026-11-21.db"),
        b"not a database any more".repeat(400),
    )
    .unwrap();
    bench.reopen();
    assert_eq!(bench.list(RequestQuery::default()).await.len(), 1);
    assert!(
        bench
            .files()
            .iter()
            .any(|name| name.starts_with("2026-11-21.db.damaged-"))
    );
    bench.append(&[row(1, 0)]).await.unwrap();
    assert_eq!(bench.list(RequestQuery::default()).await.len(), 2);
}

/// Overwrites everything after the first pages, so that opening works and reading does not.
fn spoil(path: &std::path::Path, from: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[from..].fill(0xA5);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damage_that_only_a_reader_meets_is_left_out_and_then_set_aside() {
    let mut bench = Bench::new();
    let rows: Vec<RequestRow> = (0..500).map(|number| row(number, i64::from(number))).collect();
    bench.append(&rows).await.unwrap();
    bench.append(&[row(1_000, DAY)]).await.unwrap();
    bench.store.close().await;
    spoil(&bench.folder.path().join("2026-11-21.db"), 4_096 * 3);
    bench.reopen();
    assert_eq!(
        bench
            .list(RequestQuery {
                limit: 1_000,
                ..RequestQuery::default()
            })
            .await
            .len(),
        1
    );
    let aside = |name: &String| name.starts_with("2026-11-21.db.damaged-");
    stead_testkit::poll_until(Duration::from_secs(30), "the file to be set aside", async || {
        bench.files().into_iter().find(aside)
    })
    .await;
    bench.append(&rows).await.unwrap();
    assert_eq!(
        bench
            .list(RequestQuery {
                limit: 1_000,
                ..RequestQuery::default()
            })
            .await
            .len(),
        501
    );
}

#[tokio::test]
async fn lost_or_damaged_indexes_are_made_anew() {
    let mut bench = Bench::new();
    let odd = RequestRow {
        id: "odd".into(),
        ..row(1, 0)
    };
    bench.append(&[odd.clone(), row(2, 0)]).await.unwrap();
    bench.store.close().await;
    for content in [None, Some(b"garbage".repeat(2_000))] {
        let path = bench.folder.path().join("ids.db");
        fs::remove_file(&path).unwrap();
        if let Some(content) = content {
            fs::write(&path, content).unwrap();
        }
        bench.reopen();
        bench
            .append(&[RequestRow {
                started: at(DAY),
                ..odd.clone()
            }])
            .await
            .unwrap();
        assert_eq!(bench.store.request("odd").await.unwrap().as_ref(), Some(&odd));
        assert_eq!(requests(&bench).await, 2);
        bench.store.close().await;
    }
    fs::write(bench.folder.path().join("usage.db"), b"garbage".repeat(2_000)).unwrap();
    bench.reopen();
    assert_eq!(requests(&bench).await, 2);
}

#[tokio::test]
async fn a_day_of_a_newer_version_is_refused_in_one_sentence() {
    let bench = Bench::new();
    bench.append(&[row(1, 0)]).await.unwrap();
    bench.store.close().await;
    let connection = rusqlite::Connection::open(bench.folder.path().join("2026-11-21.db")).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    drop(connection);
    let error = open(&bench.folder, &bench.clock).err().unwrap();
    assert_eq!(error.reason(), Reason::Unsupported);
    assert!(
        error
            .message()
            .ends_with("2026-11-21.db has format 9, and this version of stead knows formats up to 6")
    );
}

#[tokio::test]
async fn a_backup_of_a_running_store_opens_and_holds_everything() {
    let bench = Bench::new();
    bench.append(&[full_row(), row(2, DAY)]).await.unwrap();
    let target = tempfile::tempdir().unwrap();
    bench.store.backup(target.path()).await.unwrap();
    let again = bench.store.backup(target.path()).await.unwrap_err();
    assert_eq!(again.reason(), Reason::Conflict);
    let copy = open(&target, &bench.clock).unwrap();
    copy.check().await.unwrap();
    assert_eq!(copy.request(&full_row().id).await.unwrap(), Some(full_row()));
    assert_eq!(copy.usage(UsageQuery::default()).await.unwrap()[0].requests, 2);
}

#[tokio::test]
async fn a_closed_store_refuses_events_and_still_answers() {
    let bench = Bench::new();
    bench.append(&[row(1, 0)]).await.unwrap();
    bench.store.close().await;
    assert_eq!(
        bench.append(&[row(2, 0)]).await.unwrap_err().reason(),
        Reason::Unavailable
    );
    assert_eq!(requests(&bench).await, 1);
    let leftover: Vec<String> = fs::read_dir(bench.folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("ids.db-"))
        .collect();
    assert!(leftover.is_empty(), "{leftover:?}");
}

/// Brings a store's files back to the first format, with what it had.
fn downgrade(path: &std::path::Path) {
    let connection = rusqlite::Connection::open(path).unwrap();
    let keep = "minute, project, user, key, model, provider, requests, errors, input, output, cached_input, reasoning, \
                cost, unpriced, duration_us, first_token_us, first_tokens";
    let old = format!(
        "CREATE TABLE old AS SELECT {keep} FROM rollups; DROP TABLE rollups; ALTER TABLE old RENAME TO rollups;
         PRAGMA user_version = 1;"
    );
    connection.execute_batch(&old).unwrap();
    if path.ends_with("2026-11-21.db") {
        let narrow = "ALTER TABLE requests DROP COLUMN team; ALTER TABLE requests DROP COLUMN replica;
                      ALTER TABLE requests DROP COLUMN usage; ALTER TABLE requests DROP COLUMN spans;
                      DROP TABLE gone;";
        connection.execute_batch(narrow).unwrap();
    }
}

#[tokio::test]
async fn rows_and_sums_of_the_first_format_are_read_as_they_were() {
    let mut bench = Bench::new();
    bench.append(&[row(1, 0), row(2, 61)]).await.unwrap();
    bench.store.close().await;
    downgrade(&bench.folder.path().join("2026-11-21.db"));
    downgrade(&bench.folder.path().join("usage.db"));
    bench.reopen();
    assert_eq!(bench.list(RequestQuery::default()).await, [row(2, 61), row(1, 0)]);
    bench.append(&[row(2, 61), full_row(), row(3, 61)]).await.unwrap();
    let sum = &bench.store.usage(UsageQuery::default()).await.unwrap()[0];
    assert_eq!((sum.requests, sum.usage.input, sum.cost.0), (3, 30, 21));
}
