//! Watches.

use std::pin::pin;

use futures::{Stream, StreamExt, TryStreamExt};
use kube::{
    api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
    runtime::watcher,
};
use serde_json::json;

use crate::support::{WIDGETS, World, dynamic, widget};

/// The next event as a word and a name; the version for a bookmark.
async fn next(events: &mut (impl Stream<Item = kube::Result<WatchEvent<DynamicObject>>> + Unpin)) -> String {
    let name = |object: DynamicObject| object.metadata.name.unwrap_or_default();
    match events.next().await.expect("an event").expect("a good event") {
        WatchEvent::Added(object) => format!("added {}", name(object)),
        WatchEvent::Modified(object) => format!("modified {}", name(object)),
        WatchEvent::Deleted(object) => format!("deleted {}", name(object)),
        WatchEvent::Bookmark(_) => "bookmark".into(),
        WatchEvent::Error(status) => format!("error {} {}", status.code, status.reason),
    }
}

async fn change(world: &World, name: &str, color: &str) {
    let patch = Patch::Merge(json!({"spec": {"color": color}}));
    world
        .widgets()
        .patch(name, &PatchParams::default(), &patch)
        .await
        .expect("patched");
}

#[tokio::test]
async fn a_watch_tells_what_is_and_what_happens() {
    let world = World::new().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let mut events = pin!(
        widgets
            .watch(&WatchParams::default(), "0")
            .await
            .expect("a watch")
    );
    assert_eq!(next(&mut events).await, "added a");
    widgets
        .create(&PostParams::default(), &dynamic(widget("b")))
        .await
        .expect("created");
    change(&world, "b", "green").await;
    widgets
        .delete("a", &DeleteParams::default())
        .await
        .expect("deleted");
    for expected in ["added b", "modified b", "deleted a"] {
        assert_eq!(next(&mut events).await, expected);
    }
    world.stop().await;
    assert!(
        events.next().await.is_none(),
        "a server that stops ends its watches"
    );
}

#[tokio::test]
async fn objects_come_into_the_sight_of_a_selector_and_leave_it() {
    let world = World::new().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let seen = WatchParams::default().labels("seen=yes");
    let mut events = pin!(widgets.watch(&seen, "0").await.expect("a watch"));
    for label in ["yes", "yes", "no", "yes"] {
        let patch = Patch::Merge(json!({"metadata": {"labels": {"seen": label}}}));
        widgets
            .patch("a", &PatchParams::default(), &patch)
            .await
            .expect("patched");
        change(&world, "a", "green").await;
        change(&world, "a", "blue").await;
    }
    widgets
        .delete("a", &DeleteParams::default())
        .await
        .expect("deleted");
    let mut told = Vec::new();
    for _ in 0..9 {
        told.push(next(&mut events).await);
    }
    let words: Vec<&str> = told.iter().filter_map(|event| event.split(' ').next()).collect();
    assert_eq!(
        words,
        [
            "added", "modified", "modified", "modified", "modified", "deleted", "added", "modified",
            "modified"
        ]
    );
    assert_eq!(next(&mut events).await, "deleted a");
    world.stop().await;
}

#[tokio::test]
async fn a_watch_resumed_after_a_kill_misses_and_repeats_nothing() {
    let mut world = World::new().await;
    let widgets = world.widgets();
    let first = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    change(&world, "a", "green").await;
    widgets
        .create(&PostParams::default(), &dynamic(widget("b")))
        .await
        .expect("created");
    change(&world, "a", "yellow").await;
    widgets
        .delete("a", &DeleteParams::default())
        .await
        .expect("deleted");
    world = world.after_kill().await;
    let widgets = world.widgets();
    change(&world, "b", "green").await;

    let from = first.metadata.resource_version.expect("a version");
    let events = widgets
        .watch(&WatchParams::default(), &from)
        .await
        .expect("a watch");
    let told: Vec<_> = events.take(5).try_collect().await.expect("events");
    let told: Vec<(String, String)> = told
        .into_iter()
        .map(|event| match event {
            WatchEvent::Added(object) => ("added", object),
            WatchEvent::Modified(object) => ("modified", object),
            WatchEvent::Deleted(object) => ("deleted", object),
            other => panic!("{other:?}"),
        })
        .map(|(word, object)| {
            let name = object.metadata.name.unwrap_or_default();
            (
                format!("{word} {name}"),
                object.data["spec"]["color"].as_str().unwrap_or_default().into(),
            )
        })
        .collect();
    let expected = [
        ("modified a", "green"),
        ("added b", "blue"),
        ("modified a", "yellow"),
        ("deleted a", "yellow"),
        ("modified b", "green"),
    ];
    assert_eq!(
        told,
        expected.map(|(event, color)| (event.to_owned(), color.to_owned()))
    );
    world.stop().await;
}

