//! Streamed answers: server-sent events with a `type`, after the guide "Streaming".

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    answer::{self, text},
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
    /// Tool calls by the index of their events.
    calls: BTreeMap<u64, Call>,
    /// Tool calls so far.
    started: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    #[default]
    Waiting,
    Running,
    /// Nothing is read any more.
    Over,
}

#[derive(Debug)]
struct Call {
    index: u32,
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
        match self.state {
            State::Over => Ok(()),
            State::Waiting | State::Running => Err(StreamError::Cut),
        }
    }
}

impl Reader {
    fn frame(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state == State::Over || data == sse::DONE || data.is_empty() {
            return Ok(());
        }
        let Ok(data) = serde_json::from_str::<Value>(data) else {
            let message = "the provider sent an event that is not JSON";
            return Err(StreamError::Malformed(message.to_owned()));
        };
        let Some(kind) = text(&data, "type") else {
            if let Some(message) = text(&data, "message") {
                self.fail(message, events);
            }
            return Ok(());
        };
        self.start(kind, &data, events);
        match kind {
            "content-start" | "content-delta" => content(&data, events),
            "tool-plan-delta" => {
                let plan = data.pointer("/delta/message/tool_plan");
                push_text(plan, Delta::Reasoning, events);
            }
            "tool-call-start" => self.call(&data, events),
            "tool-call-delta" => {
                let arguments = data.pointer("/delta/message/tool_calls/function/arguments");
                self.arguments(index(&data), arguments, events);
            }
            "tool-call-end" => self.call_end(index(&data), events),
            "citation-start" => {
                let citations = data.pointer("/delta/message/citations");
                let sources = citations.map(answer::sources).unwrap_or_default();
                events.extend(sources.into_iter().map(|source| delta(Delta::Citation(source))));
            }
            "message-end" => self.end(&data, events),
            // `content-end`, `citation-end`, `debug`, and kinds that may come later.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, kind: &str, data: &Value, events: &mut Vec<Event>) {
        if self.state == State::Waiting {
            self.state = State::Running;
            let id = text(data, "id").filter(|_| kind == "message-start");
            events.push(Event::Start {
                id: id.unwrap_or_default().to_owned(),
                model: String::new(),
            });
        }
    }

    fn fail(&mut self, message: &str, events: &mut Vec<Event>) {
        self.state = State::Over;
        events.push(Event::Error(error::of(500, Some(message))));
    }

    fn call(&mut self, data: &Value, events: &mut Vec<Event>) {
        let Some(call) = data.pointer("/delta/message/tool_calls") else {
            return;
        };
        let place = self.started;
        self.started = self.started.saturating_add(1);
        let state = Call {
            index: place,
            has_arguments: false,
        };
        self.calls.insert(index(data), state);
        let name = call.pointer("/function/name").and_then(Value::as_str);
        events.push(delta(Delta::ToolCall {
            index: place,
            id: text(call, "id").unwrap_or_default().to_owned(),
            name: name.unwrap_or_default().to_owned(),
            signature: None,
        }));
        self.arguments(index(data), call.pointer("/function/arguments"), events);
    }

    fn arguments(&mut self, block: u64, arguments: Option<&Value>, events: &mut Vec<Event>) {
        let given = arguments.and_then(Value::as_str).unwrap_or_default();
        if let Some(call) = self.calls.get_mut(&block).filter(|_| !given.is_empty()) {
            call.has_arguments = true;
            events.push(delta(Delta::Arguments {
                index: call.index,
                text: given.to_owned(),
            }));
        }
    }

    /// A call without arguments must not stay an empty text, which is no JSON.
    fn call_end(&mut self, block: u64, events: &mut Vec<Event>) {
        if let Some(Call {
            index,
            has_arguments: false,
        }) = self.calls.remove(&block)
        {
            let text = "{}".to_owned();
            events.push(delta(Delta::Arguments { index, text }));
        }
    }

    fn end(&mut self, data: &Value, events: &mut Vec<Event>) {
        let end = data.get("delta").unwrap_or(&Value::Null);
        if let Some(usage) = end.get("usage").and_then(answer::billed) {
            events.push(Event::Usage(usage));
        }
        let reason = text(end, "finish_reason").unwrap_or_default();
        if answer::is_failure(reason) {
            let message = text(end, "error").unwrap_or("the provider failed while it answered");
            self.fail(message, events);
            return;
        }
        self.state = State::Over;
        events.push(Event::Stop {
            choice: 0,
            stop: answer::stop(reason),
        });
        events.push(Event::End);
    }
}

fn content(data: &Value, events: &mut Vec<Event>) {
    let Some(content) = data.pointer("/delta/message/content") else {
        return;
    };
    push_text(content.get("thinking"), Delta::Reasoning, events);
    push_text(content.get("text"), Delta::Text, events);
    if let Some(logprob) = data.get("logprobs").and_then(answer::logprob) {
        events.push(delta(Delta::Logprobs(vec![logprob])));
    }
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

fn push_text(text: Option<&Value>, make: impl FnOnce(String) -> Delta, events: &mut Vec<Event>) {
    let text = text.and_then(Value::as_str).filter(|text| !text.is_empty());
    events.extend(text.map(|text| delta(make(text.to_owned()))));
}

fn index(data: &Value) -> u64 {
    data.get("index").and_then(Value::as_u64).unwrap_or(0)
}
