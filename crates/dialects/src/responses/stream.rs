//! Writing streams of events ("Streaming events").

use std::collections::BTreeMap;

use super::{
    answer::{Response, Status, response_id},
    items::{self, Item},
};
use crate::{
    Usage,
    chat::{Citation, Content, Delta, Encoder, ErrorBody, Event, Part, Source, Stop, TokenLogprob, View},
    json::Object,
};

/// What of the item that is being made was announced.
#[derive(Debug, Clone, Copy, Default)]
struct Open {
    item: bool,
    /// A message's text, or a reasoning's summary.
    text: bool,
    refusal: bool,
}

/// Writes one stream.
pub(super) struct Events {
    view: View,
    /// The response's id.
    id: String,
    has_start: bool,
    /// Events so far.
    sequence: u64,
    items: Vec<Item>,
    /// Of the last item.
    open: Open,
    /// The item of each tool call.
    calls: BTreeMap<u32, usize>,
    stop: Option<Stop>,
    usage: Option<Usage>,
}

impl Events {
    pub(super) fn new(view: View) -> Self {
        Self {
            view,
            id: String::new(),
            has_start: false,
            sequence: 0,
            items: Vec::new(),
            open: Open::default(),
            calls: BTreeMap::new(),
            stop: None,
            usage: None,
        }
    }

