//! Messages: texts, or lists of chunks.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::NAME;
use crate::chat::{Content, Message, Part, Request, Role, Source, TranslateError, Vendor, refuse};

/// Writes the messages.
pub(super) fn write(request: &Request, notes: &mut Vec<String>) -> Result<Vec<Value>, TranslateError> {
    let mut writer = Writer {
        notes,
        system: Vec::new(),
        turns: Vec::new(),
        names: BTreeMap::new(),
        noted: BTreeSet::new(),
    };
    for (index, message) in request.messages.iter().enumerate() {
        writer.message(&format!("messages[{index}]"), message)?;
    }
    writer.finish(request)
}

struct Writer<'a> {
    notes: &'a mut Vec<String>,
    system: Vec<Value>,
    turns: Vec<Value>,
    /// Names of functions by the ids of their calls.
    names: BTreeMap<String, String>,
    /// Notes that are made once a request.
    noted: BTreeSet<&'static str>,
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
            self.note_once("marks of what to cache were left out: Mistral caches by itself");
        }
        match message.role {
            Role::System | Role::Developer => self.system(param, message),
            Role::User | Role::Tool => self.user(param, message),
            Role::Assistant => self.assistant(param, message),
        }
    }

    fn system(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        if !self.turns.is_empty() {
            self.note_once(
                "system messages inside the conversation were moved to its start, as Mistral wants it",
            );
        }
        let texts: Option<Vec<&str>> = message.parts.iter().map(Part::as_text).collect();
        let Some(texts) = texts else {
            return refuse(format!("{param}.content"), "must have texts only");
        };
        let text = texts.join("\n");
        if !text.is_empty() {
            self.system.push(json!({"role": "system", "content": text}));
        }
        Ok(())
    }

    /// Results of tools are messages of their own, before what the user says.
    fn user(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        let mut chunks = Vec::new();
        let before = self.turns.len();
        for (index, part) in message.parts.iter().enumerate() {
            let param = format!("{param}.content[{index}]");
            match &part.content {
                Content::ToolResult {
                    id,
                    name,
                    content,
                    is_error,
                } => {
                    if *is_error {
                        self.note_once(
                            "that a tool failed was left out: Mistral is told so by the result only",
                        );
                    }
                    self.result(&param, (id, name.as_deref()), content)?;
                }
                content => chunks.extend(self.chunk(&param, content)?),
            }
        }
        if !chunks.is_empty() {
            self.turns
                .push(json!({"role": "user", "content": content(chunks)}));
        } else if self.turns.len() == before {
            self.notes.push(format!("{param} was left out: it is empty"));
        }
        Ok(())
    }

    fn result(
        &mut self,
        param: &str,
        (id, name): (&str, Option<&str>),
        parts: &[Part],
    ) -> Result<(), TranslateError> {
        let mut chunks = Vec::new();
        for (index, part) in parts.iter().enumerate() {
            chunks.extend(self.chunk(&format!("{param}.content[{index}]"), &part.content)?);
        }
        let mut out = Map::new();
        out.insert("role".to_owned(), "tool".into());
        out.insert("tool_call_id".to_owned(), call_id(id).into());
        if let Some(name) = name.or_else(|| self.names.get(id).map(String::as_str)) {
            out.insert("name".to_owned(), name.into());
        }
        out.insert("content".to_owned(), content(chunks));
        self.turns.push(Value::Object(out));
        Ok(())
    }

    /// What the user and results of tools may hold.
    fn chunk(&mut self, param: &str, content: &Content) -> Result<Option<Value>, TranslateError> {
        let chunk = match content {
            Content::Text { text, .. } | Content::Refusal(text) => return Ok(text_chunk(text)),
            Content::Image { source, detail } => match (source, source.to_url()) {
                (Source::File { id }, _) => json!({"type": "file", "file_id": id}),
                (_, Some(url)) => {
                    let mut image = Map::new();
                    image.insert("url".to_owned(), url.into());
                    if let Some(detail) = detail {
                        image.insert("detail".to_owned(), detail.as_str().into());
                    }
                    json!({"type": "image_url", "image_url": image})
                }
                (_, None) => return refuse(param, format!("{NAME} takes images by address or as data")),
            },
            Content::Document {
                source,
                name,
                context,
                cite,
            } => {
                if context.is_some() || *cite {
                    self.note_once(
                        "contexts and citations of documents were left out: Mistral's API has none",
                    );
                }
                document(source, name.as_deref())
            }
            Content::Audio { source, .. } => match source {
                Source::Base64 { data, .. } => json!({"type": "input_audio", "input_audio": data}),
                Source::Url { url, .. } => json!({"type": "input_audio", "input_audio": url}),
                Source::File { .. } | Source::Text(_) => {
                    return refuse(param, format!("{NAME} takes sound by address or as data"));
                }
            },
            Content::Video { .. } => return refuse(param, format!("{NAME} takes no videos")),
            Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Reasoning { .. }
            | Content::RedactedReasoning { .. }
            | Content::Native { .. } => return refuse(param, "has no place here"),
        };
        Ok(Some(chunk))
    }

    fn assistant(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        let (mut chunks, mut calls) = (Vec::new(), Vec::new());
        for (index, part) in message.parts.iter().enumerate() {
            match &part.content {
                Content::ToolCall {
                    id,
                    name,
                    arguments,
                    signature,
                } => {
                    if signature.is_some() {
                        self.note_once("signatures of tool calls were left out: they are another vendor's");
                    }
                    self.names.insert(id.clone(), name.clone());
                    let arguments = if arguments.is_empty() { "{}" } else { arguments };
                    let function = json!({"name": name, "arguments": arguments});
                    calls.push(json!({"id": call_id(id), "type": "function", "function": function}));
                }
                content => match self.said(content) {
                    Ok(chunk) => chunks.extend(chunk),
                    Err(()) => {
                        return refuse(
                            format!("{param}.content[{index}]"),
                            format!("{NAME} takes texts, thinking and tool calls of the assistant only"),
                        );
                    }
                },
            }
        }
        if chunks.is_empty() && calls.is_empty() {
            self.notes.push(format!("{param} was left out: it is empty"));
            return Ok(());
        }
        let mut out = Map::new();
        out.insert("role".to_owned(), "assistant".into());
        out.insert("content".to_owned(), content(chunks));
        if !calls.is_empty() {
            out.insert("tool_calls".to_owned(), Value::Array(calls));
        }
        self.turns.push(Value::Object(out));
        Ok(())
    }

    /// What the assistant said or thought; an error for what has no place.
    fn said(&mut self, content: &Content) -> Result<Option<Value>, ()> {
        match content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    self.note_once(
                        "sources of earlier answers were left out: they are no part of what was said",
                    );
                }
                Ok(text_chunk(text))
            }
            Content::Refusal(text) => Ok(text_chunk(text)),
            Content::Reasoning { text, signature } => {
                let own = signature
                    .as_deref()
                    .and_then(|signature| Vendor::Mistral.own(signature));
                if signature.is_some() && own.is_none() {
                    self.note_once("signatures of reasoning were left out: they are another vendor's");
                }
                if text.is_empty() && own.is_none() {
                    return Ok(None);
                }
                let mut chunk = json!({"type": "thinking", "thinking": [{"type": "text", "text": text}]});
                if let (Value::Object(members), Some(own)) = (&mut chunk, own) {
                    members.insert("signature".to_owned(), own.into());
                }
                Ok(Some(chunk))
            }
            Content::RedactedReasoning { .. } => {
                self.note_once("redacted reasoning was left out: it is another vendor's");
                Ok(None)
            }
            Content::Audio {
                transcript: Some(transcript),
                ..
            } => {
                self.note_once("sound of earlier answers was left out: its transcript is there");
                Ok(text_chunk(transcript))
            }
            Content::Image { .. }
            | Content::Document { .. }
            | Content::Audio { .. }
            | Content::Video { .. }
            | Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Native { .. } => Err(()),
        }
    }

    /// An answer that is begun is marked as a prefix, which it would else refuse.
    fn finish(mut self, request: &Request) -> Result<Vec<Value>, TranslateError> {
        if self.turns.is_empty() {
            return refuse(
                "messages",
                "must have at least one message that is not a system prompt",
            );
        }
        let is_begun = request
            .messages
            .last()
            .is_some_and(|last| last.role == Role::Assistant);
        if let Some(Value::Object(last)) = self.turns.last_mut()
            && is_begun
            && last.get("role").is_some_and(|role| role == "assistant")
            && !last.contains_key("tool_calls")
        {
            last.insert("prefix".to_owned(), true.into());
        }
        self.system.append(&mut self.turns);
        Ok(self.system)
    }
}

