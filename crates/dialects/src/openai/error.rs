//! Errors as OpenAI's API has them: `{"error": {"message", "type", "param", "code"}}`.

use crate::{
    chat::{ErrorBody, ErrorKind},
    json::{Json, Object},
};

/// The `type` and, for those that have one, the `code` of a kind of error.
const fn words(kind: ErrorKind) -> (&'static str, Option<&'static str>) {
    match kind {
        ErrorKind::Invalid => ("invalid_request_error", None),
        ErrorKind::ContextLength => ("invalid_request_error", Some("context_length_exceeded")),
        ErrorKind::ContentFilter => ("invalid_request_error", Some("content_filter")),
        ErrorKind::TooLarge => ("invalid_request_error", Some("request_too_large")),
        ErrorKind::Unsupported => ("invalid_request_error", Some("unsupported")),
        ErrorKind::Authentication => ("authentication_error", Some("invalid_api_key")),
        ErrorKind::Permission => ("permission_error", None),
        ErrorKind::NotFound => ("not_found_error", None),
        ErrorKind::RateLimit => ("rate_limit_error", Some("rate_limit_exceeded")),
        ErrorKind::Billing => ("billing_error", Some("insufficient_quota")),
        ErrorKind::Overloaded => ("overloaded_error", Some("overloaded")),
        ErrorKind::Timeout => ("timeout_error", Some("timeout")),
        ErrorKind::Api => ("api_error", None),
    }
}

/// Writes an error's body.
pub(super) fn body(error: &ErrorBody, out: &mut Vec<u8>) {
    let (kind, code) = words(error.kind);
    let mut root = Object::new(out);
    let mut object = root.object("error");
    object.text("message", &error.message).text("type", kind);
    match &error.param {
        Some(param) => object.text("param", param),
        None => object.null("param"),
    };
    match error.code.as_deref().or(code) {
        Some(code) => object.text("code", code),
        None => object.null("code"),
    };
}

/// Reads an error's body. Others than OpenAI write `{"error": "text"}`, `{"message", "type", "code"}` without anything
/// around it (vLLM before 0.10) or `{"detail": …}` (`FastAPI`).
pub(super) fn read(status: u16, body: &[u8]) -> ErrorBody {
    let parsed = serde_json::from_slice::<Json<'_>>(body).ok();
    // Google's endpoint puts a list around it.
    let root = parsed.as_ref().map(|root| root.items().first().unwrap_or(root));
    match root.and_then(|root| root.get("error").or(Some(root)).filter(|error| is_error(error))) {
        Some(error) => of_object(status, error),
        None => ErrorBody::of_status(status),
    }
}

fn is_error(error: &Json<'_>) -> bool {
    error.as_str().is_some()
        || ["message", "detail", "type", "code"]
            .iter()
            .any(|key| error.get(key).is_some())
}

/// Reads an `error` object (or text).
pub(crate) fn of_object(status: u16, error: &Json<'_>) -> ErrorBody {
    let text = |key: &str| error.str_of(key).filter(|text| !text.is_empty());
    let detail = error.get("detail").map(|detail| {
        detail
            .as_str()
            .map_or_else(|| detail.to_string(), ToOwned::to_owned)
    });
    let message = error
        .as_str()
        .or_else(|| text("message"))
        .map(ToOwned::to_owned)
        .or(detail)
        .unwrap_or_else(|| "the provider reported an error".to_owned());
    let code = text("code");
    let number = error.u64_of("code").and_then(|code| u16::try_from(code).ok());
    let status = match (status, number.filter(|code| (400..600).contains(code))) {
        (200, Some(code)) => code,
        _ => status,
    };
    let kind = code
        .and_then(kind_of)
        .or_else(|| text("type").and_then(kind_of))
        .unwrap_or_else(|| ErrorKind::of_message(status, &message));
    ErrorBody {
        status: if status < 400 { kind.status() } else { status },
        kind,
        message,
        code: code.map(ToOwned::to_owned),
        param: text("param").map(ToOwned::to_owned),
    }
}

fn kind_of(word: &str) -> Option<ErrorKind> {
    Some(match word {
        "context_length_exceeded" => ErrorKind::ContextLength,
        "content_filter" | "content_policy_violation" | "ResponsibleAIPolicyViolation" => {
            ErrorKind::ContentFilter
        }
        "invalid_api_key" | "authentication_error" => ErrorKind::Authentication,
        "insufficient_quota" | "billing_error" | "billing_hard_limit_reached" => ErrorKind::Billing,
        "rate_limit_exceeded" | "rate_limit_error" | "tokens" | "requests" => ErrorKind::RateLimit,
        "model_not_found" | "not_found_error" | "DeploymentNotFound" => ErrorKind::NotFound,
        "permission_error" => ErrorKind::Permission,
        "overloaded_error" | "overloaded" | "engine_overloaded" => ErrorKind::Overloaded,
        "timeout" | "timeout_error" => ErrorKind::Timeout,
        _ => return None,
    })
}
