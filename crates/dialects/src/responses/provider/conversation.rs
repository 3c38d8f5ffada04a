//! Writing the conversation: messages become items.

use super::NAME;
use crate::{
    chat::{Content, Message, Part, Role, Source, TranslateError, Vendor, Wire, refuse, refuse_native},
    json::{List, Object},
};

/// What is written of a conversation.
struct Writer<'w> {
    list: List<'w>,
    notes: &'w mut Vec<String>,
}

/// Writes the conversation.
pub(super) fn write<'w>(
    list: List<'w>,
    messages: &'w [Message],
    notes: &'w mut Vec<String>,
) -> Result<(), TranslateError> {
    let mut writer = Writer { list, notes };
    for (index, message) in messages.iter().enumerate() {
        writer.message(&format!("messages[{index}]"), message)?;
    }
    Ok(())
}

/// Whether reasoning that the API encrypted is part of the conversation.
pub(super) fn has_encrypted(messages: &[Message]) -> bool {
    let mut parts = messages.iter().flat_map(|message| &message.parts);
    parts.any(|part| own_token(&part.content).is_some())
}

/// The token of a reasoning, when it is OpenAI's.
fn own_token(content: &Content) -> Option<&str> {
    match content {
        Content::Reasoning {
            signature: Some(token),
            ..
        }
        | Content::RedactedReasoning { data: token } => Vendor::OpenAi.own(token),
        _ => None,
    }
}

impl<'w> Writer<'w> {
    fn note(&mut self, note: &str) {
        if !self.notes.iter().any(|known| known == note) {
            self.notes.push(note.to_owned());
        }
    }

    /// What is said becomes messages, everything else items of its own, in order.
    fn message(&mut self, param: &str, message: &'w Message) -> Result<(), TranslateError> {
        if message.name.is_some() {
            self.note("names of messages were left out: OpenAI's responses API has none");
        }
        if message.parts.iter().any(|part| part.cache.is_some()) {
            self.note("cache_control was left out: OpenAI caches by itself");
        }
        let mut said = Vec::new();
        for (index, part) in message.parts.iter().enumerate() {
            let param = format!("{param}.content[{index}]");
            if is_said(&part.content) {
                said.push((param, &part.content));
                continue;
            }
            if !said.is_empty() {
                self.say(message.role, &std::mem::take(&mut said))?;
            }
            self.item(&param, message.role, &part.content)?;
        }
        let has_items = message.parts.iter().any(|part| !is_said(&part.content));
        if said.is_empty() && (has_items || message.role == Role::Assistant) {
            return Ok(());
        }
        self.say(message.role, &said)
    }

