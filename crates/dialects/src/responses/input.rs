//! Reading the input: a text or a list of items.

use crate::{
    chat::{Citation, Content, Message, Part, Role, Source, Vendor, Wire},
    json::{Fault, Json},
    openai::tool_signature,
};

/// Before an encrypted content that is a redacted reasoning of another vendor, not a signature.
pub(super) const REDACTED: &str = "redacted+";

/// Reads the input. What the model said in one turn (reasoning, messages, calls) becomes one message.
pub(super) fn read(input: &Json<'_>, messages: &mut Vec<Message>) -> Result<(), Fault> {
    match input {
        Json::Text(text) => messages.push(Message::text(Role::User, text.as_ref())),
        Json::List(items) => {
            for each in items {
                item(each, messages)?;
            }
        }
        _ => return Err(input.fault("must be a text or a list of items")),
    }
    Ok(())
}

fn item(item: &Json<'_>, messages: &mut Vec<Message>) -> Result<(), Fault> {
    item.members()?;
    match item.text_of("type")?.unwrap_or("message") {
        "message" => message(item, messages),
        "function_call" => {
            said(messages, vec![function_call(item)?]);
            Ok(())
        }
        "function_call_output" => {
            let part = Part::new(Content::ToolResult {
                id: filled(item, "call_id")?.to_owned(),
                name: None,
                content: content(item.require("output")?)?,
                is_error: false,
            });
            messages.push(Message {
                role: Role::Tool,
                parts: vec![part],
                name: None,
            });
            Ok(())
        }
        "reasoning" => {
            said(messages, reasoning(item)?);
            Ok(())
        }
        kind => {
            native(item, kind, messages);
            Ok(())
        }
    }
}

/// An item that OpenAI's API alone knows: a step of one of its own tools, what a client answers to one, or a reference
/// to what the API keeps. What the model did is part of its turn.
fn native(item: &Json<'_>, kind: &str, messages: &mut Vec<Message>) {
    let part = Part::new(Content::Native {
        wire: Wire::Responses,
        item: item.to_value(),
    });
    let is_of_client = kind.ends_with("_output") || kind.ends_with("_response");
    if is_of_client {
        messages.push(Message {
            role: Role::Tool,
            parts: vec![part],
            name: None,
        });
    } else {
        said(messages, vec![part]);
    }
}

/// Adds to the model's turn.
fn said(messages: &mut Vec<Message>, parts: Vec<Part>) {
    match messages.last_mut() {
        Some(message) if message.role == Role::Assistant => message.parts.extend(parts),
        _ if parts.is_empty() => {}
        _ => messages.push(Message {
            role: Role::Assistant,
            parts,
            name: None,
        }),
    }
}

fn message(item: &Json<'_>, messages: &mut Vec<Message>) -> Result<(), Fault> {
    let role = match item.str_of("role") {
        Some("user") => Role::User,
        Some("assistant") => {
            said(messages, content(item.require("content")?)?);
            return Ok(());
        }
        Some("system") => Role::System,
        Some("developer") => Role::Developer,
        _ => {
            return Err(Fault::member(
                item,
                "role",
                "must be user, assistant, system or developer",
            ));
        }
    };
    messages.push(Message {
        role,
        parts: content(item.require("content")?)?,
        name: None,
    });
    Ok(())
}

fn filled<'j>(object: &'j Json<'_>, key: &'static str) -> Result<&'j str, Fault> {
    object
        .str_of(key)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Fault::member(object, key, "must be a text that is not empty"))
}

fn function_call(item: &Json<'_>) -> Result<Part, Fault> {
    Ok(Part::new(Content::ToolCall {
        id: filled(item, "call_id")?.to_owned(),
        name: filled(item, "name")?.to_owned(),
        arguments: item.text_of("arguments")?.unwrap_or_default().to_owned(),
        signature: tool_signature(item),
    }))
}

