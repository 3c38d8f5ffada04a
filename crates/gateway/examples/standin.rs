//! A provider that answers at once and always the same, for benchmarks.
//!
//! `standin` prints the address it got and answers `POST …/chat/completions` in `OpenAI`'s form: whole, or, when the
//! body asks for a stream, in 100 chunks of a token each.

#![expect(
    clippy::print_stdout,
    reason = "a program for benchmarks speaks to its caller"
)]

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, task::JoinSet};

const WHOLE: &str = r#"{"id":"chatcmpl-0","object":"chat.completion","created":1700000000,"model":"bench","choices":[{"index":0,"message":{"role":"assistant","content":"The capital of France is Paris. It lies on the Seine, and about two million people live there; with its suburbs there are twelve.","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":34,"completion_tokens":31,"total_tokens":65},"system_fingerprint":"fp_0"}"#;
const CHUNK: &str = "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token\"},\"logprobs\":null,\"finish_reason\":null}]}\n\n";
const TAIL: &str = "data: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: {\"id\":\"chatcmpl-0\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"bench\",\"choices\":[],\"usage\":{\"prompt_tokens\":34,\"completion_tokens\":100,\"total_tokens\":134}}\n\ndata: [DONE]\n\n";
const CHUNKS: usize = 100;

type Answer = Response<BoxBody<Bytes, Infallible>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), std::io::Error> {
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
    println!("{}", listener.local_addr()?);
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        connections.spawn(async move {
            // A connection that breaks is the load's business.
            let _ = http1::Builder::new()
                .pipeline_flush(true)
                .serve_connection(TokioIo::new(stream), service_fn(answer))
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(request: Request<Incoming>) -> Result<Answer, hyper::Error> {
    let body = request.into_body().collect().await?.to_bytes();
    let streams = memchr::memmem::find(&body, b"\"stream\":true").is_some();
    let mut answer = Response::new(if streams {
        stream()
    } else {
        Full::from(WHOLE).boxed()
    });
    let sort = if streams {
        "text/event-stream"
    } else {
        "application/json"
    };
    answer
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(sort));
    Ok(answer)
}

/// Chunks that come one by one, as from a model.
fn stream() -> BoxBody<Bytes, Infallible> {
    let chunks = futures::stream::unfold(0, |sent| async move {
        tokio::task::yield_now().await;
        let piece = match sent {
            0..CHUNKS => CHUNK,
            CHUNKS => TAIL,
            _ => return None,
        };
        Some((Ok(Frame::data(Bytes::from_static(piece.as_bytes()))), sent + 1))
    });
    StreamBody::new(chunks).boxed()
}
