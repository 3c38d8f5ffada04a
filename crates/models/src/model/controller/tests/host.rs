//! A host on the web that behaves as the test says.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use futures::{StreamExt, stream};
use http::{HeaderMap, StatusCode, header};
use sha2::{Digest, Sha256};

/// How the host answers one request; after the last one it behaves well.
#[derive(Debug, Clone)]
pub(super) enum Behaviour {
    /// Breaks the connection after so many bytes.
    Cut(usize),
    /// Sends so many bytes, then nothing more, ever.
    Stall(usize),
    /// Answers with this status and no file.
    Status(u16),
    /// Redirects there.
    Redirect(String),
    /// Answers 200 with this instead of the file.
    Instead(Vec<u8>),
    /// Announces so many bytes and sends the file.
    Announce(usize),
    /// Has another file from now on, under another tag.
    Change(Vec<u8>),
    /// Has another file from now on, and goes on with it as if it were the old one.
    ChangeAndIgnoreTag(Vec<u8>),
}

#[derive(Clone)]
pub(super) struct Host(Arc<Mutex<Inner>>);

struct Inner {
    content: Vec<u8>,
    tag: u32,
    script: VecDeque<Behaviour>,
    seen: Vec<HeaderMap>,
}

/// A made-up GGUF file.
pub(super) fn content(size: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        })
        .take(size - 4),
    );
    bytes
}

pub(super) fn sha256(bytes: &[u8]) -> String {
    crate::blobs::hex(&Sha256::digest(bytes))
}

impl Host {
    pub(super) fn new(content: &[u8]) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            content: content.to_vec(),
            tag: 1,
            script: VecDeque::new(),
            seen: Vec::new(),
        })))
    }

    pub(super) fn push(&self, behaviour: Behaviour) {
        self.0.lock().unwrap().script.push_back(behaviour);
    }

    /// The headers of every request so far.
    pub(super) fn seen(&self) -> Vec<HeaderMap> {
        self.0.lock().unwrap().seen.clone()
    }

    /// The `Range` of every request so far.
    pub(super) fn ranges(&self) -> Vec<Option<String>> {
        let range = |headers: &HeaderMap| {
            headers
                .get(header::RANGE)
                .map(|value| value.to_str().unwrap().to_owned())
        };
        self.seen().iter().map(range).collect()
    }

    pub(super) fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }
}

async fn answer(State(host): State<Host>, request: Request) -> Response {
    let mut inner = host.0.lock().unwrap();
    inner.seen.push(request.headers().clone());
    let behaviour = inner.script.pop_front();
    let response = Response::builder();
    match behaviour {
        None => good(&inner, request.headers(), false, None),
        Some(Behaviour::Cut(after)) => good(&inner, request.headers(), false, Some((after, true))),
        Some(Behaviour::Stall(after)) => good(&inner, request.headers(), false, Some((after, false))),
        Some(Behaviour::Status(status)) => response.status(status).body(Body::from("no")).unwrap(),
        Some(Behaviour::Redirect(to)) => response
            .status(302)
            .header(header::LOCATION, to)
            .body(Body::empty())
            .unwrap(),
        Some(Behaviour::Instead(bytes)) => response.body(Body::from(bytes)).unwrap(),
        Some(Behaviour::Announce(length)) => {
            let pieces = stream::iter([Ok::<_, std::io::Error>(Bytes::from(inner.content.clone()))]);
            response
                .header(header::CONTENT_LENGTH, length)
                .body(Body::from_stream(pieces))
                .unwrap()
        }
        Some(Behaviour::Change(content)) => {
            (inner.content, inner.tag) = (content, inner.tag + 1);
            good(&inner, request.headers(), false, None)
        }
        Some(Behaviour::ChangeAndIgnoreTag(content)) => {
            (inner.content, inner.tag) = (content, inner.tag + 1);
            good(&inner, request.headers(), true, None)
        }
    }
}

/// Answers as RFC 9110 has it, except that the body may end early: with an error, or by standing still.
fn good(inner: &Inner, headers: &HeaderMap, ignore_tag: bool, end: Option<(usize, bool)>) -> Response {
    let tag = format!("\"{}\"", inner.tag);
    let same = headers
        .get(header::IF_RANGE)
        .is_none_or(|wanted| wanted.to_str().unwrap() == tag);
    let range = headers.get(header::RANGE).filter(|_| same || ignore_tag);
    let start = range.map_or(0, |range| {
        let text = range.to_str().unwrap();
        text.trim_start_matches("bytes=")
            .trim_end_matches('-')
            .parse()
            .unwrap()
    });
    let total = inner.content.len();
    let response = Response::builder().header(header::ETAG, tag);
    if start >= total {
        let range = format!("bytes */{total}");
        return response
            .status(416)
            .header(header::CONTENT_RANGE, range)
            .body(Body::empty())
            .unwrap();
    }
    let rest = inner.content[start..].to_vec();
    let response = match range {
        Some(_) => response.status(StatusCode::PARTIAL_CONTENT).header(
            header::CONTENT_RANGE,
            format!("bytes {start}-{}/{total}", total - 1),
        ),
        None => response,
    };
    let length = rest.len();
    let sent = end.map_or(length, |(after, _)| after.min(length));
    let pieces: Vec<_> = rest[..sent]
        .chunks(16 << 10)
        .map(|piece| Ok(Bytes::copy_from_slice(piece)))
        .collect();
    let body = stream::iter(pieces);
    let body = match end {
        None => body.boxed(),
        Some((_, true)) => body
            .chain(stream::iter([Err(std::io::Error::other("cut"))]))
            .boxed(),
        Some((_, false)) => body.chain(stream::pending()).boxed(),
    };
    response
        .header(header::CONTENT_LENGTH, length)
        .body(Body::from_stream(body))
        .unwrap()
}
