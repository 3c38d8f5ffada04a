//! Errors: `{"message"}`, after "Errors (status codes and description)" of Cohere's reference.

use serde_json::Value;

use crate::chat::{ErrorBody, ErrorKind};

/// Reads the body of an error answer; bodies that are no error of Cohere are not repeated.
pub(super) fn read(status: u16, body: &[u8]) -> ErrorBody {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    of(status, body.get("message").and_then(Value::as_str))
}

/// An error with a status and a text.
pub(super) fn of(status: u16, message: Option<&str>) -> ErrorBody {
    let message = message.filter(|message| !message.is_empty());
    let lower = message.unwrap_or_default().to_ascii_lowercase();
    let kind = match status {
        // A limit of the answer above the model's begins with the same words as a prompt that is too long.
        400 if lower.starts_with("too many tokens") && !lower.contains("max tokens must") => {
            ErrorKind::ContextLength
        }
        // "Blocked input or output".
        498 => ErrorKind::ContentFilter,
        _ => ErrorKind::of_status(status),
    };
    let unnamed = || format!("the provider answered with HTTP {status}");
    ErrorBody {
        status,
        kind,
        message: message.map_or_else(unnamed, str::to_owned),
        code: None,
        param: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart_by_status_and_words() {
        let cases = [
            (
                400,
                "too many tokens: total number of tokens in the prompt cannot exceed 4081",
                ErrorKind::ContextLength,
            ),
            (
                400,
                "too many tokens: max tokens must be less than or equal to 4096",
                ErrorKind::Invalid,
            ),
            (
                400,
                "invalid request: query must not be empty",
                ErrorKind::Invalid,
            ),
            (401, "invalid api token", ErrorKind::Authentication),
            (
                402,
                "please add or update your payment method",
                ErrorKind::Billing,
            ),
            (429, "you are using a trial key", ErrorKind::RateLimit),
            (498, "blocked output", ErrorKind::ContentFilter),
            (500, "internal server error", ErrorKind::Api),
        ];
        for (status, message, kind) in cases {
            let body = serde_json::json!({"message": message}).to_string();
            let error = read(status, body.as_bytes());
            assert_eq!((error.kind, error.message.as_str()), (kind, message));
        }
        assert_eq!(
            read(502, b"<html>").message,
            "the provider answered with HTTP 502"
        );
    }
}
