//! Reading streams of chunks.

use std::collections::BTreeMap;

use super::answer;
use crate::{
    chat::{Content, Decoder, Delta, Event, StreamError},
    json::{Json, read_event},
    openai::{
        client::{citation, signature},
        error, reasoning,
    },
    sse,
};

/// A tool call of which pieces came.
#[derive(Debug, Default)]
struct Call {
    id: String,
    /// Its place among the choice's calls.
    index: u32,
    has_name: bool,
    has_arguments: bool,
    /// Arguments that came before the name.
    waiting: String,
    signature: Option<String>,
}

/// What came of one choice.
#[derive(Debug, Default)]
struct State {
    has_stop: bool,
    /// The reasoning since the last signature that came as text, which `reasoning_details` may repeat.
    thoughts: String,
    calls: Vec<Call>,
}

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    frames: sse::Decoder,
    has_start: bool,
    is_over: bool,
    choices: BTreeMap<u32, State>,
}

impl Decoder for Chunks {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over {
            return Ok(());
        }
        let frames = self
            .frames
            .push(bytes)
            .map_err(|error| StreamError::Malformed(error.to_string()))?;
        for frame in frames {
            self.frame(&frame.data, events)?;
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over {
            return Ok(());
        }
        if let Some(last) = self.frames.finish() {
            // What was cut in the middle is no JSON; whether the answer is complete is decided below.
            let _ = self.frame(&last.data, events);
        }
        if self.is_over {
            return Ok(());
        }
        // Some servers close the connection without `[DONE]`.
        if self.choices.is_empty() || self.choices.values().any(|state| !state.has_stop) {
            return Err(StreamError::Cut);
        }
        self.is_over = true;
        events.push(Event::End);
        Ok(())
    }
}

impl Chunks {
    fn frame(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over || data.trim().is_empty() {
            return Ok(());
        }
        if data.trim() == sse::DONE {
            if self.choices.values().any(|state| !state.has_stop) {
                return Err(StreamError::Cut);
            }
            self.is_over = true;
            events.push(Event::End);
            return Ok(());
        }
        let chunk = read_event(data)?;
        if let Some(body) = chunk.get("error") {
            self.is_over = true;
            events.push(Event::Error(error::of_object(200, body)));
            return Ok(());
        }
        if !self.has_start && chunk.get("choices").is_some() {
            self.has_start = true;
            let text = |key: &str| chunk.str_of(key).unwrap_or_default().to_owned();
            events.push(Event::Start {
                id: text("id"),
                model: text("model"),
            });
        }
        for (position, choice) in (0..).zip(chunk.items_of("choices")) {
            let index = choice
                .u64_of("index")
                .and_then(|index| u32::try_from(index).ok())
                .unwrap_or(position);
            self.choice(index, choice, events);
        }
        events.extend(chunk.get("usage").and_then(answer::usage).map(Event::Usage));
        Ok(())
    }

    fn choice(&mut self, index: u32, choice: &Json<'_>, events: &mut Vec<Event>) {
        let state = self.choices.entry(index).or_default();
        if state.has_stop {
            return;
        }
        let mut deltas = Vec::new();
        if let Some(delta) = choice.get("delta") {
            state.delta(delta, &mut deltas);
        }
        if let Some(logprobs) = choice.get("logprobs") {
            let tokens = answer::logprobs(logprobs);
            if !tokens.is_empty() {
                deltas.push(Delta::Logprobs(tokens));
            }
        }
        let reason = choice.str_of("finish_reason");
        if reason.is_some() {
            state.has_stop = true;
            state.finish(&mut deltas);
        }
        events.extend(
            deltas
                .into_iter()
                .map(|delta| Event::Delta { choice: index, delta }),
        );
        if let Some(reason) = reason {
            events.push(Event::Stop {
                choice: index,
                stop: answer::stop(reason, choice),
            });
        }
    }
}

