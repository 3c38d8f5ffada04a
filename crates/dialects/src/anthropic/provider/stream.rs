//! Reading streams of events.

use std::collections::BTreeMap;

use super::answer::{self, Counts};
use crate::{
    anthropic::error,
    chat::{Decoder, Delta, Event, Stop, StreamError, Vendor},
    json::{Json, read_event},
    sse,
};

/// How far the stream came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// No `message_start` yet.
    #[default]
    Waiting,
    /// Inside of the message.
    Running,
    /// The stop reason came.
    Stopped,
    /// `message_stop` or an error came.
    Over,
}

/// A content block that is being read.
#[derive(Debug)]
enum Block {
    /// A tool call: its place, and the input that its start carried, for servers that send no deltas.
    Call {
        index: u32,
        input: String,
        has_arguments: bool,
    },
    /// Thinking and the signature so far.
    Thinking { signature: String },
}

/// Reads one stream.
#[derive(Debug, Default)]
pub(super) struct Events {
    frames: sse::Decoder,
    state: State,
    counts: Counts,
    blocks: BTreeMap<u64, Block>,
    /// Tool calls so far.
    calls: u32,
}

impl Decoder for Events {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        let frames = self
            .frames
            .push(bytes)
            .map_err(|error| StreamError::Malformed(error.to_string()))?;
        for frame in frames {
            self.frame(&frame, events)?;
        }
        Ok(())
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if let Some(last) = self.frames.finish() {
            // What was cut in the middle is no JSON; whether the answer is complete is decided below.
            let _ = self.frame(&last, events);
        }
        match self.state {
            State::Over => Ok(()),
            State::Stopped => {
                self.state = State::Over;
                events.push(Event::End);
                Ok(())
            }
            State::Waiting | State::Running => Err(StreamError::Cut),
        }
    }
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

fn place(data: &Json<'_>) -> u64 {
    data.u64_of("index").unwrap_or(0)
}

impl Events {
    fn frame(&mut self, frame: &sse::Event, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state == State::Over {
            return Ok(());
        }
        let data = read_event(&frame.data)?;
        let kind = data.str_of("type").or(frame.event.as_deref());
        match kind.unwrap_or_default() {
            "content_block_delta" => self.block_delta(&data, events),
            "content_block_start" => self.block_start(&data, events),
            "content_block_stop" => self.block_stop(&data, events),
            "message_start" => self.start(&data, events),
            "message_delta" => self.message_delta(&data, events),
            "message_stop" => return self.message_stop(events),
            "error" => {
                self.state = State::Over;
                let body = data.get("error").unwrap_or(&data);
                events.push(Event::Error(error::of_object(None, body)));
            }
            // `ping`, and kinds that may come later.
            _ => {}
        }
        Ok(())
    }

    fn start(&mut self, data: &Json<'_>, events: &mut Vec<Event>) {
        if self.state != State::Waiting {
            return;
        }
        self.state = State::Running;
        let message = data.get("message").unwrap_or(data);
        let text = |name: &str| message.str_of(name).unwrap_or_default().to_owned();
        events.push(Event::Start {
            id: text("id"),
            model: text("model"),
        });
        if let Some(usage) = message.get("usage") {
            self.counts.take(usage);
            events.push(Event::Usage(self.counts.usage()));
        }
    }

    fn block_start(&mut self, data: &Json<'_>, events: &mut Vec<Event>) {
        let Some(block) = data.get("content_block") else {
            return;
        };
        let field = |name: &str| block.str_of(name).unwrap_or_default().to_owned();
        match block.str_of("type").unwrap_or_default() {
            "text" => events.extend(filled(field("text")).map(Delta::Text).map(delta)),
            "thinking" => {
                events.extend(filled(field("thinking")).map(Delta::Reasoning).map(delta));
                let signature = field("signature");
                self.blocks.insert(place(data), Block::Thinking { signature });
            }
            "redacted_thinking" => {
                events.push(delta(Delta::Redacted(Vendor::Anthropic.mark(&field("data")))));
            }
            "tool_use" => {
                let index = self.calls;
                self.calls = self.calls.saturating_add(1);
                let call = Block::Call {
                    index,
                    input: answer::input(block),
                    has_arguments: false,
                };
                self.blocks.insert(place(data), call);
                events.push(delta(Delta::ToolCall {
                    index,
                    id: field("id"),
                    name: field("name"),
                    signature: None,
                }));
            }
            _ => {}
        }
    }

    fn block_delta(&mut self, data: &Json<'_>, events: &mut Vec<Event>) {
        let Some(given) = data.get("delta") else {
            return;
        };
        let field = |name: &str| filled(given.str_of(name).unwrap_or_default().to_owned());
        match given.str_of("type").unwrap_or_default() {
            "text_delta" => events.extend(field("text").map(Delta::Text).map(delta)),
            "thinking_delta" => events.extend(field("thinking").map(Delta::Reasoning).map(delta)),
            "input_json_delta" => {
                if let (
                    Some(Block::Call {
                        index, has_arguments, ..
                    }),
                    Some(text),
                ) = (self.blocks.get_mut(&place(data)), field("partial_json"))
                {
                    *has_arguments = true;
                    events.push(delta(Delta::Arguments { index: *index, text }));
                }
            }
            "signature_delta" => {
                if let (Some(Block::Thinking { signature }), Some(more)) =
                    (self.blocks.get_mut(&place(data)), field("signature"))
                {
                    signature.push_str(&more);
                }
            }
            "citations_delta" => {
                let citation = given.get("citation").map(answer::citation);
                events.extend(citation.map(Delta::Citation).map(delta));
            }
            _ => {}
        }
    }

    fn block_stop(&mut self, data: &Json<'_>, events: &mut Vec<Event>) {
        match self.blocks.remove(&place(data)) {
            // A call without arguments must not stay an empty text, which is no JSON.
            Some(Block::Call {
                index,
                input,
                has_arguments: false,
            }) => events.push(delta(Delta::Arguments { index, text: input })),
            Some(Block::Thinking { signature }) if !signature.is_empty() => {
                events.push(delta(Delta::Signature(Vendor::Anthropic.mark(&signature))));
            }
            _ => {}
        }
    }

    fn message_delta(&mut self, data: &Json<'_>, events: &mut Vec<Event>) {
        let given = data.get("delta");
        let reason = given.and_then(|given| Some((given.str_of("stop_reason")?, given)));
        if let Some((reason, given)) = reason.filter(|_| self.state != State::Stopped) {
            self.state = State::Stopped;
            events.push(Event::Stop {
                choice: 0,
                stop: answer::stop(reason, given),
            });
        }
        if let Some(usage) = data.get("usage") {
            self.counts.take(usage);
            events.push(Event::Usage(self.counts.usage()));
        }
    }

    fn message_stop(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        match self.state {
            State::Waiting => {
                return Err(StreamError::Malformed(
                    "the answer ended before it began".to_owned(),
                ));
            }
            State::Running => events.push(Event::Stop {
                choice: 0,
                stop: Stop::End,
            }),
            State::Stopped | State::Over => {}
        }
        self.state = State::Over;
        events.push(Event::End);
        Ok(())
    }
}

fn filled(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}
