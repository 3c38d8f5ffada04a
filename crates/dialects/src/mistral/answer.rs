//! Whole answers, and what answers and streams have in common.

use serde_json::Value;

use super::NAME;
use crate::{
    Usage,
    chat::{
        Answer, Choice, Citation, Content, Part, Source, Stop, TokenLogprob, TranslateError, Vendor, refuse,
    },
};

/// Reads a whole answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, TranslateError> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refuse("body", "the provider's answer is not JSON");
    };
    let Some(choices) = body.get("choices").and_then(Value::as_array) else {
        return refuse("choices", "the provider's answer has no list of choices");
    };
    Ok(Answer {
        id: text(&body, "id").unwrap_or_default().to_owned(),
        model: text(&body, "model").unwrap_or_default().to_owned(),
        choices: choices.iter().map(choice).collect::<Result<_, _>>()?,
        usage: body.get("usage").and_then(usage),
        service_tier: body
            .pointer("/usage/service_tier")
            .and_then(Value::as_str)
            .map(str::to_owned),
    })
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

pub(super) fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn choice(choice: &Value) -> Result<Choice, TranslateError> {
    let Some(message) = choice.get("message").filter(|message| message.is_object()) else {
        return refuse("choices.message", "the provider's answer has no message");
    };
    let reason = text(choice, "finish_reason");
    if reason == Some("error") {
        return refuse(
            "choices.finish_reason",
            format!("{NAME} failed while it answered"),
        );
    }
    let mut parts = Vec::new();
    match message.get("content") {
        Some(Value::String(text)) if !text.is_empty() => parts.push(Part::text(text)),
        Some(Value::Array(chunks)) => chunks.iter().for_each(|each| chunk(each, &mut parts)),
        _ => {}
    }
    parts.extend(list(message, "tool_calls").iter().map(call));
    Ok(Choice {
        parts,
        stop: reason.map(stop),
        logprobs: choice.get("logprobs").map(logprobs).unwrap_or_default(),
    })
}

fn chunk(chunk: &Value, parts: &mut Vec<Part>) {
    match text(chunk, "type").unwrap_or("text") {
        "text" => parts.extend(text(chunk, "text").map(Part::text)),
        "thinking" => parts.push(Part::new(Content::Reasoning {
            text: thoughts(chunk),
            signature: signature(chunk),
        })),
        "reference" => {
            let sources = references(chunk);
            let last = parts.iter_mut().rev().find_map(|part| match &mut part.content {
                Content::Text { citations, .. } => Some(citations),
                _ => None,
            });
            if let Some(citations) = last {
                citations.extend(sources);
            }
        }
        "image_url" => parts.extend(image(chunk)),
        // Kinds that only requests have, or that may come later.
        _ => {}
    }
}

/// The texts of a `thinking` chunk.
pub(super) fn thoughts(chunk: &Value) -> String {
    match chunk.get("thinking") {
        Some(Value::String(text)) => text.clone(),
        _ => list(chunk, "thinking")
            .iter()
            .filter_map(|part| text(part, "text"))
            .collect(),
    }
}

pub(super) fn signature(chunk: &Value) -> Option<String> {
    text(chunk, "signature")
        .filter(|signature| !signature.is_empty())
        .map(|signature| Vendor::Mistral.mark(signature))
}

/// References name what the caller numbered itself.
pub(super) fn references(chunk: &Value) -> Vec<Citation> {
    list(chunk, "reference_ids")
        .iter()
        .filter_map(|id| match id {
            Value::String(id) => Some(id.clone()),
            Value::Number(id) => Some(id.to_string()),
            _ => None,
        })
        .map(|id| Citation {
            title: Some(id),
            ..Citation::default()
        })
        .collect()
}

pub(super) fn image(chunk: &Value) -> Option<Part> {
    let image = chunk.get("image_url")?;
    let url = image.as_str().or_else(|| text(image, "url"))?;
    Some(Part::new(Content::Image {
        source: Source::from_url(url),
        detail: None,
    }))
}

fn call(call: &Value) -> Part {
    let function = call.get("function").unwrap_or(&Value::Null);
    let arguments = arguments(function);
    Part::new(Content::ToolCall {
        id: text(call, "id").unwrap_or_default().to_owned(),
        name: text(function, "name").unwrap_or_default().to_owned(),
        arguments: if arguments.is_empty() {
            "{}".to_owned()
        } else {
            arguments
        },
        signature: None,
    })
}

/// Arguments come as a text or as an object.
pub(super) fn arguments(function: &Value) -> String {
    match function.get("arguments") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Null) | None => String::new(),
        Some(other) => other.to_string(),
    }
}

/// `finish_reason`: `model_length` is the context's end.
pub(super) fn stop(reason: &str) -> Stop {
    match reason {
        "length" => Stop::Length,
        "model_length" => Stop::ContextWindow,
        "tool_calls" => Stop::ToolCalls,
        // `stop`, and reasons that may come later.
        _ => Stop::End,
    }
}

/// `logprobs` of a choice.
pub(super) fn logprobs(logprobs: &Value) -> Vec<TokenLogprob> {
    list(logprobs, "content").iter().filter_map(token).collect()
}

fn token(token: &Value) -> Option<TokenLogprob> {
    let bytes = token.get("bytes").and_then(Value::as_array).map(|bytes| {
        let bytes = bytes.iter().filter_map(Value::as_u64);
        bytes.filter_map(|byte| u8::try_from(byte).ok()).collect()
    });
    Some(TokenLogprob {
        token: text(token, "token")?.to_owned(),
        logprob: token.get("logprob")?.as_f64()?,
        bytes,
        top: list(token, "top_logprobs")
            .iter()
            .filter_map(self::token)
            .collect(),
    })
}

/// A `usage` object: OpenAI's, and `num_cached_tokens`.
pub(super) fn usage(usage: &Value) -> Option<Usage> {
    let mut out = Usage::from_openai(usage)?;
    if out.cached_input == 0 {
        let cached = usage.get("num_cached_tokens").and_then(Value::as_u64);
        out.cached_input = cached.unwrap_or(0).min(out.input);
    }
    Some(out)
}