    /// Writes an event: its name, and an object with the name as its `type` and its number.
    fn event(&mut self, out: &mut Vec<u8>, name: &'static str, write: impl FnOnce(&Self, &mut Object<'_>)) {
        out.extend_from_slice(b"event: ");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\ndata: ");
        let mut root = Object::new(out);
        root.text("type", name).count("sequence_number", self.sequence);
        write(self, &mut root);
        drop(root);
        out.extend_from_slice(b"\n\n");
        self.sequence += 1;
    }

    /// Writes an event with the whole response.
    fn response(&mut self, out: &mut Vec<u8>, name: &'static str, status: Status<'_>) {
        self.event(out, name, |this, root| {
            let response = Response {
                id: &this.id,
                view: &this.view,
                status,
                items: &this.items,
                usage: this.usage.filter(|_| !matches!(status, Status::InProgress)),
                service_tier: None,
            };
            response.write(root.object("response"));
        });
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.has_start, true) {
            return;
        }
        if self.id.is_empty() {
            self.id = response_id("", &self.view);
        }
        self.response(out, "response.created", Status::InProgress);
        self.response(out, "response.in_progress", Status::InProgress);
    }

    /// The place of the last item.
    fn place(&self) -> usize {
        self.items.len().saturating_sub(1)
    }

    /// Writes an event about the item at a place.
    fn about(
        &mut self,
        out: &mut Vec<u8>,
        name: &'static str,
        place: usize,
        write: impl FnOnce(&Item, &mut Object<'_>),
    ) {
        self.event(out, name, |this, root| {
            if let Some(item) = this.items.get(place) {
                root.text("item_id", &item.id(&this.id, place))
                    .value("output_index", &place);
                write(item, root);
            }
        });
    }

    fn item(&mut self, out: &mut Vec<u8>, name: &'static str, place: usize, status: &'static str) {
        self.event(out, name, |this, root| {
            root.value("output_index", &place);
            if let Some(item) = this.items.get(place) {
                items::write(root.object("item"), item, &item.id(&this.id, place), status);
            }
        });
    }

    /// Completes the last item and begins another.
    fn begin(&mut self, item: Item, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        self.items.push(item);
        self.open = Open {
            item: true,
            ..Open::default()
        };
        self.item(out, "response.output_item.added", self.place(), "in_progress");
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        let open = std::mem::take(&mut self.open);
        if !open.item {
            return;
        }
        let place = self.place();
        match self.items.last() {
            Some(Item::Message { .. }) => self.close_message(open, place, out),
            Some(Item::Reasoning { .. }) if open.text => {
                self.about(
                    out,
                    "response.reasoning_summary_text.done",
                    place,
                    |item, root| {
                        root.count("summary_index", 0).text("text", thoughts(item));
                    },
                );
                self.about(
                    out,
                    "response.reasoning_summary_part.done",
                    place,
                    |item, root| {
                        root.count("summary_index", 0);
                        summary_part(root, thoughts(item));
                    },
                );
            }
            Some(Item::Call { .. }) => {
                self.about(
                    out,
                    "response.function_call_arguments.done",
                    place,
                    |item, root| {
                        if let Item::Call { name, arguments, .. } = item {
                            root.text("name", name).text("arguments", arguments);
                        }
                    },
                );
            }
            Some(Item::Reasoning { .. } | Item::Picture(_) | Item::Native(_)) | None => {}
        }
        self.item(out, "response.output_item.done", place, "completed");
    }

    fn close_message(&mut self, open: Open, place: usize, out: &mut Vec<u8>) {
        if open.text {
            self.about(out, "response.output_text.done", place, |item, root| {
                if let Item::Message { text, logprobs, .. } = item {
                    root.count("content_index", 0).text("text", text);
                    items::log_probabilities(root.list("logprobs"), logprobs);
                }
            });
            self.about(out, "response.content_part.done", place, |item, root| {
                root.count("content_index", 0);
                items::text_part(root.object("part"), item);
            });
        }
        if open.refusal {
            self.about(out, "response.refusal.done", place, |item, root| {
                root.count("content_index", refusal_index(item))
                    .text("refusal", refusal(item));
            });
            self.about(out, "response.content_part.done", place, |item, root| {
                root.count("content_index", refusal_index(item));
                items::refusal_part(root.object("part"), refusal(item));
            });
        }
    }

    /// Makes the last item a message that is open, and announces its text.
    fn begin_text(&mut self, out: &mut Vec<u8>) {
        if !(self.open.item && matches!(self.items.last(), Some(Item::Message { .. }))) {
            self.begin(Item::message(), out);
        }
        if !std::mem::replace(&mut self.open.text, true) {
            let place = self.place();
            self.about(out, "response.content_part.added", place, |_, root| {
                root.count("content_index", 0);
                items::text_part(root.object("part"), &Item::message());
            });
        }
    }

    fn text(&mut self, given: &str, out: &mut Vec<u8>) {
        if given.is_empty() {
            return;
        }
        self.begin_text(out);
        if let Some(Item::Message { text, .. }) = self.items.last_mut() {
            text.push_str(given);
        }
        self.text_delta(given, &[], out);
    }

    /// What most of a stream consists of.
    fn text_delta(&mut self, given: &str, logprobs: &[TokenLogprob], out: &mut Vec<u8>) {
        let place = self.place();
        self.about(out, "response.output_text.delta", place, |_, root| {
            root.count("content_index", 0).text("delta", given);
            items::log_probabilities(root.list("logprobs"), logprobs);
        });
    }

    fn logprobs(&mut self, tokens: &[TokenLogprob], out: &mut Vec<u8>) {
        self.begin_text(out);
        if let Some(Item::Message { logprobs, .. }) = self.items.last_mut() {
            logprobs.extend_from_slice(tokens);
        }
        self.text_delta("", tokens, out);
    }

    fn refusal(&mut self, given: &str, out: &mut Vec<u8>) {
        if given.is_empty() {
            return;
        }
        if !(self.open.item && matches!(self.items.last(), Some(Item::Message { .. }))) {
            self.begin(Item::message(), out);
        }
        let place = self.place();
        if !std::mem::replace(&mut self.open.refusal, true) {
            self.about(out, "response.content_part.added", place, |item, root| {
                root.count("content_index", refusal_index(item));
                items::refusal_part(root.object("part"), "");
            });
        }
        if let Some(Item::Message { refusal, .. }) = self.items.last_mut() {
            refusal.push_str(given);
        }
        self.about(out, "response.refusal.delta", place, |item, root| {
            root.count("content_index", refusal_index(item))
                .text("delta", given);
        });
    }

    fn reasoning(&mut self, given: &str, out: &mut Vec<u8>) {
        if !(self.open.item && matches!(self.items.last(), Some(Item::Reasoning { .. }))) {
            self.begin(Item::reasoning(), out);
        }
        if given.is_empty() {
            return;
        }
        let place = self.place();
        if !std::mem::replace(&mut self.open.text, true) {
            self.about(out, "response.reasoning_summary_part.added", place, |_, root| {
                root.count("summary_index", 0);
                summary_part(root, "");
            });
        }
        if let Some(Item::Reasoning { text, .. }) = self.items.last_mut() {
            text.push_str(given);
        }
        self.about(out, "response.reasoning_summary_text.delta", place, |_, root| {
            root.count("summary_index", 0).text("delta", given);
        });
    }

    /// A token ends its reasoning.
    fn token(&mut self, given: String, out: &mut Vec<u8>) {
        self.reasoning("", out);
        if let Some(Item::Reasoning { token, .. }) = self.items.last_mut() {
            *token = Some(given);
        }
        self.close(out);
    }

    fn arguments(&mut self, index: u32, given: &str, out: &mut Vec<u8>) {
        let Some(place) = self.calls.get(&index).copied().filter(|_| !given.is_empty()) else {
            return;
        };
        if let Some(Item::Call { arguments, .. }) = self.items.get_mut(place) {
            arguments.push_str(given);
        }
        self.about(out, "response.function_call_arguments.delta", place, |_, root| {
            root.text("delta", given);
        });
    }

    fn citation(&mut self, citation: &Citation, out: &mut Vec<u8>) {
        self.begin_text(out);
        let mut index = 0;
        if let Some(Item::Message { citations, .. }) = self.items.last_mut() {
            index = citations.len();
            citations.push(citation.clone());
        }
        let place = self.place();
        self.about(out, "response.output_text.annotation.added", place, |_, root| {
            root.count("content_index", 0).value("annotation_index", &index);
            items::annotation(root.object("annotation"), citation);
        });
    }

    fn part(&mut self, part: &Part, out: &mut Vec<u8>) {
        match &part.content {
            Content::Text { text, .. } => self.text(text, out),
            Content::Image {
                source: Source::Base64 { data, .. },
                ..
            } => {
                self.begin(Item::Picture(data.clone()), out);
                self.close(out);
            }
            Content::Native { item, .. } => {
                self.begin(Item::Native(item.clone()), out);
                self.close(out);
            }
            content => self.text(&items::words(content), out),
        }
    }

    fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Text(text) => self.text(text, out),
            Delta::Reasoning(text) if text.is_empty() => {}
            Delta::Reasoning(text) => self.reasoning(text, out),
            Delta::Signature(signature) => self.token(items::token(signature), out),
            Delta::Redacted(data) => {
                self.begin(Item::reasoning(), out);
                self.token(items::redacted(data), out);
            }
            Delta::Refusal(text) => self.refusal(text, out),
            Delta::ToolCall {
                index,
                id,
                name,
                signature,
            } => {
                let call = Item::Call {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                    signature: signature.clone(),
                };
                self.begin(call, out);
                self.calls.insert(*index, self.place());
            }
            Delta::Arguments { index, text } => self.arguments(*index, text, out),
            Delta::Citation(citation) => self.citation(citation, out),
            Delta::Logprobs(tokens) => self.logprobs(tokens, out),
            Delta::Part(part) => self.part(part, out),
        }
    }
}

