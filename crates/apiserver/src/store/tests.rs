//! The store against a real file.

use proptest::prelude::*;

use super::*;

struct Fixture {
    _folder: tempfile::TempDir,
    store: Store,
}

async fn fixture() -> Fixture {
    let folder = tempfile::tempdir().expect("a folder");
    let store = Store::open(folder.path().join("state.db"))
        .await
        .expect("a store");
    Fixture {
        _folder: folder,
        store,
    }
}

fn key(name: &str) -> Key {
    Key::new(&"things".into(), "", name)
}

fn content(body: impl Into<Vec<u8>>) -> Content {
    Content {
        body: body.into().into(),
        owners: Vec::new(),
        deleting: false,
    }
}

fn write(name: &str, action: Action) -> Write {
    Write {
        key: key(name),
        action,
        audit: Some(AuditRow::default()),
        was: None,
    }
}

fn create(name: &str, body: &str) -> Write {
    let uid = uuid::Uuid::new_v4().to_string();
    write(
        name,
        Action::Create {
            uid,
            content: content(body),
            definition: None,
        },
    )
}

fn replace(name: &str, expected: u64, body: &str) -> Write {
    let content = content(body);
    write(name, Action::Replace { expected, content })
}

fn text(row: &Row) -> String {
    String::from_utf8_lossy(&row.body).into_owned()
}

/// All objects, page by page from a position and a version.
async fn names(store: &Store, from: Option<(Position, u64)>) -> Vec<(String, String)> {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sink = Arc::clone(&found);
    let query = ListQuery {
        resource: "things".into(),
        namespace: None,
        from,
        limit: 0,
    };
    let listing = store
        .list(query, move |row| {
            sink.lock()
                .expect("a lock")
                .push((row.key.name.to_string(), text(row)));
            true
        })
        .await
        .expect("listed");
    assert!(listing.next.is_none());
    std::mem::take(&mut *found.lock().expect("a lock"))
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_keeps_the_rest() {
    let Fixture { _folder, store } = fixture().await;
    store.write(create("a", "small")).await.expect("written");
    store.limit_pages(40).await;
    let big = "x".repeat(400 << 10);
    // Sent together, so that they share a transaction: the one that fits must not fall with the other.
    let (refused, kept) = tokio::join!(
        store.write(create("big", &big)),
        store.write(create("b", "small"))
    );
    assert!(matches!(refused, Err(StoreError::Full)), "{refused:?}");
    kept.expect("written");
    assert!(store.ready());
    assert!(store.get(&key("big")).expect("read").is_none());
    store.limit_pages(100_000).await;
    store
        .write(create("big", &big))
        .await
        .expect("there is room again");
    store.check().await.expect("sound");
    store.close().await;
}

#[tokio::test]
async fn refused_writes_leave_no_gap_in_the_versions() {
    let Fixture { _folder, store } = fixture().await;
    let first = store.write(create("a", "1")).await.expect("written");
    for refused in [create("a", "2"), replace("a", 999, "2"), replace("b", 1, "2")] {
        assert!(store.write(refused).await.is_err());
    }
    assert_eq!(
        store.write(replace("a", first, "2")).await.expect("written"),
        first + 1
    );
    store.close().await;
}

#[tokio::test]
async fn the_window_forgets_the_oldest_and_says_so() {
    let Fixture { _folder, store } = fixture().await;
    let mut version = store.write(create("a", "0")).await.expect("written");
    let first = version;
    // Few large changes fill the window by bytes.
    let body = "x".repeat(1 << 20);
    for _ in 0..20 {
        version = store.write(replace("a", version, &body)).await.expect("written");
    }
    assert!(matches!(
        store.window().after(first, 10, |_| true),
        Err(StoreError::Expired)
    ));
    let (recent, seen) = store.window().after(version - 3, 10, |_| true).expect("kept");
    assert_eq!((recent.len(), seen), (3, version));
    store.close().await;
}

#[tokio::test]
async fn old_changes_leave_the_file_and_pages_of_then_expire() {
    let Fixture { _folder, store } = fixture().await;
    let first = store.write(create("a", "0")).await.expect("written");
    let writes = (0..window::CHANGES + window::CHANGES / 10).map(|index| {
        let store = store.clone();
        async move {
            store
                .write(create(&format!("b{index:06}"), "x"))
                .await
                .expect("written")
        }
    });
    let stream = futures::stream::iter(writes);
    futures::StreamExt::for_each_concurrent(stream, 256, |write| async move {
        write.await;
    })
    .await;
    let query = ListQuery {
        resource: "things".into(),
        namespace: None,
        from: Some((
            Position {
                namespace: String::new(),
                name: "a".into(),
            },
            first,
        )),
        limit: 10,
    };
    let expired = store.list(query, |_| true).await;
    assert!(matches!(expired, Err(StoreError::Expired)), "{expired:?}");
    assert!(store.window().len() as u64 <= window::CHANGES);
    store.close().await;
}

#[tokio::test]
async fn what_a_large_object_was_does_not_fill_the_disk() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state.db");
    let mut store = Store::open(path.clone()).await.expect("a store");
    let body = "x".repeat(2 << 20);
    let mut version = store.write(create("a", &body)).await.expect("written");
    let first = version;
    for round in 0..2 {
        for _ in 0..40 {
            version = store.write(replace("a", version, &body)).await.expect("written");
        }
        if round == 0 {
            store.close().await;
            store = Store::open(path.clone()).await.expect("the same store");
        }
    }
    let bytes = std::fs::metadata(&path).expect("there").len();
    assert!(bytes < 90 << 20, "{bytes}");
    let start = Position {
        namespace: String::new(),
        name: String::new(),
    };
    let at = |version| ListQuery {
        resource: "things".into(),
        namespace: None,
        from: Some((start.clone(), version)),
        limit: 0,
    };
    let old = store.list(at(first), |_| true).await;
    assert!(matches!(old, Err(StoreError::Expired)), "{old:?}");
    store.list(at(version - 10), |_| true).await.expect("kept");
    store.close().await;
}

