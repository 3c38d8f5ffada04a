//! A Messages answer as a chat completion.

use serde_json::{Map, Value, json};

use super::{TranslateError, answer_id, finish_reason, refuse, usage};
use crate::openai::Answer;

/// Translates a whole answer; `model` is the name that the client knows, `created` in seconds since 1970.
///
/// Thinking becomes `reasoning_content`; redacted thinking, which nobody can read, goes.
///
/// # Errors
/// When the answer is no message.
pub fn response_to_openai(body: &Value, model: &str, created: i64) -> Result<Value, TranslateError> {
    let Some(Value::Array(blocks)) = body.get("content") else {
        return refuse("content", "the provider's answer has no content list");
    };
    let stop_reason = body
        .get("stop_reason")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let answer = Answer {
        id: answer_id(body.get("id").and_then(Value::as_str)),
        created,
        model: model.to_owned(),
    };
    let usage = usage(body.get("usage").unwrap_or(&Value::Null));
    Ok(answer.completion(&message(blocks, body), finish_reason(stop_reason), &usage))
}

fn message(blocks: &[Value], body: &Value) -> Value {
    let (mut text, mut reasoning, mut calls) = (None::<String>, None::<String>, Vec::new());
    for block in blocks {
        let field = |name: &str| block.get(name).and_then(Value::as_str).unwrap_or_default();
        match field("type") {
            "text" => text.get_or_insert_default().push_str(field("text")),
            "thinking" => reasoning.get_or_insert_default().push_str(field("thinking")),
            "tool_use" => {
                let arguments = block
                    .get("input")
                    .filter(|input| input.is_object())
                    .map_or("{}".to_owned(), Value::to_string);
                let function = json!({"name": field("name"), "arguments": arguments});
                calls.push(json!({"id": field("id"), "type": "function", "function": function}));
            }
            _ => {}
        }
    }
    let mut message = Map::new();
    message.insert("role".to_owned(), "assistant".into());
    message.insert("content".to_owned(), text.into());
    message.insert("refusal".to_owned(), refusal(body));
    message.extend(reasoning.map(|reasoning| ("reasoning_content".to_owned(), reasoning.into())));
    if !calls.is_empty() {
        message.insert("tool_calls".to_owned(), Value::Array(calls));
    }
    Value::Object(message)
}

/// Why the model refused, when it says so.
fn refusal(body: &Value) -> Value {
    let details = body
        .get("stop_details")
        .filter(|details| details.get("type").is_some_and(|kind| kind == "refusal"));
    details
        .and_then(|details| details.get("explanation"))
        .filter(|text| text.is_string())
        .cloned()
        .unwrap_or_default()
}
