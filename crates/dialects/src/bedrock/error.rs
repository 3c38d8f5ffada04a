//! Errors: `{"message"}` with their name in the header `x-amzn-ErrorType`, or an exception inside a stream.

use serde_json::Value;

use crate::chat::{ErrorBody, ErrorKind};

/// Names of exceptions with the status that the service model gives them ("Common Errors" and the errors of
/// `ConverseStream` in the API reference).
const EXCEPTIONS: &[(&str, u16, ErrorKind)] = &[
    ("AccessDeniedException", 403, ErrorKind::Permission),
    ("ExpiredTokenException", 403, ErrorKind::Authentication),
    ("IncompleteSignature", 400, ErrorKind::Authentication),
    ("InternalFailure", 500, ErrorKind::Api),
    ("InternalServerException", 500, ErrorKind::Api),
    ("InvalidClientTokenId", 403, ErrorKind::Authentication),
    ("InvalidSignatureException", 403, ErrorKind::Authentication),
    (
        "MissingAuthenticationTokenException",
        403,
        ErrorKind::Authentication,
    ),
    ("ModelErrorException", 424, ErrorKind::Api),
    ("ModelNotReadyException", 429, ErrorKind::Overloaded),
    ("ModelStreamErrorException", 424, ErrorKind::Api),
    ("ModelTimeoutException", 408, ErrorKind::Timeout),
    ("NotAuthorized", 403, ErrorKind::Permission),
    ("OptInRequired", 403, ErrorKind::Permission),
    ("RequestExpired", 400, ErrorKind::Authentication),
    ("ResourceNotFoundException", 404, ErrorKind::NotFound),
    ("ServiceQuotaExceededException", 400, ErrorKind::RateLimit),
    ("ServiceUnavailable", 503, ErrorKind::Overloaded),
    ("ServiceUnavailableException", 503, ErrorKind::Overloaded),
    ("ThrottlingException", 429, ErrorKind::RateLimit),
    ("UnrecognizedClientException", 403, ErrorKind::Authentication),
    ("ValidationException", 400, ErrorKind::Invalid),
];

/// How models on Bedrock say that a prompt is too long; the exception is a `ValidationException` for all of them.
const TOO_LONG: [&str; 8] = [
    "input is too long",
    "prompt is too long",
    "too many input tokens",
    "input tokens exceeded",
    "exceed context limit",
    "exceeds the maximum number of",
    "maximum context length",
    "context window",
];

/// Reads an error answer. `name` is the header `x-amzn-ErrorType` (`ValidationException:http://…`), where it is known:
/// it tells two errors of one status apart. Bodies that are no error of AWS are not repeated.
pub fn error_of(name: Option<&str>, status: u16, body: &[u8]) -> ErrorBody {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    let text = |names: [&str; 2]| names.iter().find_map(|name| body.get(name)?.as_str());
    let name = name
        .or_else(|| text(["__type", "code"]))
        .map(short)
        .unwrap_or_default();
    let message = text(["message", "Message"]);
    named(name, Some(status), message)
}

/// `com.amazon.coral.service#ValidationException:http://internal…` is a `ValidationException`.
fn short(name: &str) -> &str {
    let name = name.split(':').next().unwrap_or(name);
    name.rsplit('#').next().unwrap_or(name)
}

/// An exception by its name; without a status, that of the service model. Streams begin names in lower case.
pub(super) fn named(name: &str, status: Option<u16>, message: Option<&str>) -> ErrorBody {
    let known = EXCEPTIONS
        .iter()
        .find(|(known, ..)| known.eq_ignore_ascii_case(name));
    let status = status.or(known.map(|(_, status, _)| *status)).unwrap_or(500);
    let kind = known.map_or(ErrorKind::of_status(status), |(.., kind)| *kind);
    let message = message.filter(|message| !message.is_empty());
    let lower = message.unwrap_or_default().to_ascii_lowercase();
    let is_long = kind == ErrorKind::Invalid && TOO_LONG.iter().any(|mark| lower.contains(mark));
    let kind = if is_long { ErrorKind::ContextLength } else { kind };
    let unnamed = || match known {
        Some((name, ..)) => format!("the provider reported {name}"),
        None => format!("the provider answered with HTTP {status}"),
    };
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
    fn errors_are_told_apart_by_name_then_by_status() {
        let too_long = br#"{"message": "Input is too long for requested model."}"#;
        let plain = br#"{"message": "no"}"#;
        let typed = br#"{"__type": "com.amazon.coral.service#UnrecognizedClientException", "message": "no"}"#;
        let cases: [(Option<&str>, u16, &[u8], ErrorKind); 8] = [
            (
                Some("ValidationException:http://internal.amazon.com/"),
                400,
                too_long,
                ErrorKind::ContextLength,
            ),
            (None, 400, too_long, ErrorKind::ContextLength),
            (Some("ValidationException"), 400, plain, ErrorKind::Invalid),
            (
                Some("ServiceQuotaExceededException"),
                400,
                plain,
                ErrorKind::RateLimit,
            ),
            (Some("ModelNotReadyException"), 429, plain, ErrorKind::Overloaded),
            (None, 429, plain, ErrorKind::RateLimit),
            (None, 403, typed, ErrorKind::Authentication),
            (None, 403, plain, ErrorKind::Permission),
        ];
        for (name, status, body, kind) in cases {
            let error = error_of(name, status, body);
            assert_eq!((error.status, error.kind), (status, kind), "{name:?} {status}");
        }
        let page = error_of(None, 502, b"<html>secret</html>");
        assert_eq!(page.message, "the provider answered with HTTP 502");
    }
}
