//! Opik's own SDK, of both versions, before the real binary; and what becomes of traces when it is killed.

use std::path::Path;

use serde_json::{Value, json};
use uuid::{NoContext, Uuid};

use crate::support::{Installation, run, told};

/// Runs the tour with one version of the SDK; what it found.
async fn tour(python: &str, installation: &Installation, key: &str) -> Value {
    script("opik_tour.py", python, installation, key).await
}

/// Runs a script with one version of the SDK; the JSON of its last line.
pub(crate) async fn script(name: &str, python: &str, installation: &Installation, key: &str) -> Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/sdk")
        .join(name);
    let url = format!("http://127.0.0.1:{}/opik/api", installation.port);
    let home = installation.path("home").to_string_lossy().into_owned();
    std::fs::create_dir_all(&home).expect("a folder");
    let mut environment = vec![
        ("OPIK_URL_OVERRIDE", url.as_str()),
        ("OPIK_CONFIG_PATH", "/nonexistent"),
        ("OPIK_SENTRY_ENABLE", "false"),
        ("OPIK_ANALYTICS_ENABLED", "false"),
        ("HOME", home.as_str()),
    ];
    if !key.is_empty() {
        environment.push(("OPIK_API_KEY", key));
        environment.push(("OPIK_WORKSPACE", "default"));
    }
    let printed = run(Path::new(python), &[&script.to_string_lossy()], &environment, "")
        .await
        .ok();
    let line = printed.lines().last().expect("a line");
    serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {printed}"))
}

/// What the tour must find, by name.
fn expected() -> Value {
    json!({
        "traces": ["asynchronous", "failing", "generator", "manual", "outer"],
        "outer": {"input": {"x": 41}, "output": {"r": 42}, "tags": ["t1"], "metadata": 1,
            "scores": [["quality", 0.75]], "thread": "thread-1"},
        "nested": true,
        "kinds": {"inner": "tool", "outer": "general"},
        "error": "ValueError",
        "cheap": ["manual"],
        "needle": ["manual"],
        "llm": ["call"],
        "content": ["manual", {"answer": 42}, 1100],
        "cost": 0.000_21,
        "span": {"b": 2},
        "threads": [["thread-1", 4]],
        "kind": [["thread-1", 1.0]],
        "status": "inactive",
        "afterDelete": [],
        "attachments": [["note.txt", 8000]],
        "attached": true,
        "copied": ["asynchronous", "failing", "generator", "manual", "outer", "with file"],
        "left": ["asynchronous", "failing", "generator", "outer", "with file"],
        "project": "tour",
    })
}

fn check(found: &Value) {
    let sdk = &found["sdk"];
    for (name, value) in expected().as_object().expect("an object") {
        assert_eq!(&found[name], value, "{name} with {sdk}");
    }
}

#[tokio::test]
async fn both_versions_of_opiks_sdk_trace_search_score_attach_copy_and_delete() {
    for (python, with_key) in [
        ("OPIK_PYTHON_OLD", true),
        ("OPIK_PYTHON", false),
        ("OPIK_PYTHON", true),
    ] {
        let mut installation = Installation::new();
        let local = if with_key { "opikLocal=off" } else { "opikLocal=on" };
        installation
            .up(&["--no-discover", "--no-default-model", "--set", local])
            .await;
        let key = if with_key {
            let made = installation
                .stead(&["key", "create", "sdk", "-o", "json"])
                .await
                .ok();
            let made: Value = serde_json::from_str(&made).expect("JSON");
            made["key"].as_str().expect("a key").to_owned()
        } else {
            String::new()
        };
        check(&tour(&told(python), &installation, &key).await);
        installation.stop().await;
    }
}

/// An id of version 7 that tells the present.
fn id() -> String {
    #[expect(
        clippy::disallowed_methods,
        reason = "an id of a test's trace tells its real time, as an SDK's does"
    )]
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    Uuid::new_v7(uuid::Timestamp::from_unix(
        NoContext,
        now.as_secs(),
        now.subsec_nanos(),
    ))
    .to_string()
}

#[tokio::test]
async fn no_span_that_was_answered_is_lost_when_the_server_is_killed() {
    let mut installation = Installation::started().await;
    let mut told = Vec::new();
    for round in 0..20 {
        let mut ids = Vec::new();
        // The last batch may be cut off; only those that were answered count.
        for _ in 0..=round % 3 {
            let trace = id();
            let batch: Vec<String> = (0..10).map(|_| id()).collect();
            let spans: Vec<Value> = batch
                .iter()
                .map(|id| {
                    json!({"id": id, "trace_id": trace, "project_name": "p", "name": "s",
                        "start_time": "2026-11-21T06:54:44Z"})
                })
                .collect();
            let body = json!({"spans": spans});
            let (status, _) = installation
                .json("POST", "/opik/api/v1/private/spans/batch", body)
                .await;
            assert_eq!(status.as_u16(), 204);
            ids.extend(batch);
        }
        told.extend(ids);
        installation.kill().await;
        installation.up(&["--no-discover", "--no-default-model"]).await;
    }
    for id in &told {
        let path = format!("/opik/api/v1/private/spans/{id}");
        let (status, span) = installation.json("GET", &path, Value::Null).await;
        assert_eq!((status.as_u16(), span["name"].as_str()), (200, Some("s")));
    }
    let (_, page) = installation
        .json("GET", "/opik/api/v1/private/spans?project_name=p", Value::Null)
        .await;
    assert_eq!(page["total"].as_u64(), Some(told.len() as u64));
    installation.stop().await;
}
