//! Writing streams of events ("Streaming messages").

use std::collections::BTreeMap;

use super::{
    answer::{self, Ends, usage},
    answer_id,
};
use crate::{
    Usage,
    anthropic::error,
    chat::{Citation, Content, Delta, Encoder, ErrorBody, Event, Part, Stop, Vendor, View},
    json::{Object, text},
};

/// The content block that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Text,
    Thinking,
    Call,
}

/// Writes one stream.
pub(super) struct Events {
    view: View,
    /// The provider's id of the answer.
    id: String,
    has_start: bool,
    open: Open,
    /// Blocks so far.
    blocks: u64,
    /// The block of each tool call.
    calls: BTreeMap<u32, u64>,
    ends: Ends,
    stop: Option<Stop>,
    usage: Usage,
}

impl Events {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            id: String::new(),
            has_start: false,
            open: Open::Nothing,
            blocks: 0,
            calls: BTreeMap::new(),
            ends: Ends::default(),
            stop: None,
            usage: Usage::default(),
        }
    }

    /// Begins the message with its first content, so that it tells the input's tokens where they are known.
    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_start, true) {
            return;
        }
        event(out, "message_start", |root| {
            let mut message = root.object("message");
            message
                .text("id", &answer_id(&self.id, &self.view))
                .text("type", "message")
                .text("role", "assistant")
                .text("model", &self.view.model);
            drop(message.list("content"));
            message.null("stop_reason").null("stop_sequence");
            usage(message.object("usage"), &self.usage);
        });
    }

    /// The index of the last block.
    fn index(&self) -> u64 {
        self.blocks.saturating_sub(1)
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.open, Open::Nothing) != Open::Nothing {
            let index = self.index();
            event(out, "content_block_stop", |root| {
                root.count("index", index);
            });
        }
    }

    /// Closes the block that is open and opens another.
    fn begin(&mut self, open: Open, out: &mut Vec<u8>, write: impl FnOnce(&mut Object<'_>)) {
        self.start(out);
        self.close(out);
        self.open = open;
        self.blocks += 1;
        let index = self.index();
        event(out, "content_block_start", |root| {
            root.count("index", index);
            write(&mut root.object("content_block"));
        });
    }

    fn text(&mut self, given: &str, out: &mut Vec<u8>) {
        if given.is_empty() {
            return;
        }
        if self.open != Open::Text {
            self.begin(Open::Text, out, |block| {
                block.text("type", "text").text("text", "");
            });
        }
        delta(out, self.index(), "text_delta", "text", given);
    }

    fn thinking(&mut self, given: &str, out: &mut Vec<u8>) {
        if self.open != Open::Thinking {
            self.begin(Open::Thinking, out, |block| {
                block
                    .text("type", "thinking")
                    .text("thinking", "")
                    .text("signature", "");
            });
        }
        if !given.is_empty() {
            delta(out, self.index(), "thinking_delta", "thinking", given);
        }
    }

    fn signature(&mut self, token: &str, out: &mut Vec<u8>) {
        self.thinking("", out);
        let shown = Vendor::Anthropic.show(token);
        delta(out, self.index(), "signature_delta", "signature", shown);
        self.close(out);
    }

    fn redacted(&mut self, data: &str, out: &mut Vec<u8>) {
        // Any block will do that is closed at once.
        self.begin(Open::Thinking, out, |block| {
            block
                .text("type", "redacted_thinking")
                .text("data", Vendor::Anthropic.show(data));
        });
        self.close(out);
    }

    fn call(&mut self, index: u32, id: &str, name: &str, out: &mut Vec<u8>) {
        self.ends.has_calls = true;
        self.begin(Open::Call, out, |block| {
            block.text("type", "tool_use").text("id", id).text("name", name);
            drop(block.object("input"));
        });
        self.calls.insert(index, self.index());
    }

    fn citation(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        if self.open != Open::Text {
            self.begin(Open::Text, out, |block| {
                block.text("type", "text").text("text", "");
            });
        }
        let index = self.index();
        event(out, "content_block_delta", |root| {
            root.count("index", index);
            let mut delta = root.object("delta");
            delta.text("type", "citations_delta");
            answer::citation(delta.object("citation"), citation);
        });
    }

    fn part(&mut self, part: &Part, out: &mut Vec<u8>) {
        match &part.content {
            Content::Text { text, .. } => self.text(text, out),
            Content::Native { .. } => {}
            content => self.text(&answer::media(content), out),
        }
    }

    fn delta(&mut self, given: &Delta, out: &mut Vec<u8>) {
        match given {
            Delta::Text(given) => self.text(given, out),
            Delta::Reasoning(given) => {
                if !given.is_empty() {
                    self.thinking(given, out);
                }
            }
            Delta::Signature(token) => self.signature(token, out),
            Delta::Redacted(data) => self.redacted(data, out),
            Delta::Refusal(given) => {
                self.ends.has_refusal = true;
                self.text(given, out);
            }
            Delta::ToolCall { index, id, name, .. } => self.call(*index, id, name, out),
            Delta::Arguments { index, text } => {
                if let Some(block) = self.calls.get(index).filter(|_| !text.is_empty()) {
                    delta(out, *block, "input_json_delta", "partial_json", text);
                }
            }
            Delta::Citation(citation) => self.citation(citation, out),
            Delta::Part(part) => self.part(part, out),
            // Nobody can ask for them in this dialect.
            Delta::Logprobs(_) => {}
        }
    }
}

impl Encoder for Events {
    fn event(&mut self, given: &Event, out: &mut Vec<u8>) {
        match given {
            Event::Start { id, .. } => self.id.clone_from(id),
            // Nobody can ask for several answers in this dialect.
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Stop { choice: 0, stop } => self.stop = Some(stop.clone()),
            Event::Usage(usage) => self.usage = *usage,
            Event::Delta { .. } | Event::Stop { .. } | Event::Error(_) | Event::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let stop = self.stop.take().unwrap_or(Stop::End);
        event(out, "message_delta", |root| {
            answer::stop_reason(&mut root.object("delta"), &stop, self.ends);
            usage(root.object("usage"), &self.usage);
        });
        event(out, "message_stop", |_| {});
    }

    fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        out.extend_from_slice(b"event: error\ndata: ");
        error::body(error, out);
        out.extend_from_slice(b"\n\n");
    }
}

/// Writes an event: its name, and an object that has the name as its `type`.
fn event(out: &mut Vec<u8>, name: &'static str, write: impl FnOnce(&mut Object<'_>)) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    let mut root = Object::new(out);
    root.text("type", name);
    write(&mut root);
    drop(root);
    out.extend_from_slice(b"\n\n");
}

/// Writes a delta of one text: what most of a stream consists of.
fn delta(out: &mut Vec<u8>, index: u64, kind: &str, key: &str, given: &str) {
    out.extend_from_slice(b"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":");
    out.extend_from_slice(index.to_string().as_bytes());
    for piece in [r#","delta":{"type":""#, kind, r#"",""#, key, r#"":"#] {
        out.extend_from_slice(piece.as_bytes());
    }
    text(out, given);
    out.extend_from_slice(b"}}\n\n");
}
