//! How `/api/*` answers errors, how bodies are read, and what every request carries. Other dialects render the same
//! [`Error`](crate::Error) in their own way.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Json,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde_json::json;

use crate::{Body, Error, Reason};

/// Over which connection a request came; in the extensions of every request from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than the limit.
    TooLarge,
    /// It ended before it was complete.
    Incomplete,
}

/// Bodies up to this many bytes are copied.
const COPIED: usize = 16 << 10;
/// How much of a body that is too large is read and thrown away, as a multiple of the limit.
const DISCARD_FACTOR: usize = 4;
/// For how long.
const DISCARD_TIME: Duration = Duration::from_secs(5);

/// Reads a whole request body of at most `limit` bytes.
///
/// Most clients send a body to its end before they look at the answer. Closing the connection on them would show
/// a broken connection instead of the reason, so that some of what is too much is read and thrown away; not so for
/// clients that ask first (`Expect: 100-continue`).
pub async fn read_body(headers: &HeaderMap, body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse().ok());
    let mut body = Limited::new(body, limit.saturating_mul(1 + DISCARD_FACTOR));
    if announced.is_some_and(|length: u64| length > limit as u64) {
        if !headers.contains_key(header::EXPECT) {
            discard(&mut body).await;
        }
        return Err(BodyError::TooLarge);
    }
    let mut read = bytes::BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            if error.is::<LengthLimitError>() {
                BodyError::TooLarge
            } else {
                BodyError::Incomplete
            }
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if read.len() + data.len() > limit {
            discard(&mut body).await;
            return Err(BodyError::TooLarge);
        }
        if read.is_empty() && body.is_end_stream() {
            // A small one is a piece of the connection's buffer, which is free for the next request once this is not.
            let small = data.len() <= COPIED;
            return Ok(if small {
                Bytes::copy_from_slice(&data)
            } else {
                data
            });
        }
        read.extend_from_slice(&data);
    }
    Ok(read.freeze())
}

async fn discard(body: &mut Limited<Body>) {
    let rest = async { while let Some(Ok(_)) = body.frame().await {} };
    // Whether the client was done or is cut off, it gets the same answer.
    let _ = tokio::time::timeout(DISCARD_TIME, rest).await;
}

/// The HTTP status that each reason has on every surface that has no rule of its own.
pub const fn status(reason: Reason) -> StatusCode {
    match reason {
        Reason::Invalid => StatusCode::BAD_REQUEST,
        Reason::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Reason::Unauthenticated => StatusCode::UNAUTHORIZED,
        Reason::Forbidden => StatusCode::FORBIDDEN,
        Reason::NotFound => StatusCode::NOT_FOUND,
        Reason::Conflict => StatusCode::CONFLICT,
        Reason::Gone => StatusCode::GONE,
        Reason::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Reason::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Reason::Timeout => StatusCode::GATEWAY_TIMEOUT,
        Reason::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Reason::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// An error as `/api/*` answers it: `{"error": {"reason", "message", "hint"}}`.
#[derive(Debug)]
pub struct ApiError(pub Error);

impl<E: Into<Error>> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let mut body = json!({"reason": error.reason().as_str(), "message": error.full_message()});
        if let (Some(hint), Some(body)) = (error.get_hint(), body.as_object_mut()) {
            body.insert("hint".into(), hint.into());
        }
        let mut response = (status(error.reason()), Json(json!({"error": body}))).into_response();
        if let Some(delay) = error.get_retry_after() {
            let seconds = delay.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::try_from(format!("{seconds:.0}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use futures::stream;

    use super::*;

    fn body(pieces: &[usize]) -> Body {
        let pieces: Vec<_> = pieces
            .iter()
            .map(|size| Ok::<_, std::io::Error>(vec![b'x'; *size]))
            .collect();
        Body::from_stream(stream::iter(pieces))
    }

    async fn read(pieces: &[usize], announced: Option<u64>) -> Result<usize, BodyError> {
        let mut headers = HeaderMap::new();
        if let Some(length) = announced {
            headers.insert(header::CONTENT_LENGTH, length.into());
        }
        read_body(&headers, body(pieces), 10)
            .await
            .map(|bytes| bytes.len())
    }

    #[tokio::test]
    async fn a_body_is_read_up_to_the_limit_and_not_beyond() {
        for (pieces, expected) in [
            (&[][..], Ok(0)),
            (&[10], Ok(10)),
            (&[4, 6], Ok(10)),
            (&[4, 7], Err(BodyError::TooLarge)),
            (&[11], Err(BodyError::TooLarge)),
            (&[1_000], Err(BodyError::TooLarge)),
        ] {
            assert_eq!(read(pieces, None).await, expected, "{pieces:?}");
        }
        assert_eq!(read(&[5], Some(11)).await, Err(BodyError::TooLarge));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_ends_is_not_waited_for() {
        let endless = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_LENGTH, 11.into());
        assert_eq!(read_body(&headers, endless, 10).await, Err(BodyError::TooLarge));
    }
}
