//! Writing answers, whole and line by line.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion>,
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-completion>

use serde_json::{Value, json};

use super::{Endpoint, insert, time::rfc3339};
use crate::{
    Usage,
    chat::{Answer, Content, Part, Source, Stop, TokenLogprob, View, Wire},
};

/// What a line says, or a whole answer.
#[derive(Debug, Default)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) thoughts: String,
    pub(super) images: Vec<Value>,
    pub(super) calls: Vec<Value>,
    pub(super) logprobs: Vec<TokenLogprob>,
}

impl Said {
    /// Adds a part; those that Ollama has no place for are left out.
    pub(super) fn add(&mut self, part: &Part) {
        match &part.content {
            Content::Text { text, .. } | Content::Refusal(text) => self.text.push_str(text),
            Content::Reasoning { text, .. } => self.thoughts.push_str(text),
            Content::Image {
                source: Source::Base64 { data, .. },
                ..
            } => self.images.push(data.as_str().into()),
            Content::ToolCall {
                id, name, arguments, ..
            } => {
                let call = call(id, name, arguments, self.calls.len());
                self.calls.push(call);
            }
            Content::Image { .. }
            | Content::Document { .. }
            | Content::Audio { .. }
            | Content::Video { .. }
            | Content::ToolResult { .. }
            | Content::RedactedReasoning { .. }
            | Content::Native { .. } => {}
        }
    }

    /// One document.
    pub(super) fn line(self, view: &View, endpoint: Endpoint) -> Value {
        let mut out = json!({"model": view.model, "created_at": rfc3339(view.created)});
        let Self {
            text,
            thoughts,
            images,
            calls,
            logprobs,
        } = self;
        let mut message = match endpoint {
            Endpoint::Chat => json!({"role": "assistant", "content": text}),
            Endpoint::Generate => json!({ "response": text }),
        };
        if !thoughts.is_empty() {
            insert(&mut message, "thinking", thoughts.into());
        }
        if !images.is_empty() {
            insert(&mut message, "images", images.into());
        }
        if !calls.is_empty() {
            insert(&mut message, "tool_calls", calls.into());
        }
        match (endpoint, message) {
            (Endpoint::Generate, Value::Object(members)) => {
                for (key, value) in members {
                    insert(&mut out, &key, value);
                }
            }
            (_, message) => insert(&mut out, "message", message),
        }
        if !logprobs.is_empty() {
            let tokens: Vec<Value> = logprobs.iter().map(token).collect();
            insert(&mut out, "logprobs", tokens.into());
        }
        insert(&mut out, "done", false.into());
        out
    }
}

/// Makes a document the last one.
pub(super) fn finish(line: &mut Value, stop: Option<&Stop>, usage: Option<&Usage>) {
    insert(line, "done", true.into());
    insert(line, "done_reason", reason(stop).into());
    if let Some(usage) = usage {
        insert(line, "prompt_eval_count", usage.input.into());
        insert(line, "eval_count", usage.output.into());
    }
}

/// Ollama documents `stop` and `length`; that a filter ended an answer must not look like its end.
const fn reason(stop: Option<&Stop>) -> &'static str {
    match stop {
        Some(Stop::Length | Stop::ContextWindow) => "length",
        Some(Stop::ContentFilter | Stop::Refusal) => "content_filter",
        None
        | Some(Stop::End | Stop::Sequence(_) | Stop::ToolCalls | Stop::Pause | Stop::MalformedToolCall) => {
            "stop"
        }
    }
}

fn call(id: &str, name: &str, arguments: &str, index: usize) -> Value {
    let arguments = match serde_json::from_str::<Value>(arguments) {
        Ok(object @ Value::Object(_)) => object,
        _ if arguments.trim().is_empty() => json!({}),
        _ => json!({ "arguments": arguments }),
    };
    json!({"id": id, "function": {"index": index, "name": name, "arguments": arguments}})
}

fn token(token: &TokenLogprob) -> Value {
    let mut out = json!({"token": token.token, "logprob": token.logprob});
    if let Some(bytes) = &token.bytes {
        insert(&mut out, "bytes", bytes.clone().into());
    }
    if !token.top.is_empty() {
        let top: Vec<Value> = token
            .top
            .iter()
            .map(|top| json!({"token": top.token, "logprob": top.logprob}))
            .collect();
        insert(&mut out, "top_logprobs", top.into());
    }
    out
}

/// Writes a whole answer. Ollama gives one choice.
pub(super) fn write(answer: &Answer, view: &View, endpoint: Endpoint) -> Value {
    let mut said = Said::default();
    let choice = answer.choices.first();
    if let Some(choice) = choice {
        choice.parts.iter().for_each(|part| said.add(part));
        said.logprobs.clone_from(&choice.logprobs);
    }
    let mut out = said.line(view, endpoint);
    let stop = choice.and_then(|choice| choice.stop.as_ref());
    finish(&mut out, stop, answer.usage.as_ref());
    out
}

/// The answer to a request without messages, by which Ollama's clients load a model, or with `keep_alive` 0 unload
/// it; `wire` is the endpoint's. `None` for requests that ask something.
pub fn loaded(view: &View, wire: Wire) -> Option<Vec<u8>> {
    if !view.request.messages.is_empty() {
        return None;
    }
    let endpoint = match wire {
        Wire::OllamaGenerate => Endpoint::Generate,
        _ => Endpoint::Chat,
    };
    let keep = view.request.extra.iter().find(|extra| extra.name == "keep_alive");
    let unloads = keep.is_some_and(|keep| match &keep.value {
        Value::String(text) => text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic()) == "0",
        value => value.as_f64() == Some(0.0),
    });
    let mut out = Said::default().line(view, endpoint);
    insert(&mut out, "done", true.into());
    insert(
        &mut out,
        "done_reason",
        if unloads { "unload" } else { "load" }.into(),
    );
    Some(out.to_string().into_bytes())
}
