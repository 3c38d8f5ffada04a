//! What else speaks Opik's API, unmodified, before the real binary: its TypeScript SDK, its integration of OpenAI's SDK, and
//! its command line.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    opik::script,
    provider::Provider,
    support::{Installation, run, told},
};

/// A server, with a key where programs of this machine need one.
async fn started(local: &str) -> (Installation, String) {
    let mut installation = Installation::new();
    let local = format!("opikLocal={local}");
    installation
        .up(&["--no-discover", "--no-default-model", "--set", &local])
        .await;
    let made = installation
        .stead(&["key", "create", "sdk", "-o", "json"])
        .await
        .ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let key = made["key"].as_str().expect("a key").to_owned();
    (installation, key)
}

#[tokio::test]
async fn opiks_typescript_sdk_traces_searches_scores_evaluates_and_keeps_prompts() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk/opik_tour.mjs");
    let modules = told("OPIK_NODE_MODULES");
    for with_key in [false, true] {
        let (mut installation, key) = started(if with_key { "off" } else { "on" }).await;
        let url = format!("http://127.0.0.1:{}/opik/api", installation.port);
        let home = installation.path("home").to_string_lossy().into_owned();
        std::fs::create_dir_all(&home).expect("a folder");
        let mut environment = vec![
            ("OPIK_URL_OVERRIDE", url.as_str()),
            ("OPIK_WORKSPACE", "default"),
            ("NODE_MODULES", modules.as_str()),
            ("HOME", home.as_str()),
        ];
        if with_key {
            environment.push(("OPIK_API_KEY", key.as_str()));
        }
        let printed = run(Path::new("node"), &[&script.to_string_lossy()], &environment, "")
            .await
            .ok();
        let found: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
        let expected = json!({
            "answer": [{"question": "where is my refund?"}, {"answer": "on its way"}, ["t1"], 1, "thread-1"],
            "score": [["quality", 0.75, "so"]],
            "spans": ["ask", "look up"],
            "nested": true,
            "ask": ["llm", "gpt-4o-mini", 1_100, "on its way"],
            // 1,000 tokens at 15 cents and 100 at 60 cents a million.
            "cost": 0.000_21,
            "tracked": [42, 1],
            "items": 2,
            "scores": [0, 1],
            "experiment": "typescript experiment",
            "prompt": [true, "Hello Ada"],
        });
        assert_eq!(found, expected);
        installation.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn opiks_integration_of_openais_sdk_traces_what_the_gateway_answers() {
    let (mut installation, key) = started("on").await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk/opik_openai.py");
    let (opik, openai) = (
        format!("http://127.0.0.1:{}/opik/api", installation.port),
        format!("http://127.0.0.1:{}/v1", installation.port),
    );
    let home = installation.path("home").to_string_lossy().into_owned();
    std::fs::create_dir_all(&home).expect("a folder");
    let environment = [
        ("OPIK_URL_OVERRIDE", opik.as_str()),
        ("OPIK_CONFIG_PATH", "/nonexistent"),
        ("OPIK_SENTRY_ENABLE", "false"),
        ("OPENAI_BASE_URL", openai.as_str()),
        ("OPENAI_API_KEY", key.as_str()),
        ("MODEL", "stand-in/stand-in"),
        ("HOME", home.as_str()),
    ];
    let python = told("OPIK_OPENAI_PYTHON");
    let printed = run(Path::new(&python), &[&path.to_string_lossy()], &environment, "")
        .await
        .ok();
    let found: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    for (name, expected) in [
        ("answers", json!(["Paris", "Paris"])),
        ("agents", json!(1)),
        ("spans", json!(["general", "llm", "llm"])),
        ("usage", json!([10, 10])),
        ("input", json!([true, true])),
        ("output", json!(["Paris", "Paris"])),
        ("failed", json!(["NotFoundError", ["NotFoundError"]])),
    ] {
        assert_eq!(found[name], expected, "{name}: {found}");
    }
    // Applications' traces and the gateway's requests are one list.
    let listed = installation.stead(&["trace", "list", "-o", "json"]).await.ok();
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let sources: Vec<&Value> = listed["items"]
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| &row["source"])
        .collect();
    let count = |source: &str| sources.iter().filter(|own| **own == source).count();
    assert!(count("application") == 2 && count("gateway") >= 2, "{listed}");
    installation.stop().await;
}

#[tokio::test]
async fn opiks_command_line_checks_exports_and_imports_and_stead_takes_its_exports() {
    let (mut installation, key) = started("off").await;
    script("opik_tour.py", &told("OPIK_PYTHON"), &installation, &key).await;
    let url = format!("http://127.0.0.1:{}/opik/api", installation.port);
    let home = installation.path("home").to_string_lossy().into_owned();
    let environment = [
        ("OPIK_URL_OVERRIDE", url.as_str()),
        ("OPIK_API_KEY", key.as_str()),
        ("OPIK_WORKSPACE", "default"),
        ("OPIK_CONFIG_PATH", "/nonexistent"),
        ("OPIK_SENTRY_ENABLE", "false"),
        ("HOME", home.as_str()),
    ];
    let python = told("OPIK_PYTHON");
    let program = Path::new(&python).with_file_name("opik");
    let opik = async |arguments: &[&str]| run(&program, arguments, &environment, "").await.ok();
    let checked = opik(&["healthcheck"]).await;
    assert!(checked.contains("Backend workspace available: yes"), "{checked}");
    let folder = installation.path("exported").to_string_lossy().into_owned();
    opik(&["export", "default", "tour", "traces", "--path", &folder]).await;
    let import = [
        "import",
        "default",
        "tour",
        "traces",
        "--path",
        &folder,
        "--to-project",
        "imported",
    ];
    opik(&import).await;
    let names = async |project: &str| {
        let query = format!("application={project}");
        let listed = installation
            .stead(&["trace", "list", "--limit", "100", "-q", &query, "-o", "json"])
            .await
            .ok();
        let listed: Value = serde_json::from_str(&listed).expect("JSON");
        let rows = listed["items"].as_array().expect("rows").iter();
        let mut names: Vec<String> = rows
            .map(|row| row["name"].as_str().unwrap_or_default().to_owned())
            .collect();
        names.sort();
        names
    };
    let own = names("tour").await;
    assert!(own.len() > 3, "{own:?}");
    assert_eq!(names("imported").await, own);
    // The same files into a server of their own, twice.
    let (mut other, _) = started("off").await;
    for _ in 0..2 {
        let taken = other.stead(&["trace", "import", &folder]).await.ok();
        assert!(taken.is_empty(), "{taken}");
    }
    let listed = other
        .stead(&["trace", "list", "--limit", "100", "-o", "json"])
        .await
        .ok();
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    assert_eq!(
        listed["items"].as_array().map(Vec::len),
        Some(own.len()),
        "{listed}"
    );
    installation.stop().await;
    other.stop().await;
}
