//! A stream of Messages events as a stream of chunks.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::{answer_id, error, finish_reason, usage};
use crate::{
    Usage,
    openai::{self, Answer},
    sse::Event,
};

/// How far the stream came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// No `message_start` yet.
    Waiting,
    /// Inside of the message.
    Running,
    /// The finish reason was sent.
    Finished,
    /// `message_stop` came.
    Complete,
    /// An error was sent; nothing follows.
    Failed,
}

/// A tool call that is being streamed.
#[derive(Debug)]
struct Call {
    /// Its place among the tool calls, from 0.
    index: usize,
    /// The input that its start carried, for servers that send no deltas.
    input: Value,
    has_arguments: bool,
}

/// Translates a stream, event by event.
#[derive(Debug)]
pub struct StreamToOpenai {
    answer: Answer,
    include_usage: bool,
    state: State,
    /// The latest value of each count: `message_start` and `message_delta` carry parts of them, and all are totals.
    counts: Map<String, Value>,
    finish_reason: Option<&'static str>,
    /// Tool calls by the index of their content block.
    calls: BTreeMap<u64, Call>,
    /// Tool calls so far.
    started: usize,
}

impl StreamToOpenai {
    /// `model` is the name that the client knows, `created` in seconds since 1970; with `include_usage` the last
    /// chunk carries the usage.
    pub fn new(model: &str, created: i64, include_usage: bool) -> Self {
        Self {
            answer: Answer {
                id: answer_id(None),
                created,
                model: model.to_owned(),
            },
            include_usage,
            state: State::Waiting,
            counts: Map::new(),
            finish_reason: None,
            calls: BTreeMap::new(),
            started: 0,
        }
    }

    /// The chunks that come of one event; an error event gives one error body (with the key `error`), after which
    /// nothing follows.
    pub fn event(&mut self, event: &Event) -> Vec<Value> {
        if matches!(self.state, State::Complete | State::Failed) {
            return Vec::new();
        }
        let Ok(data) = serde_json::from_str::<Value>(&event.data) else {
            return self.fail(openai::error(
                "the provider sent an event that is not JSON",
                "api_error",
                None,
                None,
            ));
        };
        let kind = data
            .get("type")
            .and_then(Value::as_str)
            .or(event.event.as_deref())
            .unwrap_or_default();
        match kind {
            "message_start" => self.message_start(data.get("message").unwrap_or(&Value::Null)),
            "content_block_start" => self.block_start(&data),
            "content_block_delta" => self.block_delta(&data),
            "content_block_stop" => self.block_stop(&data),
            "message_delta" => self.message_delta(&data),
            "message_stop" => self.message_stop(),
            "error" => {
                let body = error::translate(&data, "api_error");
                self.fail(body)
            }
            // `ping`, and kinds that may come later.
            _ => Vec::new(),
        }
    }

    /// What to send when the upstream's stream is over: nothing after a whole message, else what is still missing of
    /// it, or an error body when it was cut off.
    pub fn finish(&mut self) -> Vec<Value> {
        match self.state {
            State::Complete | State::Failed => Vec::new(),
            State::Finished => self.message_stop(),
            State::Waiting | State::Running => {
                let message = "the provider's stream ended before the answer was complete";
                self.fail(openai::error(
                    message,
                    "api_error",
                    None,
                    Some("stream_truncated"),
                ))
            }
        }
    }

    /// Whether the message came to its end, so that `[DONE]` may be sent.
    pub fn is_complete(&self) -> bool {
        self.state == State::Complete
    }

    /// The tokens so far.
    pub fn usage(&self) -> Usage {
        usage(&Value::Object(self.counts.clone()))
    }