/// The thoughts as text where they are there, else their summary.
pub(super) fn reasoning(item: &Json<'_>) -> Result<Vec<Part>, Fault> {
    let texts = |key: &'static str| -> Result<String, Fault> {
        let mut texts = Vec::new();
        for part in item.list_of(key)? {
            texts.push(part.text_in("text")?);
        }
        Ok(texts.join("\n\n"))
    };
    let mut text = texts("content")?;
    if text.is_empty() {
        text = texts("summary")?;
    }
    let token = item
        .text_of("encrypted_content")?
        .filter(|token| !token.is_empty());
    if let Some(data) = token.and_then(|token| token.strip_prefix(REDACTED)) {
        let data = data.to_owned();
        return Ok(vec![Part::new(Content::RedactedReasoning { data })]);
    }
    let signature = token.map(|token| Vendor::OpenAi.mark(token));
    if text.is_empty() && signature.is_none() {
        return Ok(Vec::new());
    }
    Ok(vec![Part::new(Content::Reasoning { text, signature })])
}

/// A text or a list of parts; empty texts go.
fn content(given: &Json<'_>) -> Result<Vec<Part>, Fault> {
    match given {
        Json::Text(text) if text.is_empty() => Ok(Vec::new()),
        Json::Text(text) => Ok(vec![Part::text(text.as_ref())]),
        Json::List(parts) => {
            let mut read = Vec::with_capacity(parts.len());
            for each in parts {
                let part = Part::new(part(each)?);
                if part.as_text() != Some("") {
                    read.push(part);
                }
            }
            Ok(read)
        }
        _ => Err(given.fault("must be a text or a list of parts")),
    }
}

fn part(part: &Json<'_>) -> Result<Content, Fault> {
    match part.str_of("type") {
        Some("input_text" | "output_text" | "text") => Ok(Content::Text {
            text: part.text_in("text")?.to_owned(),
            citations: part.items_of("annotations").iter().filter_map(citation).collect(),
        }),
        Some("refusal") => Ok(Content::Refusal(part.text_in("refusal")?.to_owned())),
        Some("input_image") => Ok(Content::Image {
            source: source(part, "image_url")?,
            detail: part.text_of("detail")?.map(ToOwned::to_owned),
        }),
        Some("input_file") => Ok(Content::Document {
            source: match part.get("file_url") {
                Some(_) => source(part, "file_url")?,
                None => source(part, "file_data")?,
            },
            name: part.text_of("filename")?.map(ToOwned::to_owned),
            context: None,
            cite: false,
        }),
        Some("input_audio") => {
            let audio = part.require("input_audio")?;
            Ok(Content::Audio {
                source: Source::Base64 {
                    media_type: format!("audio/{}", audio.text_in("format")?),
                    data: audio.text_in("data")?.to_owned(),
                },
                transcript: None,
            })
        }
        _ => Err(Fault::member(
            part,
            "type",
            "must be input_text, input_image, input_file, input_audio, output_text or refusal",
        )),
    }
}

/// An address or data under `key`, else a `file_id`.
fn source(part: &Json<'_>, key: &'static str) -> Result<Source, Fault> {
    match (part.text_of(key)?, part.text_of("file_id")?) {
        (Some(url), _) => match Source::from_url(url) {
            Source::Url { url, .. } if !url.contains("://") => Err(Fault::member(
                part,
                key,
                "must be an address, or a data: address with base64, as data:image/png;base64,…",
            )),
            source => Ok(source),
        },
        (None, Some(id)) => Ok(Source::File { id: id.to_owned() }),
        (None, None) => Err(Fault::member(part, key, "must be given, or a file_id")),
    }
}

/// `{"type": "url_citation", "url", "title", "start_index", "end_index"}`.
pub(super) fn citation(annotation: &Json<'_>) -> Option<Citation> {
    let text = |key: &str| annotation.str_of(key).map(ToOwned::to_owned);
    (annotation.str_of("type") == Some("url_citation")).then(|| Citation {
        url: text("url"),
        title: text("title"),
        quote: None,
        start: annotation.u64_of("start_index"),
        end: annotation.u64_of("end_index"),
    })
}
