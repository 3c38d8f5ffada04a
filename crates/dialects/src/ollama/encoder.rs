//! Writing streamed answers.
//!
//! Tool calls come whole, so their arguments are held until the call is complete. Ollama gives one choice; deltas of
//! others cannot come, since a request cannot ask for them.
//! <https://github.com/ollama/ollama/blob/main/docs/api/streaming.mdx>

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    Endpoint,
    answer_writer::{Said, finish},
    error,
};
use crate::{
    Usage,
    chat::{Content, Delta, Encoder, ErrorBody, Event, Part, Stop, TokenLogprob, View},
    lines,
};

/// Writes a stream.
#[derive(Debug)]
pub(super) struct StreamWriter {
    view: View,
    endpoint: Endpoint,
    /// Calls whose arguments are still coming, and how many went before them.
    calls: BTreeMap<u32, Call>,
    called: usize,
    /// Tokens that no line carried yet.
    logprobs: Vec<TokenLogprob>,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl StreamWriter {
    pub(super) fn new(view: View, endpoint: Endpoint) -> Self {
        Self {
            view,
            endpoint,
            calls: BTreeMap::new(),
            called: 0,
            logprobs: Vec::new(),
            stop: None,
            usage: None,
        }
    }

    fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        let mut said = Said::default();
        match delta {
            Delta::Text(text) | Delta::Refusal(text) => said.text.push_str(text),
            Delta::Reasoning(text) => said.thoughts.push_str(text),
            Delta::Part(part) => said.add(part),
            Delta::ToolCall { index, id, name, .. } => {
                let call = Call {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                };
                self.calls.insert(*index, call);
                return;
            }
            Delta::Arguments { index, text } => {
                if let Some(call) = self.calls.get_mut(index) {
                    call.arguments.push_str(text);
                }
                return;
            }
            Delta::Logprobs(tokens) => {
                self.logprobs.extend_from_slice(tokens);
                return;
            }
            Delta::Signature(_) | Delta::Redacted(_) | Delta::Citation(_) => return,
        }
        self.flush(out);
        said.logprobs = std::mem::take(&mut self.logprobs);
        let line = said.line(&self.view, self.endpoint);
        write(&line, out);
    }

    /// The calls that are complete now that something else follows.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let calls = std::mem::take(&mut self.calls);
        if calls.is_empty() {
            return;
        }
        let mut said = Said::default();
        for call in calls.into_values() {
            said.add(&Part::new(Content::ToolCall {
                id: call.id,
                name: call.name,
                arguments: call.arguments,
                signature: None,
            }));
        }
        let count = said.calls.len();
        for (place, call) in said.calls.iter_mut().enumerate() {
            if let Some(index) = call.pointer_mut("/function/index") {
                *index = (self.called + place).into();
            }
        }
        self.called += count;
        let line = said.line(&self.view, self.endpoint);
        write(&line, out);
    }
}

impl Encoder for StreamWriter {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Stop { choice: 0, stop } => {
                self.flush(out);
                self.stop = Some(stop.clone());
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Start { .. } | Event::Delta { .. } | Event::Stop { .. } | Event::Error(_) | Event::End => {
            }
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.flush(out);
        let said = Said {
            logprobs: std::mem::take(&mut self.logprobs),
            ..Said::default()
        };
        let mut line = said.line(&self.view, self.endpoint);
        finish(&mut line, self.stop.as_ref(), self.usage.as_ref());
        write(&line, out);
    }

    fn fail(&mut self, failure: &ErrorBody, out: &mut Vec<u8>) {
        write(&error::write(failure), out);
    }
}

fn write(line: &Value, out: &mut Vec<u8>) {
    lines::write(line, out);
    out.push(b'\n');
}
