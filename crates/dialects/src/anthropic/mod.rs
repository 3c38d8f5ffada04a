//! Between OpenAI's chat completions and Anthropic's Messages.

use serde_json::Value;

use crate::{Usage, sse::Event};

/// A request in Anthropic's dialect.
#[derive(Debug, Clone, PartialEq)]
pub struct Translated {
    /// The body of `POST /v1/messages`.
    pub body: Value,
    /// What could not be expressed and was left out, one sentence each.
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

/// Translates a chat completions request.
///
/// # Errors
/// Names the field that is malformed, or that Messages cannot express and that would change the answer.
pub fn request_from_openai(body: &Value, default_max_tokens: u32) -> Result<Translated, TranslateError> {
    let _ = default_max_tokens;
    Ok(Translated {
        body: body.clone(),
        warnings: Vec::new(),
    })
}

/// Translates a whole answer; `model` is the name that the client knows, `created` in seconds since 1970.
///
/// # Errors
/// When the answer is no message.
pub fn response_to_openai(body: &Value, model: &str, created: i64) -> Result<Value, TranslateError> {
    let _ = (model, created);
    Ok(body.clone())
}

/// The tokens of a Messages `usage` object.
pub fn usage(usage: &Value) -> Usage {
    let _ = usage;
    Usage::default()
}

/// Translates a stream, event by event.
#[derive(Debug)]
pub struct StreamToOpenai {
    usage: Usage,
}

impl StreamToOpenai {
    /// `model` is the name that the client knows, `created` in seconds since 1970; with `include_usage` the last
    /// chunk carries the usage.
    pub fn new(model: &str, created: i64, include_usage: bool) -> Self {
        let _ = (model, created, include_usage);
        Self {
            usage: Usage::default(),
        }
    }

    /// The chunks that come of one event; an error event gives one error body (with the key `error`).
    pub fn event(&mut self, event: &Event) -> Vec<Value> {
        let _ = event;
        Vec::new()
    }

    /// What to send when the upstream's stream is over: nothing after a whole message, else an error body.
    pub fn finish(&mut self) -> Vec<Value> {
        Vec::new()
    }

    /// Whether the message came to its end (`message_stop`), so that `[DONE]` may be sent.
    pub fn is_complete(&self) -> bool {
        false
    }

    /// The tokens so far.
    pub fn usage(&self) -> Usage {
        self.usage
    }

    /// The finish reason in OpenAI's words, once it is known.
    pub fn finish_reason(&self) -> Option<&'static str> {
        None
    }
}

/// Translates an error answer of any shape.
pub fn error_to_openai(status: u16, body: &[u8]) -> Value {
    let _ = (status, body);
    Value::Null
}
