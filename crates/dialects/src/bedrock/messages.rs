//! Messages: alternating turns of content blocks, after `Message` and `ContentBlock` of the API reference.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    NAME,
    media::{self, Kind},
    model::Family,
};
use crate::chat::{Cache, Content, Message, Part, Request, Role, Source, TranslateError, Vendor, refuse};

/// A conversation in Converse's form.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// System prompts.
    pub(super) system: Vec<Value>,
    /// Turns of `user` and `assistant`, alternating.
    pub(super) messages: Vec<Value>,
    /// Names of the tools that were called, in order, without repetition.
    pub(super) called: Vec<String>,
}

/// Writes the messages.
pub(super) fn write(
    request: &Request,
    family: Family,
    notes: &mut Vec<String>,
) -> Result<Conversation, TranslateError> {
    let mut writer = Writer {
        family,
        notes,
        out: Conversation::default(),
        turns: Vec::new(),
        names: BTreeSet::new(),
        noted: BTreeSet::new(),
    };
    for (index, message) in request.messages.iter().enumerate() {
        writer.message(&format!("messages[{index}]"), message)?;
    }
    writer.finish()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    User,
    Assistant,
}

struct Turn {
    side: Side,
    /// Results of tools, which come first.
    results: Vec<Value>,
    rest: Vec<Value>,
}

