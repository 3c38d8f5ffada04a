//! Whole answers, and what answers and streams have in common.

use serde_json::Value;

use super::NAME;
use crate::{
    Usage,
    chat::{Answer, Choice, Citation, Content, Part, Stop, TokenLogprob, TranslateError, refuse},
};

/// Reads a whole answer.
pub(super) fn read(body: &[u8]) -> Result<Answer, TranslateError> {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return refuse("body", "the provider's answer is not JSON");
    };
    let Some(message) = body.get("message").filter(|message| message.is_object()) else {
        return refuse("message", "the provider's answer has no message");
    };
    let reason = text(&body, "finish_reason");
    if let Some(reason) = reason.filter(|reason| is_failure(reason)) {
        return refuse(
            "finish_reason",
            format!("{NAME} failed while it answered: {reason}"),
        );
    }
    let choice = Choice {
        parts: parts(message),
        stop: reason.map(stop),
        logprobs: list(&body, "logprobs").iter().filter_map(logprob).collect(),
    };
    Ok(Answer {
        id: text(&body, "id").unwrap_or_default().to_owned(),
        choices: vec![choice],
        usage: body.get("usage").and_then(billed),
        ..Answer::default()
    })
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> Option<&'a str> {
    value.get(name)?.as_str()
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value
        .get(name)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn parts(message: &Value) -> Vec<Part> {
    let mut parts = Vec::new();
    if let Some(plan) = text(message, "tool_plan").filter(|plan| !plan.is_empty()) {
        parts.push(reasoning(plan));
    }
    let citations = list(message, "citations");
    for (index, block) in (0_u64..).zip(list(message, "content")) {
        if let Some(thinking) = text(block, "thinking") {
            parts.push(reasoning(thinking));
        } else if let Some(text) = text(block, "text") {
            let is_here = |citation: &&Value| {
                citation.get("content_index").and_then(Value::as_u64).unwrap_or(0) == index
            };
            parts.push(Part::new(Content::Text {
                text: text.to_owned(),
                citations: citations.iter().filter(is_here).flat_map(sources).collect(),
            }));
        }
    }
    parts.extend(list(message, "tool_calls").iter().filter_map(call));
    parts
}

fn reasoning(text: &str) -> Part {
    Part::new(Content::Reasoning {
        text: text.to_owned(),
        signature: None,
    })
}

fn call(call: &Value) -> Option<Part> {
    let function = call.get("function")?;
    let arguments = text(function, "arguments").filter(|arguments| !arguments.is_empty());
    Some(Part::new(Content::ToolCall {
        id: text(call, "id")?.to_owned(),
        name: text(function, "name")?.to_owned(),
        arguments: arguments.unwrap_or("{}").to_owned(),
        signature: None,
    }))
}

/// One citation for each source of a cited text.
pub(super) fn sources(citation: &Value) -> Vec<Citation> {
    let place = |name: &str| citation.get(name).and_then(Value::as_u64);
    list(citation, "sources")
        .iter()
        .map(|source| {
            let document = source.get("document").unwrap_or(&Value::Null);
            let owned = |name: &str| text(document, name).map(str::to_owned);
            Citation {
                url: owned("url"),
                title: owned("title").or_else(|| text(source, "id").map(str::to_owned)),
                quote: owned("snippet").or_else(|| owned("text")),
                start: place("start"),
                end: place("end"),
            }
        })
        .collect()
}

/// Log probabilities of the tokens of a piece of text; of several, that of all of them together.
pub(super) fn logprob(item: &Value) -> Option<TokenLogprob> {
    let logprobs: Vec<f64> = list(item, "logprobs").iter().filter_map(Value::as_f64).collect();
    (!logprobs.is_empty()).then(|| TokenLogprob {
        token: text(item, "text").unwrap_or_default().to_owned(),
        logprob: logprobs.iter().sum(),
        bytes: None,
        top: Vec::new(),
    })
}

/// `ERROR` and `TIMEOUT` are no answers.
pub(super) fn is_failure(reason: &str) -> bool {
    matches!(reason, "ERROR" | "TIMEOUT")
}

/// `finish_reason`, after `ChatFinishReason`; the last two are older.
pub(super) fn stop(reason: &str) -> Stop {
    match reason {
        "STOP_SEQUENCE" => Stop::Sequence(None),
        "MAX_TOKENS" => Stop::Length,
        "TOOL_CALL" => Stop::ToolCalls,
        "ERROR_TOXIC" => Stop::ContentFilter,
        "ERROR_LIMIT" => Stop::ContextWindow,
        // `COMPLETE`, and reasons that may come later.
        _ => Stop::End,
    }
}

/// Tokens of a `usage` or `meta` object: those that Cohere bills, else those that it counts.
pub(crate) fn billed(usage: &Value) -> Option<Usage> {
    let count = |group: &str, name: &str| number(usage.get(group)?.get(name)?);
    let of = |name: &str| count("billed_units", name).or_else(|| count("tokens", name));
    let (input, output) = (of("input_tokens"), of("output_tokens"));
    if input.is_none() && output.is_none() {
        return None;
    }
    let input = input.unwrap_or(0);
    let cached = usage.get("cached_tokens").and_then(number).unwrap_or(0);
    Some(Usage {
        input,
        output: output.unwrap_or(0),
        cached_input: cached.min(input),
        ..Usage::default()
    })
}

/// A whole number that may be written with a fraction, as Cohere's counts are.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the range is checked before"
)]
pub(crate) fn number(value: &Value) -> Option<u64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let float = || value.as_f64().filter(|number| (0.0..=EXACT).contains(number));
    value.as_u64().or_else(|| float().map(|number| number as u64))
}
