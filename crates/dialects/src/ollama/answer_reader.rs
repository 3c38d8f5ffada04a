//! Reading answers, whole and line by line.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md#generate-a-chat-completion>

use serde_json::Value;

use crate::{
    Usage,
    calls::Calls,
    chat::{Answer, Choice, Content, Part, Source, Stop, TokenLogprob, TranslateError, refuse},
};

/// Reads the body of a 200.
pub(super) fn read(body: &[u8]) -> Result<Answer, TranslateError> {
    let body: Value =
        serde_json::from_slice(body).or_else(|error| refuse("body", format!("must be JSON: {error}")))?;
    if let Some(error) = body.get("error").and_then(Value::as_str) {
        return refuse("error", error);
    }
    if !body.get("message").is_some_and(Value::is_object) {
        return refuse("message", "must be an object: this is no answer of Ollama");
    }
    let parts = parts(&body, &mut calls(&body));
    let has_calls = parts.iter().any(is_call);
    Ok(Answer {
        id: String::new(),
        model: text(&body, "model").to_owned(),
        usage: usage(&body),
        choices: vec![Choice {
            stop: body
                .get("done")
                .and_then(Value::as_bool)
                .unwrap_or(false)
                .then(|| {
                    let stop = stop(&body);
                    if has_calls && stop == Stop::End {
                        Stop::ToolCalls
                    } else {
                        stop
                    }
                }),
            logprobs: logprobs(&body),
            parts,
        }],
        service_tier: None,
    })
}

/// Ids of calls, for versions of Ollama that give none: the time makes those of two answers differ.
pub(super) fn calls(first: &Value) -> Calls {
    Calls::of_answer(text(first, "created_at"))
}

pub(super) fn is_call(part: &Part) -> bool {
    matches!(part.content, Content::ToolCall { .. })
}

pub(super) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// Why it ended; `stop`, `load` and `unload` are ends.
pub(super) fn stop(line: &Value) -> Stop {
    match text(line, "done_reason") {
        "length" => Stop::Length,
        "content_filter" => Stop::ContentFilter,
        _ => Stop::End,
    }
}

/// Counts come with the last line; `None` when there are none.
pub(super) fn usage(line: &Value) -> Option<Usage> {
    let count = |name: &str| line.get(name).and_then(Value::as_u64);
    let (input, output) = (count("prompt_eval_count"), count("eval_count"));
    (input.is_some() || output.is_some()).then(|| Usage {
        input: input.unwrap_or(0),
        output: output.unwrap_or(0),
        ..Usage::default()
    })
}

/// The parts of a message, in the order in which they are said.
pub(super) fn parts(line: &Value, calls: &mut Calls) -> Vec<Part> {
    let message = line.get("message").unwrap_or(&Value::Null);
    let mut parts = Vec::new();
    let thoughts = text(message, "thinking");
    if !thoughts.is_empty() {
        parts.push(Part::new(Content::Reasoning {
            text: thoughts.to_owned(),
            signature: None,
        }));
    }
    let said = text(message, "content");
    if !said.is_empty() {
        parts.push(Part::text(said));
    }
    let list = |name: &str| message.get(name).and_then(Value::as_array).into_iter().flatten();
    for data in list("images").filter_map(Value::as_str) {
        parts.push(Part::new(Content::Image {
            source: Source::Base64 {
                media_type: "image/png".to_owned(),
                data: data.to_owned(),
            },
            detail: None,
        }));
    }
    for call in list("tool_calls") {
        let function = call.get("function").unwrap_or(&Value::Null);
        let name = text(function, "name");
        let arguments = match function.get("arguments") {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(arguments) => arguments.to_string(),
        };
        parts.push(Part::new(Content::ToolCall {
            id: calls.call(call.get("id").and_then(Value::as_str), name),
            name: name.to_owned(),
            arguments,
            signature: None,
        }));
    }
    parts
}

pub(super) fn logprobs(line: &Value) -> Vec<TokenLogprob> {
    let tokens = line.get("logprobs").and_then(Value::as_array);
    tokens.into_iter().flatten().map(token).collect()
}

fn token(value: &Value) -> TokenLogprob {
    let bytes = value.get("bytes").and_then(Value::as_array);
    let top = value.get("top_logprobs").and_then(Value::as_array);
    TokenLogprob {
        token: text(value, "token").to_owned(),
        logprob: value.get("logprob").and_then(Value::as_f64).unwrap_or(0.0),
        bytes: bytes.and_then(|bytes| {
            bytes
                .iter()
                .map(|byte| u8::try_from(byte.as_u64()?).ok())
                .collect()
        }),
        // One level only: nothing deeper is documented.
        top: top
            .into_iter()
            .flatten()
            .map(|value| TokenLogprob {
                token: text(value, "token").to_owned(),
                logprob: value.get("logprob").and_then(Value::as_f64).unwrap_or(0.0),
                ..TokenLogprob::default()
            })
            .collect(),
    }
}