struct Writer<'a> {
    family: Family,
    notes: &'a mut Vec<String>,
    out: Conversation,
    turns: Vec<Turn>,
    /// Names of documents, which must differ.
    names: BTreeSet<String>,
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
        match message.role {
            Role::System | Role::Developer => self.system(param, message),
            Role::User | Role::Tool => self.turn(param, Side::User, message),
            Role::Assistant => self.turn(param, Side::Assistant, message),
        }
    }

    fn system(&mut self, param: &str, message: &Message) -> Result<(), TranslateError> {
        if !self.turns.is_empty() {
            self.note_once(
                "system messages inside the conversation were moved to its start, as Bedrock wants it",
            );
        }
        for part in &message.parts {
            let Some(text) = part.as_text() else {
                return refuse(format!("{param}.content"), "must have texts only");
            };
            if !text.trim().is_empty() {
                self.out.system.push(json!({"text": text}));
            }
            let mark = part.cache.as_ref().map(|cache| cache_point(cache, self.notes));
            self.out.system.extend(mark);
        }
        Ok(())
    }

    fn turn(&mut self, param: &str, side: Side, message: &Message) -> Result<(), TranslateError> {
        let (mut results, mut rest) = (Vec::new(), Vec::new());
        for (index, part) in message.parts.iter().enumerate() {
            let param = format!("{param}.content[{index}]");
            let block = match side {
                Side::User => self.user_part(&param, part)?,
                Side::Assistant => self.assistant_part(&param, part)?,
            };
            let into = match part.content {
                Content::ToolResult { .. } => &mut results,
                _ => &mut rest,
            };
            into.extend(block);
            if let Some(cache) = part.cache.as_ref().filter(|_| !into.is_empty()) {
                into.push(cache_point(cache, self.notes));
            }
        }
        if results.is_empty() && rest.is_empty() {
            self.notes.push(format!("{param} was left out: it is empty"));
            return Ok(());
        }
        match self.turns.last_mut() {
            Some(last) if last.side == side => {
                last.results.extend(results);
                last.rest.extend(rest);
            }
            _ => self.turns.push(Turn { side, results, rest }),
        }
        Ok(())
    }

    fn user_part(&mut self, param: &str, part: &Part) -> Result<Option<Value>, TranslateError> {
        match &part.content {
            Content::ToolResult {
                id,
                name: _,
                content,
                is_error,
            } => self.result(param, id, content, *is_error).map(Some),
            Content::ToolCall { .. } | Content::Reasoning { .. } | Content::RedactedReasoning { .. } => {
                refuse(param, "only the assistant calls tools and reasons")
            }
            _ => self.content(param, &part.content),
        }
    }

    /// What the user and results of tools may hold.
    fn content(&mut self, param: &str, content: &Content) -> Result<Option<Value>, TranslateError> {
        let block = match content {
            Content::Text { text, .. } | Content::Refusal(text) => return Ok(text_block(text)),
            Content::Image { source, detail } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.note_once("the detail of images was left out: Bedrock's Converse API has none");
                }
                media(param, Kind::Image, source)?
            }
            Content::Document { .. } => self.document(param, content)?,
            Content::Audio { source, .. } => media(param, Kind::Audio, source)?,
            Content::Video { source } => media(param, Kind::Video, source)?,
            Content::ToolCall { .. }
            | Content::ToolResult { .. }
            | Content::Reasoning { .. }
            | Content::RedactedReasoning { .. }
            | Content::Native { .. } => return refuse(param, "has no place here"),
        };
        Ok(Some(block))
    }

    fn document(&mut self, param: &str, content: &Content) -> Result<Value, TranslateError> {
        let Content::Document {
            source,
            name,
            context,
            cite,
        } = content
        else {
            return refuse(param, "is no document");
        };
        let (format, source) = media::source(param, Kind::Document, source, name.as_deref())?;
        let plain = media::document_name(name.as_deref().unwrap_or("document"));
        let mut unique = plain.clone();
        let mut count = 1;
        while !self.names.insert(unique.clone()) {
            count += 1;
            unique = format!("{plain} {count}");
        }
        if name.as_deref().is_some_and(|name| name != unique) {
            self.notes.push(format!(
                "the name of {param} became {unique:?}: Bedrock takes few characters in names of documents, and each once"
            ));
        }
        let mut block = Map::new();
        block.insert("format".to_owned(), format.into());
        block.insert("name".to_owned(), unique.into());
        block.insert("source".to_owned(), source);
        if let Some(context) = context {
            block.insert("context".to_owned(), context.as_str().into());
        }
        if *cite {
            block.insert("citations".to_owned(), json!({"enabled": true}));
        }
        Ok(json!({"document": block}))
    }

    fn result(
        &mut self,
        param: &str,
        id: &str,
        content: &[Part],
        is_error: bool,
    ) -> Result<Value, TranslateError> {
        let mut blocks = Vec::new();
        for (index, part) in content.iter().enumerate() {
            let param = format!("{param}.content[{index}]");
            if matches!(part.content, Content::Audio { .. }) {
                return refuse(param, format!("{NAME} takes no sound in results of tools"));
            }
            blocks.extend(self.content(&param, &part.content)?);
        }
        let mut result = Map::new();
        result.insert("toolUseId".to_owned(), tool_id(id).into());
        result.insert("content".to_owned(), Value::Array(blocks));
        if is_error {
            if self.family.takes_result_status() {
                result.insert("status".to_owned(), "error".into());
            } else {
                self.note_once(
                    "that a tool failed was left out: on Bedrock only Claude and Nova are told; its result says it",
                );
            }
        }
        Ok(json!({"toolResult": result}))
    }

    fn assistant_part(&mut self, param: &str, part: &Part) -> Result<Option<Value>, TranslateError> {
        match &part.content {
            Content::Text { text, citations } => {
                if !citations.is_empty() {
                    self.note_once(
                        "sources of earlier answers were left out: they are no part of what was said",
                    );
                }
                Ok(text_block(text))
            }
            Content::Refusal(text) => Ok(text_block(text)),
            Content::ToolCall {
                id,
                name,
                arguments,
                signature,
            } => {
                if signature.is_some() {
                    self.note_once("signatures of tool calls were left out: they are another vendor's");
                }
                self.call(param, id, name, arguments).map(Some)
            }
            Content::Reasoning { text, signature } => Ok(self.reasoning(text, signature.as_deref())),
            Content::RedactedReasoning { data } => Ok(self.redacted(data)),
            Content::Audio {
                transcript: Some(transcript),
                ..
            } => {
                self.note_once("sound of earlier answers was left out: its transcript is there");
                Ok(text_block(transcript))
            }
            Content::Image { .. }
            | Content::Document { .. }
            | Content::Audio { .. }
            | Content::Video { .. }
            | Content::ToolResult { .. }
            | Content::Native { .. } => refuse(
                param,
                format!("{NAME} takes texts, reasoning and tool calls of the assistant only"),
            ),
        }
    }

    fn call(&mut self, param: &str, id: &str, name: &str, arguments: &str) -> Result<Value, TranslateError> {
        let input = if arguments.trim().is_empty() {
            Some(Value::Object(Map::new()))
        } else {
            serde_json::from_str(arguments).ok().filter(Value::is_object)
        };
        let Some(input) = input else {
            return refuse(
                format!("{param}.arguments"),
                format!("must be a JSON object as text: {NAME} takes no other arguments"),
            );
        };
        if !self.out.called.iter().any(|known| known == name) {
            self.out.called.push(name.to_owned());
        }
        Ok(json!({"toolUse": {"toolUseId": tool_id(id), "name": name, "input": input}}))
    }

    /// Claude takes reasoning back with its own signature only; other models take none back.
    fn reasoning(&mut self, text: &str, signature: Option<&str>) -> Option<Value> {
        let own = signature.and_then(|signature| Vendor::Anthropic.own(signature));
        let own = own.filter(|_| self.family.is_claude());
        if own.is_none() {
            self.foreign_reasoning();
        }
        own.map(|signature| json!({"reasoningContent": {"reasoningText": {"text": text, "signature": signature}}}))
    }

    fn redacted(&mut self, data: &str) -> Option<Value> {
        let own = Vendor::Anthropic.own(data).filter(|_| self.family.is_claude());
        if own.is_none() {
            self.foreign_reasoning();
        }
        own.map(|data| json!({"reasoningContent": {"redactedContent": data}}))
    }

    fn foreign_reasoning(&mut self) {
        self.note_once(
            "earlier reasoning was left out: on Bedrock only Claude takes it back, with its own signature",
        );
    }

    fn finish(mut self) -> Result<Conversation, TranslateError> {
        if self.turns.is_empty() {
            return refuse(
                "messages",
                "must have at least one message that is not a system prompt",
            );
        }
        if let Some(last) = self.turns.last_mut()
            && last.side == Side::Assistant
            && let Some(Value::String(text)) = last.rest.last_mut().and_then(|block| block.get_mut("text"))
        {
            // The answer continues this text, which Claude refuses to end in white space.
            text.truncate(text.trim_end().len());
        }
        self.out.messages = self
            .turns
            .into_iter()
            .map(|turn| {
                let mut content = turn.results;
                content.extend(turn.rest);
                let role = if turn.side == Side::User {
                    "user"
                } else {
                    "assistant"
                };
                json!({"role": role, "content": content})
            })
            .collect();
        Ok(self.out)
    }
}

