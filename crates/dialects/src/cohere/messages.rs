//! Messages: texts and images of the user, texts, thinking and tool calls of the assistant, results of tools.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::NAME;
use crate::chat::{Content, Message, Part, Request, Role, Source, TranslateError, refuse};

/// A conversation in Cohere's form.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    pub(super) messages: Vec<Value>,
    /// Texts that the user attached, for the request's `documents`.
    pub(super) documents: Vec<Value>,
}

/// Writes the messages.
pub(super) fn write(request: &Request, notes: &mut Vec<String>) -> Result<Conversation, TranslateError> {
    let mut writer = Writer {
        notes,
        system: Vec::new(),
        out: Conversation::default(),
        noted: BTreeSet::new(),
    };
    for (index, message) in request.messages.iter().enumerate() {
        writer.message(&format!("messages[{index}]"), message)?;
    }
    let Writer { system, mut out, .. } = writer;
    if out.messages.is_empty() {
        return refuse(
            "messages",
            "must have at least one message that is not a system prompt",
        );
    }
    if !system.is_empty() {
        let system = json!({"role": "system", "content": system.join("\n\n")});
        out.messages.insert(0, system);
    }
    Ok(out)
}

struct Writer<'a> {
    notes: &'a mut Vec<String>,
    system: Vec<String>,
    out: Conversation,
    /// Notes that are made once a request.
    noted: BTreeSet<&'static str>,
}

/// What an assistant said, sorted.
#[derive(Default)]
struct Said<'a> {
    thoughts: Vec<&'a str>,
    texts: Vec<Value>,
    calls: Vec<Value>,
}

