//! A watch that goes on after a kill: nothing acknowledged is missing, nothing is told twice.

use std::sync::Mutex;

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::{Value, json};
use stead_kernel::Body;

use crate::support::{WIDGETS, World, widget};

/// How often the server is killed.
const KILLS: usize = 4;
/// How many write at the same time, and how often each.
const WRITERS: usize = 8;
const WRITES: usize = 12;

/// The versions of the events after a version, as a watch of one second tells them.
async fn told(world: &World, after: u64) -> Vec<u64> {
    let path = format!("{WIDGETS}?watch=true&resourceVersion={after}&timeoutSeconds=1");
    let (code, answer) = world.get(&path).await;
    assert_eq!(code, StatusCode::OK, "{answer}");
    let lines = match answer {
        Value::String(lines) => lines,
        one => one.to_string(),
    };
    let version = |line: &str| {
        let event: Value = serde_json::from_str(line).expect("an event");
        assert_ne!(event.get("type"), Some(&json!("ERROR")), "{event}");
        let version = event
            .pointer("/object/metadata/resourceVersion")
            .and_then(Value::as_str)
            .expect("a version");
        version.parse::<u64>().expect("a number")
    };
    lines.lines().map(version).collect()
}

async fn write(world: &World, round: usize, writer: usize, acknowledged: &Mutex<Vec<u64>>) {
    let note = |(code, object): (StatusCode, Value)| {
        assert!(code.is_success(), "{object}");
        if let Some(version) = object
            .pointer("/metadata/resourceVersion")
            .and_then(Value::as_str)
        {
            let version = version.parse().expect("a number");
            acknowledged.lock().expect("no panic").push(version);
        }
    };
    for number in 0..WRITES {
        let name = format!("w{round}-{writer}-{number}");
        note(world.post(WIDGETS, &widget(&name)).await);
        let path = format!("{WIDGETS}/{name}");
        let patch = json!({"spec": {"size": number + 2}}).to_string();
        note(
            world
                .send("PATCH", &path, "application/merge-patch+json", patch)
                .await,
        );
        if number % 3 == 0 {
            let (code, _) = world.send("DELETE", &path, "", Body::empty()).await;
            assert_eq!(code, StatusCode::OK);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_resumed_watch_skips_and_repeats_nothing_whenever_the_server_is_killed() {
    let mut world = World::new().await;
    let (_, list) = world.get(WIDGETS).await;
    let begin = list["metadata"]["resourceVersion"].as_str().expect("a version");
    let mut seen = begin.parse::<u64>().expect("a number");
    let acknowledged = Mutex::new(Vec::new());
    let mut all: Vec<u64> = Vec::new();
    for round in 0..KILLS {
        let writers = join_all((0..WRITERS).map(|writer| write(&world, round, writer, &acknowledged)));
        // The watch ends in the middle of the writes, or after them.
        let (events, _) = tokio::join!(told(&world, seen), writers);
        seen = events.last().copied().unwrap_or(seen);
        all.extend(events);
        world = world.after_kill().await;
    }
    all.extend(told(&world, seen).await);
    assert!(
        all.windows(2).all(|pair| pair[0] < pair[1]),
        "in order, and each once"
    );
    let acknowledged = acknowledged.into_inner().expect("no panic");
    assert_eq!(acknowledged.len(), KILLS * WRITERS * WRITES * 2);
    assert!(
        acknowledged.iter().all(|version| all.contains(version)),
        "each acknowledged write was told"
    );
    world.stop().await;
}

#[tokio::test]
async fn a_page_whose_version_is_not_kept_any_more_tells_how_to_go_on() {
    const MAPS: &str = "/api/v1/namespaces/default/configmaps";
    let world = World::new().await;
    let map = |name: &str, text: &str| json!({"metadata": {"name": name}, "data": {"text": text}});
    for name in ["a", "b", "c"] {
        let (status, answer) = world.post(MAPS, &map(name, "")).await;
        assert_eq!(status, 201, "{answer}");
    }
    let (_, first) = world.get(&format!("{MAPS}?limit=1")).await;
    assert_eq!(first["items"][0]["metadata"]["name"], "a");
    let token = first["metadata"]["continue"]
        .as_str()
        .expect("a token")
        .to_owned();
    // More than is kept of what was.
    world.post(MAPS, &map("z", "")).await;
    for round in 0..90 {
        let text = format!("{round}{}", "x".repeat(900 << 10));
        let (status, answer) = world.put(&format!("{MAPS}/z"), &map("z", &text)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let (status, gone) = world.get(&format!("{MAPS}?limit=1&continue={token}")).await;
    assert_eq!((status.as_u16(), &gone["reason"]), (410, &json!("Expired")));
    // The rest comes as it is now.
    let token = gone["metadata"]["continue"].as_str().expect("another token");
    let (status, rest) = world.get(&format!("{MAPS}?continue={token}")).await;
    assert_eq!(status, 200, "{rest}");
    let names = rest["items"].as_array().expect("a list").iter();
    let names: Vec<_> = names.map(|item| &item["metadata"]["name"]).collect();
    assert_eq!(names, ["b", "c", "z"]);
    assert_ne!(
        rest["metadata"]["resourceVersion"],
        first["metadata"]["resourceVersion"]
    );
}