impl State {
    fn delta(&mut self, delta: &Json<'_>, out: &mut Vec<Delta>) {
        let filled = |key: &str| delta.str_of(key).filter(|text| !text.is_empty());
        let details = delta.items_of("reasoning_details");
        for detail in details {
            self.detail(detail, out);
        }
        if let Some(text) = filled("reasoning_content").or_else(|| filled("reasoning"))
            && details.is_empty()
        {
            self.thoughts.push_str(text);
            out.push(Delta::Reasoning(text.to_owned()));
        }
        if let Some(text) = filled("content") {
            out.push(Delta::Text(text.to_owned()));
        }
        if let Some(text) = filled("refusal") {
            out.push(Delta::Refusal(text.to_owned()));
        }
        for annotation in delta.items_of("annotations") {
            out.extend(citation(annotation).map(Delta::Citation));
        }
        for image in delta.items_of("images") {
            out.extend(answer::picture(image).map(Delta::Part));
        }
        for (position, call) in delta.items_of("tool_calls").iter().enumerate() {
            self.call(position, call, out);
        }
    }

    /// A piece of OpenRouter's `reasoning_details`. It comes with the same as text, or after it as a whole.
    fn detail(&mut self, detail: &Json<'_>, out: &mut Vec<Delta>) {
        match reasoning::of_detail(detail).map(|part| part.content) {
            Some(Content::Reasoning { text, signature }) => {
                if !text.is_empty() && text != self.thoughts {
                    out.push(Delta::Reasoning(text));
                }
                if let Some(signature) = signature {
                    self.thoughts.clear();
                    out.push(Delta::Signature(signature));
                }
            }
            Some(Content::RedactedReasoning { data }) => out.push(Delta::Redacted(data)),
            _ => {}
        }
    }

    /// A new call, or more of one. Some servers leave the index out, and some give every call the index 0 and an id of
    /// its own.
    fn call(&mut self, position: usize, call: &Json<'_>, out: &mut Vec<Delta>) {
        let id = call.str_of("id").filter(|id| !id.is_empty());
        let named = call.get("function").and_then(|function| function.str_of("name"));
        let named = named.filter(|name| !name.is_empty());
        let given = call.u64_of("index").and_then(|index| usize::try_from(index).ok());
        let place = given.unwrap_or(match id {
            Some(id) => self
                .calls
                .iter()
                .position(|known| known.id == id)
                .unwrap_or(self.calls.len()),
            None => self.calls.len().saturating_sub(1).max(position),
        });
        let is_other = id.is_some_and(|id| {
            let known = self.calls.get(place);
            known.is_some_and(|known| known.has_name && known.id != id) && named.is_some()
        });
        let place = if is_other || place > self.calls.len() {
            self.calls.len()
        } else {
            place
        };
        if place == self.calls.len() {
            let index = u32::try_from(place).unwrap_or(u32::MAX);
            self.calls.push(Call {
                id: id.map_or_else(|| format!("call_{index}"), ToOwned::to_owned),
                index,
                ..Call::default()
            });
        }
        if let Some(known) = self.calls.get_mut(place) {
            known.take(call, named, out);
        }
    }

    /// A call without arguments must not stay an empty text, which is no JSON.
    fn finish(&mut self, out: &mut Vec<Delta>) {
        for call in self
            .calls
            .iter()
            .filter(|call| call.has_name && !call.has_arguments)
        {
            out.push(Delta::Arguments {
                index: call.index,
                text: "{}".to_owned(),
            });
        }
    }
}

impl Call {
    fn take(&mut self, call: &Json<'_>, name: Option<&str>, out: &mut Vec<Delta>) {
        if self.signature.is_none() {
            self.signature = signature(call);
        }
        if let Some(name) = name.filter(|_| !self.has_name) {
            self.has_name = true;
            out.push(Delta::ToolCall {
                index: self.index,
                id: self.id.clone(),
                name: name.to_owned(),
                signature: self.signature.take(),
            });
        }
        let arguments = call
            .get("function")
            .and_then(|function| function.get("arguments"));
        match arguments {
            Some(Json::Text(text)) => self.waiting.push_str(text),
            // Some servers send the object itself.
            Some(object @ Json::Object(_)) => self.waiting.push_str(&object.to_string()),
            _ => {}
        }
        if self.has_name && !self.waiting.is_empty() {
            self.has_arguments = true;
            out.push(Delta::Arguments {
                index: self.index,
                text: std::mem::take(&mut self.waiting),
            });
        }
    }
}
