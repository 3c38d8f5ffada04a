//! Errors: `{"object": "error", "message", "type", "code"}`, or `{"detail"}` of what is not valid.

use serde_json::Value;

use crate::chat::{ErrorBody, ErrorKind};

/// Reads the body of an error answer; bodies that are no error of Mistral are not repeated.
pub(super) fn read(status: u16, body: &[u8]) -> ErrorBody {
    let body = serde_json::from_slice::<Value>(body).unwrap_or_default();
    of(status, &body)
}

/// An error object, of an answer or inside a stream.
pub(super) fn of(status: u16, body: &Value) -> ErrorBody {
    let (message, param) = described(body);
    let lower = message.as_deref().unwrap_or_default().to_ascii_lowercase();
    let is_long = lower.contains("too large for model") || lower.contains("maximum context length");
    let kind = match status {
        400 | 422 if is_long => ErrorKind::ContextLength,
        _ => ErrorKind::of_status(status),
    };
    // Those that programs know by OpenAI's words keep them.
    let is_known = !matches!(kind, ErrorKind::Invalid | ErrorKind::Api);
    let own = body.get("code").and_then(|code| match code {
        Value::String(code) => Some(code.clone()),
        Value::Number(code) => Some(code.to_string()),
        _ => None,
    });
    ErrorBody {
        status,
        kind,
        message: message.unwrap_or_else(|| format!("the provider answered with HTTP {status}")),
        code: own.filter(|_| !is_known),
        param,
    }
}

/// The message and the field at fault. The message is a text, or an object with what is not valid in `detail`.
fn described(body: &Value) -> (Option<String>, Option<String>) {
    let message = body.get("message");
    if let Some(text) = message.and_then(Value::as_str).filter(|text| !text.is_empty()) {
        let param = body.get("param").and_then(Value::as_str);
        return (Some(text.to_owned()), param.map(str::to_owned));
    }
    let detail = body.get("detail").or_else(|| message?.get("detail"));
    match detail {
        Some(Value::String(text)) if !text.is_empty() => (Some(text.clone()), None),
        Some(Value::Array(faults)) => {
            let texts: Vec<String> = faults
                .iter()
                .filter_map(fault)
                .filter(|text| !text.is_empty())
                .collect();
            let param = faults.first().and_then(place);
            ((!texts.is_empty()).then(|| texts.join("; ")), param)
        }
        _ => (None, None),
    }
}

/// One of the `ValidationError`s: `{"loc": ["body", "temperature"], "msg", "type"}`.
fn fault(fault: &Value) -> Option<String> {
    let message = fault.get("msg")?.as_str()?;
    Some(match place(fault) {
        Some(place) => format!("{place}: {message}"),
        None => message.to_owned(),
    })
}

fn place(fault: &Value) -> Option<String> {
    let steps: Vec<String> = fault
        .get("loc")?
        .as_array()?
        .iter()
        .filter_map(|step| match step {
            Value::String(name) if name != "body" => Some(name.clone()),
            Value::Number(index) => Some(index.to_string()),
            _ => None,
        })
        .collect();
    (!steps.is_empty()).then(|| steps.join("."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_are_read_in_each_of_their_forms() {
        let not_valid = json!({"detail": [{"loc": ["body", "temperature"], "msg": "too high", "type": "x"}]});
        let wrapped = json!({"object": "error", "message": not_valid, "type": "invalid_request_error"});
        let too_long = "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum \
            context length";
        let cases = [
            (
                422,
                not_valid.clone(),
                ErrorKind::Invalid,
                "temperature: too high",
                Some("temperature"),
            ),
            (
                422,
                wrapped,
                ErrorKind::Invalid,
                "temperature: too high",
                Some("temperature"),
            ),
            (
                401,
                json!({"detail": "Unauthorized"}),
                ErrorKind::Authentication,
                "Unauthorized",
                None,
            ),
            (
                429,
                json!({"message": "Requests rate limit exceeded"}),
                ErrorKind::RateLimit,
                "Requests rate limit exceeded",
                None,
            ),
            (
                400,
                json!({"message": too_long, "code": "3051"}),
                ErrorKind::ContextLength,
                too_long,
                None,
            ),
            (
                500,
                json!("x"),
                ErrorKind::Api,
                "the provider answered with HTTP 500",
                None,
            ),
        ];
        for (status, body, kind, message, param) in cases {
            let error = read(status, body.to_string().as_bytes());
            let found = (error.kind, error.message.as_str(), error.param.as_deref());
            assert_eq!(found, (kind, message, param), "{body}");
        }
    }
}
