//! Traces in a ClickHouse of their own, before the real binary.

use serde_json::{Value, json};
use stead_testkit::ClickHouse;

use crate::support::Installation;

const QUIET: [&str; 2] = ["--no-discover", "--no-default-model"];
const TRACES: &str = "/opik/api/v1/private/traces";

fn configure(installation: &Installation, url: &str) {
    std::fs::create_dir_all(installation.data()).expect("writable");
    let text = format!("eventsUrl: {}\n", json!(url));
    std::fs::write(installation.data().join("config.yaml"), text).expect("writable");
}

fn trace(id: &str, name: &str) -> Value {
    json!({"id": id, "name": name, "start_time": "2026-11-21T12:00:00Z", "input": {"q": "needle"}})
}

async fn names(installation: &Installation, query: &str) -> Vec<String> {
    let path = format!("{TRACES}?project_name=Default%20Project{query}");
    let (status, text) = installation
        .send_as("GET", &path, &Value::Null, &installation.token())
        .await;
    assert_eq!(status, 200, "{text}");
    let page: Value = serde_json::from_str(&text).expect("JSON");
    let items = page["content"].as_array().expect("a list");
    let names = items.iter().map(|item| item["name"].as_str().unwrap_or_default());
    names.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn traces_lie_in_clickhouse_and_a_server_without_it_says_so() {
    let mut server = ClickHouse::start().await;
    server.run("CREATE DATABASE stead").await;
    let mut installation = Installation::new();
    configure(&installation, &server.url("stead"));
    installation.up(&QUIET).await;
    let token = installation.token();
    let ids = [
        "019aa5f0-0000-7000-8000-000000000001",
        "019aa5f0-0000-7000-8000-000000000002",
    ];
    for (id, name) in ids.iter().zip(["first", "second"]) {
        let (status, text) = installation
            .send_as("POST", TRACES, &trace(id, name), &token)
            .await;
        assert_eq!(status, 201, "{text}");
    }
    let change = json!({"name": "changed", "tags": ["a"]});
    let path = format!("{TRACES}/{}", ids[0]);
    let (status, text) = installation.send_as("PATCH", &path, &change, &token).await;
    assert_eq!(status, 204, "{text}");
    assert_eq!(names(&installation, "").await, ["second", "changed"]);
    assert_eq!(names(&installation, "&search=NEEDLE").await.len(), 2);
    let stored = server.run("SELECT count() AS n FROM stead.stead_facts").await;
    assert_eq!(stored.trim(), "{\"n\":3}");

    server.kill().await;
    let (status, text) = installation
        .send_as("POST", TRACES, &trace(ids[1], "lost"), &token)
        .await;
    assert_eq!(status, 503, "{text}");
    server.start_again().await;
    assert_eq!(names(&installation, "").await, ["second", "changed"]);
    installation.kill().await;
    installation.up(&QUIET).await;
    assert_eq!(names(&installation, "").await, ["second", "changed"]);

    let checked = installation.stead(&["doctor"]).await.ok();
    assert!(checked.contains("in ClickHouse"), "{checked}");
    let backup = installation.path("backup");
    let said = installation.stead(&["backup", &backup.to_string_lossy()]).await;
    assert!(
        said.code == 0 && said.stderr.contains("not in the copy"),
        "{said:?}"
    );
    assert!(!format!("{said:?}{checked}").contains(ClickHouse::PASSWORD));
    installation.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clickhouse_that_is_not_there_is_named_and_its_password_is_not() {
    let installation = Installation::new();
    configure(&installation, "http://ada:hunter2@127.0.0.1:1/traces");
    let ended = installation.up_fails(&QUIET).await;
    assert_ne!(ended.code, 0);
    assert!(
        ended
            .stderr
            .contains("ClickHouse at 127.0.0.1:1 cannot be reached"),
        "{ended:?}"
    );
    let shown = installation.stead(&["config", "view", "-o", "json"]).await.ok();
    assert!(shown.contains("http://ada:***@127.0.0.1:1/traces"), "{shown}");
    let checked = installation.stead(&["doctor"]).await;
    let flag = ["up", "--set", "eventsUrl=http://ada:hunter2@h/traces"];
    let refused = installation.stead(&flag).await;
    assert!(refused.stderr.contains("STEAD_EVENTS_URL"), "{refused:?}");
    for text in [shown, format!("{ended:?}{checked:?}{refused:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}
