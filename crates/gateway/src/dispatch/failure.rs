//! Failures of providers: what a client is told, and whether another try makes sense. Nothing here performs I/O.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use stead_dialects::chat::{ErrorBody, TranslateError};
use stead_kernel::{Error, Reason, Timestamp};
use stead_routing::Flight;
use tokio::time::Instant;

use super::class::{CONTENT_FILTER, CONTEXT_LENGTH, Class, QUOTA};
use crate::{api::error::ApiError, snapshot::Provider};

/// The most of a provider's error that is read, in bytes.
pub(crate) const ERROR_LIMIT: usize = 64 << 10;

/// A failed try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// What the client is told when no other try helps.
    pub(crate) error: ApiError,
    pub(crate) retry: Retry,
    /// The provider's HTTP status; 0 when there was none.
    pub(crate) status: u16,
}

/// What a failure says of the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// It failed.
    Target,
    /// It works, and answered that the request is at fault.
    Request,
    /// Nothing: it was not asked.
    Nobody,
}

/// Whether another try makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    /// Anywhere, here too; after the pause that [`ApiError::retry_after`] asks for.
    Again,
    /// Only at another target: this one will say the same again.
    Elsewhere,
    /// Nowhere: the request itself is at fault.
    Never,
}

impl Failure {
    /// What sort of failure it is.
    pub(crate) fn class(&self) -> Class {
        match (Class::of_code(&self.error.code), self.retry) {
            (Some(class), _) => class,
            (None, Retry::Never) => Class::Request,
            // What one target cannot be asked another one may be able to do.
            (None, Retry::Again | Retry::Elsewhere) => Class::Error,
        }
    }

    /// What it says of the target.
    pub(crate) fn blame(&self) -> Blame {
        match (self.class(), self.retry) {
            (Class::ContextLength | Class::ContentFilter | Class::Request, _) => Blame::Request,
            (Class::Error | Class::RateLimit, Retry::Elsewhere) if self.status == 0 => Blame::Nobody,
            (Class::Error | Class::RateLimit, _) => Blame::Target,
        }
    }

    /// Tells the target how asking it ended.
    pub(crate) fn tell(&self, flight: Option<&mut Flight>) {
        let Some(flight) = flight else { return };
        match self.blame() {
            Blame::Target => flight.failed(self.error.retry_after, Instant::now().into_std()),
            Blame::Request => flight.succeeded(),
            Blame::Nobody => {}
        }
    }

    /// No answer in time.
    pub(crate) fn timeout(provider: &Provider, what: &str, limit: Duration) -> Self {
        let seconds = limit.as_secs_f64();
        Self {
            error: ApiError::timeout(format!("provider `{}` {what} within {seconds} s", provider.name)),
            retry: Retry::Again,
            status: 0,
        }
    }

    /// An answer that is none.
    pub(crate) fn garbage(provider: &Provider, why: &str) -> Self {
        Self {
            error: ApiError::upstream(format!(
                "provider `{}` sent an answer that cannot be understood: {why}",
                provider.name
            )),
            retry: Retry::Again,
            status: 0,
        }
    }

    /// An answer that ended too early.
    pub(crate) fn broken(provider: &Provider) -> Self {
        Self {
            error: ApiError::upstream(format!(
                "provider `{}` broke off in the middle of its answer",
                provider.name
            )),
            retry: Retry::Again,
            status: 0,
        }
    }

    /// A target that cannot be asked at all.
    pub(crate) fn unusable(provider: &Provider, why: &str) -> Self {
        Self {
            error: ApiError::unavailable(
                "provider_unavailable",
                format!("provider `{}` cannot be used: {why}", provider.name),
            ),
            retry: Retry::Elsewhere,
            status: 0,
        }
    }

    /// Something that this provider cannot do.
    pub(crate) fn unsupported(provider: &Provider, what: &str) -> Self {
        let error = Error::unsupported(format!(
            "provider `{}` (type {}) has no {what}",
            provider.name,
            provider.kind.as_str()
        ));
        Self {
            error: error.into(),
            retry: Retry::Elsewhere,
            status: 0,
        }
    }

