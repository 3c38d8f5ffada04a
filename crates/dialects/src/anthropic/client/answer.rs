//! Writing whole answers.

use serde_json::value::RawValue;

use super::answer_id;
use crate::{
    Usage,
    chat::{Answer, Choice, Citation, Content, Part, Source, Stop, Vendor, View},
    json::{List, Object},
};

/// Writes a message. Of several answers it has the first: nobody can ask for more in this dialect.
pub(super) fn write(answer: &Answer, view: &View, out: &mut Vec<u8>) {
    let choice = answer.choices.first();
    let mut root = Object::new(out);
    root.text("id", &answer_id(&answer.id, view))
        .text("type", "message")
        .text("role", "assistant")
        .text("model", &view.model);
    let mut list = root.list("content");
    for part in choice.into_iter().flat_map(|choice| &choice.parts) {
        if !matches!(part.content, Content::Native { .. }) {
            block(&mut list, part);
        }
    }
    drop(list);
    stop(&mut root, choice);
    usage(root.object("usage"), &answer.usage.unwrap_or_default());
}

fn stop(object: &mut Object<'_>, choice: Option<&Choice>) {
    let Some(Choice {
        parts,
        stop: Some(stop),
        ..
    }) = choice
    else {
        object.null("stop_reason").null("stop_sequence");
        return;
    };
    let is_call = |part: &Part| matches!(part.content, Content::ToolCall { .. });
    let is_refusal = |part: &Part| matches!(part.content, Content::Refusal(_));
    let ends = Ends {
        has_calls: parts.iter().any(is_call),
        has_refusal: parts.iter().any(is_refusal),
    };
    stop_reason(object, stop, ends);
}

/// What an answer had besides its text.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ends {
    pub(super) has_calls: bool,
    pub(super) has_refusal: bool,
}

/// `stop_reason` and `stop_sequence`. Some providers say no more than that the model was done when it waits for tools.
pub(super) fn stop_reason(object: &mut Object<'_>, stop: &Stop, ends: Ends) {
    let reason = match stop {
        Stop::End if ends.has_calls => "tool_use",
        Stop::End if ends.has_refusal => "refusal",
        Stop::End | Stop::MalformedToolCall => "end_turn",
        Stop::Sequence(_) => "stop_sequence",
        Stop::Length => "max_tokens",
        Stop::ContextWindow => "model_context_window_exceeded",
        Stop::ToolCalls => "tool_use",
        Stop::ContentFilter | Stop::Refusal => "refusal",
        Stop::Pause => "pause_turn",
    };
    object.text("stop_reason", reason);
    match stop {
        Stop::Sequence(Some(text)) => object.text("stop_sequence", text),
        _ => object.null("stop_sequence"),
    };
}

fn block(list: &mut List<'_>, part: &Part) {
    let mut object = list.object();
    match &part.content {
        Content::Text { text, citations } => {
            object.text("type", "text").text("text", text);
            if !citations.is_empty() {
                let mut list = object.list("citations");
                for each in citations {
                    citation(list.object(), each);
                }
            }
        }
        Content::Refusal(text) => {
            object.text("type", "text").text("text", text);
        }
        Content::Reasoning { text, signature } => {
            let shown = signature
                .as_deref()
                .map(|signature| Vendor::Anthropic.show(signature));
            object
                .text("type", "thinking")
                .text("thinking", text)
                .text("signature", shown.unwrap_or_default());
        }
        Content::RedactedReasoning { data } => {
            object
                .text("type", "redacted_thinking")
                .text("data", Vendor::Anthropic.show(data));
        }
        Content::ToolCall {
            id, name, arguments, ..
        } => {
            object.text("type", "tool_use").text("id", id).text("name", name);
            input(&mut object, arguments);
        }
        content => {
            object.text("type", "text").text("text", &media(content));
        }
    }
}

/// Arguments that are no JSON object are told as Anthropic's guide to fine-grained streaming proposes.
fn input(object: &mut Object<'_>, arguments: &str) {
    let arguments = arguments.trim();
    if arguments.is_empty() {
        object.json("input", b"{}");
        return;
    }
    match serde_json::from_str::<&RawValue>(arguments) {
        Ok(input) if arguments.starts_with('{') => {
            object.json("input", input.get().as_bytes());
        }
        _ => {
            object.object("input").text("INVALID_JSON", arguments);
        }
    }
}

/// Media, which this dialect has in requests only.
pub(super) fn media(content: &Content) -> String {
    match content {
        Content::Image {
            source: Source::Url { url, .. },
            ..
        } => url.clone(),
        Content::Image { .. } => "[a picture, which this API cannot show]".to_owned(),
        Content::Audio {
            transcript: Some(text),
            ..
        } => text.clone(),
        Content::Audio { .. } => "[sound, which this API cannot play]".to_owned(),
        _ => "[something that this API cannot show]".to_owned(),
    }
}

/// A source on the web as `web_search_result_location`, another as `char_location`.
pub(super) fn citation(mut object: Object<'_>, citation: &Citation) {
    let quote = citation.quote.as_deref().unwrap_or_default();
    if let Some(url) = &citation.url {
        object
            .text("type", "web_search_result_location")
            .text("url", url)
            .text("encrypted_index", "");
        title(&mut object, "title", citation);
    } else {
        object.text("type", "char_location").count("document_index", 0);
        title(&mut object, "document_title", citation);
        object.count("start_char_index", 0).count("end_char_index", 0);
    }
    object.text("cited_text", quote);
}

fn title(object: &mut Object<'_>, key: &'static str, citation: &Citation) {
    match &citation.title {
        Some(title) => object.text(key, title),
        None => object.null(key),
    };
}

/// Tokens read from and written to a cache are counted apart from `input_tokens`.
pub(super) fn usage(mut object: Object<'_>, tokens: &Usage) {
    let fresh = tokens
        .input
        .saturating_sub(tokens.cached_input)
        .saturating_sub(tokens.cache_write);
    object
        .count("input_tokens", fresh)
        .count("cache_creation_input_tokens", tokens.cache_write)
        .count("cache_read_input_tokens", tokens.cached_input)
        .count("output_tokens", tokens.output);
    if tokens.cache_write_hour > 0 {
        let minutes = tokens.cache_write.saturating_sub(tokens.cache_write_hour);
        object
            .object("cache_creation")
            .count("ephemeral_5m_input_tokens", minutes)
            .count("ephemeral_1h_input_tokens", tokens.cache_write_hour);
    }
    if tokens.reasoning > 0 {
        object
            .object("output_tokens_details")
            .count("thinking_tokens", tokens.reasoning);
    }
}
