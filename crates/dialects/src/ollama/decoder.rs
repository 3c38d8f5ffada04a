//! Reading streamed answers: one JSON document a line.
//! <https://github.com/ollama/ollama/blob/main/docs/api/streaming.mdx>,
//! <https://github.com/ollama/ollama/blob/main/docs/api/errors.mdx>

use serde_json::Value;

use super::{
    answer_reader::{calls, logprobs, parts, stop, text, usage},
    error,
};
use crate::{
    calls::Calls,
    chat::{Content, Decoder, Delta, Event, Part, Stop, StreamError},
    sse::DEFAULT_LIMIT,
};

/// Reads a stream.
#[derive(Debug, Default)]
pub(super) struct StreamReader {
    /// The line that is not complete.
    line: Vec<u8>,
    is_started: bool,
    is_over: bool,
    calls: Calls,
    /// Calls so far.
    called: u32,
}

impl Decoder for StreamReader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        let mut rest = bytes;
        while !self.is_over
            && let Some(end) = memchr::memchr(b'\n', rest)
        {
            let (line, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            self.extend(line)?;
            let line = std::mem::take(&mut self.line);
            self.document(&line, events)?;
        }
        if self.is_over {
            return Ok(());
        }
        self.extend(rest)
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        let line = std::mem::take(&mut self.line);
        if !self.is_over {
            // A cut document is no JSON.
            self.document(&line, events).map_err(|_| StreamError::Cut)?;
        }
        if self.is_over {
            Ok(())
        } else {
            Err(StreamError::Cut)
        }
    }
}

impl StreamReader {
    fn extend(&mut self, bytes: &[u8]) -> Result<(), StreamError> {
        if self.line.len() + bytes.len() > DEFAULT_LIMIT {
            return Err(StreamError::Malformed(format!(
                "a line of the stream is larger than {DEFAULT_LIMIT} bytes"
            )));
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn document(&mut self, line: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        if line.iter().all(u8::is_ascii_whitespace) {
            return Ok(());
        }
        let Ok(document @ Value::Object(_)) = serde_json::from_slice::<Value>(line) else {
            return Err(StreamError::Malformed(
                "the provider sent a line that is no JSON object".to_owned(),
            ));
        };
        if document.get("error").is_some_and(|error| !error.is_null()) {
            events.push(Event::Error(error::of_value(500, &document)));
            self.is_over = true;
            return Ok(());
        }
        if !std::mem::replace(&mut self.is_started, true) {
            self.calls = calls(&document);
            events.push(Event::Start {
                id: String::new(),
                model: text(&document, "model").to_owned(),
            });
        }
        for part in parts(&document, &mut self.calls) {
            self.part(part, events);
        }
        let tokens = logprobs(&document);
        if !tokens.is_empty() {
            delta(Delta::Logprobs(tokens), events);
        }
        if document.get("done") == Some(&Value::Bool(true)) {
            self.finish(&document, events);
        }
        Ok(())
    }

    fn part(&mut self, part: Part, events: &mut Vec<Event>) {
        match part.content {
            Content::Text { text, .. } => delta(Delta::Text(text), events),
            Content::Reasoning { text, .. } => delta(Delta::Reasoning(text), events),
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                let index = self.called;
                self.called = self.called.saturating_add(1);
                delta(
                    Delta::ToolCall {
                        index,
                        id,
                        name,
                        signature,
                    },
                    events,
                );
                delta(
                    Delta::Arguments {
                        index,
                        text: arguments,
                    },
                    events,
                );
            }
            Content::Image { .. }
            | Content::Document { .. }
            | Content::Audio { .. }
            | Content::Video { .. }
            | Content::ToolResult { .. }
            | Content::RedactedReasoning { .. }
            | Content::Native { .. }
            | Content::Refusal(_) => delta(Delta::Part(part), events),
        }
    }

    fn finish(&mut self, document: &Value, events: &mut Vec<Event>) {
        let stop = match stop(document) {
            Stop::End if self.called > 0 => Stop::ToolCalls,
            stop => stop,
        };
        events.push(Event::Stop { choice: 0, stop });
        events.extend(usage(document).map(Event::Usage));
        events.push(Event::End);
        self.is_over = true;
    }
}

fn delta(delta: Delta, events: &mut Vec<Event>) {
    events.push(Event::Delta { choice: 0, delta });
}