fn media(param: &str, kind: Kind, source: &Source) -> Result<Value, TranslateError> {
    let (format, source) = media::source(param, kind, source, None)?;
    let name = match kind {
        Kind::Image => "image",
        Kind::Document => "document",
        Kind::Audio => "audio",
        Kind::Video => "video",
    };
    Ok(json!({name: {"format": format, "source": source}}))
}

/// Converse refuses texts of white space.
fn text_block(text: &str) -> Option<Value> {
    (!text.trim().is_empty()).then(|| json!({"text": text}))
}

/// A mark after the block that should be cached; Converse knows `5m` and `1h`.
pub(super) fn cache_point(cache: &Cache, notes: &mut Vec<String>) -> Value {
    match cache.ttl.as_deref() {
        None => json!({"cachePoint": {"type": "default"}}),
        Some(ttl @ ("5m" | "1h")) => json!({"cachePoint": {"type": "default", "ttl": ttl}}),
        Some(other) => {
            notes.push(format!(
                "the time to live {other} of a cache mark was left out: Bedrock knows 5m and 1h"
            ));
            json!({"cachePoint": {"type": "default"}})
        }
    }
}

/// Ids are up to 64 of `[a-zA-Z0-9_.:-]`. Other characters become `_`; longer ones keep their beginning and get a hash,
/// so that calls and results still meet.
fn tool_id(id: &str) -> String {
    let plain: String = id
        .chars()
        .map(|character| match character {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' | '.' | ':' | '-' => character,
            _ => '_',
        })
        .collect();
    match plain.len() {
        0 => "_".to_owned(),
        1..=64 => plain,
        _ => {
            let hash: [u8; 32] = Sha256::digest(id.as_bytes()).into();
            let hash: Vec<String> = hash.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
            format!("{}-{}", plain.get(..47).unwrap_or_default(), hash.concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::tool_id;

    #[test]
    fn ids_of_calls_become_what_converse_takes_and_stay_different() {
        assert_eq!(tool_id("tooluse_a.b:c-1"), "tooluse_a.b:c-1");
        assert_eq!(tool_id("call/ü 1"), "call___1");
        let (one, two) = ("x".repeat(70), format!("{}y", "x".repeat(69)));
        assert_eq!(tool_id(&one).len(), 64);
        assert_ne!(tool_id(&one), tool_id(&two));
    }
}
