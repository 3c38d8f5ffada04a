//! Writing messages.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion>

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{insert, note};
use crate::{
    calls::is_made,
    chat::{Content, Message, Part, Role, Source, TranslateError, refuse, refuse_native},
};

/// Writes messages one after another.
#[derive(Debug, Default)]
pub(super) struct MessageWriter<'a> {
    /// Names of called functions by the calls' ids.
    names: BTreeMap<&'a str, &'a str>,
    /// The messages so far.
    pub(super) messages: Vec<Value>,
    /// What was left out, one sentence each.
    pub(super) notes: Vec<String>,
}

/// A message that is being written.
#[derive(Debug, Default)]
struct Draft {
    texts: Vec<String>,
    images: Vec<Value>,
    thoughts: String,
    calls: Vec<Value>,
}

impl<'a> MessageWriter<'a> {
    pub(super) fn write(&mut self, message: &'a Message, index: usize) -> Result<(), TranslateError> {
        if message.name.is_some() {
            note(
                &mut self.notes,
                "names of participants were left out: Ollama takes none",
            );
        }
        if message.parts.iter().any(|part| part.cache.is_some()) {
            note(
                &mut self.notes,
                "cache marks were left out: Ollama keeps prefixes by itself",
            );
        }
        let mut draft = Draft::default();
        for (at, part) in message.parts.iter().enumerate() {
            let param = format!("messages[{index}].content[{at}]");
            if let Content::ToolResult {
                id,
                name,
                content,
                is_error,
            } = &part.content
            {
                self.push(std::mem::take(&mut draft), message.role);
                if *is_error {
                    note(
                        &mut self.notes,
                        "that a tool failed stands in its result only: Ollama has no mark for it",
                    );
                }
                self.result(id, name.as_deref(), content, &param)?;
            } else {
                self.part(part, &mut draft, &param)?;
            }
        }
        self.push(draft, message.role);
        Ok(())
    }

    fn part(&mut self, part: &'a Part, draft: &mut Draft, param: &str) -> Result<(), TranslateError> {
        match &part.content {
            Content::Text { text, .. }
            | Content::Refusal(text)
            | Content::Document {
                source: Source::Text(text),
                ..
            } => draft.texts.push(text.clone()),
            Content::Image { source, .. } => draft.images.push(image(source, param)?),
            Content::Document { .. } => {
                return refuse(param, "must be plain text: Ollama reads no documents");
            }
            Content::Audio { .. } => {
                return refuse(param, "must not be sound: Ollama takes texts and images");
            }
            Content::Video { .. } => {
                return refuse(param, "must not be video: Ollama takes texts and images");
            }
            Content::Reasoning { text, .. } => draft.thoughts.push_str(text),
            Content::RedactedReasoning { .. } => {
                note(
                    &mut self.notes,
                    "redacted reasoning of another provider was left out",
                );
            }
            Content::ToolCall {
                id, name, arguments, ..
            } => {
                self.names.insert(id, name);
                let call = self.call(id, name, arguments, draft.calls.len());
                draft.calls.push(call);
            }
            Content::Native { .. } => return refuse_native(param, "Ollama"),
            Content::ToolResult { .. } => {}
        }
        Ok(())
    }

    fn call(&mut self, id: &str, name: &str, arguments: &str, index: usize) -> Value {
        let arguments = match serde_json::from_str::<Value>(arguments) {
            Ok(object @ Value::Object(_)) => object,
            _ if arguments.trim().is_empty() => json!({}),
            _ => {
                note(
                    &mut self.notes,
                    "arguments that are no JSON object were sent as the field `arguments` of one",
                );
                json!({ "arguments": arguments })
            }
        };
        let mut call = json!({"function": {"index": index, "name": name, "arguments": arguments}});
        if !is_made(id) {
            insert(&mut call, "id", id.into());
        }
        call
    }

    fn result(
        &mut self,
        id: &str,
        name: Option<&str>,
        content: &'a [Part],
        param: &str,
    ) -> Result<(), TranslateError> {
        let mut draft = Draft::default();
        for part in content {
            self.part(part, &mut draft, param)?;
        }
        let mut message = json!({"role": "tool", "content": draft.texts.join("\n")});
        if let Some(name) = name.or_else(|| self.names.get(id).copied()) {
            insert(&mut message, "tool_name", name.into());
        }
        if !is_made(id) {
            insert(&mut message, "tool_call_id", id.into());
        }
        if !draft.images.is_empty() {
            insert(&mut message, "images", draft.images.into());
        }
        self.messages.push(message);
        Ok(())
    }

    fn push(&mut self, draft: Draft, role: Role) {
        if draft.is_empty() {
            return;
        }
        let (role, between) = match role {
            Role::System | Role::Developer => ("system", "\n"),
            Role::User | Role::Tool => ("user", "\n"),
            // What a model says may be cut into parts anywhere.
            Role::Assistant => ("assistant", ""),
        };
        let mut message = json!({"role": role, "content": draft.texts.join(between)});
        if !draft.thoughts.is_empty() {
            insert(&mut message, "thinking", draft.thoughts.into());
        }
        if !draft.images.is_empty() {
            insert(&mut message, "images", draft.images.into());
        }
        if !draft.calls.is_empty() {
            insert(&mut message, "tool_calls", draft.calls.into());
        }
        self.messages.push(message);
    }
}

impl Draft {
    fn is_empty(&self) -> bool {
        self.texts.is_empty() && self.images.is_empty() && self.thoughts.is_empty() && self.calls.is_empty()
    }
}

fn image(source: &Source, param: &str) -> Result<Value, TranslateError> {
    match source {
        Source::Base64 { data, .. } => Ok(data.as_str().into()),
        Source::Url { .. } | Source::File { .. } | Source::Text(_) => refuse(
            param,
            "must be in the request itself, as base64: Ollama fetches no images",
        ),
    }
}
