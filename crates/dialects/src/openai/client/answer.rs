//! Writing whole answers.

use super::answer_id;
use crate::{
    Usage,
    chat::{Answer, Choice, Citation, Content, Part, Source, Stop, TokenLogprob, View},
    json::{List, Object},
    openai::reasoning,
};

/// Writes a `chat.completion`.
pub(super) fn write(answer: &Answer, view: &View, out: &mut Vec<u8>) {
    let mut root = Object::new(out);
    root.text("id", &answer_id(&answer.id, view))
        .text("object", "chat.completion")
        .value("created", &view.created)
        .text("model", &view.model);
    let mut choices = root.list("choices");
    for (index, choice) in (0..).zip(&answer.choices) {
        write_choice(choices.object(), index, choice);
    }
    drop(choices);
    if let Some(tokens) = &answer.usage {
        usage(root.object("usage"), tokens);
    }
    root.text_if("service_tier", answer.service_tier.as_deref());
}

fn write_choice(mut object: Object<'_>, index: u64, choice: &Choice) {
    object.count("index", index);
    message(object.object("message"), choice);
    if choice.logprobs.is_empty() {
        object.null("logprobs");
    } else {
        logprobs(object.object("logprobs"), &choice.logprobs);
    }
    let has_calls = choice
        .parts
        .iter()
        .any(|part| matches!(part.content, Content::ToolCall { .. }));
    match &choice.stop {
        Some(stop) => object.text("finish_reason", finish_reason(stop, has_calls)),
        None => object.null("finish_reason"),
    };
}

/// Some providers say no more than that the model was done when it waits for tools.
pub(super) fn finish_reason(stop: &Stop, has_calls: bool) -> &'static str {
    match stop {
        Stop::End if has_calls => "tool_calls",
        Stop::End | Stop::Sequence(_) | Stop::Pause | Stop::MalformedToolCall => "stop",
        Stop::Length | Stop::ContextWindow => "length",
        Stop::ToolCalls => "tool_calls",
        Stop::ContentFilter | Stop::Refusal => "content_filter",
    }
}

/// Joins the texts that `pick` finds; `None` when there are none.
fn joined<'p>(parts: &'p [Part], pick: impl Fn(&'p Content) -> Option<&'p str>) -> Option<String> {
    let mut found = None::<String>;
    for text in parts.iter().filter_map(|part| pick(&part.content)) {
        found.get_or_insert_default().push_str(text);
    }
    found
}

fn message(mut object: Object<'_>, choice: &Choice) {
    let parts = &choice.parts;
    let content = joined(parts, |content| match content {
        Content::Text { text, .. } => Some(text),
        _ => None,
    });
    let refusal = joined(parts, |content| match content {
        Content::Refusal(text) => Some(text),
        _ => None,
    });
    let thoughts = joined(parts, |content| match content {
        Content::Reasoning { text, .. } => Some(text),
        _ => None,
    });
    object.text("role", "assistant");
    for (key, text) in [("content", content), ("refusal", refusal)] {
        match text {
            Some(text) => object.text(key, &text),
            None => object.null(key),
        };
    }
    if let Some(thoughts) = thoughts.filter(|text| !text.is_empty()) {
        object.text("reasoning_content", &thoughts);
    }
    if reasoning::needs_details(parts) {
        reasoning::details(object.list("reasoning_details"), parts);
    }
    annotations(&mut object, parts);
    media(&mut object, parts);
    let calls = parts
        .iter()
        .filter(|part| matches!(part.content, Content::ToolCall { .. }));
    if calls.clone().next().is_some() {
        let mut list = object.list("tool_calls");
        for part in calls {
            tool_call(list.object(), &part.content);
        }
    }
}

fn tool_call(mut object: Object<'_>, content: &Content) {
    let Content::ToolCall {
        id,
        name,
        arguments,
        signature,
    } = content
    else {
        return;
    };
    object.text("id", id).text("type", "function");
    let arguments = if arguments.trim().is_empty() {
        "{}"
    } else {
        arguments
    };
    object
        .object("function")
        .text("name", name)
        .text("arguments", arguments);
    if let Some(signature) = signature {
        extra_content(object.object("extra_content"), signature);
    }
}

