//! Where the texts of bodies are, whatever API's they are: every JSON string but names, ids and media.
//!
//! *Invariant:* what is not a text is left byte for byte; what is not known to be something else is a text.

use serde_json::{Map, Value};

/// Whose a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The operator's: system and developer prompts.
    Instructions,
    /// The user's, a tool's, or of nobody who says so.
    User,
    /// The model's.
    Model,
}

/// A text of a body.
pub(crate) struct Text<'a> {
    pub(crate) whose: Whose,
    pub(crate) text: &'a mut String,
}

/// Members whose strings are no texts, in any of the dialects: names, ids, words of the API, addresses and media.
const OTHER: &[&str] = &[
    "model",
    "role",
    "type",
    "object",
    "id",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "toolUseId",
    "item_id",
    "response_id",
    "previous_response_id",
    "conversation",
    "finish_reason",
    "finishReason",
    "stop_reason",
    "stopReason",
    "done_reason",
    "status",
    "system_fingerprint",
    "service_tier",
    "url",
    "uri",
    "fileUri",
    "file_id",
    "file_data",
    "data",
    "b64_json",
    "images",
    "signature",
    "thoughtSignature",
    "thought_signature",
    "encrypted_content",
    "media_type",
    "mimeType",
    "mime_type",
    "format",
    "detail",
    "effort",
    "created_at",
    "modelVersion",
    "responseId",
    "tool_choice",
    "toolConfig",
    "response_format",
    "responseSchema",
    "responseJsonSchema",
    "responseMimeType",
    "include",
    "modalities",
    "encoding_format",
    "truncation",
    "voice",
    "cache_control",
    "cachedContent",
    "logit_bias",
    "stream_options",
    "keep_alive",
    "safetySettings",
    "parameters",
    "parametersJsonSchema",
    "input_schema",
    "embedding",
    "usage",
    "usageMetadata",
    "prompt_cache_key",
    "safety_identifier",
    "reasoning_effort",
    "verbosity",
];

/// Members that hold instructions.
const INSTRUCTIONS: &[&str] = &[
    "system",
    "instructions",
    "systemInstruction",
    "system_instruction",
];

