//! What the OpenAI API answers with: completions, chunks, lists and errors.

use serde_json::{Map, Value, json};

use crate::Usage;

/// An error body: `{"error": {"message", "type", "param", "code"}}`.
pub fn error(message: &str, kind: &str, param: Option<&str>, code: Option<&str>) -> Value {
    json!({"error": {"message": message, "type": kind, "param": param, "code": code}})
}

/// The `type` that the OpenAI API gives errors of an HTTP status.
pub const fn error_type(status: u16) -> &'static str {
    match status {
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        429 => "rate_limit_error",
        400..500 => "invalid_request_error",
        503 => "overloaded_error",
        _ => "api_error",
    }
}

/// A `usage` object.
pub fn usage(usage: &Usage) -> Value {
    json!({
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input.saturating_add(usage.output),
        "prompt_tokens_details": {"cached_tokens": usage.cached_input},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    })
}

/// What completions and chunks of one answer have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// As `chatcmpl-…` or `cmpl-…`.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// The model's name as the client knows it.
    pub model: String,
}

impl Answer {
    fn object(&self, kind: &str, choices: &[Value], usage_tokens: Option<&Usage>) -> Value {
        let mut object = json!({
            "id": self.id, "object": kind, "created": self.created, "model": self.model, "choices": choices,
        });
        if let (Some(tokens), Value::Object(members)) = (usage_tokens, &mut object) {
            members.insert("usage".to_owned(), usage(tokens));
        }
        object
    }

    /// A whole `chat.completion` with one choice; `message` is the assistant's.
    pub fn completion(&self, message: &Value, finish_reason: &str, usage: &Usage) -> Value {
        let choice =
            json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish_reason});
        self.object("chat.completion", &[choice], Some(usage))
    }

    /// A whole `chat.completion` with a text as its answer.
    pub fn text_answer(&self, text: &str, finish_reason: &str, usage: &Usage) -> Value {
        let message = json!({"role": "assistant", "content": text, "refusal": null});
        self.completion(&message, finish_reason, usage)
    }

    /// A `chat.completion.chunk` with one choice.
    pub fn chunk(&self, delta: &Value, finish_reason: Option<&str>) -> Value {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish_reason});
        self.object("chat.completion.chunk", &[choice], None)
    }

    /// The first chunk, which names the role.
    pub fn role_chunk(&self) -> Value {
        self.chunk(&json!({"role": "assistant", "content": ""}), None)
    }

    /// A chunk with some text.
    pub fn text_chunk(&self, text: &str) -> Value {
        self.chunk(&json!({"content": text}), None)
    }

    /// The chunk that ends the answer.
    pub fn finish_chunk(&self, finish_reason: &str) -> Value {
        self.chunk(&Value::Object(Map::new()), Some(finish_reason))
    }

    /// The last chunk of a stream whose request set `stream_options.include_usage`: no choices, but the usage.
    pub fn usage_chunk(&self, usage: &Usage) -> Value {
        self.object("chat.completion.chunk", &[], Some(usage))
    }

    /// A whole `text_completion` (the older completions API) with one choice.
    pub fn text_completion(&self, text: &str, finish_reason: &str, usage: &Usage) -> Value {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason});
        self.object("text_completion", &[choice], Some(usage))
    }

    /// A chunk of a streamed `text_completion`.
    pub fn text_completion_chunk(&self, text: &str, finish_reason: Option<&str>) -> Value {
        let choice = json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish_reason});
        self.object("text_completion", &[choice], None)
    }

    /// The last chunk of a streamed `text_completion` whose request asked for the usage.
    pub fn text_completion_usage_chunk(&self, usage: &Usage) -> Value {
        self.object("text_completion", &[], Some(usage))
    }
}

/// One entry of the list of models.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Model {
    /// The name that requests use.
    pub id: String,
    /// Seconds since 1970.
    pub created: i64,
    /// Who offers it.
    pub owned_by: String,
}

impl Model {
    /// The answer of `GET /v1/models/{id}`.
    pub fn to_value(&self) -> Value {
        json!({"id": self.id, "object": "model", "created": self.created, "owned_by": self.owned_by})
    }
}

/// The answer of `GET /v1/models`.
pub fn models(models: &[Model]) -> Value {
    json!({"object": "list", "data": models.iter().map(Model::to_value).collect::<Vec<_>>()})
}
