//! Streamed answers: server-sent events of chunks, `[DONE]` at the end.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    answer::{self, list, text},
    error,
};
use crate::{
    chat::{Decoder, Delta, Event, StreamError},
    sse,
};

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    frames: sse::Decoder,
    state: State,
    choices: BTreeMap<u32, Choice>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Waiting,
    Running,
    /// Nothing is read any more.
    Over,
}

#[derive(Debug, Default)]
struct Choice {
    is_over: bool,
    calls: Vec<Call>,
}

#[derive(Debug)]
struct Call {
    /// The index that the provider gives it, which it may give twice.
    given: u64,
    id: String,
    has_arguments: bool,
}

impl Decoder for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state == State::Over {
            return Ok(());
        }
        let frames = self.frames.push(bytes);
        let frames = frames.map_err(|error| StreamError::Malformed(error.to_string()))?;
        frames
            .iter()
            .try_for_each(|frame| self.frame(&frame.data, events))
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state != State::Over
            && let Some(frame) = self.frames.finish()
        {
            // What was cut in the middle is no JSON, and no reason to call the whole stream malformed.
            let _ = self.frame(&frame.data, events);
        }
        if self.state == State::Over {
            return Ok(());
        }
        if self.choices.is_empty() || self.choices.values().any(|choice| !choice.is_over) {
            return Err(StreamError::Cut);
        }
        self.end(events);
        Ok(())
    }
}

impl Reader {
    fn frame(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state == State::Over || data.is_empty() {
            return Ok(());
        }
        if data == sse::DONE {
            if self.choices.values().all(|choice| choice.is_over) {
                self.end(events);
            }
            return Ok(());
        }
        let Ok(chunk) = serde_json::from_str::<Value>(data) else {
            let message = "the provider sent an event that is not JSON";
            return Err(StreamError::Malformed(message.to_owned()));
        };
        if chunk.get("object").is_some_and(|object| object == "error") || chunk.get("choices").is_none() {
            let status = chunk.get("raw_status_code").and_then(Value::as_u64);
            let status = status
                .and_then(|status| u16::try_from(status).ok())
                .unwrap_or(500);
            self.fail(error::of(status, &chunk), events);
            return Ok(());
        }
        self.start(&chunk, events);
        for choice in list(&chunk, "choices") {
            self.choice(choice, events);
        }
        if self.state != State::Over
            && let Some(usage) = chunk.get("usage").and_then(answer::usage)
        {
            events.push(Event::Usage(usage));
        }
        Ok(())
    }

    fn start(&mut self, chunk: &Value, events: &mut Vec<Event>) {
        if self.state == State::Waiting {
            self.state = State::Running;
            events.push(Event::Start {
                id: text(chunk, "id").unwrap_or_default().to_owned(),
                model: text(chunk, "model").unwrap_or_default().to_owned(),
            });
        }
    }

    fn fail(&mut self, error: crate::chat::ErrorBody, events: &mut Vec<Event>) {
        self.state = State::Over;
        events.push(Event::Error(error));
    }

    fn end(&mut self, events: &mut Vec<Event>) {
        self.state = State::Over;
        events.push(Event::End);
    }

    fn choice(&mut self, choice: &Value, events: &mut Vec<Event>) {
        let index = choice.get("index").and_then(Value::as_u64).unwrap_or(0);
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let state = self.choices.entry(index).or_default();
        if state.is_over || self.state == State::Over {
            return;
        }
        let mut deltas = Vec::new();
        if let Some(delta) = choice.get("delta") {
            content(delta, &mut deltas);
            for call in list(delta, "tool_calls") {
                state.call(call, &mut deltas);
            }
        }
        if let Some(logprobs) = choice
            .get("logprobs")
            .map(answer::logprobs)
            .filter(|list| !list.is_empty())
        {
            deltas.push(Delta::Logprobs(logprobs));
        }
        let reason = text(choice, "finish_reason");
        if reason.is_some() {
            state.is_over = true;
            state.close_calls(&mut deltas);
        }
        events.extend(
            deltas
                .into_iter()
                .map(|delta| Event::Delta { choice: index, delta }),
        );
        match reason {
            Some("error") => {
                let body = serde_json::json!({"message": "the provider failed while it answered"});
                self.fail(error::of(500, &body), events);
            }
            Some(reason) => events.push(Event::Stop {
                choice: index,
                stop: answer::stop(reason),
            }),
            None => {}
        }
    }
}

impl Choice {
    /// Calls come whole, or in pieces that repeat their index. A new id is a new call, whatever its index.
    fn call(&mut self, call: &Value, deltas: &mut Vec<Delta>) {
        let given = call.get("index").and_then(Value::as_u64).unwrap_or(0);
        let id = text(call, "id").filter(|id| !id.is_empty() && *id != "null");
        let function = call.get("function").unwrap_or(&Value::Null);
        let known = self
            .calls
            .iter()
            .rposition(|known| known.given == given && id.is_none_or(|id| known.id == id));
        let place = known.unwrap_or(self.calls.len());
        let index = u32::try_from(place).unwrap_or(u32::MAX);
        if known.is_none() {
            let id = id.map_or_else(|| format!("call_{place}"), str::to_owned);
            deltas.push(Delta::ToolCall {
                index,
                id: id.clone(),
                name: text(function, "name").unwrap_or_default().to_owned(),
                signature: None,
            });
            self.calls.push(Call {
                given,
                id,
                has_arguments: false,
            });
        }
        let text = answer::arguments(function);
        if let Some(call) = self.calls.get_mut(place).filter(|_| !text.is_empty()) {
            call.has_arguments = true;
            deltas.push(Delta::Arguments { index, text });
        }
    }

    /// A call without arguments must not stay an empty text, which is no JSON.
    fn close_calls(&self, deltas: &mut Vec<Delta>) {
        for (index, call) in (0_u32..).zip(&self.calls) {
            if !call.has_arguments {
                let text = "{}".to_owned();
                deltas.push(Delta::Arguments { index, text });
            }
        }
    }
}

/// The `content` of a delta: a text, or chunks.
fn content(delta: &Value, deltas: &mut Vec<Delta>) {
    match delta.get("content") {
        Some(Value::String(text)) if !text.is_empty() => deltas.push(Delta::Text(text.clone())),
        Some(Value::Array(chunks)) => chunks.iter().for_each(|each| chunk(each, deltas)),
        _ => {}
    }
}

fn chunk(chunk: &Value, deltas: &mut Vec<Delta>) {
    match text(chunk, "type").unwrap_or("text") {
        "text" => {
            let text = text(chunk, "text").filter(|text| !text.is_empty());
            deltas.extend(text.map(|text| Delta::Text(text.to_owned())));
        }
        "thinking" => {
            deltas.extend(
                Some(answer::thoughts(chunk))
                    .filter(|text| !text.is_empty())
                    .map(Delta::Reasoning),
            );
            deltas.extend(answer::signature(chunk).map(Delta::Signature));
        }
        "reference" => deltas.extend(answer::references(chunk).into_iter().map(Delta::Citation)),
        "image_url" => deltas.extend(answer::image(chunk).map(Delta::Part)),
        _ => {}
    }
}
