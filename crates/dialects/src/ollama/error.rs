//! Errors: `{"error": "text"}`.
//! <https://github.com/ollama/ollama/blob/main/docs/api/errors.mdx>

use serde_json::{Value, json};

use crate::chat::{ErrorBody, ErrorKind};

/// Reads the body of an answer with a failure status.
pub(super) fn read(status: u16, body: &[u8]) -> ErrorBody {
    of_value(status, &serde_json::from_slice(body).unwrap_or_default())
}

/// Reads an error's document. Gateways before Ollama may answer in OpenAI's way, with an object.
pub(super) fn of_value(status: u16, body: &Value) -> ErrorBody {
    let error = body.get("error").unwrap_or(&Value::Null);
    let message = error
        .as_str()
        .or_else(|| error.get("message")?.as_str())
        .filter(|message| !message.is_empty())
        .map_or_else(
            || format!("the provider answered with status {status}"),
            str::to_owned,
        );
    let kind = if is_too_long(&message) {
        ErrorKind::ContextLength
    } else {
        ErrorKind::of_status(status)
    };
    let code = match kind {
        ErrorKind::ContextLength => Some("context_length_exceeded"),
        ErrorKind::NotFound => Some("model_not_found"),
        _ => None,
    };
    ErrorBody {
        status,
        kind,
        message,
        code: code.map(str::to_owned),
        param: None,
    }
}

/// What Ollama says with `truncate: false`, and what its runner says.
fn is_too_long(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("context length") || message.contains("context size")
}

/// Writes an error.
pub(super) fn write(error: &ErrorBody) -> Value {
    json!({ "error": error.message })
}
