//! Errors on their way to a client. Their first shape is `OpenAI`'s, `{"error": {"message", "type", "param", "code"}}`;
//! clients of other dialects get theirs.

use std::{borrow::Cow, time::Duration};

use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use stead_dialects::chat::{ErrorBody, ErrorKind, TranslateError, Wire};
use stead_kernel::{Body, Error, Reason};

/// An error on its way to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// The sort of error, in `OpenAI`'s words.
    pub(crate) kind: &'static str,
    pub(crate) code: Cow<'static, str>,
    pub(crate) param: Option<Box<str>>,
    pub(crate) message: String,
    pub(crate) retry_after: Option<Duration>,
    /// The provider's own words and the dialect they are in; a client of that dialect gets them as they are.
    pub(crate) raw: Option<Box<(Wire, Bytes)>>,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        kind: &'static str,
        code: impl Into<Cow<'static, str>>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            status,
            kind,
            code: code.into(),
            param: None,
            message: message.into(),
            retry_after: None,
            raw: None,
        }
    }

    pub(crate) fn invalid(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request_error", code, message)
    }

    pub(crate) fn unknown_model(model: &str) -> Self {
        let model: String = model.chars().take(200).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "invalid_request_error",
            "model_not_found",
            format!("there is no model `{model}` here, or this key may not use it; GET /v1/models lists what it may use"),
        )
        .param("model")
    }

    pub(crate) fn upstream(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_GATEWAY,
            "upstream_error",
            "upstream_error",
            message,
        )
    }

    pub(crate) fn unavailable(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "server_error", code, message)
    }

    pub(crate) fn timeout(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "upstream_error",
            "upstream_timeout",
            message,
        )
    }

    pub(crate) fn rate_limited(message: impl Into<String>) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limit_error",
            "rate_limit_exceeded",
            message,
        )
    }

    /// Names the field of the request that is wrong.
    pub(crate) fn param(mut self, param: impl Into<Box<str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    pub(crate) fn retry_after(mut self, delay: Option<Duration>) -> Self {
        self.retry_after = delay;
        self
    }

    /// The body of the answer, for a client of `OpenAI`'s dialect.
    pub(crate) fn body(&self) -> Bytes {
        self.raw_for(Wire::OpenAi).unwrap_or_else(|| self.own_body())
    }

    fn own_body(&self) -> Bytes {
        let body = json!({"error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }});
        body.to_string().into()
    }

    fn raw_for(&self, wire: Wire) -> Option<Bytes> {
        let (spoken, body) = &**self.raw.as_ref()?;
        (*spoken == wire).then(|| body.clone())
    }

    /// The body of the answer, for a client of any dialect.
    pub(crate) fn body_for(&self, wire: Wire) -> Bytes {
        match stead_dialects::client(wire) {
            Some(dialect) if wire != Wire::OpenAi => self
                .raw_for(wire)
                .unwrap_or_else(|| dialect.error(&self.neutral()).into()),
            Some(_) | None => self.body(),
        }
    }

    /// The error in the form that every dialect can write.
    pub(crate) fn neutral(&self) -> ErrorBody {
        ErrorBody {
            status: self.status.as_u16(),
            kind: self.sort(),
            message: self.message.clone(),
            code: Some(self.code.clone().into_owned()),
            param: self.param.as_deref().map(str::to_owned),
        }
    }

    fn sort(&self) -> ErrorKind {
        match &*self.code {
            "context_length_exceeded" => ErrorKind::ContextLength,
            "content_filter" | "content_blocked" => ErrorKind::ContentFilter,
            "insufficient_quota" => ErrorKind::Billing,
            _ => ErrorKind::of_status(self.status.as_u16()),
        }
    }

    /// The error as an answer to a client of any dialect.
    pub(crate) fn respond(self, wire: Wire) -> Response {
        let body = self.body_for(wire);
        let mut response = self.into_response();
        *response.body_mut() = Body::from(body);
        response
    }

    /// The error as the last event of a stream that has begun.
    pub(crate) fn event(&self) -> Bytes {
        let body = self.own_body();
        let mut event = Vec::with_capacity(body.len() + 8);
        event.extend_from_slice(b"data: ");
        event.extend_from_slice(&body);
        event.extend_from_slice(b"\n\n");
        event.into()
    }
}

impl From<&TranslateError> for ApiError {
    fn from(error: &TranslateError) -> Self {
        Self::invalid("unsupported_value", error.message.clone()).param(error.param.clone())
    }
}

impl From<Error> for ApiError {
    fn from(error: Error) -> Self {
        let (kind, code) = match error.reason() {
            Reason::Invalid => ("invalid_request_error", "invalid_request"),
            Reason::TooLarge => ("invalid_request_error", "request_too_large"),
            Reason::Unauthenticated => ("authentication_error", "invalid_api_key"),
            Reason::Forbidden => ("permission_error", "forbidden"),
            Reason::NotFound => ("invalid_request_error", "not_found"),
            Reason::Conflict => ("invalid_request_error", "conflict"),
            Reason::Gone => ("invalid_request_error", "gone"),
            Reason::Exhausted => ("rate_limit_error", "rate_limit_exceeded"),
            Reason::Unavailable => ("server_error", "unavailable"),
            Reason::Timeout => ("server_error", "timeout"),
            Reason::Unsupported => ("invalid_request_error", "unsupported"),
            Reason::Internal => ("server_error", "internal"),
        };
        let mut message = error.full_message();
        if let Some(hint) = error.get_hint() {
            message.push_str("; ");
            message.push_str(hint);
        }
        Self::new(stead_kernel::http::status(error.reason()), kind, code, message)
            .retry_after(error.get_retry_after())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(delay) = self.retry_after {
            let seconds = delay.as_secs() + u64::from(delay.subsec_nanos() > 0);
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