    /// A request that did not reach the provider.
    pub(crate) fn unsent(provider: &Provider, error: &Error) -> Self {
        let name = &provider.name;
        let message = provider.redact(error.full_message());
        let (error, retry) = match error.reason() {
            Reason::Timeout => (
                ApiError::timeout(format!(
                    "provider `{name}` did not accept a connection: {message}"
                )),
                Retry::Again,
            ),
            Reason::Forbidden => (
                ApiError::unavailable(
                    "address_not_allowed",
                    format!("provider `{name}` has an address that may not be reached: {message}"),
                ),
                Retry::Elsewhere,
            ),
            Reason::Invalid
            | Reason::TooLarge
            | Reason::Unauthenticated
            | Reason::NotFound
            | Reason::Conflict
            | Reason::Gone
            | Reason::Exhausted
            | Reason::Unavailable
            | Reason::Unsupported
            | Reason::Internal => (
                ApiError::upstream(format!("provider `{name}` cannot be reached: {message}")),
                Retry::Again,
            ),
        };
        Self {
            error,
            retry,
            status: 0,
        }
    }

    /// An error of the embedded engine.
    pub(crate) fn of_engine(provider: &Provider, error: Error) -> Self {
        let retry = match error.reason() {
            Reason::Exhausted | Reason::Timeout | Reason::Unavailable => Retry::Again,
            Reason::Internal | Reason::NotFound | Reason::Unsupported => Retry::Elsewhere,
            Reason::Invalid
            | Reason::TooLarge
            | Reason::Unauthenticated
            | Reason::Forbidden
            | Reason::Conflict
            | Reason::Gone => Retry::Never,
        };
        let mut error = ApiError::from(error);
        if error.status == StatusCode::NOT_FOUND {
            error.status = StatusCode::SERVICE_UNAVAILABLE;
        }
        let status = error.status.as_u16();
        error.message = format!("provider `{}`: {}", provider.name, error.message);
        Self { error, retry, status }
    }

    /// An answer with a failure status, in `OpenAI`'s shape or any other.
    pub(crate) fn of_answer(
        provider: &Provider,
        status: StatusCode,
        headers: &HeaderMap,
        body: &Bytes,
        now: Timestamp,
    ) -> Self {
        let words = words(body).map(|words| provider.redact(words));
        let said = words.as_deref().unwrap_or("it gave no reason");
        let name = &provider.name;
        let dialect = stead_dialects::provider(provider.wire());
        let wait = retry_after(headers, now).or_else(|| dialect?.wait(body));
        if let Some((error, retry)) = meant(provider, status, said, body) {
            return Self {
                error: error.retry_after(wait),
                retry,
                status: status.as_u16(),
            };
        }
        let (error, retry) = match status.as_u16() {
            401 | 403 => (
                ApiError::upstream(format!(
                    "provider `{name}` refused its credential (HTTP {}); an admin has to check its Secret",
                    status.as_u16()
                )),
                Retry::Elsewhere,
            ),
            402 => (
                ApiError::upstream(format!("provider `{name}` wants to be paid: {said}")),
                Retry::Elsewhere,
            ),
            404 => (
                passed_on(provider, status, "model_not_found", said, body),
                Retry::Elsewhere,
            ),
            413 => (
                passed_on(provider, status, "request_too_large", said, body),
                Retry::Elsewhere,
            ),
            408 | 425 => (
                ApiError::timeout(format!("provider `{name}` gave up waiting: {said}")),
                Retry::Again,
            ),
            429 => (
                ApiError::rate_limited(format!("provider `{name}` has too many requests: {said}"))
                    .retry_after(wait),
                Retry::Again,
            ),
            400..=499 => (
                passed_on(provider, status, "provider_refused", said, body),
                Retry::Never,
            ),
            504 => (
                ApiError::timeout(format!("provider `{name}` failed with HTTP 504: {said}")),
                Retry::Again,
            ),
            other => (
                ApiError::upstream(format!("provider `{name}` failed with HTTP {other}: {said}"))
                    .retry_after(wait),
                Retry::Again,
            ),
        };
        Self {
            error,
            retry,
            status: status.as_u16(),
        }
    }

    /// An error that a dialect read out of an answer that began well.
    pub(crate) fn of_body(provider: &Provider, error: &ErrorBody) -> Self {
        let class = match Class::of_kind(error.kind) {
            // Inside a stream a provider's own mistakes are not told apart well.
            Class::Error | Class::Request => Class::of_words(&error.message),
            class @ (Class::RateLimit | Class::ContextLength | Class::ContentFilter) => Some(class),
        };
        let said = provider.redact(error.message.clone());
        Self::of_class(provider, class, &said)
    }

    /// An error inside an answer, with the status that it would have had.
    fn of_class(provider: &Provider, class: Option<Class>, said: &str) -> Self {
        let message = format!("provider `{}` failed: {said}", provider.name);
        let (error, retry) = match class {
            Some(Class::ContextLength) => (ApiError::invalid(CONTEXT_LENGTH, message), Retry::Elsewhere),
            Some(Class::ContentFilter) => (ApiError::invalid(CONTENT_FILTER, message), Retry::Elsewhere),
            Some(Class::RateLimit) => (ApiError::rate_limited(message), Retry::Again),
            Some(Class::Error | Class::Request) | None => (ApiError::upstream(message), Retry::Again),
        };
        Self {
            error,
            retry,
            status: 0,
        }
    }

