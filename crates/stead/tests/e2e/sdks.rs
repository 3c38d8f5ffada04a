//! Every SDK in its own dialect, before stand-ins that speak OpenAI's and Anthropic's, built from those APIs' documents
//! (<https://platform.openai.com/docs/api-reference/chat>, <https://docs.anthropic.com/en/api/messages>).

use std::{convert::Infallible, net::SocketAddr, path::Path};

use axum::{
    Json, Router,
    body::Body,
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::stream;
use serde_json::{Value, json};
use stead_kernel::Tasks;
use tokio::net::TcpListener;

use crate::support::{Installation, run, told};

/// Starts the stand-in; it stops with the tasks.
async fn stand_in(tasks: &Tasks) -> SocketAddr {
    let router = Router::new()
        .route(
            "/v1/models",
            get(|| async { Json(json!({"data": [{"id": "m"}]})) }),
        )
        .route("/v1/chat/completions", post(openai))
        .route("/v1/messages", post(anthropic))
        .route(
            "/v1/messages/count_tokens",
            post(|| async { Json(json!({"input_tokens": 7})) }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn_until_stopped("stand-in", async move {
        axum::serve(listener, router).await.expect("it serves");
    });
    address
}

/// Whether the model calls the tool: there are tools, and no result of one yet.
fn calls(body: &Value) -> bool {
    let text = body["messages"].to_string();
    let answered = text.contains("\"role\":\"tool\"") || text.contains("\"tool_result\"");
    body["tools"].as_array().is_some_and(|tools| !tools.is_empty()) && !answered
}

async fn openai(Json(body): Json<Value>) -> Response {
    let usage = json!({"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10});
    let function = json!({"name": "weather", "arguments": "{\"city\":\"Paris\"}"});
    let call = json!({"index": 0, "id": "call_1", "type": "function", "function": function});
    let calls = calls(&body);
    let finish = if calls { "tool_calls" } else { "stop" };
    if body["stream"] != true {
        let mut message = json!({"role": "assistant", "content": (!calls).then_some("Paris")});
        if calls {
            message["tool_calls"] = json!([call]);
        }
        return Json(
            json!({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "usage": usage,
            "choices": [{"index": 0, "finish_reason": finish, "message": message}]}),
        )
        .into_response();
    }
    let chunk = |delta: Value, finish: Option<&str>| {
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    };
    let mut chunks = vec![chunk(json!({"role": "assistant", "content": ""}), None)];
    if calls {
        let begun = json!({"index": 0, "id": "call_1", "type": "function",
            "function": {"name": "weather", "arguments": ""}});
        chunks.push(chunk(json!({"tool_calls": [begun]}), None));
        for piece in ["{\"city\":", "\"Paris\"}"] {
            let more = json!({"index": 0, "function": {"arguments": piece}});
            chunks.push(chunk(json!({"tool_calls": [more]}), None));
        }
    } else {
        chunks.extend(["Par", "is"].map(|text| chunk(json!({"content": text}), None)));
    }
    chunks.push(chunk(json!({}), Some(finish)));
    chunks.push(
        json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [],
        "usage": usage}),
    );
    let mut events: Vec<String> = chunks.iter().map(|chunk| format!("data: {chunk}\n\n")).collect();
    events.push("data: [DONE]\n\n".into());
    streamed(events)
}

async fn anthropic(Json(body): Json<Value>) -> Response {
    let calls = calls(&body);
    let stop = if calls { "tool_use" } else { "end_turn" };
    let message = |content: Value, stop: Option<&str>, output: u32| {
        json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
            "stop_reason": stop, "stop_sequence": null, "usage": {"input_tokens": 7, "output_tokens": output}})
    };
    if body["stream"] != true {
        let block = if calls {
            json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}})
        } else {
            json!({"type": "text", "text": "Paris"})
        };
        return Json(message(json!([block]), Some(stop), 3)).into_response();
    }
    let (block, deltas) = if calls {
        (
            json!({"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {}}),
            ["{\"city\":", "\"Paris\"}"]
                .map(|piece| json!({"type": "input_json_delta", "partial_json": piece})),
        )
    } else {
        (
            json!({"type": "text", "text": ""}),
            ["Par", "is"].map(|text| json!({"type": "text_delta", "text": text})),
        )
    };
    let mut events = vec![
        json!({"type": "message_start", "message": message(json!([]), None, 1)}),
        json!({"type": "content_block_start", "index": 0, "content_block": block}),
        json!({"type": "ping"}),
    ];
    events.extend(deltas.map(|delta| json!({"type": "content_block_delta", "index": 0, "delta": delta})));
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": null},
            "usage": {"output_tokens": 3}}),
        json!({"type": "message_stop"}),
    ]);
    let named = |event: &Value| {
        format!(
            "event: {}\ndata: {event}\n\n",
            event["type"].as_str().unwrap_or_default()
        )
    };
    streamed(events.iter().map(named).collect())
}

fn streamed(events: Vec<String>) -> Response {
    let events = stream::iter(events.into_iter().map(Ok::<_, Infallible>));
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(events),
    )
        .into_response()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sdk_works_unmodified_before_providers_of_two_dialects() {
    let tasks = Tasks::new();
    let address = stand_in(&tasks).await;
    let mut installation = Installation::new();
    installation.up(&["--no-discover", "--no-default-model"]).await;
    let key = installation
        .stead(&["key", "create", "sdk", "-o", "json"])
        .await
        .ok();
    let key: Value = serde_json::from_str(&key).expect("JSON");
    let key = key["key"].as_str().expect("a key").to_owned();
    let url = format!("http://127.0.0.1:{}", installation.port);
    for kind in ["openai-compatible", "anthropic"] {
        let at = format!("http://{address}/v1");
        installation
            .stead(&[
                "provider",
                "add",
                "p",
                "--type",
                kind,
                "--url",
                &at,
                "--private",
                "--model",
                "m",
            ])
            .await
            .ok();
        installation.until_listed("p/m").await;
        let printed = ask_all(&url, &key).await;
        assert_eq!(printed.len(), 12, "{printed:#?}");
        for result in printed {
            let expected = json!({"sdk": result["sdk"], "whole": "Paris", "usage": [7, 3], "streamed": "Paris",
                "tool": ["weather", {"city": "Paris"}], "streamedTool": {"city": "Paris"}, "afterTool": "Paris"});
            assert_eq!(result, expected, "before a provider of type {kind}");
        }
    }
    tasks.token().cancel();
}

/// What every SDK of both languages printed.
async fn ask_all(url: &str, key: &str) -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk");
    let modules = told("SDK_NODE_MODULES");
    let environment = [
        ("STEAD_URL", url),
        ("STEAD_KEY", key),
        ("NODE_PATH", modules.as_str()),
    ];
    let python = folder.join("dialects.py").to_string_lossy().into_owned();
    let node = folder.join("dialects.mjs").to_string_lossy().into_owned();
    let python = run(Path::new(&told("SDK_PYTHON")), &[&python], &environment, "")
        .await
        .ok();
    let node = run(Path::new("node"), &[&node], &environment, "").await.ok();
    let lines = python.lines().chain(node.lines());
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}
