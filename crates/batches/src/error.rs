//! Errors in OpenAI's shape: `{"error": {"message", "type", "param", "code"}}`.

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode};
use serde_json::json;
use stead_kernel::{Error, Reason};

/// An error on its way to a client.
#[derive(Debug)]
pub(crate) struct ApiError {
    error: Error,
    param: Option<&'static str>,
}

impl ApiError {
    /// Names the field of the request that is wrong.
    pub(crate) fn param(error: Error, param: &'static str) -> Self {
        Self {
            error,
            param: Some(param),
        }
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        Self { error, param: None }
    }
}

const fn kind(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid
        | Reason::TooLarge
        | Reason::NotFound
        | Reason::Conflict
        | Reason::Gone
        | Reason::Unsupported => "invalid_request_error",
        Reason::Unauthenticated => "authentication_error",
        Reason::Forbidden => "permission_error",
        Reason::Exhausted => "rate_limit_error",
        Reason::Unavailable | Reason::Timeout | Reason::Internal => "server_error",
    }
}

const fn code(reason: Reason) -> &'static str {
    match reason {
        Reason::Invalid => "invalid_request",
        Reason::TooLarge => "request_too_large",
        Reason::Unauthenticated => "invalid_api_key",
        Reason::Forbidden => "forbidden",
        Reason::NotFound => "not_found",
        Reason::Conflict => "conflict",
        Reason::Gone => "gone",
        Reason::Exhausted => "rate_limit_exceeded",
        Reason::Unavailable => "unavailable",
        Reason::Timeout => "timeout",
        Reason::Unsupported => "unsupported",
        Reason::Internal => "internal",
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let reason = self.error.reason();
        let mut message = self.error.full_message();
        if let Some(hint) = self.error.get_hint() {
            message.push_str("; ");
            message.push_str(hint);
        }
        let body = json!({"error": {
            "message": message, "type": kind(reason), "param": self.param, "code": code(reason),
        }});
        (stead_kernel::http::status(reason), Json(body)).into_response()
    }
}

/// Answers a method that an address does not take.
pub(crate) async fn wrong_method(method: Method) -> Response {
    let body = json!({"error": {
        "message": format!("this address does not take {method}"),
        "type": "invalid_request_error", "param": null, "code": "method_not_allowed",
    }});
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
