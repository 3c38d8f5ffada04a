//! Errors as Anthropic's API has them: `{"type": "error", "error": {"type", "message"}}`.

use crate::{
    chat::{ErrorBody, ErrorKind},
    json::{Json, Object},
};

const fn word(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid | ErrorKind::ContextLength | ErrorKind::ContentFilter | ErrorKind::Unsupported => {
            "invalid_request_error"
        }
        ErrorKind::Authentication => "authentication_error",
        ErrorKind::Billing => "billing_error",
        ErrorKind::Permission => "permission_error",
        ErrorKind::NotFound => "not_found_error",
        ErrorKind::TooLarge => "request_too_large",
        ErrorKind::RateLimit => "rate_limit_error",
        ErrorKind::Overloaded => "overloaded_error",
        ErrorKind::Timeout => "timeout_error",
        ErrorKind::Api => "api_error",
    }
}

/// Writes an error's body.
pub(super) fn body(error: &ErrorBody, out: &mut Vec<u8>) {
    let mut root = Object::new(out);
    root.text("type", "error");
    root.object("error")
        .text("type", word(error.kind))
        .text("message", &error.message);
}

/// Reads an error's body of any shape. One that is no error of Anthropic's API (a proxy's page, say) is not repeated.
pub(super) fn read(status: u16, body: &[u8]) -> ErrorBody {
    let root = serde_json::from_slice::<Json<'_>>(body).ok();
    match root.as_ref().and_then(|root| root.get("error")) {
        Some(error) => of_object(Some(status), error),
        None => ErrorBody::of_status(status),
    }
}

/// Reads an `error` object; inside a stream it has no status.
pub(super) fn of_object(status: Option<u16>, error: &Json<'_>) -> ErrorBody {
    let message = error
        .str_of("message")
        .filter(|text| !text.is_empty())
        .or_else(|| error.as_str())
        .unwrap_or("the provider reported an error");
    let kind = match error.str_of("type") {
        Some("authentication_error") => ErrorKind::Authentication,
        Some("billing_error") => ErrorKind::Billing,
        Some("permission_error") => ErrorKind::Permission,
        Some("not_found_error") => ErrorKind::NotFound,
        Some("request_too_large") => ErrorKind::TooLarge,
        Some("rate_limit_error") => ErrorKind::RateLimit,
        Some("overloaded_error") => ErrorKind::Overloaded,
        Some("timeout_error") => ErrorKind::Timeout,
        Some("api_error") => ErrorKind::Api,
        _ if message.contains("credit balance is too low") => ErrorKind::Billing,
        Some("invalid_request_error") => ErrorKind::of_message(400, message),
        _ => status.map_or(ErrorKind::Api, |status| ErrorKind::of_message(status, message)),
    };
    ErrorBody {
        status: status.unwrap_or(kind.status()),
        kind,
        message: message.to_owned(),
        code: None,
        param: None,
    }
}
