//! How Opik answers errors: `{"errors": [...]}` where a request or an entity is at fault, `{"code", "message"}` for all
//! else. Its services answer such a fault with either, so that both stand where a client may look for either.

use axum::{
    Json,
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use stead_kernel::{Error, Reason, http};

/// In how many seconds there is something left of a limit.
const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");

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
                // The SDKs wait for as long as this one says (`opik.rate_limit`).
                if self.status == StatusCode::TOO_MANY_REQUESTS {
                    response.headers_mut().insert(RATE_LIMIT_RESET, value.clone());
                }
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_share_that_is_used_up_is_429_with_what_the_sdks_wait_for() {
        let error = Error::exhausted("too much").retry_after(Duration::from_millis(1_200));
        let response = OpikError::from(error).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        for name in ["retry-after", "ratelimit-reset"] {
            assert_eq!(response.headers()[name], "2", "{name}");
        }
    }
}