    /// An answer of which the provider's filter left nothing.
    pub(crate) fn filtered(provider: &Provider) -> Self {
        let said = "its filter left nothing of the answer";
        Self::of_class(provider, Some(Class::ContentFilter), said)
    }

    /// A request that the provider's dialect cannot say.
    pub(crate) fn inexpressible(error: &TranslateError) -> Self {
        Self {
            error: error.into(),
            retry: Retry::Elsewhere,
            status: 0,
        }
    }

    /// An error that came as an event of a stream.
    pub(crate) fn of_event(provider: &Provider, payload: &[u8]) -> Self {
        let said = words(payload).unwrap_or_else(|| "it gave no reason".into());
        let said = provider.redact(said);
        Self::of_class(provider, Class::of_body(payload), &said)
    }
}

/// What the body of a failure says that its status does not.
fn meant(provider: &Provider, status: StatusCode, said: &str, body: &Bytes) -> Option<(ApiError, Retry)> {
    let name = &provider.name;
    let error = match (status.as_u16(), Class::of_body(body)?) {
        (400 | 413 | 422, Class::ContextLength) => passed_on(provider, status, CONTEXT_LENGTH, said, body),
        (400 | 403 | 422, Class::ContentFilter) => passed_on(provider, status, CONTENT_FILTER, said, body),
        // Groq answers so when a minute's tokens would not do.
        (413, Class::RateLimit) => ApiError::rate_limited(format!(
            "provider `{name}` has no room for so many tokens: {said}"
        )),
        (429, Class::RateLimit) if is_used_up(body) => {
            let mut error = ApiError::rate_limited(format!("provider `{name}` has no quota left: {said}"));
            error.code = QUOTA.into();
            error
        }
        _ => return None,
    };
    Some((error, Retry::Elsewhere))
}

/// Whether it is an account that is used up, which no wait helps: `insufficient_quota` of `OpenAI`
/// (<https://platform.openai.com/docs/guides/error-codes>).
fn is_used_up(body: &[u8]) -> bool {
    serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|body| {
        let mut places = ["/error/code", "/error/type"].iter();
        places.any(|place| body.pointer(place).and_then(serde_json::Value::as_str) == Some(QUOTA))
    })
}

/// An error about the request itself: the provider's own words, in its own shape when that is `OpenAI`'s.
fn passed_on(
    provider: &Provider,
    status: StatusCode,
    code: &'static str,
    said: &str,
    body: &Bytes,
) -> ApiError {
    let mut error = ApiError::new(
        status,
        "invalid_request_error",
        code,
        format!("provider `{}` refused the request: {said}", provider.name),
    );
    error.raw = is_error(body)
        .then(|| provider.redact(String::from_utf8_lossy(body).into_owned()))
        .map(|text| Box::new((provider.wire(), Bytes::from(text))));
    error
}

#[derive(Deserialize)]
struct Shaped {
    error: ShapedError,
}

#[derive(Deserialize)]
struct ShapedError {
    message: String,
}

/// Whether it is an error in the shape that most dialects share.
fn is_error(body: &[u8]) -> bool {
    serde_json::from_slice::<Shaped>(body).is_ok_and(|shaped| !shaped.error.message.is_empty())
}

/// The sentence in an error of any of the usual shapes.
fn words(body: &[u8]) -> Option<String> {
    let text = match serde_json::from_slice::<serde_json::Value>(body) {
        Ok(value) => ["/error/message", "/message", "/detail", "/error"]
            .iter()
            .find_map(|place| value.pointer(place).and_then(serde_json::Value::as_str))
            .map(str::to_owned)?,
        Err(_) => String::from_utf8_lossy(body).into_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(500).collect();
    (!short.is_empty() && !short.starts_with('<')).then_some(short)
}

/// How long a provider asks to wait: `retry-after-ms`, or Retry-After in seconds or as a date (RFC 9110).
fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = |name: &str| {
        headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .map(str::trim)
    };
    if let Some(milliseconds) = text("retry-after-ms").and_then(|text| text.parse::<f64>().ok()) {
        return Duration::try_from_secs_f64(milliseconds / 1_000.0).ok();
    }
    let value = text(header::RETRY_AFTER.as_str())?;
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(value)
        .ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
#[path = "failure_tests.rs"]
mod tests;
