//! What the server's error bodies say, in each of the shapes that it answers with.

use std::time::Duration;

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;
use stead_kernel::{Error, Reason};

use crate::{
    json::{at, items_at, text_at},
    report::Causes,
};

/// The longest body of an unknown shape that is shown, in characters.
const LONGEST: usize = 300;

/// The delay that an answer asks for.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The error that a failed answer tells.
pub(super) fn from_answer(status: StatusCode, retry_after: Option<Duration>, body: &[u8]) -> Error {
    let error = match serde_json::from_slice::<Value>(body) {
        Ok(body) if at(&body, "/kind") == "Status" => from_status(status, &body),
        Ok(body) if at(&body, "/error").is_object() => from_error_object(status, at(&body, "/error")),
        _ => from_text(status, body),
    };
    match retry_after {
        Some(delay) => error.retry_after(delay),
        None => error,
    }
}

/// A Kubernetes `Status` object, as the resource API answers and as a watch sends in an `ERROR` event.
pub(super) fn from_status(status: StatusCode, body: &Value) -> Error {
    let code = at(body, "/code")
        .as_u64()
        .and_then(|code| u16::try_from(code).ok());
    let code = code
        .and_then(|code| StatusCode::from_u16(code).ok())
        .unwrap_or(status);
    let reason = reason_of_status(code, text_at(body, "/reason"));
    let details = at(body, "/details");
    let causes: Vec<&Value> = items_at(details, "/causes").iter().collect();
    let conflicts = causes
        .iter()
        .any(|cause| at(cause, "/reason") == "FieldManagerConflict");
    let message = text_at(body, "/message");
    if conflicts {
        return Error::new(reason, format!("{} is managed by others too", subject(details)))
            .because(Causes(causes.iter().map(|cause| conflict_line(cause)).collect()))
            .hint("take these fields over with --force-conflicts, or leave them out");
    }
    if causes.is_empty() {
        return Error::new(
            reason,
            if message.is_empty() {
                code.to_string()
            } else {
                message.to_owned()
            },
        );
    }
    let lines = causes.iter().map(|cause| cause_line(cause)).collect();
    Error::new(reason, headline(message, details)).because(Causes(lines))
}

/// The message without the causes that it repeats.
fn headline(message: &str, details: &Value) -> String {
    if at(details, "/name").as_str().is_some_and(|name| !name.is_empty()) {
        return format!("{} is invalid", subject(details));
    }
    message.split(": ").next().unwrap_or(message).to_owned()
}

fn subject(details: &Value) -> String {
    let kind = at(details, "/kind").as_str().unwrap_or("the object");
    match at(details, "/name").as_str() {
        Some(name) if !name.is_empty() => format!("{kind} {name:?}"),
        _ => kind.to_owned(),
    }
}

fn cause_line(cause: &Value) -> String {
    let message = text_at(cause, "/message");
    match at(cause, "/field").as_str() {
        Some(field) if !field.is_empty() && !message.contains(field) => format!("{field}: {message}"),
        _ => message.to_owned(),
    }
}

fn conflict_line(cause: &Value) -> String {
    let message = text_at(cause, "/message");
    let field = text_at(cause, "/field");
    let manager = message.strip_prefix("conflict with ").unwrap_or(message);
    format!("{} is set by {manager}", field.trim_start_matches('.'))
}

fn reason_of_status(code: StatusCode, reason: &str) -> Reason {
    match reason {
        "NotFound" => Reason::NotFound,
        "AlreadyExists" | "Conflict" => Reason::Conflict,
        "Gone" | "Expired" => Reason::Gone,
        "Unauthorized" => Reason::Unauthenticated,
        "Forbidden" => Reason::Forbidden,
        "Invalid" | "BadRequest" | "UnsupportedMediaType" | "NotAcceptable" => Reason::Invalid,
        "Timeout" | "ServerTimeout" => Reason::Timeout,
        "TooManyRequests" => Reason::Exhausted,
        "RequestEntityTooLarge" => Reason::TooLarge,
        "ServiceUnavailable" => Reason::Unavailable,
        "MethodNotAllowed" => Reason::Unsupported,
        _ => reason_of_code(code),
    }
}

