//! A stand-in for an OpenAI-compatible provider that behaves as it is told.

use std::{
    net::SocketAddr,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures::{StreamExt, stream};
use serde_json::json;
use stead_kernel::{SystemClock, Tasks};
use stead_net::Authority;
use tokio::net::TcpListener;

/// How it behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Answers.
    Well,
    /// Says nothing.
    Hangs,
    /// Answers what is no JSON.
    Garbage,
    /// Breaks off in the middle of a stream.
    Breaks,
    /// Fails with 500.
    Fails,
    /// Answers, but takes its time: a piece every fifth of a second.
    Drips,
}

/// A running stand-in.
pub(crate) struct Provider {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    tasks: Tasks,
}

struct Shared {
    mood: Mutex<Mood>,
    served: AtomicU64,
}

impl Provider {
    pub(crate) async fn start() -> Self {
        let (router, shared) = Self::router();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let tasks = Tasks::new();
        tasks.spawn_until_stopped("stand-in", async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self {
            address,
            shared,
            tasks,
        }
    }

    /// One that speaks TLS, with a certificate for `host` by a CA of its own, which lies in the folder as `ca.crt`.
    pub(crate) async fn start_tls(folder: &Path, host: &str) -> Self {
        stead_net::install_crypto_provider();
        let authority = Authority::load_or_create(folder, &[host.to_owned()], Arc::new(SystemClock));
        let config = authority.expect("a certificate").server_config();
        let (router, shared) = Self::router();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let tasks = Tasks::new();
        let inner = tasks.clone();
        tasks.spawn_until_stopped("stand-in", async move {
            stead_net::serve(listener, router, config, &inner, Duration::ZERO).await;
        });
        Self {
            address,
            shared,
            tasks,
        }
    }

    fn router() -> (Router, Arc<Shared>) {
        let shared = Arc::new(Shared {
            mood: Mutex::new(Mood::Well),
            served: AtomicU64::new(0),
        });
        let router = Router::new()
            .route(
                "/v1/models",
                get(|| async {
                    Json(json!({"object": "list", "data": [{"id": "stand-in", "object": "model"}]}))
                }),
            )
            .route("/v1/chat/completions", post(answer))
            .with_state(Arc::clone(&shared));
        (router, shared)
    }

    pub(crate) fn behave(&self, mood: Mood) {
        *self.shared.mood.lock().expect("not poisoned") = mood;
    }

    /// How many requests it has answered well.
    pub(crate) fn served(&self) -> u64 {
        self.shared.served.load(Ordering::SeqCst)
    }

    /// The manifest that makes Stead use it as `stand-in/stand-in`.
    pub(crate) fn manifest(&self) -> String {
        format!(
            "apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {{name: stand-in}}\n\
             spec: {{type: openai-compatible, baseUrl: 'http://{}/v1', network: Private}}\n",
            self.address
        )
    }
}

impl Drop for Provider {
    /// Down: connections are refused from now on.
    fn drop(&mut self) {
        self.tasks.token().cancel();
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let body = http_body_util::BodyExt::collect(request.into_body())
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let streamed = String::from_utf8_lossy(&body)
        .replace(' ', "")
        .contains("\"stream\":true");
    let mood = *shared.mood.lock().expect("not poisoned");
    match mood {
        Mood::Hangs => futures::future::pending().await,
        Mood::Garbage => ([(header::CONTENT_TYPE, "application/json")], "<html>oops").into_response(),
        Mood::Fails => (
            StatusCode::INTERNAL_SERVER_ERROR,
            Json(json!({"error": {"message": "it broke"}})),
        )
            .into_response(),
        Mood::Drips => {
            shared.served.fetch_add(1, Ordering::SeqCst);
            drip(streamed).await
        }
        Mood::Breaks => events(vec![chunk("Par")], true),
        Mood::Well if streamed => {
            shared.served.fetch_add(1, Ordering::SeqCst);
            let usage = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stand-in", "choices": [],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}});
            events(
                vec![
                    chunk("Par"),
                    chunk("is"),
                    format!("data: {usage}\n\n"),
                    "data: [DONE]\n\n".into(),
                ],
                false,
            )
        }
        Mood::Well => {
            shared.served.fetch_add(1, Ordering::SeqCst);
            Json(json!({"id": "c", "object": "chat.completion", "created": 1, "model": "stand-in",
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris"}}],
                "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}))
            .into_response()
        }
    }
}

/// A slow answer.
async fn drip(streamed: bool) -> Response {
    const GAP: Duration = Duration::from_millis(200);
    if !streamed {
        tokio::time::sleep(GAP * 15).await;
        return Json(json!({"id": "c", "object": "chat.completion", "created": 1, "model": "stand-in",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Paris"}}],
            "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}))
        .into_response();
    }
    let mut pieces: Vec<String> = (0..15).map(|_| chunk("Par")).collect();
    pieces.push("data: [DONE]\n\n".into());
    let pieces = stream::iter(pieces).then(|piece| async move {
        tokio::time::sleep(GAP).await;
        Ok::<_, std::io::Error>(piece)
    });
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(pieces),
    )
        .into_response()
}

fn chunk(text: &str) -> String {
    let chunk = json!({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "stand-in",
        "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}]});
    format!("data: {chunk}\n\n")
}

/// Sends the events; broken, the connection is cut after them.
fn events(events: Vec<String>, broken: bool) -> Response {
    let good = stream::iter(events).map(Ok::<_, std::io::Error>);
    let end = stream::iter(broken.then(|| Err(std::io::Error::other("cut"))));
    // A moment passes before the cut, so that what came before it is on its way.
    let end = end.then(|error| async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        error
    });
    (
        [(header::CONTENT_TYPE, "text/event-stream")],
        Body::from_stream(good.chain(end)),
    )
        .into_response()
}