fn text_chunk(text: &str) -> Option<Value> {
    (!text.is_empty()).then(|| json!({"type": "text", "text": text}))
}

fn document(source: &Source, name: Option<&str>) -> Value {
    let url = match source {
        Source::File { id } => return json!({"type": "file", "file_id": id}),
        Source::Text(text) => {
            let title = name.map(|name| format!("{name}\n\n")).unwrap_or_default();
            return json!({"type": "text", "text": format!("{title}{text}")});
        }
        Source::Base64 { .. } | Source::Url { .. } => source.to_url().unwrap_or_default(),
    };
    let mut out = json!({"type": "document_url", "document_url": url});
    if let (Value::Object(members), Some(name)) = (&mut out, name) {
        members.insert("document_name".to_owned(), name.into());
    }
    out
}

/// One text is sent as it is.
fn content(mut chunks: Vec<Value>) -> Value {
    let is_text = |chunk: &Value| chunk.get("type").is_some_and(|kind| kind == "text");
    match chunks.as_mut_slice() {
        [] => Value::String(String::new()),
        [one] if is_text(one) => one.get_mut("text").map(Value::take).unwrap_or_default(),
        _ => Value::Array(chunks),
    }
}

/// Mistral refuses ids that are not nine letters and digits. Others get one made of their hash.
fn call_id(id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    let hash: [u8; 32] = Sha256::digest(id.as_bytes()).into();
    hash.iter()
        .take(9)
        .filter_map(|byte| DIGITS.get(usize::from(*byte) % DIGITS.len()))
        .map(|digit| char::from(*digit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::call_id;

    #[test]
    fn ids_of_calls_are_nine_letters_and_digits() {
        assert_eq!(call_id("D681PevKs"), "D681PevKs");
        let made = call_id("call_abc");
        assert_eq!(made, call_id("call_abc"), "the same for a call and its result");
        assert!(made.len() == 9 && made.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_ne!(made, call_id("call_abd"));
    }
}