/// `{"error": {…}}`: Stead's own shape has a `reason`, OpenAI's has not.
fn from_error_object(status: StatusCode, body: &Value) -> Error {
    let reason = at(body, "/reason")
        .as_str()
        .and_then(Reason::parse)
        .unwrap_or_else(|| reason_of_code(status));
    let error = Error::new(
        reason,
        at(body, "/message")
            .as_str()
            .map_or_else(|| status.to_string(), str::to_owned),
    );
    match at(body, "/hint").as_str() {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn from_text(status: StatusCode, body: &[u8]) -> Error {
    let text = String::from_utf8_lossy(body);
    let first: String = text
        .lines()
        .next()
        .unwrap_or_default()
        .trim()
        .chars()
        .take(LONGEST)
        .collect();
    let error = Error::new(reason_of_code(status), format!("the server answered {status}"));
    if first.is_empty() || first.starts_with('<') {
        return error;
    }
    error.because(first)
}

fn reason_of_code(status: StatusCode) -> Reason {
    match status.as_u16() {
        401 => Reason::Unauthenticated,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        409 => Reason::Conflict,
        410 => Reason::Gone,
        413 => Reason::TooLarge,
        429 => Reason::Exhausted,
        405 | 501 => Reason::Unsupported,
        502 | 503 => Reason::Unavailable,
        408 | 504 => Reason::Timeout,
        500.. => Reason::Internal,
        _ => Reason::Invalid,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::report;

    fn shown(status: u16, body: &Value) -> String {
        let error = from_answer(
            StatusCode::from_u16(status).unwrap(),
            None,
            body.to_string().as_bytes(),
        );
        format!(
            "{}exit {}",
            anstream::adapter::strip_str(&report::render(&error)),
            report::code(&error)
        )
    }

    #[test]
    fn every_reason_survives_the_way_through_the_api() {
        for reason in Reason::ALL {
            let status = stead_kernel::http::status(reason);
            let body = json!({"error": {"reason": reason.as_str(), "message": "m", "hint": "h"}});
            let error = from_answer(status, None, body.to_string().as_bytes());
            assert_eq!((error.reason(), error.get_hint()), (reason, Some("h")));
            // Without a body, the status alone must say it.
            assert_eq!(from_answer(status, None, b"").reason(), reason);
        }
    }

    #[test]
    fn every_cause_of_an_invalid_object_is_listed_with_its_path() {
        let body = json!({"kind": "Status", "code": 422, "reason": "Invalid",
            "message": "ModelProvider.stead.dev \"x\" is invalid: [spec.a: Required value, spec.b: Invalid value]",
            "details": {"kind": "ModelProvider", "name": "x", "causes": [
                {"reason": "FieldValueRequired", "field": "spec.a", "message": "Required value"},
                {"reason": "FieldValueInvalid", "field": "spec.b", "message": "Invalid value: 3"}]}});
        insta::assert_snapshot!(shown(422, &body), @r#"
        error: ModelProvider "x" is invalid
          spec.a: Required value
          spec.b: Invalid value: 3
        exit 1
        "#);
    }

    #[test]
    fn a_conflict_of_managers_names_them_and_the_way_out() {
        let body = json!({"kind": "Status", "code": 409, "reason": "Conflict", "message": "Apply failed with 1 conflict",
            "details": {"causes": [{"reason": "FieldManagerConflict", "field": ".spec.type",
                "message": "conflict with \"kubectl\""}]}});
        insta::assert_snapshot!(shown(409, &body), @r#"
        error: the object is managed by others too: spec.type is set by "kubectl"
        hint: take these fields over with --force-conflicts, or leave them out
        exit 5
        "#);
    }

    #[test]
    fn openai_errors_and_pages_of_proxies_are_understood() {
        let body =
            json!({"error": {"message": "no such model", "type": "invalid_request_error", "code": null}});
        insta::assert_snapshot!(shown(404, &body), @"
        error: no such model
        exit 3
        ");
        let error = from_answer(StatusCode::BAD_GATEWAY, None, b"<html>nginx</html>");
        assert_eq!(error.full_message(), "the server answered 502 Bad Gateway");
    }

    #[test]
    fn what_a_server_sends_cannot_steer_the_terminal() {
        let body = json!({"error": {"message": "\u{1b}]0;owned\u{7}"}});
        assert!(
            !report::render(&from_answer(
                StatusCode::BAD_REQUEST,
                None,
                body.to_string().as_bytes()
            ))
            .contains("\u{1b}]")
        );
    }

    proptest::proptest! {
        #[test]
        fn no_body_makes_it_panic(status in 400u16..600, body in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let status = StatusCode::from_u16(status).unwrap();
            let _ = report::render(&from_answer(status, None, &body));
        }
    }
}
