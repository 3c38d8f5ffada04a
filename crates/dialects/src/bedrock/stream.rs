//! Streamed answers: the events of `ConverseStreamOutput` in Amazon's event stream.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;

use super::{
    answer,
    error::named,
    event_stream::{self, Message},
    media::Kind,
};
use crate::chat::{Content, Decoder, Delta, Event, Part, Source, StreamError, Vendor};

/// The most bytes of pictures in one answer: 32 MiB.
const MOST_IMAGES: usize = 32 << 20;

/// Reads a streamed answer.
#[derive(Debug, Default)]
pub(super) struct Reader {
    frames: event_stream::Decoder,
    state: State,
    blocks: BTreeMap<u64, Block>,
    /// Tool calls so far.
    calls: u32,
    /// Bytes of pictures so far.
    images: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// Nothing came yet.
    #[default]
    Waiting,
    Running,
    /// The answer stopped; its usage is to come.
    Stopped,
    /// Nothing is read any more.
    Over,
}

/// A content block that has more to it than its deltas.
#[derive(Debug)]
enum Block {
    Call {
        index: u32,
        has_arguments: bool,
    },
    Image {
        format: String,
        data: Vec<u8>,
    },
    /// A call that the provider runs itself, or its result.
    Hidden,
}

impl Decoder for Reader {
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state == State::Over {
            return Ok(());
        }
        let mut messages = Vec::new();
        let read = self.frames.push(bytes, &mut messages);
        for message in &messages {
            self.message(message, events)?;
        }
        read.map_err(|error| malformed(&error.to_string()))
    }

    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError> {
        match self.state {
            State::Over => Ok(()),
            // The metadata are missing, but the answer is whole.
            State::Stopped if !self.frames.is_mid_message() => {
                self.state = State::Over;
                events.push(Event::End);
                Ok(())
            }
            State::Waiting | State::Running | State::Stopped => Err(StreamError::Cut),
        }
    }
}

fn malformed(message: &str) -> StreamError {
    StreamError::Malformed(message.to_owned())
}

impl Reader {
    fn message(&mut self, message: &Message, events: &mut Vec<Event>) -> Result<(), StreamError> {
        if self.state == State::Over {
            return Ok(());
        }
        match message.text(":message-type") {
            Some("event") | None => {}
            Some("exception") => {
                let payload = serde_json::from_slice::<Value>(&message.payload).unwrap_or_default();
                let name = message.text(":exception-type").unwrap_or_default();
                self.fail(name, payload.get("message").and_then(Value::as_str), events);
                return Ok(());
            }
            // An error that the service model does not know.
            Some(_) => {
                let name = message.text(":error-code").unwrap_or_default();
                self.fail(name, message.text(":error-message"), events);
                return Ok(());
            }
        }
        let Ok(data) = serde_json::from_slice::<Value>(&message.payload) else {
            return Err(malformed("the provider sent an event that is not JSON"));
        };
        self.start(events);
        match message.text(":event-type").unwrap_or_default() {
            "contentBlockStart" => self.block_start(&data, events),
            "contentBlockDelta" => return self.block_delta(&data, events),
            "contentBlockStop" => self.block_stop(&data, events),
            "messageStop" => self.stop(&data, events),
            "metadata" => self.metadata(&data, events),
            // `messageStart`, and kinds that may come later.
            _ => {}
        }
        Ok(())
    }

    fn fail(&mut self, name: &str, message: Option<&str>, events: &mut Vec<Event>) {
        self.state = State::Over;
        events.push(Event::Error(named(name, None, message)));
    }

    /// Bedrock names neither the answer nor its model.
    fn start(&mut self, events: &mut Vec<Event>) {
        if self.state == State::Waiting {
            self.state = State::Running;
            events.push(Event::Start {
                id: String::new(),
                model: String::new(),
            });
        }
    }

    fn block_start(&mut self, data: &Value, events: &mut Vec<Event>) {
        let text = |pointer: &str| data.pointer(pointer).and_then(Value::as_str);
        let index = block_index(data);
        if let Some(id) = text("/start/toolUse/toolUseId") {
            if data.pointer("/start/toolUse/type").is_some() {
                self.blocks.insert(index, Block::Hidden);
                return;
            }
            let call = self.calls;
            self.calls = self.calls.saturating_add(1);
            let block = Block::Call {
                index: call,
                has_arguments: false,
            };
            self.blocks.insert(index, block);
            events.push(delta(Delta::ToolCall {
                index: call,
                id: id.to_owned(),
                name: text("/start/toolUse/name").unwrap_or_default().to_owned(),
                signature: None,
            }));
        } else if let Some(format) = text("/start/image/format") {
            let block = Block::Image {
                format: format.to_owned(),
                data: Vec::new(),
            };
            self.blocks.insert(index, block);
        } else if data.pointer("/start/toolResult").is_some() {
            self.blocks.insert(index, Block::Hidden);
        }
    }

