//! Between OpenAI's chat completions and Anthropic's Messages.
//!
//! Wire formats after Anthropic's API reference ("Messages", "Streaming messages", "Structured outputs", "Errors";
//! API version 2023-06-01) and OpenAI's ("Chat completions").

mod error;
mod messages;
mod request;
mod response;
mod sampling;
mod stream;
mod tools;

use serde_json::Value;

pub use error::error_to_openai;
pub use request::request_from_openai;
pub use response::response_to_openai;
pub use stream::StreamToOpenai;

use crate::Usage;

/// The value of the header `anthropic-version` that this translation speaks.
pub const API_VERSION: &str = "2023-06-01";

/// A request in Anthropic's dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The body of `POST /v1/messages`.
    pub body: Value,
    /// What could not be expressed and was left out or changed, one sentence each.
    pub warnings: Vec<String>,
}

/// A request or answer that cannot be translated.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TranslateError {
    /// The field at fault, as `messages[2].content`.
    pub param: String,
    /// What is wrong, why, and what to do.
    pub message: String,
}

fn refuse<T>(param: impl Into<String>, message: impl Into<String>) -> Result<T, TranslateError> {
    let (param, message) = (param.into(), message.into());
    Err(TranslateError {
        message: format!("{param}: {message}"),
        param,
    })
}

/// The tokens of a Messages `usage` object.
///
/// Anthropic counts tokens read from and written to its cache apart from `input_tokens`; here they are part of the input.
pub fn usage(usage: &Value) -> Usage {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let details = usage.get("output_tokens_details");
    let cached_input = count("cache_read_input_tokens").unwrap_or(0);
    let written = count("cache_creation_input_tokens").unwrap_or(0);
    Usage {
        input: count("input_tokens")
            .unwrap_or(0)
            .saturating_add(cached_input)
            .saturating_add(written),
        output: count("output_tokens").unwrap_or(0),
        cached_input,
        cache_write: written,
        reasoning: details
            .and_then(|details| details.get("thinking_tokens")?.as_u64())
            .unwrap_or(0),
        ..Usage::default()
    }
}

/// OpenAI's finish reason for Anthropic's stop reason.
fn finish_reason(stop_reason: &str) -> &'static str {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" => "length",
        "tool_use" => "tool_calls",
        "refusal" => "content_filter",
        // end_turn, stop_sequence, pause_turn, and reasons that may come later.
        _ => "stop",
    }
}

/// The answer's id for OpenAI clients.
fn answer_id(message_id: Option<&str>) -> String {
    format!("chatcmpl-{}", message_id.unwrap_or("unknown"))
}
