//! OpenTelemetry's own SDK and exporters before the real binary, at every door, over HTTP and gRPC.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::{
    provider::Provider,
    support::{Installation, run, told},
};

/// What the tour must find.
fn expected() -> Value {
    json!({
        "flushed": true,
        "traces": 1,
        "trace": ["agent", "question", "answer", "session-1", 42],
        "spans": 42,
        "joined": true,
        "chats": 40,
        "usage": {"prompt_tokens": 40_000, "completion_tokens": 4_000, "total_tokens": 44_000},
        // 40,000 tokens at 15 cents and 4,000 at 60 cents a million.
        "cost": 0.008_4,
        "tool": ["tool", "ValueError"],
        "service": "shop",
        "id": true,
    })
}

#[tokio::test]
async fn opentelemetrys_own_exporter_traces_at_every_door() {
    let mut installation = Installation::new();
    installation
        .up(&["--no-discover", "--no-default-model", "--set", "opikLocal=off"])
        .await;
    let made = installation
        .stead(&["key", "create", "otel", "-o", "json"])
        .await
        .ok();
    let made: Value = serde_json::from_str(&made).expect("JSON");
    let key = made["key"].as_str().expect("a key").to_owned();
    // Langfuse's public key says nothing here.
    let basic = format!("Basic {}", STANDARD.encode(format!("pk-lf-1:{key}")));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk/otel_tour.py");
    let url = format!("http://127.0.0.1:{}", installation.port);
    for (door, authorization) in [
        ("/otlp", format!("Bearer {key}")),
        ("/opik/api/v1/private/otel", key.clone()),
        ("/api/public/otel", basic),
    ] {
        let headers = json!({"Authorization": authorization}).to_string();
        let environment = [
            ("STEAD_URL", url.as_str()),
            ("STEAD_KEY", key.as_str()),
            ("DOOR", door),
            ("HEADERS", headers.as_str()),
        ];
        let printed = run(
            Path::new(&told("OTEL_PYTHON")),
            &[&script.to_string_lossy()],
            &environment,
            "",
        )
        .await
        .ok();
        let found: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
        assert_eq!(found, expected(), "{door}");
    }
    installation.stop().await;
}

/// What a command prints as JSON.
async fn read(installation: &Installation, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend(["-o", "json"]);
    let printed = installation.stead(&arguments).await.ok();
    serde_json::from_str(&printed).expect("JSON")
}

/// Exports with a protocol, and finds everything again.
async fn export(installation: &Installation, endpoint: &str, protocol: &str, headers: &Value) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk/otel_signals.py");
    let service = format!("{protocol}-{}", endpoint.rsplit(':').next().unwrap_or_default());
    let headers = headers.to_string();
    let environment = [
        ("ENDPOINT", endpoint),
        ("PROTOCOL", protocol),
        ("HEADERS", headers.as_str()),
        ("SERVICE", service.as_str()),
    ];
    let python = told("OTEL_PYTHON");
    let printed = run(Path::new(&python), &[&script.to_string_lossy()], &environment, "")
        .await
        .ok();
    let told: Value = serde_json::from_str(printed.lines().last().expect("a line")).expect("JSON");
    assert_eq!(told["flushed"], json!([true, true, true]), "{printed}");
    let trace = told["trace"].as_str().expect("a trace");
    let listed = read(installation, &["trace", "list", "-q", &format!("trace={trace}")]).await;
    assert_eq!(listed["items"][0]["name"], "work", "{listed}");
    let lines = installation
        .stead(&["logs", "--trace", trace, "--level", "warn", "-o", "json"])
        .await
        .ok();
    let line: Value = serde_json::from_str(lines.trim()).expect("one line of JSON");
    assert_eq!(
        json!([
            line["body"],
            line["service"],
            line["attributes"]["user"],
            line["severity"]
        ]),
        json!(["it is late", service, "ada", 13]),
        "{line}"
    );
    let label = format!("service.name={service}");
    let value = async |name: &str, how: &str| {
        let arguments = [
            "metrics", name, "--label", &label, "--agg", how, "--since", "15m", "--step", "3600",
        ];
        let told = read(installation, &arguments).await;
        told["items"][0]["points"][0][1]
            .as_f64()
            .unwrap_or_else(|| panic!("{name}: {told}"))
    };
    assert!((value("requests", "sum").await - 20.0).abs() < 1e-9);
    assert!((value("time", "count").await - 100.0).abs() < 1e-9);
    // Half of 50, 100, … 5,000; the exporter's bounds there are 1,000, 2,500 and 5,000.
    let median = value("time", "p50").await;
    assert!((median - 2_500.0).abs() < 60.0, "{median}");
    let median = value("size", "p50").await;
    assert!((median - 50.0).abs() < 1.0, "{median}");
}

#[tokio::test]
async fn opentelemetrys_own_exporters_send_traces_logs_and_metrics_over_http_and_grpc() {
    let mut installation = Installation::new();
    let second = stead_testkit::free_port();
    let listen = format!("otlpListen=127.0.0.1:{second}");
    let arguments = [
        "--no-discover",
        "--no-default-model",
        "--set",
        "opikLocal=on",
        "--set",
        &listen,
    ];
    installation.up(&arguments).await;
    let made = read(&installation, &["key", "create", "otel"]).await;
    let bearer = json!({"Authorization": format!("Bearer {}", made["key"].as_str().expect("a key"))});
    let url = format!("http://127.0.0.1:{}", installation.port);
    export(&installation, &url, "http", &bearer).await;
    // One port answers both; the second is where exporters look that know no other.
    export(&installation, &url, "grpc", &bearer).await;
    // A program of this machine needs no key.
    export(
        &installation,
        &format!("http://127.0.0.1:{second}"),
        "grpc",
        &json!({}),
    )
    .await;
    installation.stop().await;
}

/// The names of metrics in a query.
fn names(expression: &str) -> impl Iterator<Item = &str> {
    let pieces = expression.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    pieces.filter(|piece| {
        ["stead_", "gen_ai_", "process_"]
            .iter()
            .any(|start| piece.starts_with(start))
            && !piece.starts_with("gen_ai_request_model")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn dashboards_ask_only_for_metrics_that_there_are() {
    let mut installation = Installation::started().await;
    let provider = Provider::start().await;
    installation
        .stead_reading(&["apply", "-f", "-"], &provider.manifest())
        .await
        .ok();
    for stream in [false, true] {
        let body = json!({"model": "stand-in/stand-in", "stream": stream, "messages": [{"role": "user", "content": "hi"}]});
        let token = installation.token();
        installation
            .send_as("POST", "/v1/chat/completions", &body, &token)
            .await;
    }
    let token = installation.token();
    let (_, metrics) = installation
        .send_as("GET", "/metrics", &Value::Null, &token)
        .await;
    let folder = installation.path("dashboards");
    let grafana = folder.to_string_lossy().into_owned();
    installation
        .stead(&["monitor", "dashboards", "--grafana", &grafana])
        .await
        .ok();
    let mut looked_at = 0;
    for file in std::fs::read_dir(&folder).expect("a folder") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let board: Value = serde_json::from_str(&text).expect("JSON");
        for panel in board["panels"].as_array().expect("panels") {
            for target in panel["targets"].as_array().expect("targets") {
                for name in names(target["expr"].as_str().expect("a query")) {
                    assert!(metrics.contains(&format!("\n{name}")), "{name} is not there");
                    looked_at += 1;
                }
            }
        }
    }
    assert!(looked_at > 20, "{looked_at}");
    installation.stop().await;
}
