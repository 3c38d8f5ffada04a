//! Whole answers, and what answers and streams have in common: stop reasons, usage and sources.

use serde_json::Value;

use super::media::Kind;
use crate::{
    Usage,
    chat::{Answer, Choice, Citation, Content, Part, Source, Stop, TranslateError, Vendor, refuse},
};

/// Reads a whole answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, TranslateError> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refuse("body", "the provider's answer is not JSON");
    };
    let Some(blocks) = body.pointer("/output/message/content").and_then(Value::as_array) else {
        return refuse(
            "output.message.content",
            "the provider's answer has no content list",
        );
    };
    let choice = Choice {
        parts: blocks.iter().filter_map(part).collect(),
        stop: stop(&body),
        logprobs: Vec::new(),
    };
    Ok(Answer {
        model: invoked(&body),
        choices: vec![choice],
        usage: body.get("usage").and_then(usage),
        service_tier: text(&body, "/serviceTier/type").map(str::to_owned),
        ..Answer::default()
    })
}

/// The model that a prompt router chose; nobody else says which it was.
pub(super) fn invoked(body: &Value) -> String {
    text(body, "/trace/promptRouter/invokedModelId")
        .unwrap_or_default()
        .to_owned()
}

fn text<'a>(value: &'a Value, pointer: &str) -> Option<&'a str> {
    value.pointer(pointer)?.as_str()
}

/// Calls that the provider runs itself, and their results, are no part of the answer: there is nothing to do for the
/// client.
fn part(block: &Value) -> Option<Part> {
    let (name, value) = block.as_object()?.iter().next()?;
    let content = match name.as_str() {
        "text" => {
            return value.as_str().filter(|text| !text.is_empty()).map(Part::text);
        }
        "reasoningContent" => reasoning(value)?,
        "toolUse" if value.get("type").is_none() => Content::ToolCall {
            id: text(value, "/toolUseId")?.to_owned(),
            name: text(value, "/name")?.to_owned(),
            arguments: match value.get("input") {
                None | Some(Value::Null) => "{}".to_owned(),
                Some(input) => input.to_string(),
            },
            signature: None,
        },
        "citationsContent" => cited(value),
        "image" => Content::Image {
            source: bytes(value, Kind::Image)?,
            detail: None,
        },
        "audio" => Content::Audio {
            source: bytes(value, Kind::Audio)?,
            transcript: None,
        },
        "video" => Content::Video {
            source: bytes(value, Kind::Video)?,
        },
        _ => return None,
    };
    Some(Part::new(content))
}

fn reasoning(value: &Value) -> Option<Content> {
    if let Some(data) = text(value, "/redactedContent") {
        return Some(Content::RedactedReasoning {
            data: Vendor::Anthropic.mark(data),
        });
    }
    Some(Content::Reasoning {
        text: text(value, "/reasoningText/text")?.to_owned(),
        signature: text(value, "/reasoningText/signature").map(|signature| Vendor::Anthropic.mark(signature)),
    })
}

fn cited(value: &Value) -> Content {
    let list = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default()
    };
    Content::Text {
        text: list("content")
            .iter()
            .filter_map(|part| text(part, "/text"))
            .collect(),
        citations: list("citations").iter().map(citation).collect(),
    }
}

/// A source: `Citation` and `CitationsDelta` of the API reference.
pub(super) fn citation(value: &Value) -> Citation {
    let quotes = value.get("sourceContent").and_then(Value::as_array);
    let quotes: Vec<&str> = quotes
        .into_iter()
        .flatten()
        .filter_map(|quote| text(quote, "/text"))
        .collect();
    Citation {
        url: text(value, "/location/web/url").map(str::to_owned),
        title: text(value, "/title")
            .or_else(|| text(value, "/source"))
            .map(str::to_owned),
        quote: (!quotes.is_empty()).then(|| quotes.concat()),
        start: None,
        end: None,
    }
}

fn bytes(value: &Value, kind: Kind) -> Option<Source> {
    let format = text(value, "/format")?;
    match (
        text(value, "/source/bytes"),
        text(value, "/source/s3Location/uri"),
    ) {
        (Some(data), _) => Some(Source::Base64 {
            media_type: kind.media_type(format).to_owned(),
            data: data.to_owned(),
        }),
        (None, Some(uri)) => Some(Source::Url {
            url: uri.to_owned(),
            media_type: Some(kind.media_type(format).to_owned()),
        }),
        (None, None) => None,
    }
}

/// `stopReason` of an answer or a `messageStop` event, after `StopReason` of the API reference.
pub(super) fn stop(value: &Value) -> Option<Stop> {
    let sequence = || text(value, "/additionalModelResponseFields/stop_sequence").map(str::to_owned);
    Some(match text(value, "/stopReason")? {
        "stop_sequence" => Stop::Sequence(sequence()),
        "tool_use" => Stop::ToolCalls,
        "max_tokens" => Stop::Length,
        "model_context_window_exceeded" => Stop::ContextWindow,
        "guardrail_intervened" | "content_filtered" => Stop::ContentFilter,
        "malformed_tool_use" | "malformed_model_output" => Stop::MalformedToolCall,
        // `end_turn`, and reasons that may come later.
        _ => Stop::End,
    })
}

/// `TokenUsage`: tokens read from and written to a cache are not part of `inputTokens`, as the guide "Prompt caching
/// for faster model inference" shows. `CacheDetail` tells how long what was written is kept
/// (<https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_CacheDetail.html>).
pub(super) fn usage(usage: &Value) -> Option<Usage> {
    let count = |name: &str| usage.get(name).and_then(Value::as_u64);
    let (input, output) = (count("inputTokens"), count("outputTokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let read = count("cacheReadInputTokens").unwrap_or(0);
    let written = count("cacheWriteInputTokens").unwrap_or(0);
    let details = usage.get("cacheDetails").and_then(Value::as_array);
    let hours = details.into_iter().flatten().filter(|detail| {
        let ttl = detail.get("ttl").and_then(Value::as_str);
        ttl == Some("1h")
    });
    let hour: u64 = hours
        .filter_map(|detail| detail.get("inputTokens")?.as_u64())
        .fold(0, u64::saturating_add);
    Some(Usage {
        input: input.unwrap_or(0).saturating_add(read).saturating_add(written),
        output: output.unwrap_or(0),
        cached_input: read,
        cache_write: written,
        cache_write_hour: hour.min(written),
        ..Usage::default()
    })
}
