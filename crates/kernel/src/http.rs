//! How `/api/*` answers errors, and what every request carries. Other dialects render the same
//! [`Error`](crate::Error) in their own way.

use std::net::SocketAddr;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::json;

use crate::{Error, Reason};

/// Over which connection a request came; in the extensions of every request from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// The other end.
    pub peer: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
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