/// A step of a random history.
#[derive(Debug, Clone)]
enum Step {
    Put(u8, u16),
    Remove(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..12_u8, any::<u16>()).prop_map(|(name, body)| Step::Put(name, body)),
        1 => (0..12_u8).prop_map(Step::Remove),
    ];
    prop::collection::vec(step, 0..60)
}

async fn run(store: &Store, steps: &[Step]) {
    for step in steps {
        let (Step::Put(name, _) | Step::Remove(name)) = step;
        let name = format!("n{name:02}");
        let current = store.get(&key(&name)).expect("read").map(|row| row.version);
        let next = match (step, current) {
            (Step::Put(_, body), None) => create(&name, &body.to_string()),
            (Step::Put(_, body), Some(version)) => replace(&name, version, &body.to_string()),
            (Step::Remove(_), Some(expected)) => write(&name, Action::Remove { expected }),
            (Step::Remove(_), None) => continue,
        };
        store.write(next).await.expect("written");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_past_state_can_be_listed_and_any_window_is_refilled(before in steps(), after in steps()) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(async {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("state.db");
            let store = Store::open(path.clone()).await.expect("a store");
            run(&store, &before).await;
            let version = store.window().latest();
            let then = names(&store, None).await;
            run(&store, &after).await;
            let start = Position { namespace: String::new(), name: String::new() };
            prop_assert_eq!(&names(&store, Some((start, version))).await, &then);

            let describe = |store: &Store| {
                let (changes, _) = store.window().after(0, usize::MAX, |_| true).expect("kept");
                changes
                    .iter()
                    .map(|change| {
                        let body = String::from_utf8_lossy(&change.body).into_owned();
                        (change.version, change.key.clone(), change.kind, body)
                    })
                    .collect::<Vec<_>>()
            };
            let told = describe(&store);
            store.close().await;
            let again = Store::open(path).await.expect("the same store");
            prop_assert_eq!(describe(&again), told);
            again.close().await;
            Ok(())
        })?;
    }
}
