//! Scripted providers.

use std::{
    convert::Infallible,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::Request, response::Response};
use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::Body;

/// What a provider was asked.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// What a provider does with a request.
#[derive(Clone)]
pub(crate) enum Act {
    /// Answers with a status and a body.
    Say(u16, &'static [(&'static str, &'static str)], String),
    /// Streams these pieces, then does what the last field says.
    Stream(Vec<&'static str>, End),
    /// The same with another content type.
    Bytes(&'static str, Vec<&'static str>, End),
    /// Never answers.
    Hang,
    /// Thinks for so long, then does this.
    After(Duration, Box<Act>),
}

/// How a stream goes on after its pieces.
#[derive(Clone, Copy)]
pub(crate) enum End {
    /// It ends.
    Close,
    /// The connection breaks.
    Break,
    /// Nothing comes any more.
    Stall,
}

/// A provider that does one thing after the other; the last one again and again.
#[derive(Clone, Default)]
pub(crate) struct Provider {
    script: Arc<Mutex<Vec<Act>>>,
    asked: Arc<Mutex<Vec<Asked>>>,
    /// Streams that are open.
    pub(crate) open: Arc<AtomicUsize>,
}

pub(crate) const CHUNK_ROLE: &str = "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
pub(crate) const CHUNK_A: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}],\"usage\":null}\n\n";
pub(crate) const CHUNK_B: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}}]}\n\n";
pub(crate) const CHUNK_STOP: &str =
    "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
pub(crate) const CHUNK_USAGE: &str =
    "data: {\"id\":\"c\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n";
pub(crate) const DONE: &str = "data: [DONE]\n\n";

/// A whole answer.
pub(crate) fn answer(text: &str) -> Act {
    let body = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}});
    Act::Say(
        200,
        &[("x-secret-of-upstream", "1"), ("set-cookie", "a=b")],
        body.to_string(),
    )
}

/// A whole stream.
pub(crate) fn whole_stream() -> Act {
    Act::Stream(
        vec![CHUNK_ROLE, CHUNK_A, CHUNK_B, CHUNK_STOP, CHUNK_USAGE, DONE],
        End::Close,
    )
}

/// The same after some time of thinking.
pub(crate) fn slowly(millis: u64, act: Act) -> Act {
    Act::After(Duration::from_millis(millis), Box::new(act))
}

/// A failure.
pub(crate) fn failure(status: u16) -> Act {
    Act::Say(
        status,
        &[],
        json!({"error": {"message": "no", "type": "x"}}).to_string(),
    )
}

impl Provider {
    pub(crate) fn script(acts: impl IntoIterator<Item = Act>) -> Self {
        let provider = Self::default();
        provider.script.lock().unwrap().extend(acts);
        provider
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn router(&self) -> Router {
        let provider = self.clone();
        Router::new().fallback(move |request: Request| {
            let provider = provider.clone();
            async move { provider.act(request).await }
        })
    }

    async fn act(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        if parts.method == http::Method::GET {
            return say(
                200,
                &[],
                json!({"data": [{"id": "m"}, {"id": "found"}]}).to_string(),
            );
        }
        self.asked.lock().unwrap().push(Asked {
            path: parts.uri.path().to_owned(),
            headers: parts.headers,
            body,
        });
        let act = {
            let mut script = self.script.lock().unwrap();
            if script.len() > 1 {
                script.remove(0)
            } else {
                script[0].clone()
            }
        };
        let mut act = act;
        while let Act::After(pause, next) = act {
            tokio::time::sleep(pause).await;
            act = *next;
        }
        match act {
            Act::After(..) => unreachable!("every pause is over"),
            Act::Say(status, headers, body) => say(status, headers, body),
            Act::Hang => {
                std::future::pending::<()>().await;
                unreachable!("nothing ends this wait")
            }
            Act::Stream(pieces, end) => self.stream("text/event-stream", pieces, end),
            Act::Bytes(sort, pieces, end) => self.stream(sort, pieces, end),
        }
    }

    fn stream(&self, sort: &'static str, pieces: Vec<&'static str>, end: End) -> Response {
        let mut response = Response::new(self.body(pieces, end));
        let sort = header::HeaderValue::from_static(sort);
        response.headers_mut().insert(header::CONTENT_TYPE, sort);
        response
    }

    fn body(&self, pieces: Vec<&'static str>, end: End) -> Body {
        let open = Open::new(&self.open);
        let pieces = stream::iter(pieces).then(|piece| async move {
            // Each piece comes on its own.
            tokio::time::sleep(Duration::from_millis(1)).await;
            Ok::<_, io::Error>(Bytes::from_static(piece.as_bytes()))
        });
        let tail: std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>> = match end {
            End::Close => stream::empty().boxed(),
            End::Break => stream::once(async { Err(io::ErrorKind::ConnectionReset.into()) }).boxed(),
            End::Stall => stream::pending().boxed(),
        };
        Body::from_stream(pieces.chain(tail).map(move |piece| {
            let _ = &open;
            piece
        }))
    }
}

/// Counts a stream as open until it is dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

fn say(status: u16, headers: &[(&'static str, &'static str)], body: String) -> Response {
    let mut response = Response::new(Body::from_stream(stream::once(async {
        Ok::<_, Infallible>(Bytes::from(body))
    })));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}
