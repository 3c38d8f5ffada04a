//! Errors of Anthropic's API as errors of OpenAI's.

use serde_json::Value;

use crate::openai;

/// Translates an error answer of any shape.
///
/// A body that is no error of Anthropic's API (a proxy's page, say) is not repeated.
pub fn error_to_openai(status: u16, body: &[u8]) -> Value {
    match serde_json::from_slice::<Value>(body) {
        Ok(body) if body.get("error").is_some() => translate(&body, openai::error_type(status)),
        _ => openai::error(
            &format!("the provider answered with HTTP {status}"),
            openai::error_type(status),
            None,
            None,
        ),
    }
}

/// Translates `{"type": "error", "error": {"type", "message"}}`; `fallback` is the type when it has none.
pub(super) fn translate(body: &Value, fallback: &str) -> Value {
    let error = body.get("error");
    let text = |name: &str| {
        error
            .and_then(|error| error.get(name)?.as_str())
            .filter(|text| !text.is_empty())
    };
    let message = text("message")
        .or_else(|| error?.as_str())
        .unwrap_or("the provider reported an error");
    let kind = text("type").unwrap_or(fallback);
    openai::error(message, kind, None, code(kind))
}

/// The code by which OpenAI's SDKs and tools tell errors apart.
fn code(kind: &str) -> Option<&'static str> {
    match kind {
        "authentication_error" => Some("invalid_api_key"),
        "billing_error" => Some("insufficient_quota"),
        "rate_limit_error" => Some("rate_limit_exceeded"),
        "overloaded_error" => Some("overloaded"),
        "timeout_error" => Some("timeout"),
        _ => None,
    }
}
