//! Reading the system prompt and messages.

use crate::{
    chat::{Cache, Content, Message, Part, Role, Source, Vendor},
    json::{Fault, Json},
};

/// Reads `system` and `messages`.
pub(super) fn read(root: &Json<'_>) -> Result<Vec<Message>, Fault> {
    let messages = root.require("messages")?.list()?;
    let mut read = Vec::with_capacity(messages.len() + 1);
    if let Some(system) = root.get("system") {
        let parts = content(system)?;
        if !parts.is_empty() {
            read.push(Message {
                role: Role::System,
                parts,
                name: None,
            });
        }
    }
    for message in messages {
        let role = match message.str_of("role") {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => return Err(Fault::member(message, "role", "must be user or assistant")),
        };
        read.push(Message {
            role,
            parts: content(message.require("content")?)?,
            name: None,
        });
    }
    Ok(read)
}

/// `cache_control`: `{"type": "ephemeral", "ttl"}`.
pub(super) fn cache(object: &Json<'_>) -> Result<Option<Cache>, Fault> {
    match object.get("cache_control") {
        Some(mark) => Ok(Some(Cache {
            ttl: mark.text_of("ttl")?.map(ToOwned::to_owned),
        })),
        None => Ok(None),
    }
}

/// A text or a list of blocks; empty texts go.
fn content(given: &Json<'_>) -> Result<Vec<Part>, Fault> {
    match given {
        Json::Text(text) if text.is_empty() => Ok(Vec::new()),
        Json::Text(text) => Ok(vec![Part::text(text.as_ref())]),
        Json::List(blocks) => {
            let mut parts = Vec::with_capacity(blocks.len());
            for given in blocks {
                let part = Part {
                    content: block(given)?,
                    cache: cache(given)?,
                };
                if part.as_text() != Some("") {
                    parts.push(part);
                }
            }
            Ok(parts)
        }
        _ => Err(given.fault("must be a text or a list of blocks")),
    }
}

fn block(block: &Json<'_>) -> Result<Content, Fault> {
    match block.str_of("type") {
        Some("text") => Ok(Content::Text {
            text: block.text_in("text")?.to_owned(),
            // Citations of earlier turns are for people; the API does not want them back.
            citations: Vec::new(),
        }),
        Some("image") => Ok(Content::Image {
            source: source(block.require("source")?)?,
            detail: None,
        }),
        Some("document") => Ok(Content::Document {
            source: source(block.require("source")?)?,
            name: block.text_of("title")?.map(ToOwned::to_owned),
            context: block.text_of("context")?.map(ToOwned::to_owned),
            cite: cites(block)?,
        }),
        Some("search_result") => search_result(block),
        Some("tool_use") => tool_use(block),
        Some("tool_result") => tool_result(block),
        Some("thinking") => Ok(Content::Reasoning {
            text: block.text_of("thinking")?.unwrap_or_default().to_owned(),
            signature: block
                .text_of("signature")?
                .filter(|text| !text.is_empty())
                .map(|text| Vendor::Anthropic.mark(text)),
        }),
        Some("redacted_thinking") => Ok(Content::RedactedReasoning {
            data: Vendor::Anthropic.mark(block.text_in("data")?),
        }),
        Some(kind) => Err(Fault::member(
            block,
            "type",
            format!("{kind} is known to Anthropic's API alone"),
        )),
        None => Err(Fault::member(block, "type", "must be a text")),
    }
}

fn cites(block: &Json<'_>) -> Result<bool, Fault> {
    let enabled = block
        .get("citations")
        .map(|citations| citations.flag_of("enabled"));
    Ok(enabled.transpose()?.flatten().unwrap_or_default())
}

fn source(source: &Json<'_>) -> Result<Source, Fault> {
    let text = |name| source.text_in(name).map(ToOwned::to_owned);
    match source.str_of("type") {
        Some("base64") => Ok(Source::Base64 {
            media_type: text("media_type")?,
            data: text("data")?,
        }),
        Some("url") => Ok(Source::Url {
            url: text("url")?,
            media_type: None,
        }),
        Some("file") => Ok(Source::File { id: text("file_id")? }),
        Some("text") => Ok(Source::Text(text("data")?)),
        Some("content") => Ok(Source::Text(texts(source)?)),
        _ => Err(Fault::member(
            source,
            "type",
            "must be base64, url, file, text or content",
        )),
    }
}

/// The texts of `content`, which is a text or a list of blocks of text.
fn texts(object: &Json<'_>) -> Result<String, Fault> {
    let given = object.require("content")?;
    let mut texts = Vec::new();
    for part in content(given)? {
        match part.content {
            Content::Text { text, .. } => texts.push(text),
            _ => return Err(given.fault("must have blocks of text only")),
        }
    }
    Ok(texts.join("\n"))
}

/// "Search results": a text with a source, which other dialects know as a document.
fn search_result(block: &Json<'_>) -> Result<Content, Fault> {
    Ok(Content::Document {
        source: Source::Text(texts(block)?),
        name: block.text_of("title")?.map(ToOwned::to_owned),
        context: block.text_of("source")?.map(ToOwned::to_owned),
        cite: cites(block)?,
    })
}

fn filled<'j>(object: &'j Json<'_>, key: &'static str) -> Result<&'j str, Fault> {
    object
        .str_of(key)
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Fault::member(object, key, "must be a text that is not empty"))
}

fn tool_use(block: &Json<'_>) -> Result<Content, Fault> {
    let input = block.require("input")?;
    input.members()?;
    Ok(Content::ToolCall {
        id: filled(block, "id")?.to_owned(),
        name: filled(block, "name")?.to_owned(),
        arguments: input.to_string(),
        signature: None,
    })
}

fn tool_result(block: &Json<'_>) -> Result<Content, Fault> {
    Ok(Content::ToolResult {
        id: filled(block, "tool_use_id")?.to_owned(),
        name: None,
        content: block.get("content").map(content).transpose()?.unwrap_or_default(),
        is_error: block.flag_of("is_error")?.unwrap_or_default(),
    })
}
