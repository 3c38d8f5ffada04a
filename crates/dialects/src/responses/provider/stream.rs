//! Reading streams of events ("Streaming events").

use std::collections::BTreeMap;

use super::answer;
use crate::{
    chat::{Content, Decoder, Delta, ErrorBody, Event, StreamError},
    json::{Json, read_event},
    openai::{read_tokens, read_usage},
    responses::input,
    sse,
};

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    frames: sse::Decoder,
    has_start: bool,
    is_over: bool,
    /// What came of each item so far, by its place in the output.
    items: BTreeMap<u64, Item>,
    /// Calls of functions so far.
    calls: u32,
}

/// What came of an item so far.
#[derive(Debug, Default)]
struct Item {
    /// The place of a call among the calls.
    call: Option<u32>,
    /// Whether some text, refusal or arguments came.
    has_text: bool,
    citations: usize,
    thoughts: Thoughts,
}

/// In which of two ways a model's thoughts are told; of one that is told in both, the first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Thoughts {
    #[default]
    None,
    Summary,
    Content,
}

impl Decoder for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over {
            return Ok(());
        }
        let frames = self.frames.push(bytes);
        let frames = frames.map_err(|error| StreamError::Malformed(error.to_string()))?;
        frames
            .iter()
            .try_for_each(|frame| self.frame(&frame.data, events))
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if !self.is_over
            && let Some(frame) = self.frames.finish()
        {
            // What was cut in the middle is no JSON, and no reason to call the whole stream malformed.
            let _ = self.frame(&frame.data, events);
        }
        if self.is_over {
            Ok(())
        } else {
            Err(StreamError::Cut)
        }
    }
}

impl Reader {
    fn frame(&mut self, data: &str, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.is_over || data.is_empty() || data == sse::DONE {
            return Ok(());
        }
        let event = read_event(data)?;
        match event.str_of("type").unwrap_or_default() {
            "error" => self.fail(answer::failure(event.get("error").unwrap_or(&event)), events),
            name => match name.strip_prefix("response.") {
                Some(name) => self.event(name, &event, events),
                // Some servers report what went wrong without a type.
                None if event.get("error").is_some() => {
                    self.fail(answer::failure(event.get("error").unwrap_or(&event)), events);
                }
                None => {}
            },
        }
        Ok(())
    }

    fn event(&mut self, name: &str, event: &Json<'_>, events: &mut Vec<Event>) {
        let response = event.get("response").unwrap_or(&Json::Null);
        match name {
            "created" | "in_progress" | "queued" => self.start(response, events),
            "completed" | "incomplete" => {
                self.start(response, events);
                events.extend(response.get("usage").and_then(read_usage).map(Event::Usage));
                events.push(Event::Stop {
                    choice: 0,
                    stop: answer::stop(response, self.calls > 0),
                });
                events.push(Event::End);
                self.is_over = true;
            }
            "failed" => {
                let error = response.get("error").unwrap_or(&Json::Null);
                self.fail(answer::failure(error), events);
            }
            _ => {
                let mut deltas = Vec::new();
                self.delta(name, event, &mut deltas);
                events.extend(deltas.into_iter().map(|delta| Event::Delta { choice: 0, delta }));
            }
        }
    }

    fn start(&mut self, response: &Json<'_>, events: &mut Vec<Event>) {
        if !std::mem::replace(&mut self.has_start, true) {
            let text = |key: &str| response.str_of(key).unwrap_or_default().to_owned();
            events.push(Event::Start {
                id: text("id"),
                model: text("model"),
            });
        }
    }

    fn fail(&mut self, error: ErrorBody, events: &mut Vec<Event>) {
        self.is_over = true;
        events.push(Event::Error(error));
    }

