//! Errors: `google.rpc.Status` in its JSON form.
//! <https://cloud.google.com/apis/design/errors>, <https://ai.google.dev/gemini-api/docs/troubleshooting>

use std::time::Duration;

use serde_json::{Value, json};

use super::insert;
use crate::chat::{ErrorBody, ErrorKind};

/// Google's canonical codes and what they mean.
const CODES: &[(&str, ErrorKind)] = &[
    ("INVALID_ARGUMENT", ErrorKind::Invalid),
    ("FAILED_PRECONDITION", ErrorKind::Invalid),
    ("OUT_OF_RANGE", ErrorKind::Invalid),
    ("UNAUTHENTICATED", ErrorKind::Authentication),
    ("PERMISSION_DENIED", ErrorKind::Permission),
    ("NOT_FOUND", ErrorKind::NotFound),
    ("RESOURCE_EXHAUSTED", ErrorKind::RateLimit),
    ("UNAVAILABLE", ErrorKind::Overloaded),
    ("DEADLINE_EXCEEDED", ErrorKind::Timeout),
    ("UNIMPLEMENTED", ErrorKind::Unsupported),
    ("INTERNAL", ErrorKind::Api),
    ("UNKNOWN", ErrorKind::Api),
];

/// Reads the body of an answer with a failure status.
pub(super) fn read(status: u16, body: &[u8]) -> ErrorBody {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    // A stream that is asked for as an array fails as one.
    let body = body.get(0).unwrap_or(&body);
    match body.get("error") {
        Some(error @ Value::Object(_)) => of_status(status, error),
        _ => ErrorBody {
            status,
            kind: ErrorKind::of_status(status),
            message: format!("the provider answered with status {status}"),
            code: None,
            param: None,
        },
    }
}

/// Reads an error in the middle of a stream.
pub(super) fn in_stream(chunk: &Value) -> ErrorBody {
    let error = chunk.get("error").unwrap_or(&Value::Null);
    let status = error.get("code").and_then(Value::as_u64);
    let status = status.and_then(|status| u16::try_from(status).ok());
    of_status(status.filter(|status| *status >= 400).unwrap_or(500), error)
}

fn of_status(status: u16, error: &Value) -> ErrorBody {
    let field = |name: &str| error.get(name).and_then(Value::as_str);
    let message = field("message")
        .filter(|message| !message.is_empty())
        .map_or_else(
            || format!("the provider answered with status {status}"),
            str::to_owned,
        );
    let reason = detail(error, "ErrorInfo").and_then(|info| info.get("reason")?.as_str());
    let canonical = field("status").and_then(|name| CODES.iter().find(|(code, _)| *code == name));
    let kind = match (canonical.map(|(_, kind)| *kind), reason) {
        (_, Some("API_KEY_INVALID")) => ErrorKind::Authentication,
        (Some(ErrorKind::Invalid) | None, _) if is_too_long(&message) => ErrorKind::ContextLength,
        (Some(kind), _) => kind,
        (None, _) => ErrorKind::of_status(status),
    };
    let code = match kind {
        ErrorKind::ContextLength => Some("context_length_exceeded".to_owned()),
        ErrorKind::Authentication => Some("invalid_api_key".to_owned()),
        ErrorKind::NotFound => Some("model_not_found".to_owned()),
        ErrorKind::RateLimit => Some("rate_limit_exceeded".to_owned()),
        _ => reason.map(str::to_ascii_lowercase),
    };
    let violation = detail(error, "BadRequest").and_then(|request| request.get("fieldViolations")?.get(0));
    ErrorBody {
        status,
        kind,
        message,
        code,
        param: violation
            .and_then(|violation| violation.get("field")?.as_str())
            .map(str::to_owned),
    }
}

/// "The input token count (…) exceeds the maximum number of tokens allowed (…)."
fn is_too_long(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("token count") && message.contains("exceeds the maximum")
}

/// The detail of a type by its name in `google.rpc`.
fn detail<'a>(error: &'a Value, name: &str) -> Option<&'a Value> {
    error.get("details")?.as_array()?.iter().find(|detail| {
        detail
            .get("@type")
            .and_then(Value::as_str)
            .and_then(|kind| kind.rsplit('.').next())
            == Some(name)
    })
}