/// Where Google's OpenAI-compatible endpoint has the signature of a call.
pub(crate) fn extra_content(mut object: Object<'_>, signature: &str) {
    let bare = crate::chat::Vendor::Gemini.show(signature);
    object.object("google").text("thought_signature", bare);
}

fn annotations(object: &mut Object<'_>, parts: &[Part]) {
    let cited = parts.iter().filter_map(|part| match &part.content {
        Content::Text { citations, .. } => Some(citations),
        _ => None,
    });
    let mut citations = cited.flatten().peekable();
    if citations.peek().is_some() {
        let mut list = object.list("annotations");
        for each in citations {
            citation(list.object(), each);
        }
    }
}

/// `{"type": "url_citation", "url_citation": {"start_index", "end_index", "title", "url"}}`; `content` is OpenRouter's.
pub(super) fn citation(mut object: Object<'_>, citation: &Citation) {
    object.text("type", "url_citation");
    object
        .object("url_citation")
        .text("url", citation.url.as_deref().unwrap_or_default())
        .text("title", citation.title.as_deref().unwrap_or_default())
        .text_if("content", citation.quote.as_deref())
        .count("start_index", citation.start.unwrap_or(0))
        .count("end_index", citation.end.unwrap_or(0));
}

/// Pictures as OpenRouter's `images`, sound as OpenAI's `audio`.
fn media(object: &mut Object<'_>, parts: &[Part]) {
    let mut urls = parts
        .iter()
        .filter_map(|part| match &part.content {
            Content::Image { source, .. } => source.to_url(),
            _ => None,
        })
        .peekable();
    if urls.peek().is_some() {
        let mut list = object.list("images");
        for url in urls {
            image(list.object(), &url);
        }
    }
    let sound = parts.iter().find_map(|part| match &part.content {
        Content::Audio {
            source: Source::Base64 { data, .. },
            transcript,
        } => Some((data, transcript)),
        _ => None,
    });
    if let Some((data, transcript)) = sound {
        audio(object.object("audio"), data, transcript.as_deref());
    }
}

pub(super) fn image(mut object: Object<'_>, url: &str) {
    object.text("type", "image_url");
    object.object("image_url").text("url", url);
}

pub(super) fn audio(mut object: Object<'_>, data: &str, transcript: Option<&str>) {
    object
        .text("id", "audio_0")
        .text("data", data)
        .text("transcript", transcript.unwrap_or_default())
        .count("expires_at", 0);
}

/// `{"content": […], "refusal": null}`.
pub(super) fn logprobs(mut object: Object<'_>, tokens: &[TokenLogprob]) {
    token_list(object.list("content"), tokens);
    object.null("refusal");
}

/// `[{"token", "logprob", "bytes", "top_logprobs"}]`.
pub(crate) fn token_list(mut list: List<'_>, tokens: &[TokenLogprob]) {
    for each in tokens {
        let mut object = list.object();
        token(&mut object, each);
        let mut top = object.list("top_logprobs");
        for each in &each.top {
            token(&mut top.object(), each);
        }
    }
}

fn token(object: &mut Object<'_>, token: &TokenLogprob) {
    object
        .text("token", &token.token)
        .value("logprob", &token.logprob);
    match &token.bytes {
        Some(bytes) => object.value("bytes", bytes),
        None => object.null("bytes"),
    };
}

/// A `usage` object.
pub(super) fn usage(mut object: Object<'_>, tokens: &Usage) {
    object
        .count("prompt_tokens", tokens.input)
        .count("completion_tokens", tokens.output)
        .count("total_tokens", tokens.input.saturating_add(tokens.output));
    let some = |count: u64| Some(count).filter(|count| *count > 0);
    object
        .object("prompt_tokens_details")
        .count("cached_tokens", tokens.cached_input)
        .count_if("cache_write_tokens", some(tokens.cache_write))
        .count_if("audio_tokens", some(tokens.audio_input));
    object
        .object("completion_tokens_details")
        .count("reasoning_tokens", tokens.reasoning)
        .count_if("audio_tokens", some(tokens.audio_output));
}