/// Visits every text of a body, in order.
pub(crate) fn visit(body: &mut Value, visitor: &mut dyn FnMut(Text<'_>)) {
    walk(body, Whose::User, visitor);
}

fn walk(value: &mut Value, whose: Whose, visitor: &mut dyn FnMut(Text<'_>)) {
    match value {
        Value::Object(members) => walk_members(members, whose, visitor),
        Value::Array(elements) => {
            for element in elements {
                walk(element, whose, visitor);
            }
        }
        Value::String(text) => visitor(Text { whose, text }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn walk_members(members: &mut Map<String, Value>, whose: Whose, visitor: &mut dyn FnMut(Text<'_>)) {
    let whose = match members.get("role").and_then(Value::as_str) {
        Some("system" | "developer") => Whose::Instructions,
        Some("assistant" | "model") => Whose::Model,
        Some("user" | "tool" | "function") => Whose::User,
        Some(_) | None => whose,
    };
    // The name of a function or participant; a tool's result in Gemini's dialect has one beside its content.
    for (name, value) in members.iter_mut() {
        let name = name.as_str();
        let string = matches!(name, "name" | "image_url") && value.is_string();
        if string || OTHER.contains(&name) {
            continue;
        }
        let whose = if INSTRUCTIONS.contains(&name) {
            Whose::Instructions
        } else {
            whose
        };
        match value {
            Value::String(text) if matches!(name, "arguments" | "partial_json") => {
                walk_document(text, whose, visitor);
            }
            // What a tool gets and gives: names in it mean nothing to an API.
            Value::Object(_) if matches!(name, "arguments" | "input" | "args" | "response") => {
                walk_all(value, whose, visitor);
            }
            other => walk(other, whose, visitor),
        }
    }
}

/// A text that is a JSON document itself; one that is not is a text.
fn walk_document(text: &mut String, whose: Whose, visitor: &mut dyn FnMut(Text<'_>)) {
    let parsed = serde_json::from_str::<Value>(text).ok();
    let Some(mut document) = parsed.filter(|document| document.is_object() || document.is_array()) else {
        return visitor(Text { whose, text });
    };
    let before = document.clone();
    walk_all(&mut document, whose, visitor);
    if document != before {
        *text = document.to_string();
    }
}

/// Every string of a document whose members' names mean nothing.
fn walk_all(value: &mut Value, whose: Whose, visitor: &mut dyn FnMut(Text<'_>)) {
    match value {
        Value::Object(members) => members
            .iter_mut()
            .for_each(|(_, value)| walk_all(value, whose, visitor)),
        Value::Array(elements) => elements
            .iter_mut()
            .for_each(|value| walk_all(value, whose, visitor)),
        Value::String(text) => visitor(Text { whose, text }),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn texts(mut body: Value) -> Vec<(Whose, String)> {
        let mut found = Vec::new();
        visit(&mut body, &mut |text| found.push((text.whose, text.text.clone())));
        found
    }

    fn all(of: Whose, texts: &[&str]) -> Vec<(Whose, String)> {
        texts.iter().map(|text| (of, (*text).to_owned())).collect()
    }

    #[test]
    fn the_texts_of_each_dialect_are_found() {
        use Whose::{Instructions, Model, User};
        let openai = json!({"model": "m", "messages": [
            {"role": "system", "content": "s"},
            {"role": "user", "name": "n", "content": [{"type": "text", "text": "u"},
                {"type": "image_url", "image_url": {"url": "data:x", "detail": "low"}}]},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{\"a\": [\"x\", {\"type\": \"y\"}]}"}}]},
            {"role": "tool", "tool_call_id": "c", "content": "r"}],
            "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]});
        let found = [
            all(Instructions, &["s"]),
            all(User, &["u"]),
            all(Model, &["x", "y"]),
            all(User, &["r"]),
        ];
        assert_eq!(texts(openai), found.concat());
        let anthropic = json!({"system": [{"type": "text", "text": "s"}], "messages": [
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "r"},
                {"type": "document", "source": {"type": "base64", "media_type": "m", "data": "d"}}]},
            {"role": "assistant", "content": [{"type": "thinking", "thinking": "h", "signature": "g"}]}]});
        assert_eq!(
            texts(anthropic),
            [all(Instructions, &["s"]), all(User, &["r"]), all(Model, &["h"])].concat()
        );
        let gemini = json!({"systemInstruction": {"parts": [{"text": "s"}]},
            "contents": [{"role": "model", "parts": [{"text": "m"}, {"inlineData": {"mimeType": "i", "data": "d"}}]}]});
        assert_eq!(
            texts(gemini),
            [all(Instructions, &["s"]), all(Model, &["m"])].concat()
        );
        let responses = json!({"instructions": "s", "input": [{"role": "user", "content": "u"},
            {"type": "function_call_output", "call_id": "c", "output": "o"}], "previous_response_id": "p"});
        assert_eq!(
            texts(responses),
            [all(Instructions, &["s"]), all(User, &["u", "o"])].concat()
        );
        assert_eq!(
            texts(json!({"prompt": ["a", "b"], "suffix": "c"})),
            all(User, &["a", "b", "c"])
        );
        assert_eq!(
            texts(json!({"input": "e", "encoding_format": "float"})),
            all(User, &["e"])
        );
    }

    #[test]
    fn what_is_no_text_stays_as_it_is() {
        let mut body = json!({"model": "a", "messages": [{"role": "user", "content": "a", "tool_calls": [
            {"id": "a", "function": {"name": "a", "arguments": "{\"a\": \"a\"}"}}]}], "x": 1.5});
        visit(&mut body, &mut |text| text.text.push('!'));
        let expected = json!({"model": "a", "messages": [{"role": "user", "content": "a!", "tool_calls": [
            {"id": "a", "function": {"name": "a", "arguments": "{\"a\":\"a!\"}"}}]}], "x": 1.5});
        assert_eq!(body, expected);
        let mut broken = json!({"arguments": "{\"a\": "});
        let mut found = Vec::new();
        visit(&mut broken, &mut |text| found.push(text.text.clone()));
        assert_eq!(found, ["{\"a\": "], "what is no document is a text");
    }
}