/// How long a failed request's body says to wait (`google.rpc.RetryInfo`): Gemini sends no `Retry-After`.
pub(super) fn retry_delay(body: &[u8]) -> Option<Duration> {
    let body = serde_json::from_slice::<Value>(body).ok()?;
    let error = body.get(0).unwrap_or(&body).get("error")?;
    let delay = detail(error, "RetryInfo")?.get("retryDelay")?.as_str()?;
    Duration::try_from_secs_f64(delay.strip_suffix('s')?.parse().ok()?).ok()
}

/// Writes an error.
pub(super) fn write(error: &ErrorBody) -> Value {
    let mut details = Vec::new();
    if let Some(code) = &error.code {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": code.to_ascii_uppercase(),
        }));
    }
    if let Some(param) = &error.param {
        details.push(json!({
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": param, "description": error.message}],
        }));
    }
    let mut inner = json!({
        "code": error.status,
        "message": error.message,
        "status": canonical(error.kind),
    });
    if !details.is_empty() {
        insert(&mut inner, "details", details.into());
    }
    json!({ "error": inner })
}

const fn canonical(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid | ErrorKind::ContextLength | ErrorKind::ContentFilter | ErrorKind::TooLarge => {
            "INVALID_ARGUMENT"
        }
        ErrorKind::Billing => "FAILED_PRECONDITION",
        ErrorKind::Authentication => "UNAUTHENTICATED",
        ErrorKind::Permission => "PERMISSION_DENIED",
        ErrorKind::NotFound => "NOT_FOUND",
        ErrorKind::RateLimit => "RESOURCE_EXHAUSTED",
        ErrorKind::Overloaded => "UNAVAILABLE",
        ErrorKind::Timeout => "DEADLINE_EXCEEDED",
        ErrorKind::Unsupported => "UNIMPLEMENTED",
        ErrorKind::Api => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::{read, retry_delay, write};
    use crate::chat::ErrorKind;

    #[test]
    fn a_quota_error_says_how_long_to_wait() {
        let body = json!([{"error": {
            "code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure"},
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.5s"}
            ]
        }}])
        .to_string();
        assert_eq!(retry_delay(body.as_bytes()), Some(Duration::from_millis(34_500)));
        let error = read(429, body.as_bytes());
        assert_eq!(
            (error.kind, error.message.as_str()),
            (ErrorKind::RateLimit, "quota")
        );
        for none in [
            "",
            "{}",
            r#"{"error":{"details":[{"@type":"a.RetryInfo","retryDelay":"-1s"}]}}"#,
        ] {
            assert_eq!(retry_delay(none.as_bytes()), None, "{none}");
        }
    }

    #[test]
    fn errors_are_told_apart() {
        for (status, body, kind) in [
            (
                400,
                json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message":
                    "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."}}),
                ErrorKind::ContextLength,
            ),
            (
                400,
                json!({"error": {"code": 400, "status": "INVALID_ARGUMENT", "message": "API key not valid.", "details":
                    [{"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}]}}),
                ErrorKind::Authentication,
            ),
            (
                503,
                json!({"error": {"status": "UNAVAILABLE", "message": "busy"}}),
                ErrorKind::Overloaded,
            ),
            (404, json!({"error": {"message": "gone"}}), ErrorKind::NotFound),
            (502, json!("<html>"), ErrorKind::Api),
        ] {
            let error = read(status, body.to_string().as_bytes());
            assert_eq!((error.status, error.kind), (status, kind), "{body}");
            assert!(!error.message.contains("html"));
        }
    }

    #[test]
    fn an_error_keeps_its_meaning_on_the_way() {
        let body = json!({"error": {
            "code": 400, "message": "m", "status": "INVALID_ARGUMENT",
            "details": [{
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "contents[0]", "description": "m"}]
            }]
        }});
        let error = read(400, body.to_string().as_bytes());
        assert_eq!(error.param.as_deref(), Some("contents[0]"));
        assert_eq!(write(&error), body);
    }
}