    /// An event about one item.
    fn delta(&mut self, name: &str, event: &Json<'_>, out: &mut Vec<Delta>) {
        let place = event.u64_of("output_index").unwrap_or(0);
        let item = self.items.entry(place).or_default();
        let text = event.str_of("delta").filter(|text| !text.is_empty());
        match (name, text) {
            ("output_item.added", _) => {
                if let Some(given) = event.get("item") {
                    item.begin(given, &mut self.calls, out);
                }
            }
            ("output_item.done", _) => {
                if let Some(given) = event.get("item") {
                    item.begin(given, &mut self.calls, out);
                    item.finish(given, out);
                }
            }
            ("output_text.delta", text) => {
                item.has_text |= text.is_some();
                out.extend(text.map(|text| Delta::Text(text.to_owned())));
                let tokens = read_tokens(event.items_of("logprobs"));
                out.extend((!tokens.is_empty()).then_some(Delta::Logprobs(tokens)));
            }
            ("refusal.delta", Some(text)) => {
                item.has_text = true;
                out.push(Delta::Refusal(text.to_owned()));
            }
            ("output_text.annotation.added", _) => {
                item.citations += 1;
                let citation = event.get("annotation").and_then(answer::citation);
                out.extend(citation.map(Delta::Citation));
            }
            ("function_call_arguments.delta", Some(text)) => item.arguments(text, out),
            ("reasoning_summary_part.added", _) if event.u64_of("summary_index") > Some(0) => {
                item.think(Thoughts::Summary, "\n\n", out);
            }
            ("reasoning_summary_text.delta", Some(text)) => item.think(Thoughts::Summary, text, out),
            ("reasoning_text.delta", Some(text)) => item.think(Thoughts::Content, text, out),
            // What is done was told in pieces, and steps of OpenAI's own tools come whole.
            _ => {}
        }
    }
}

impl Item {
    /// Announces a call of a function.
    fn begin(&mut self, item: &Json<'_>, calls: &mut u32, out: &mut Vec<Delta>) {
        if self.call.is_some() || item.str_of("type") != Some("function_call") {
            return;
        }
        let index = *calls;
        *calls = calls.saturating_add(1);
        self.call = Some(index);
        out.push(Delta::ToolCall {
            index,
            id: answer::call_id(item, index),
            name: item.str_of("name").unwrap_or_default().to_owned(),
            signature: None,
        });
    }

    fn arguments(&mut self, text: &str, out: &mut Vec<Delta>) {
        if let Some(index) = self.call {
            self.has_text = true;
            out.push(Delta::Arguments {
                index,
                text: text.to_owned(),
            });
        }
    }

    fn think(&mut self, how: Thoughts, text: &str, out: &mut Vec<Delta>) {
        if self.thoughts == Thoughts::None {
            self.thoughts = how;
        }
        if self.thoughts == how {
            out.push(Delta::Reasoning(text.to_owned()));
        }
    }

    /// What was not told in pieces before the item was complete.
    fn finish(&mut self, item: &Json<'_>, out: &mut Vec<Delta>) {
        match item.str_of("type") {
            Some("message") => self.finish_message(item, out),
            Some("function_call") => {
                if !self.has_text {
                    self.arguments(answer::arguments(item).unwrap_or("{}"), out);
                }
            }
            Some("reasoning") => self.finish_reasoning(item, out),
            _ => out.push(Delta::Part(answer::whole(item))),
        }
    }

    fn finish_message(&mut self, item: &Json<'_>, out: &mut Vec<Delta>) {
        let mut skipped = self.citations;
        for part in item.items_of("content") {
            let text = |key: &str| part.str_of(key).filter(|text| !text.is_empty());
            if !self.has_text {
                out.extend(text("text").map(|text| Delta::Text(text.to_owned())));
                out.extend(text("refusal").map(|text| Delta::Refusal(text.to_owned())));
            }
            let annotations = part.items_of("annotations");
            let rest = annotations
                .get(skipped.min(annotations.len())..)
                .unwrap_or_default();
            skipped = skipped.saturating_sub(annotations.len());
            out.extend(rest.iter().filter_map(answer::citation).map(Delta::Citation));
        }
        if !self.has_text {
            let tokens = answer::tokens(item);
            out.extend((!tokens.is_empty()).then_some(Delta::Logprobs(tokens)));
        }
    }

    fn finish_reasoning(&mut self, item: &Json<'_>, out: &mut Vec<Delta>) {
        for part in input::reasoning(item).unwrap_or_default() {
            match part.content {
                Content::Reasoning { text, signature } => {
                    if self.thoughts == Thoughts::None && !text.is_empty() {
                        out.push(Delta::Reasoning(text));
                    }
                    out.extend(signature.map(Delta::Signature));
                }
                Content::RedactedReasoning { data } => out.push(Delta::Redacted(data)),
                _ => {}
            }
        }
    }
}