    fn block_delta(&mut self, data: &Value, events: &mut Vec<Event>) -> Result<(), StreamError> {
        let Some(Value::Object(members)) = data.get("delta") else {
            return Ok(());
        };
        for (name, value) in members {
            let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            match name.as_str() {
                "text" => push_text(value.as_str().unwrap_or_default(), Delta::Text, events),
                "reasoningContent" => {
                    push_text(text("/text"), Delta::Reasoning, events);
                    let mark = |token: String| Vendor::Anthropic.mark(&token);
                    push_text(text("/signature"), |token| Delta::Signature(mark(token)), events);
                    push_text(
                        text("/redactedContent"),
                        |data| Delta::Redacted(mark(data)),
                        events,
                    );
                }
                "toolUse" => self.arguments(block_index(data), text("/input"), events),
                "citation" => events.push(delta(Delta::Citation(answer::citation(value)))),
                "image" => self.image(block_index(data), text("/source/bytes"))?,
                // Results of tools that the provider runs, and kinds that may come later.
                _ => {}
            }
        }
        Ok(())
    }

    fn arguments(&mut self, block: u64, given: &str, events: &mut Vec<Event>) {
        if let Some(Block::Call { index, has_arguments }) = self.blocks.get_mut(&block)
            && !given.is_empty()
        {
            *has_arguments = true;
            events.push(delta(Delta::Arguments {
                index: *index,
                text: given.to_owned(),
            }));
        }
    }

    fn image(&mut self, block: u64, encoded: &str) -> Result<(), StreamError> {
        let Some(Block::Image { data, .. }) = self.blocks.get_mut(&block) else {
            return Ok(());
        };
        let Ok(bytes) = STANDARD.decode(encoded) else {
            return Err(malformed("a picture of the stream is not base64"));
        };
        self.images += bytes.len();
        if self.images > MOST_IMAGES {
            return Err(malformed("the pictures of the stream are larger than 32 MiB"));
        }
        data.extend(bytes);
        Ok(())
    }

    /// A call without arguments must not stay an empty text, which is no JSON.
    fn block_stop(&mut self, data: &Value, events: &mut Vec<Event>) {
        match self.blocks.remove(&block_index(data)) {
            Some(Block::Call {
                index,
                has_arguments: false,
            }) => events.push(delta(Delta::Arguments {
                index,
                text: "{}".to_owned(),
            })),
            Some(Block::Image { format, data }) if !data.is_empty() => {
                let source = Source::Base64 {
                    media_type: Kind::Image.media_type(&format).to_owned(),
                    data: STANDARD.encode(data),
                };
                events.push(delta(Delta::Part(Part::new(Content::Image {
                    source,
                    detail: None,
                }))));
            }
            Some(Block::Call { .. } | Block::Image { .. } | Block::Hidden) | None => {}
        }
    }

    fn stop(&mut self, data: &Value, events: &mut Vec<Event>) {
        if self.state == State::Running {
            self.state = State::Stopped;
            let stop = answer::stop(data).unwrap_or(crate::chat::Stop::End);
            events.push(Event::Stop { choice: 0, stop });
        }
    }

    /// The last event.
    fn metadata(&mut self, data: &Value, events: &mut Vec<Event>) {
        if let Some(usage) = data.get("usage").and_then(answer::usage) {
            events.push(Event::Usage(usage));
        }
        if self.state == State::Stopped {
            self.state = State::Over;
            events.push(Event::End);
        }
    }
}

fn delta(delta: Delta) -> Event {
    Event::Delta { choice: 0, delta }
}

fn push_text(text: &str, make: impl FnOnce(String) -> Delta, events: &mut Vec<Event>) {
    if !text.is_empty() {
        events.push(delta(make(text.to_owned())));
    }
}

fn block_index(data: &Value) -> u64 {
    data.get("contentBlockIndex").and_then(Value::as_u64).unwrap_or(0)
}