impl Encoder for Events {
    fn event(&mut self, event: &Event, out: &mut Vec<u8>) {
        match event {
            Event::Start { id, .. } => {
                if !self.has_start {
                    self.id = response_id(id, &self.view);
                    self.start(out);
                }
            }
            // Nobody can ask for several answers in this dialect.
            Event::Delta { choice: 0, delta } => self.delta(delta, out),
            Event::Stop { choice: 0, stop } => self.stop = Some(stop.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Delta { .. } | Event::Stop { .. } | Event::Error(_) | Event::End => {}
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        self.start(out);
        self.close(out);
        let stop = self.stop.take();
        let status = Status::Over(stop.as_ref());
        let name = match status.word() {
            "incomplete" => "response.incomplete",
            _ => "response.completed",
        };
        self.response(out, name, status);
    }

    fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>) {
        self.start(out);
        self.response(out, "response.failed", Status::Failed(error));
    }
}

fn thoughts(item: &Item) -> &str {
    match item {
        Item::Reasoning { text, .. } => text,
        Item::Message { .. } | Item::Call { .. } | Item::Picture(_) | Item::Native(_) => "",
    }
}

fn refusal(item: &Item) -> &str {
    match item {
        Item::Message { refusal, .. } => refusal,
        Item::Reasoning { .. } | Item::Call { .. } | Item::Picture(_) | Item::Native(_) => "",
    }
}

/// A refusal comes after the text, when there is one.
fn refusal_index(item: &Item) -> u64 {
    match item {
        Item::Message { text, .. } if !text.is_empty() => 1,
        _ => 0,
    }
}

fn summary_part(root: &mut Object<'_>, text: &str) {
    root.object("part")
        .text("type", "summary_text")
        .text("text", text);
}
