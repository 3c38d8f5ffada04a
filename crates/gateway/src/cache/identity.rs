//! When two requests ask for the same. Nothing here performs I/O.

use serde_json::Value;
use sha2::{Digest, Sha256};
use stead_dialects::chat::Wire;

use crate::operation::Operation;

/// What a request asks for, as one number.
pub(crate) type Print = [u8; 32];

/// Members of requests that do not change the answer's text.
const VOLATILE: &[&str] = &[
    "model",
    "stream",
    "stream_options",
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "service_tier",
    "store",
    "keep_alive",
];

/// The most random choice of tokens that is wanted again, if a client sets one.
const TEMPERATURE_LIMIT: f64 = 1.0;

/// Whether an answer to this request can be given again: one answer, with nothing that lives at the provider.
pub(crate) fn is_repeatable(body: &Value) -> bool {
    let config = body
        .get("generationConfig")
        .or_else(|| body.get("options"))
        .unwrap_or(body);
    let number = |name: &str| {
        config
            .get(name)
            .or_else(|| body.get(name))
            .and_then(Value::as_f64)
    };
    let one = ["n", "best_of", "candidateCount"]
        .iter()
        .all(|name| number(name).is_none_or(|n| n <= 1.0));
    let calm = number("temperature").is_none_or(|temperature| temperature <= TEMPERATURE_LIMIT);
    let stateful = [
        "previous_response_id",
        "conversation",
        "cachedContent",
        "context",
        "background",
    ]
    .iter()
    .any(|name| {
        body.get(name)
            .is_some_and(|value| !value.is_null() && value != &Value::Bool(false))
    });
    one && calm && !stateful
}

/// The print of a request: the same for bodies that differ only in the order of members, in white space and in what
/// does not change the answer.
pub(crate) fn print(operation: Operation, wire: Wire, body: &Value) -> Print {
    let mut hash = Sha256::new();
    hash.update(operation.as_str());
    hash.update([0]);
    hash.update(wire.as_str());
    hash.update([0]);
    match body {
        Value::Object(members) => {
            let mut kept: Vec<(&String, &Value)> = members
                .iter()
                .filter(|(name, _)| !VOLATILE.contains(&name.as_str()))
                .collect();
            kept.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in kept {
                text(name, &mut hash);
                canonical(value, &mut hash);
            }
        }
        other => canonical(other, &mut hash),
    }
    hash.finalize().into()
}

/// Feeds a value so that no two values feed the same.
fn canonical(value: &Value, hash: &mut Sha256) {
    match value {
        Value::Null => hash.update(b"z"),
        Value::Bool(value) => hash.update(if *value { b"t" } else { b"f" }),
        Value::Number(number) => {
            hash.update(b"n");
            match number.as_f64() {
                // 1 and 1.0 are the same to every API.
                Some(float) if !number.is_u64() && !number.is_i64() && float.fract() == 0.0 => {
                    text(&format!("{float:.0}"), hash);
                }
                _ => text(&number.to_string(), hash),
            }
        }
        Value::String(string) => {
            hash.update(b"s");
            text(string, hash);
        }
        Value::Array(elements) => {
            hash.update(b"a");
            length(elements.len(), hash);
            for element in elements {
                canonical(element, hash);
            }
        }
        Value::Object(members) => {
            hash.update(b"o");
            length(members.len(), hash);
            let mut sorted: Vec<(&String, &Value)> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            for (name, value) in sorted {
                text(name, hash);
                canonical(value, hash);
            }
        }
    }
}

fn text(text: &str, hash: &mut Sha256) {
    length(text.len(), hash);
    hash.update(text);
}

fn length(length: usize, hash: &mut Sha256) {
    hash.update(u64::try_from(length).unwrap_or(u64::MAX).to_le_bytes());
}

