//! Writing streams of chunks.

use std::collections::BTreeMap;

use super::{answer, answer_id};
use crate::{
    Usage,
    chat::{Content, Delta, Encoder, ErrorBody, Event, Part, Source, View},
    json::{List, Object},
    openai::{error, reasoning},
};

/// What was sent of one choice.
#[derive(Debug, Default)]
struct State {
    has_role: bool,
    has_calls: bool,
    has_stop: bool,
    /// The reasoning since the last signature, which a client wants to send back whole.
    thoughts: String,
    /// How many signed or redacted pieces came.
    details: u64,
}

/// Writes one stream.
pub(super) struct Chunks {
    view: View,
    /// Everything of a chunk before its choices; empty before the first.
    head: Vec<u8>,
    choices: BTreeMap<u32, State>,
    usage: Option<Usage>,
}

impl Chunks {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            head: Vec::new(),
            choices: BTreeMap::new(),
            usage: None,
        }
    }

    fn begin(&mut self, id: &str) {
        if !self.head.is_empty() {
            return;
        }
        self.head.extend_from_slice(b"data: ");
        let mut root = Object::new(&mut self.head);
        root.text("id", &answer_id(id, &self.view))
            .text("object", "chat.completion.chunk")
            .value("created", &self.view.created)
            .text("model", &self.view.model);
        drop(root);
        // The object stays open for the choices.
        self.head.pop();
    }

    /// Writes one chunk of one choice, and its role before when it is the first.
    fn chunk(&mut self, choice: u32, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
        self.begin("");
        self.role(choice, out);
        self.open(choice, out);
        write(out);
        close(out);
    }

    fn role(&mut self, choice: u32, out: &mut Vec<u8>) {
        if !std::mem::replace(&mut self.state(choice).has_role, true) {
            self.open(choice, out);
            out.extend_from_slice(br#""role":"assistant","content":"""#);
            close(out);
        }
    }

    /// Everything up to the members of `delta`.
    fn open(&self, choice: u32, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.head);
        out.extend_from_slice(br#","choices":[{"index":"#);
        number(out, choice);
        out.extend_from_slice(br#","delta":{"#);
    }

    fn state(&mut self, choice: u32) -> &mut State {
        self.choices.entry(choice).or_default()
    }

    fn text(&mut self, choice: u32, key: &'static str, text: &str, out: &mut Vec<u8>) {
        if text.is_empty() {
            return;
        }
        self.chunk(choice, out, |out| member(out, key, text));
    }

    fn delta(&mut self, choice: u32, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.text(choice, "content", text, out),
            Delta::Reasoning(text) => {
                self.state(choice).thoughts.push_str(text);
                self.text(choice, "reasoning_content", text, out);
            }
            Delta::Refusal(text) => self.text(choice, "refusal", text, out),
            Delta::Signature(token) => {
                let text = std::mem::take(&mut self.state(choice).thoughts);
                self.detail(choice, Some(&text), token, out);
            }
            Delta::Redacted(data) => self.detail(choice, None, data, out),
            Delta::ToolCall {
                index,
                id,
                name,
                signature,
            } => {
                self.state(choice).has_calls = true;
                self.chunk(choice, out, |out| {
                    calls(out, *index, |call| {
                        call.text("id", id).text("type", "function");
                        call.object("function").text("name", name).text("arguments", "");
                        if let Some(signature) = signature {
                            answer::extra_content(call.object("extra_content"), signature);
                        }
                    });
                });
            }
            Delta::Arguments { index, text } => {
                if !text.is_empty() {
                    self.chunk(choice, out, |out| {
                        calls(out, *index, |call| {
                            call.object("function").text("arguments", text);
                        });
                    });
                }
            }
            Delta::Citation(citation) => self.list(choice, "annotations", out, |mut list| {
                answer::citation(list.object(), citation);
            }),
            Delta::Logprobs(tokens) => self.logprobs(choice, tokens, out),
            Delta::Part(part) => self.part(choice, part, out),
        }
    }

    fn list(&mut self, choice: u32, key: &'static str, out: &mut Vec<u8>, write: impl FnOnce(List<'_>)) {
        self.chunk(choice, out, |out| {
            name(out, key);
            write(List::new(out));
        });
    }

    fn detail(&mut self, choice: u32, text: Option<&str>, token: &str, out: &mut Vec<u8>) {
        let state = self.state(choice);
        let index = state.details;
        state.details += 1;
        self.list(choice, "reasoning_details", out, |mut list| {
            reasoning::detail(&mut list, index, text, Some(token));
        });
    }

    fn logprobs(&mut self, choice: u32, tokens: &[crate::chat::TokenLogprob], out: &mut Vec<u8>) {
        self.begin("");
        self.role(choice, out);
        self.open(choice, out);
        out.extend_from_slice(br#"},"logprobs":"#);
        answer::logprobs(Object::new(out), tokens);
        out.extend_from_slice(b",\"finish_reason\":null}]}\n\n");
    }

    fn part(&mut self, choice: u32, part: &Part, out: &mut Vec<u8>) {
        match &part.content {
            Content::Text { text, .. } => self.text(choice, "content", text, out),
            Content::Image { source, .. } => {
                if let Some(url) = source.to_url() {
                    self.list(choice, "images", out, |mut list| {
                        answer::image(list.object(), &url);
                    });
                }
            }
            Content::Audio {
                source: Source::Base64 { data, .. },
                transcript,
            } => self.chunk(choice, out, |out| {
                name(out, "audio");
                answer::audio(Object::new(out), data, transcript.as_deref());
            }),
            // Answers have no other parts that come whole.
            Content::Audio { .. }
            | Content::Document { .. }
            | Content::Video { .. }
            | Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Reasoning { .. }
            | Content::RedactedReasoning { .. }
            | Content::Native { .. }
            | Content::Refusal(_) => {}
        }
    }

    fn stop(&mut self, choice: u32, stop: &crate::chat::Stop, out: &mut Vec<u8>) {
        let state = self.state(choice);
        if std::mem::replace(&mut state.has_stop, true) {
            return;
        }
        let reason = answer::finish_reason(stop, state.has_calls);
        self.begin("");
        self.role(choice, out);
        self.open(choice, out);
        out.extend_from_slice(br#"},"logprobs":null,"finish_reason":""#);
        out.extend_from_slice(reason.as_bytes());
        out.extend_from_slice(b"\"}]}\n\n");
    }
}

impl Encoder for Chunks {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                self.begin(id);
                self.role(0, out);
            }
            Event::Delta { choice, delta } => self.delta(*choice, delta, out),
            Event::Stop { choice, stop } => self.stop(*choice, stop, out),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Error(_) | Event::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.begin("");
        if let Some(usage) = self.usage.filter(|_| self.view.request.include_usage) {
            out.extend_from_slice(&self.head);
            out.extend_from_slice(br#","choices":[],"usage":"#);
            answer::usage(Object::new(out), &usage);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        error::body(error, out);
        out.extend_from_slice(b"\n\n");
    }
}

/// Ends a chunk without a finish reason.
fn close(out: &mut Vec<u8>) {
    out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":null}]}\n\n");
}

fn number(out: &mut Vec<u8>, number: u32) {
    if number < 10 {
        out.push(b'0'.wrapping_add(u8::try_from(number).unwrap_or(0)));
    } else {
        out.extend_from_slice(number.to_string().as_bytes());
    }
}

fn name(out: &mut Vec<u8>, key: &str) {
    out.push(b'"');
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":");
}

/// A member of an object that is open; it must be its first.
fn member(out: &mut Vec<u8>, key: &'static str, text: &str) {
    name(out, key);
    crate::json::text(out, text);
}

/// `"tool_calls": [{"index", …}]`.
fn calls(out: &mut Vec<u8>, index: u32, write: impl FnOnce(&mut Object<'_>)) {
    name(out, "tool_calls");
    let mut list = List::new(out);
    let mut call = list.object();
    call.count("index", index.into());
    write(&mut call);
}
