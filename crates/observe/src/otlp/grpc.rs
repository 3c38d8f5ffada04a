//! The same over gRPC (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>): a call is a `POST` over HTTP/2
//! with one message in, and one message and the status as trailers out. The three services have one unary method each,
//! which HTTP's own machinery answers as it is; a framework for gRPC would bring more than all of this.
//!
//! *Invariant:* a call that is answered with status 0 is durable and readable, but for what its answer counts as rejected.

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::Response,
    routing::post,
};
use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use stead_kernel::{
    Error, Result,
    http::{BodyError, read_body},
};

use super::{
    Otlp,
    batch::Rejected,
    wire::{self, Encoding, Signal},
};
use crate::opik::{Caller, OpikError, inflate};

/// The methods.
const METHODS: [(&str, Signal); 3] = [
    (
        "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Traces,
    ),
    (
        "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Logs,
    ),
    (
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
        Signal::Metrics,
    ),
];
/// Before a message: whether it is compressed, and its length.
const PREFIX: usize = 5;
/// How much longer than the limit of a request a message may be once it is not compressed any more.
const EXPANSION: usize = 8;
/// How a message is compressed.
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
/// How a call ended.
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// And why.
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
/// How messages to this server may be compressed.
const GRPC_ACCEPT: HeaderName = HeaderName::from_static("grpc-accept-encoding");
/// Until when a call that failed is better not made again
/// (<https://github.com/grpc/proposal/blob/master/A6-client-retries.md#pushback>).
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The methods as routes.
pub(super) fn routes() -> Router<Otlp> {
    let [traces, logs, metrics] = METHODS.map(|(path, _)| path);
    Router::new()
        .route(traces, post(export_traces))
        .route(logs, post(export_logs))
        .route(metrics, post(export_metrics))
}

async fn export_traces(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(otlp.call(Signal::Traces, request).await)
}

async fn export_logs(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(otlp.call(Signal::Logs, request).await)
}

async fn export_metrics(State(otlp): State<Otlp>, request: Request) -> Response {
    answer(otlp.call(Signal::Metrics, request).await)
}

impl Otlp {
    async fn call(&self, signal: Signal, request: Request) -> Result<Rejected> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, &self.opik)
            .await
            .map_err(OpikError::into_error)?;
        let limit = self.opik.body_limit;
        let body = read_body(&parts.headers, body, limit.saturating_add(PREFIX)).await;
        let body = body.map_err(|error| match error {
            BodyError::TooLarge => Error::too_large(format!("a message has at most {limit} bytes")),
            BodyError::Incomplete => Error::invalid("the message ended before it was complete"),
        })?;
        let message = match message(&body)? {
            (Compressed::No, message) => message,
            (Compressed::Yes, message) => {
                self.plain(&parts.headers, message, limit.saturating_mul(EXPANSION))
                    .await?
            }
        };
        self.take(signal, (&caller, &parts.headers), message, Encoding::Protobuf)
            .await
    }

    /// A message that is compressed as the headers say.
    async fn plain(&self, headers: &HeaderMap, message: Bytes, limit: usize) -> Result<Bytes> {
        let encoding = headers.get(GRPC_ENCODING).map(HeaderValue::as_bytes);
        if encoding != Some(b"gzip") {
            return Err(Error::unsupported(
                "grpc-encoding: messages are compressed with gzip, or not at all",
            ));
        }
        let plain = tokio::task::spawn_blocking(move || inflate(&message, limit)).await;
        let plain =
            plain.map_err(|error| Error::internal("inflating a message was cut off").because(error))?;
        plain.map(Bytes::from).map_err(OpikError::into_error)
    }
}

/// Whether a message is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compressed {
    Yes,
    No,
}

/// The one message of a call.
fn message(body: &Bytes) -> Result<(Compressed, Bytes)> {
    let broken = || Error::invalid("the body is not one message of gRPC");
    let (prefix, rest) = body.split_first_chunk::<PREFIX>().ok_or_else(broken)?;
    let [flag, length @ ..] = *prefix;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if rest.len() != length {
        return Err(broken());
    }
    let compressed = match flag {
        0 => Compressed::No,
        1 => Compressed::Yes,
        _ => return Err(broken()),
    };
    Ok((compressed, body.slice_ref(rest)))
}

fn answer(called: Result<Rejected>) -> Response {
    let rejected = match called {
        Ok(rejected) => rejected,
        Err(error) => return refuse(&error),
    };
    let message = wire::answer(rejected);
    let mut body = BytesMut::with_capacity(PREFIX + message.len());
    body.put_u8(0);
    body.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    body.extend_from_slice(&message);
    let ended = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))]);
    let body = Full::new(body.freeze()).with_trailers(std::future::ready(Some(Ok(ended))));
    head(Response::new(Body::new(body)))
}

/// An answer without a message: its headers are its trailers.
fn refuse(error: &Error) -> Response {
    let mut response = head(Response::new(Body::empty()));
    let headers = response.headers_mut();
    headers.insert(GRPC_STATUS, HeaderValue::from(wire::code(error.reason())));
    let text = match error.get_hint() {
        Some(hint) => format!("{} ({hint})", error.full_message()),
        None => error.full_message(),
    };
    if let Ok(text) = HeaderValue::try_from(escaped(&text)) {
        headers.insert(GRPC_MESSAGE, text);
    }
    if let Some(delay) = error.get_retry_after() {
        let millis = u32::try_from(delay.as_millis()).unwrap_or(u32::MAX);
        headers.insert(PUSHBACK, HeaderValue::from(millis));
    }
    response
}

fn head(mut response: Response) -> Response {
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(GRPC_ACCEPT, HeaderValue::from_static("gzip,identity"));
    response
}

/// A text as a header may hold it: what is not plain ASCII is percent-encoded.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => escaped.push(char::from(byte)),
            _ => {
                use std::fmt::Write as _;
                let _ = write!(escaped, "%{byte:02X}");
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_has_one_whole_message() {
        let read = |bytes: &'static [u8]| message(&Bytes::from_static(bytes)).ok();
        let text = || Bytes::from_static(b"ab");
        for (bytes, expected) in [
            (&b"\0\0\0\0\x02ab"[..], Some((Compressed::No, text()))),
            (b"\x01\0\0\0\x02ab", Some((Compressed::Yes, text()))),
            (b"\0\0\0\0\0", Some((Compressed::No, Bytes::new()))),
            (b"\x02\0\0\0\x02ab", None),
            (b"\0\0\0\0\x02abc", None),
            (b"\0\0\0\0\x03ab", None),
            (b"\0\0\0\0", None),
            (b"", None),
        ] {
            assert_eq!(read(bytes), expected, "{bytes:?}");
        }
        assert_eq!(escaped("50% é\n"), "50%25 %C3%A9%0A");
    }
}