#[tokio::test]
async fn a_watch_from_beyond_the_window_has_expired() {
    let world = World::new().await;
    let widgets = world.widgets();
    let made = widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let ahead: u64 = made
        .metadata
        .resource_version
        .expect("a version")
        .parse()
        .expect("a number");
    let mut events = pin!(
        widgets
            .watch(&WatchParams::default(), &(ahead + 1000).to_string())
            .await
            .expect("a watch")
    );
    assert_eq!(next(&mut events).await, "error 410 Expired");
    assert!(events.next().await.is_none());
    world.stop().await;
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let world = World::new().await;
    let widgets = world.widgets();
    widgets
        .create(&PostParams::default(), &dynamic(widget("a")))
        .await
        .expect("created");
    let streaming = WatchParams::default().initial_events();
    let mut events = pin!(widgets.watch(&streaming, "").await.expect("a watch"));
    assert_eq!(next(&mut events).await, "added a");
    let WatchEvent::Bookmark(bookmark) = events.next().await.expect("an event").expect("a good event") else {
        panic!("no bookmark");
    };
    assert_eq!(
        bookmark
            .metadata
            .annotations
            .get("k8s.io/initial-events-end")
            .map(String::as_str),
        Some("true")
    );
    world.stop().await;
}

#[tokio::test]
async fn a_watch_ends_at_its_timeout_with_a_bookmark() {
    let world = World::new().await;
    let query = "?watch=1&resourceVersion=1&allowWatchBookmarks=true&timeoutSeconds=1";
    let (_, body) = world.get(&format!("{WIDGETS}{query}")).await;
    assert_eq!(body["type"], "BOOKMARK", "{body}");
    world.stop().await;
}

#[tokio::test]
async fn the_watcher_of_kube_sees_the_world_over_many_changes() {
    let world = World::new().await;
    let widgets = world.widgets();
    let events = watcher(world.widgets(), watcher::Config::default().streaming_lists());
    let mut events = pin!(events);
    let writer = async {
        for index in 0..50 {
            let name = format!("w{index}");
            widgets
                .create(&PostParams::default(), &dynamic(widget(&name)))
                .await
                .expect("created");
        }
    };
    let reader = async {
        let mut names = std::collections::BTreeSet::new();
        while names.len() < 50 {
            let event = events.next().await.expect("an event").expect("a good event");
            if let watcher::Event::Apply(object) | watcher::Event::InitApply(object) = event {
                names.insert(object.metadata.name.unwrap_or_default());
            }
        }
    };
    tokio::join!(writer, reader);
    assert_eq!(
        widgets
            .list(&ListParams::default())
            .await
            .expect("listed")
            .items
            .len(),
        50
    );
    world.stop().await;
}

#[tokio::test]
async fn a_table_watch_tells_its_columns_once() {
    let world = World::new().await;
    for name in ["a", "b"] {
        world.post(WIDGETS, &widget(name)).await;
    }
    let request = axum::http::Request::get(format!("{WIDGETS}?watch=true&timeoutSeconds=1"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(stead_kernel::Body::empty())
        .expect("a request");
    let admin = stead_kernel::Identity::Known(std::sync::Arc::new(stead_kernel::Principal::admin()));
    let (_, body, _) = world.send_as(admin, request).await;
    let lines: Vec<serde_json::Value> = body
        .as_str()
        .expect("lines")
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let columns: Vec<usize> = lines
        .iter()
        .map(|line| line["object"]["columnDefinitions"].as_array().map_or(0, Vec::len))
        .collect();
    assert_eq!(columns, [2, 0]);
    assert_eq!(lines[0]["object"]["rows"][0]["cells"], json!(["a", "blue"]));
    world.stop().await;
}

#[tokio::test]
async fn a_watch_of_many_objects_tells_one_state_and_then_what_happened() {
    let world = World::new().await;
    let widgets = world.widgets();
    let names: Vec<String> = (0..250).map(|number| format!("w{number:03}")).collect();
    for name in &names {
        widgets
            .create(&PostParams::default(), &dynamic(widget(name)))
            .await
            .expect("created");
    }
    let mut events = pin!(
        widgets
            .watch(&WatchParams::default().initial_events(), "")
            .await
            .expect("a watch")
    );
    let mut told = vec![next(&mut events).await];
    // While most of the list is not read yet.
    widgets
        .delete("w240", &DeleteParams::default())
        .await
        .expect("deleted");
    change(&world, "w001", "green").await;
    widgets
        .create(&PostParams::default(), &dynamic(widget("w2405")))
        .await
        .expect("created");
    for _ in 1..names.len() {
        told.push(next(&mut events).await);
    }
    let all: Vec<String> = names.iter().map(|name| format!("added {name}")).collect();
    assert_eq!(told, all);
    for expected in ["bookmark", "deleted w240", "modified w001", "added w2405"] {
        assert_eq!(next(&mut events).await, expected);
    }
    world.stop().await;
}
