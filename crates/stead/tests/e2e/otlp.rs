//! OpenTelemetry's own SDK and exporter before the real binary, at every door.

use std::path::Path;

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use crate::support::{Installation, run, told};

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