impl Writer<'_> {
    fn note_once(&mut self, note: &'static str) {
        if self.noted.insert(note) {
            self.notes.push(note.to_owned());
        }
    }

    fn message(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        if message.name.is_some() {
            self.notes
                .push(format!("{param}.name was left out: {NAME} names no participants"));
        }
        if message.parts.iter().any(|part| part.cache.is_some()) {
            self.note_once("marks of what to cache were left out: Cohere caches by itself");
        }
        match message.role {
            Role::System | Role::Developer => self.system(param, message),
            Role::User | Role::Tool => self.user(param, message),
            Role::Assistant => self.assistant(param, message),
        }
    }

    fn system(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        if !self.out.messages.is_empty() {
            self.note_once(
                "system messages inside the conversation were moved to its start, as Cohere wants it",
            );
        }
        for part in &message.parts {
            match part.as_text() {
                Some("") => {}
                Some(text) => self.system.push(text.to_owned()),
                None => return refuse(format!("{param}.content"), "must have texts only"),
            }
        }
        Ok(())
    }

    /// Results of tools are messages of their own, before what the user says.
    fn user(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        let mut blocks = Vec::new();
        let before = self.out.documents.len() + self.out.messages.len();
        for (index, part) in message.parts.iter().enumerate() {
            let param = format!("{param}.content[{index}]");
            match &part.content {
                Content::ToolResult {
                    id,
                    name: _,
                    content,
                    is_error,
                } => self.result(&param, id, content, *is_error)?,
                content => blocks.extend(self.user_part(&param, content)?),
            }
        }
        if !blocks.is_empty() {
            let message = json!({"role": "user", "content": content(blocks)});
            self.out.messages.push(message);
        } else if before == self.out.documents.len() + self.out.messages.len() {
            self.notes.push(format!("{param} was left out: it is empty"));
        }
        Ok(())
    }

    fn user_part(&mut self, param: &str, content: &Content) -> Result<Option<Value>, TranslateError> {
        match content {
            Content::Text { text, .. } | Content::Refusal(text) => Ok(text_block(text)),
            Content::Image { source, detail } => {
                let Some(url) = source.to_url() else {
                    return refuse(param, format!("{NAME} takes images by address or as data"));
                };
                let mut image = Map::new();
                image.insert("url".to_owned(), url.into());
                if let Some(detail) = detail {
                    image.insert("detail".to_owned(), detail.as_str().into());
                }
                Ok(Some(json!({"type": "image_url", "image_url": image})))
            }
            Content::Document {
                source: Source::Text(text),
                name,
                context,
                cite: _,
            } => {
                self.document(text, name.as_deref(), context.as_deref());
                Ok(None)
            }
            Content::Document { .. } => refuse(param, format!("{NAME} takes documents as plain text only")),
            Content::Audio { .. } | Content::Video { .. } => {
                refuse(param, format!("{NAME} takes neither sound nor videos"))
            }
            Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Reasoning { .. }
            | Content::RedactedReasoning { .. }
            | Content::Native { .. } => refuse(param, "has no place in a message of the user"),
        }
    }

    fn document(&mut self, text: &str, name: Option<&str>, context: Option<&str>) {
        self.note_once("documents of messages were moved to the request's documents, as Cohere wants it");
        let mut data = Map::new();
        for (key, value) in [("title", name), ("context", context), ("snippet", Some(text))] {
            if let Some(value) = value {
                data.insert(key.to_owned(), value.into());
            }
        }
        let id = format!("doc_{}", self.out.documents.len());
        self.out.documents.push(json!({"id": id, "data": data}));
    }

    fn result(
        &mut self,
        param: &str,
        id: &str,
        parts: &[Part],
        is_error: bool,
    ) -> Result<(), TranslateError> {
        if is_error {
            self.note_once("that a tool failed was left out: Cohere is told so by the result only");
        }
        let mut blocks = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            match &part.content {
                Content::Text { text, .. }
                | Content::Document {
                    source: Source::Text(text),
                    ..
                } => blocks.extend(text_block(text)),
                _ => {
                    return refuse(
                        format!("{param}.content[{index}]"),
                        format!("{NAME} takes texts as results of tools only"),
                    );
                }
            }
        }
        let message = json!({"role": "tool", "tool_call_id": id, "content": content(blocks)});
        self.out.messages.push(message);
        Ok(())
    }

    fn assistant(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        let mut said = Said::default();
        for (index, part) in message.parts.iter().enumerate() {
            if !self.assistant_part(&part.content, &mut said) {
                return refuse(
                    format!("{param}.content[{index}]"),
                    format!("{NAME} takes texts, thinking and tool calls of the assistant only"),
                );
            }
        }
        match said.message() {
            Some(message) => self.out.messages.push(message),
            None => self.notes.push(format!("{param} was left out: it is empty")),
        }
        Ok(())
    }

    /// Sorts a part; false when it has no place.
    fn assistant_part<'a>(&mut self, content: &'a Content, said: &mut Said<'a>) -> bool {
        match content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    self.note_once(
                        "sources of earlier answers were left out: they are no part of what was said",
                    );
                }
                said.texts.extend(text_block(text));
            }
            Content::Refusal(text) => said.texts.extend(text_block(text)),
            Content::Reasoning { text, signature } => {
                if signature.is_some() {
                    self.note_once("signatures of reasoning were left out: they are another vendor's");
                }
                said.thoughts
                    .extend(Some(text.as_str()).filter(|text| !text.is_empty()));
            }
            Content::RedactedReasoning { .. } => {
                self.note_once("redacted reasoning was left out: it is another vendor's");
            }
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                if signature.is_some() {
                    self.note_once("signatures of tool calls were left out: they are another vendor's");
                }
                let arguments = if arguments.is_empty() { "{}" } else { arguments };
                let function = json!({"name": name, "arguments": arguments});
                said.calls
                    .push(json!({"id": id, "type": "function", "function": function}));
            }
            Content::Audio {
                transcript: Some(transcript),
                ..
            } => {
                self.note_once("sound of earlier answers was left out: its transcript is there");
                said.texts.extend(text_block(transcript));
            }
            Content::Image { .. }
            | Content::Document { .. }
            | Content::Audio { .. }
            | Content::Video { .. }
            | Content::ToolResult { .. }
            | Content::Native { .. } => return false,
        }
        true
    }
}

impl Said<'_> {
    /// Reasoning before tool calls is Cohere's `tool_plan`, elsewhere `thinking`.
    fn message(self) -> Option<Value> {
        let mut out = Map::new();
        out.insert("role".to_owned(), "assistant".into());
        let mut blocks = Vec::new();
        if !self.thoughts.is_empty() {
            let thoughts = self.thoughts.join("\n\n");
            if self.calls.is_empty() {
                blocks.push(json!({"type": "thinking", "thinking": thoughts}));
            } else {
                out.insert("tool_plan".to_owned(), thoughts.into());
            }
        }
        blocks.extend(self.texts);
        if blocks.is_empty() && self.calls.is_empty() {
            return None;
        }
        if !blocks.is_empty() {
            out.insert("content".to_owned(), content(blocks));
        }
        if !self.calls.is_empty() {
            out.insert("tool_calls".to_owned(), Value::Array(self.calls));
        }
        Some(Value::Object(out))
    }
}

fn text_block(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

/// One text is sent as it is.
fn content(mut blocks: Vec<Value>) -> Value {
    let is_text = |block: &Value| block.get("type").is_some_and(|kind| kind == "text");
    match blocks.as_mut_slice() {
        [] => Value::String(String::new()),
        [one] if is_text(one) => one.get_mut("text").map(Value::take).unwrap_or_default(),
        _ => Value::Array(blocks),
    }
}