/// The last question of a conversation, and the request without it; `None` when the last word is not the user's, or
/// says more than text.
pub(crate) fn question(body: &Value) -> Option<(String, Value)> {
    let mut rest = body.clone();
    let list = ["messages", "contents", "input"]
        .into_iter()
        .find(|name| body.get(name).is_some())?;
    let slot = rest.get_mut(list)?;
    let content = match slot {
        Value::String(_) => slot,
        Value::Array(elements) => {
            let last = elements.last_mut()?;
            let role = last.get("role").and_then(Value::as_str);
            if role != Some("user") {
                return None;
            }
            let member = if list == "contents" { "parts" } else { "content" };
            last.get_mut(member)?
        }
        _ => return None,
    };
    let text = match content.take() {
        Value::String(text) => text,
        Value::Array(parts) => {
            let texts: Option<Vec<String>> = parts
                .iter()
                .map(|part| {
                    let only_text = part
                        .as_object()?
                        .keys()
                        .all(|key| matches!(key.as_str(), "type" | "text"));
                    part.get("text")?
                        .as_str()
                        .filter(|_| only_text)
                        .map(str::to_owned)
                })
                .collect();
            texts?.join("\n")
        }
        _ => return None,
    };
    (!text.trim().is_empty()).then_some((text, rest))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(body: &Value) -> Print {
        print(Operation::Chat, Wire::OpenAi, body)
    }

    #[test]
    fn what_does_not_change_the_answer_does_not_change_the_print() {
        let base = json!({"model": "a", "messages": [{"role": "user", "content": "hi"}], "top_p": 1});
        let same = [
            json!({"messages": [{"content": "hi", "role": "user"}], "top_p": 1.0, "model": "b", "stream": true}),
            json!({"messages": [{"content": "hi", "role": "user"}], "top_p": 1, "user": "ada", "metadata": {"a": "b"}}),
        ];
        for body in same {
            assert_eq!(of(&body), of(&base), "{body}");
        }
        let different = [
            json!({"messages": [{"role": "user", "content": "ho"}], "top_p": 1}),
            json!({"messages": [{"role": "user", "content": "hi"}], "top_p": 0.5}),
            json!({"messages": [{"role": "user", "content": "hi"}], "top_p": "1"}),
            json!({"messages": [{"role": "user", "content": "hi"}], "top_p": 1, "tools": []}),
            json!({"messages": [{"role": "user", "content": "hi", "user": "x"}], "top_p": 1}),
        ];
        for body in different {
            assert_ne!(of(&body), of(&base), "{body}");
        }
        assert_ne!(print(Operation::Chat, Wire::Anthropic, &base), of(&base));
    }

    #[test]
    fn several_answers_wild_ones_and_conversations_elsewhere_are_not_repeated() {
        let cases = [
            (json!({"n": 1, "temperature": 0.7}), true),
            (json!({}), true),
            (json!({"n": 2}), false),
            (json!({"temperature": 1.5}), false),
            (json!({"generationConfig": {"candidateCount": 2}}), false),
            (json!({"options": {"temperature": 2.0}}), false),
            (json!({"previous_response_id": "r"}), false),
            (json!({"previous_response_id": null, "background": false}), true),
        ];
        for (body, expected) in cases {
            assert_eq!(is_repeatable(&body), expected, "{body}");
        }
    }

    #[test]
    fn the_last_question_is_taken_out_of_each_dialects_requests() {
        let cases = [
            json!({"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "q"}]}]}),
            json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}]}),
            json!({"input": "q"}),
            json!({"input": [{"role": "user", "content": [{"type": "input_text", "text": "q"}]}]}),
        ];
        for body in cases {
            let (text, rest) = question(&body).unwrap();
            assert_eq!(text, "q", "{body}");
            assert!(!rest.to_string().contains("\"q\""), "{rest}");
        }
        for body in [
            json!({"messages": [{"role": "assistant", "content": "q"}]}),
            json!({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
            json!({"messages": []}),
            json!({"prompt": "q"}),
        ] {
            assert_eq!(question(&body), None, "{body}");
        }
    }
}
