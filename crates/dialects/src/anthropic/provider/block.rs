//! Writing content blocks.

use serde_json::value::RawValue;

use super::VENDOR;
use crate::{
    chat::{Cache, Content, Part, Source, TranslateError, Vendor, refuse, refuse_native},
    json::{List, Object},
};

/// Where a part stands: its message, and its place in it (a call's among the calls).
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) message: usize,
    pub(super) part: usize,
}

impl Place {
    /// The field in OpenAI's words.
    fn content(self, field: &str) -> String {
        format!("messages[{}].content[{}]{field}", self.message, self.part)
    }
}

/// Whether it may be sent: reasoning without a signature of Anthropic's own is refused there.
pub(super) fn is_own(content: &Content) -> bool {
    match content {
        Content::Reasoning { signature, .. } => signature
            .as_deref()
            .is_some_and(|signature| Vendor::Anthropic.own(signature).is_some()),
        Content::RedactedReasoning { data } => Vendor::Anthropic.own(data).is_some(),
        _ => true,
    }
}

/// `cache_control` ("Prompt caching").
pub(super) fn cache(object: &mut Object<'_>, mark: Option<&Cache>) {
    if let Some(mark) = mark {
        object
            .object("cache_control")
            .text("type", "ephemeral")
            .text_if("ttl", mark.ttl.as_deref());
    }
}

/// Writes a part.
pub(super) fn write(list: &mut List<'_>, part: &Part, place: Place) -> Result<(), TranslateError> {
    let mut object = list.object();
    match &part.content {
        Content::Text { text, .. } | Content::Refusal(text) => {
            object.text("type", "text").text("text", text);
        }
        Content::Image { source, .. } => image(&mut object, source, place)?,
        Content::Document {
            source,
            name,
            context,
            cite,
        } => {
            document(&mut object, source, place)?;
            object
                .text_if("title", name.as_deref())
                .text_if("context", context.as_deref());
            if *cite {
                object.object("citations").flag("enabled", true);
            }
        }
        Content::Audio { .. } => return refuse(place.content(""), format!("{VENDOR} takes no audio")),
        Content::Video { .. } => return refuse(place.content(""), format!("{VENDOR} takes no video")),
        Content::ToolCall {
            id, name, arguments, ..
        } => tool_use(&mut object, (id, name), arguments, place)?,
        Content::ToolResult {
            id,
            content,
            is_error,
            ..
        } => {
            object
                .text("type", "tool_result")
                .text("tool_use_id", &tool_id(id));
            results(&mut object, content, place)?;
            if *is_error {
                object.flag("is_error", true);
            }
        }
        Content::Reasoning { text, signature } => {
            let signature = signature
                .as_deref()
                .and_then(|signature| Vendor::Anthropic.own(signature));
            object
                .text("type", "thinking")
                .text("thinking", text)
                .text("signature", signature.unwrap_or_default());
        }
        Content::RedactedReasoning { data } => {
            object
                .text("type", "redacted_thinking")
                .text("data", Vendor::Anthropic.show(data));
        }
        Content::Native { .. } => return refuse_native(place.content(""), VENDOR),
    }
    // Thinking cannot be marked.
    if !matches!(
        part.content,
        Content::Reasoning { .. } | Content::RedactedReasoning { .. }
    ) {
        cache(&mut object, part.cache.as_ref());
    }
    Ok(())
}

fn results(object: &mut Object<'_>, content: &[Part], place: Place) -> Result<(), TranslateError> {
    let mut parts = content
        .iter()
        .filter(|part| part.as_text() != Some(""))
        .peekable();
    if parts.peek().is_none() {
        return Ok(());
    }
    let mut list = object.list("content");
    for part in parts {
        write(&mut list, part, place)?;
    }
    Ok(())
}

fn image(object: &mut Object<'_>, source: &Source, place: Place) -> Result<(), TranslateError> {
    const TYPES: [&str; 4] = ["image/jpeg", "image/png", "image/gif", "image/webp"];
    let param = || place.content(".image_url.url");
    object.text("type", "image");
    match source {
        Source::Base64 { media_type, .. } if !TYPES.contains(&media_type.as_str()) => {
            return refuse(
                param(),
                format!("must be one of {}, not {media_type:?}", TYPES.join(", ")),
            );
        }
        Source::Text(_) => return refuse(param(), "must be a picture"),
        source => media(object.object("source"), source, param)?,
    }
    Ok(())
}

fn document(object: &mut Object<'_>, source: &Source, place: Place) -> Result<(), TranslateError> {
    let param = || place.content(".file.file_data");
    object.text("type", "document");
    match source {
        Source::Base64 { media_type, .. } if media_type != "application/pdf" => {
            return refuse(param(), format!("must be application/pdf, not {media_type:?}"));
        }
        // Ids of uploads are their provider's; those of Anthropic's Files API begin so.
        Source::File { id } if !id.starts_with("file_") => {
            return refuse(
                param(),
                "must be given: files of OpenAI's API are not known to Anthropic's",
            );
        }
        source => media(object.object("source"), source, param)?,
    }
    Ok(())
}

fn media(mut object: Object<'_>, source: &Source, param: impl Fn() -> String) -> Result<(), TranslateError> {
    match source {
        Source::Base64 { media_type, data } => {
            object
                .text("type", "base64")
                .text("media_type", media_type)
                .text("data", data);
        }
        Source::Url { url, .. } if url.starts_with("https://") || url.starts_with("http://") => {
            object.text("type", "url").text("url", url);
        }
        Source::Url { .. } => {
            return refuse(param(), "must be an http or https address or a data: address");
        }
        Source::File { id } => {
            object.text("type", "file").text("file_id", id);
        }
        Source::Text(text) => {
            object
                .text("type", "text")
                .text("media_type", "text/plain")
                .text("data", text);
        }
    }
    Ok(())
}

fn tool_use(
    object: &mut Object<'_>,
    (id, name): (&str, &str),
    arguments: &str,
    place: Place,
) -> Result<(), TranslateError> {
    object
        .text("type", "tool_use")
        .text("id", &tool_id(id))
        .text("name", name);
    let arguments = arguments.trim();
    let given = if arguments.is_empty() { "{}" } else { arguments };
    match serde_json::from_str::<&RawValue>(given) {
        Ok(input) if given.starts_with('{') => {
            object.json("input", input.get().as_bytes());
            Ok(())
        }
        _ => refuse(
            format!(
                "messages[{}].tool_calls[{}].function.arguments",
                place.message, place.part
            ),
            "must be a JSON object as text",
        ),
    }
}

/// Letters, digits, `_` and `-` are taken in ids; others become `_`, in calls and results alike.
fn tool_id(id: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '-');
    id.chars()
        .map(|character| if is_plain(character) { character } else { '_' })
        .collect()
}