    fn say(&mut self, role: Role, said: &[(String, &'w Content)]) -> Result<(), TranslateError> {
        let word = match role {
            Role::System => "system",
            Role::Developer => "developer",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        for (_, content) in said {
            if let Content::Document { context, cite, .. } = content
                && (context.is_some() || *cite)
            {
                self.note(
                    "contexts and citations of documents were left out: OpenAI's responses API has none",
                );
            }
        }
        let mut message = self.list.object();
        message.text("type", "message").text("role", word);
        match said {
            [] => {
                message.text("content", "");
            }
            [(_, Content::Text { text, .. })] => {
                message.text("content", text);
            }
            said => {
                let mut list = message.list("content");
                for (param, content) in said {
                    match role {
                        Role::Assistant => answered(&mut list, content, param)?,
                        Role::System | Role::Developer | Role::User | Role::Tool => {
                            asked(&mut list, content, param)?;
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn item(&mut self, param: &str, role: Role, content: &Content) -> Result<(), TranslateError> {
        let is_of_model = matches!(
            content,
            Content::ToolCall { .. } | Content::Reasoning { .. } | Content::RedactedReasoning { .. }
        );
        if is_of_model && role != Role::Assistant {
            return refuse(param, "must not stand in a message of this role");
        }
        match content {
            Content::ToolCall {
                id, name, arguments, ..
            } => {
                let arguments = if arguments.trim().is_empty() {
                    "{}"
                } else {
                    arguments
                };
                self.list
                    .object()
                    .text("type", "function_call")
                    .text("call_id", id)
                    .text("name", name)
                    .text("arguments", arguments);
                Ok(())
            }
            Content::ToolResult {
                id,
                content,
                is_error,
                ..
            } => {
                if *is_error {
                    self.note("is_error of a tool's result was left out: OpenAI has no mark for it");
                }
                result(self.list.object(), id, content, param)
            }
            Content::Native {
                wire: Wire::Responses,
                item,
            } => {
                self.list.value(item);
                Ok(())
            }
            Content::Native { .. } => refuse_native(param, NAME),
            content => {
                self.reasoning(content);
                Ok(())
            }
        }
    }

    /// A reasoning item goes without its id: with its encrypted content it is complete, and whoever kept nothing has
    /// no other.
    fn reasoning(&mut self, content: &Content) {
        let Some(token) = own_token(content) else {
            self.note("reasoning of earlier turns was left out: OpenAI takes back its own only");
            return;
        };
        let mut item = self.list.object();
        item.text("type", "reasoning");
        let mut summary = item.list("summary");
        if let Content::Reasoning { text, .. } = content
            && !text.is_empty()
        {
            summary.object().text("type", "summary_text").text("text", text);
        }
        drop(summary);
        item.text("encrypted_content", token);
    }
}

/// Whether it is part of a message.
fn is_said(content: &Content) -> bool {
    match content {
        Content::Text { .. }
        | Content::Image { .. }
        | Content::Document { .. }
        | Content::Audio { .. }
        | Content::Video { .. }
        | Content::Refusal(_) => true,
        Content::ToolCall { .. }
        | Content::ToolResult { .. }
        | Content::Reasoning { .. }
        | Content::RedactedReasoning { .. }
        | Content::Native { .. } => false,
    }
}

/// `function_call_output`: texts alone are one text.
fn result(mut item: Object<'_>, id: &str, content: &[Part], param: &str) -> Result<(), TranslateError> {
    item.text("type", "function_call_output").text("call_id", id);
    let texts: Option<Vec<&str>> = content.iter().map(Part::as_text).collect();
    if let Some(texts) = texts {
        item.text("output", &texts.join("\n"));
        return Ok(());
    }
    let mut list = item.list("output");
    for part in content {
        asked(&mut list, &part.content, param)?;
    }
    Ok(())
}

/// A part of what the model said.
fn answered(list: &mut List<'_>, content: &Content, param: &str) -> Result<(), TranslateError> {
    match content {
        Content::Text { text, .. } => {
            list.object().text("type", "output_text").text("text", text);
        }
        Content::Refusal(text) => {
            list.object().text("type", "refusal").text("refusal", text);
        }
        _ => {
            return refuse(
                param,
                format!("{NAME} takes no media in the model's own messages"),
            );
        }
    }
    Ok(())
}

/// A part of what the model is told.
fn asked(list: &mut List<'_>, content: &Content, param: &str) -> Result<(), TranslateError> {
    match content {
        Content::Text { text, .. } | Content::Refusal(text) => {
            list.object().text("type", "input_text").text("text", text);
        }
        Content::Image { source, detail } => {
            let mut object = list.object();
            object.text("type", "input_image");
            match (source, source.to_url()) {
                (Source::File { id }, _) => object.text("file_id", id),
                (_, Some(url)) => object.text("image_url", &url),
                (_, None) => {
                    return refuse(param, format!("{NAME} takes pictures by address, id or as data"));
                }
            };
            object.text_if("detail", detail.as_deref());
        }
        Content::Document { source, name, .. } => document(list.object(), source, name.as_deref()),
        Content::Audio { .. } => return refuse(param, format!("{NAME} takes no sound")),
        Content::Video { .. } => return refuse(param, format!("{NAME} takes no video")),
        Content::ToolCall { .. }
        | Content::ToolResult { .. }
        | Content::Reasoning { .. }
        | Content::RedactedReasoning { .. }
        | Content::Native { .. } => return refuse(param, "has no place here"),
    }
    Ok(())
}

fn document(mut object: Object<'_>, source: &Source, name: Option<&str>) {
    match source {
        Source::Text(text) => {
            let text = match name {
                Some(name) => format!("{name}\n\n{text}"),
                None => text.clone(),
            };
            object.text("type", "input_text").text("text", &text);
        }
        Source::File { id } => {
            object.text("type", "input_file").text("file_id", id);
        }
        Source::Url { url, .. } => {
            object.text("type", "input_file").text("file_url", url);
        }
        Source::Base64 { .. } => {
            object
                .text("type", "input_file")
                .text("filename", name.unwrap_or("document.pdf"))
                .text("file_data", &source.to_url().unwrap_or_default());
        }
    }
}
