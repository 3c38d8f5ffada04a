//! How Opik answers errors: `{"errors": [...]}` where a request or an entity is at fault, `{"code", "message"}` for all
//! else. Its services answer such a fault with either, so that both stand where a client may look for either.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use stead_kernel::{Error, Reason, http};

/// An error in Opik's form.
#[derive(Debug)]
pub(crate) struct OpikError {
    error: Error,
    status: StatusCode,
}

impl OpikError {
    /// `422`: the request can be read, and breaks a rule.
    pub(crate) fn unprocessable(message: impl Into<String>) -> Self {
        Self {
            error: Error::invalid(message),
            status: StatusCode::UNPROCESSABLE_ENTITY,
        }
    }

    /// `400`: the request cannot be read.
    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::invalid(message).into()
    }

    /// `404`.
    pub(crate) fn not_found(message: impl Into<String>) -> Self {
        Error::not_found(message).into()
    }

    /// What is wrong, in no form.
    pub(crate) fn into_error(self) -> Error {
        self.error
    }

    fn body(&self) -> Value {
        let message = match self.error.get_hint() {
            Some(hint) => format!("{} ({hint})", self.error.full_message()),
            None => self.error.full_message(),
        };
        match self.error.reason() {
            Reason::Invalid | Reason::NotFound | Reason::Conflict => json!({
                "code": self.status.as_u16(), "message": message, "errors": [message],
            }),
            Reason::TooLarge
            | Reason::Unauthenticated
            | Reason::Forbidden
            | Reason::Gone
            | Reason::Exhausted
            | Reason::Unavailable
            | Reason::Timeout
            | Reason::Unsupported
            | Reason::Internal => json!({
                "code": self.status.as_u16(), "message": message, "reason": self.error.reason().as_str(),
            }),
        }
    }
}

impl<E: Into<Error>> From<E> for OpikError {
    fn from(error: E) -> Self {
        let error = error.into();
        Self {
            status: http::status(error.reason()),
            error,
        }
    }
}

impl IntoResponse for OpikError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if let Some(delay) = self.error.get_retry_after() {
            let seconds = delay.as_secs_f64().ceil().max(1.0);
            if let Ok(value) = HeaderValue::try_from(format!("{seconds:.0}")) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}
