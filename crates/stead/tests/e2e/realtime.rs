//! The official SDKs' realtime clients, before a stand-in that speaks the events of the API's documentation
//! (<https://platform.openai.com/docs/api-reference/realtime-server-events>).

use std::{net::SocketAddr, path::Path};

use axum::{
    Json, Router,
    body::Body,
    extract::Request,
    http::{HeaderMap, StatusCode, header},
    response::Response,
    routing::get,
};
use futures::{SinkExt, StreamExt};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use stead_kernel::Tasks;
use stead_testkit::poll_until;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, handshake::derive_accept_key, protocol::Role},
};

use crate::support::{Installation, SOON, run, told};

/// Starts the stand-in; it stops with the tasks.
async fn stand_in(tasks: &Tasks) -> SocketAddr {
    let talking = tasks.clone();
    let router = Router::new()
        .route(
            "/v1/models",
            get(|| async { Json(json!({"data": [{"id": "m"}]})) }),
        )
        .route(
            "/v1/realtime",
            get(move |request: Request| async move { accept(request, &talking) }),
        );
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    tasks.spawn_until_stopped("stand-in", async move {
        axum::serve(listener, router).await.expect("it serves");
    });
    address
}

fn accept(mut request: Request, tasks: &Tasks) -> Response {
    let key = &request.headers()[header::SEC_WEBSOCKET_KEY];
    let accept = derive_accept_key(key.as_bytes());
    let offered = format!("{:?}", request.headers());
    assert!(
        !offered.contains("sk-stead-"),
        "the client's key came along: {offered}"
    );
    let mut headers = HeaderMap::new();
    headers.insert(header::CONNECTION, "upgrade".parse().expect("a value"));
    headers.insert(header::UPGRADE, "websocket".parse().expect("a value"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.parse().expect("a value"));
    if request.headers().contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        headers.insert(
            header::SEC_WEBSOCKET_PROTOCOL,
            "realtime".parse().expect("a value"),
        );
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tasks.spawn_until_stopped("conversation", async move {
        let io = TokioIo::new(upgrade.await.expect("upgraded"));
        talk(WebSocketStream::from_raw_socket(io, Role::Server, None).await).await;
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *response.headers_mut() = headers;
    response
}

async fn talk(mut socket: WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    let session = json!({"type": "realtime", "id": "sess_1", "object": "realtime.session", "model": "m"});
    say(&mut socket, "session.created", json!({"session": session})).await;
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        let event: Value = serde_json::from_str(&text).expect("JSON");
        match event["type"].as_str().unwrap_or_default() {
            "session.update" => say(&mut socket, "session.updated", json!({"session": session})).await,
            "conversation.item.create" => {
                let added = json!({"item": event["item"], "previous_item_id": null});
                say(&mut socket, "conversation.item.added", added).await;
            }
            "response.create" => respond(&mut socket).await,
            _ => {}
        }
    }
}

async fn respond(socket: &mut WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>) {
    let response = |status: &str, usage: Value| {
        json!({"response": {"object": "realtime.response", "id": "resp_1", "status": status, "output": [],
            "usage": usage}})
    };
    say(socket, "response.created", response("in_progress", Value::Null)).await;
    for piece in ["Par", "is"] {
        let delta = json!({"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0,
            "delta": piece});
        say(socket, "response.output_text.delta", delta).await;
    }
    let usage = json!({"total_tokens": 10, "input_tokens": 7, "output_tokens": 3,
        "input_token_details": {"text_tokens": 7, "audio_tokens": 0, "cached_tokens": 0},
        "output_token_details": {"text_tokens": 3, "audio_tokens": 0}});
    say(socket, "response.done", response("completed", usage)).await;
}

async fn say(socket: &mut WebSocketStream<TokioIo<hyper::upgrade::Upgraded>>, kind: &str, mut event: Value) {
    event["type"] = kind.into();
    event["event_id"] = "event_1".into();
    // Who left does not listen.
    drop(socket.send(Message::text(event.to_string())).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_realtime_clients_of_the_sdks_talk_and_are_billed() {
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
    let at = format!("http://{address}/v1");
    let add = [
        "provider",
        "add",
        "p",
        "--type",
        "openai-compatible",
        "--url",
        &at,
        "--private",
        "--model",
        "m",
    ];
    installation.stead(&add).await.ok();
    installation.until_listed("p/m").await;
    let ca = installation
        .data()
        .join("keys/ca.crt")
        .to_string_lossy()
        .into_owned();
    let printed = talked(&installation, &key, &ca).await;
    let hows: Vec<&str> = printed.iter().filter_map(|line| line["how"].as_str()).collect();
    assert_eq!(hows, ["sync", "async", "browser"]);
    for line in &printed {
        assert_eq!(
            (&line["text"], &line["usage"]),
            (&json!("Paris"), &json!([7, 3])),
            "{line}"
        );
        assert_eq!(line["types"][0], "session.created", "{line}");
    }
    let rows = poll_until(SOON, "three sessions in the records", async || {
        let listed = installation.stead(&["trace", "list", "-o", "json"]).await.ok();
        let listed: Value = serde_json::from_str(&listed).ok()?;
        let rows = listed["items"].as_array().or(listed.as_array())?.clone();
        (rows.len() == 3).then_some(rows)
    })
    .await;
    for row in rows {
        let name = row["name"].as_str().unwrap_or_default();
        assert!(name.starts_with("realtime ") && row["status"] == "ok", "{row}");
    }
    tasks.token().cancel();
}

/// What both SDKs printed.
async fn talked(installation: &Installation, key: &str, ca: &str) -> Vec<Value> {
    let plain = format!("http://127.0.0.1:{}", installation.port);
    let secure = format!("https://127.0.0.1:{}", installation.port);
    let modules = told("SDK_NODE_MODULES");
    let environment = [
        ("STEAD_URL", plain.as_str()),
        ("STEAD_HTTPS", secure.as_str()),
        ("STEAD_KEY", key),
        ("NODE_PATH", modules.as_str()),
        ("NODE_EXTRA_CA_CERTS", ca),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/sdk");
    let script = |name: &str| folder.join(name).to_string_lossy().into_owned();
    let python = told("SDK_PYTHON");
    let python = run(Path::new(&python), &[&script("realtime.py")], &environment, "")
        .await
        .ok();
    let node = run(Path::new("node"), &[&script("realtime.mjs")], &environment, "")
        .await
        .ok();
    python
        .lines()
        .chain(node.lines())
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")))
        .collect()
}