    /// The finish reason in OpenAI's words, once it is known.
    pub fn finish_reason(&self) -> Option<&'static str> {
        self.finish_reason
    }

    fn fail(&mut self, body: Value) -> Vec<Value> {
        self.state = State::Failed;
        vec![body]
    }

    fn count(&mut self, usage: Option<&Value>) {
        for (name, count) in usage.and_then(Value::as_object).into_iter().flatten() {
            if !count.is_null() {
                self.counts.insert(name.clone(), count.clone());
            }
        }
    }

    fn message_start(&mut self, message: &Value) -> Vec<Value> {
        if self.state != State::Waiting {
            return Vec::new();
        }
        self.state = State::Running;
        self.answer.id = answer_id(message.get("id").and_then(Value::as_str));
        self.count(message.get("usage"));
        vec![self.answer.role_chunk()]
    }

    fn block_start(&mut self, data: &Value) -> Vec<Value> {
        let block = data.get("content_block").unwrap_or(&Value::Null);
        let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match field("type") {
            "text" => self.text("content", field("text")),
            "thinking" => self.text("reasoning_content", field("thinking")),
            "tool_use" => {
                let index = self.started;
                self.started += 1;
                let input = block.get("input").cloned().unwrap_or_default();
                self.calls.insert(
                    block_index(data),
                    Call {
                        index,
                        input,
                        has_arguments: false,
                    },
                );
                let function = json!({"name": field("name"), "arguments": ""});
                let call =
                    json!({"index": index, "id": field("id"), "type": "function", "function": function});
                vec![self.answer.chunk(&json!({"tool_calls": [call]}), None)]
            }
            _ => Vec::new(),
        }
    }

    fn block_delta(&mut self, data: &Value) -> Vec<Value> {
        let delta = data.get("delta").unwrap_or(&Value::Null);
        let field = |name: &str| delta.get(name).and_then(Value::as_str).unwrap_or_default();
        match field("type") {
            "text_delta" => self.text("content", field("text")),
            "thinking_delta" => self.text("reasoning_content", field("thinking")),
            "input_json_delta" => self.arguments(block_index(data), field("partial_json")),
            // Signatures and citations have no place in chunks.
            _ => Vec::new(),
        }
    }

    /// A call without arguments must not stay an empty text, which is no JSON.
    fn block_stop(&mut self, data: &Value) -> Vec<Value> {
        let Some(call) = self
            .calls
            .remove(&block_index(data))
            .filter(|call| !call.has_arguments)
        else {
            return Vec::new();
        };
        let arguments = if call.input.is_object() {
            call.input.to_string()
        } else {
            "{}".to_owned()
        };
        vec![self.argument_chunk(call.index, &arguments)]
    }

    fn text(&self, field: &str, text: &str) -> Vec<Value> {
        if text.is_empty() {
            return Vec::new();
        }
        let delta: Map<String, Value> = std::iter::once((field.to_owned(), text.into())).collect();
        vec![self.answer.chunk(&Value::Object(delta), None)]
    }

    fn arguments(&mut self, block: u64, text: &str) -> Vec<Value> {
        let Some(call) = self.calls.get_mut(&block).filter(|_| !text.is_empty()) else {
            return Vec::new();
        };
        call.has_arguments = true;
        let index = call.index;
        vec![self.argument_chunk(index, text)]
    }

    fn argument_chunk(&self, index: usize, arguments: &str) -> Value {
        let call = json!({"index": index, "function": {"arguments": arguments}});
        self.answer.chunk(&json!({"tool_calls": [call]}), None)
    }

    fn message_delta(&mut self, data: &Value) -> Vec<Value> {
        self.count(data.get("usage"));
        let reason = data
            .get("delta")
            .and_then(|delta| delta.get("stop_reason")?.as_str());
        match reason {
            Some(reason) if self.state != State::Finished => self.finish_with(finish_reason(reason)),
            _ => Vec::new(),
        }
    }

    fn finish_with(&mut self, reason: &'static str) -> Vec<Value> {
        self.state = State::Finished;
        self.finish_reason = Some(reason);
        vec![self.answer.finish_chunk(reason)]
    }

    fn message_stop(&mut self) -> Vec<Value> {
        let mut chunks = match self.state {
            State::Finished => Vec::new(),
            State::Waiting | State::Running | State::Complete | State::Failed => self.finish_with("stop"),
        };
        self.state = State::Complete;
        if self.include_usage {
            chunks.push(self.answer.usage_chunk(&self.usage()));
        }
        chunks
    }
}

fn block_index(data: &Value) -> u64 {
    data.get("index").and_then(Value::as_u64).unwrap_or(0)
}
