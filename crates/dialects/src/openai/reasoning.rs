//! How reasoning and its signatures travel in OpenAI's dialect, which has no place for them.
//!
//! Written are `reasoning_content` for people and, when there is a signature, `reasoning_details` for the next
//! request; read are both, and LiteLLM's `thinking_blocks`.

use crate::{
    chat::{Content, Part, Vendor},
    json::{Fault, Json, List},
};

/// OpenRouter's name of the form that a vendor's reasoning has; Mistral's, which it does not name, is called alike.
const FORMATS: [(Vendor, &str); 4] = [
    (Vendor::Anthropic, "anthropic-claude-v1"),
    (Vendor::Gemini, "google-gemini-v1"),
    (Vendor::OpenAi, "openai-responses-v1"),
    (Vendor::Mistral, "mistral-v1"),
];

/// Reads the reasoning of a message: details or blocks where it has them, else the text.
pub(super) fn read(message: &Json<'_>, parts: &mut Vec<Part>) -> Result<(), Fault> {
    let before = parts.len();
    for detail in message.items_of("reasoning_details") {
        parts.extend(of_detail(detail));
    }
    if parts.len() == before {
        for block in message.items_of("thinking_blocks") {
            parts.extend(of_block(block));
        }
    }
    if parts.len() > before {
        return Ok(());
    }
    for key in ["reasoning_content", "reasoning"] {
        if let Some(text) = message.text_of(key)?.filter(|text| !text.is_empty()) {
            parts.push(Part::new(Content::Reasoning {
                text: text.to_owned(),
                signature: None,
            }));
            return Ok(());
        }
    }
    Ok(())
}

pub(super) fn of_detail(detail: &Json<'_>) -> Option<Part> {
    let vendor = FORMATS
        .into_iter()
        .find(|(_, format)| detail.str_of("format") == Some(format))
        .map(|(vendor, _)| vendor);
    let mark = |token: &str| vendor.map_or_else(|| token.to_owned(), |vendor| vendor.mark(token));
    let filled = |key: &str| detail.str_of(key).filter(|text| !text.is_empty());
    let content = match detail.str_of("type")? {
        "reasoning.encrypted" => Content::RedactedReasoning {
            data: mark(filled("data")?),
        },
        "reasoning.text" | "reasoning.summary" => {
            let text = filled("text").or_else(|| filled("summary"));
            let signature = filled("signature").map(mark);
            if text.is_none() && signature.is_none() {
                return None;
            }
            Content::Reasoning {
                text: text.unwrap_or_default().to_owned(),
                signature,
            }
        }
        _ => return None,
    };
    Some(Part::new(content))
}

fn of_block(block: &Json<'_>) -> Option<Part> {
    let content = match block.str_of("type")? {
        "redacted_thinking" => Content::RedactedReasoning {
            data: Vendor::Anthropic.mark(block.str_of("data")?),
        },
        "thinking" => Content::Reasoning {
            text: block.str_of("thinking").unwrap_or_default().to_owned(),
            signature: block
                .str_of("signature")
                .filter(|text| !text.is_empty())
                .map(|text| Vendor::Anthropic.mark(text)),
        },
        _ => return None,
    };
    Some(Part::new(content))
}

/// Writes one detail; its `index` tells the pieces of a stream apart.
pub(super) fn detail(list: &mut List<'_>, index: u64, text: Option<&str>, token: Option<&str>) {
    let mut object = list.object();
    let vendor = token.and_then(Vendor::of);
    let bare = token.map(|token| vendor.map_or(token, |vendor| vendor.show(token)));
    match text {
        Some(text) => object
            .text("type", "reasoning.text")
            .text("text", text)
            .text_if("signature", bare),
        None => object
            .text("type", "reasoning.encrypted")
            .text("data", bare.unwrap_or_default()),
    };
    if let Some((_, format)) = FORMATS.into_iter().find(|(known, _)| Some(*known) == vendor) {
        object.text("format", format);
    }
    object.count("index", index);
}

/// Whether a message's reasoning needs details: a text alone does not.
pub(super) fn needs_details(parts: &[Part]) -> bool {
    parts.iter().any(|part| {
        matches!(
            part.content,
            Content::RedactedReasoning { .. }
                | Content::Reasoning {
                    signature: Some(_),
                    ..
                }
        )
    })
}

/// Writes all reasoning of a message as details.
pub(super) fn details(mut list: List<'_>, parts: &[Part]) {
    let mut index = 0;
    for part in parts {
        match &part.content {
            Content::Reasoning { text, signature } => {
                detail(&mut list, index, Some(text), signature.as_deref());
            }
            Content::RedactedReasoning { data } => detail(&mut list, index, None, Some(data)),
            _ => continue,
        }
        index += 1;
    }
}
