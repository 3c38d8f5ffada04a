//! What is scored.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One answer with what is known about it. `Null` stands for what is not known.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Sample {
    /// What was asked.
    pub input: Value,
    /// What was answered.
    pub output: Value,
    /// What should have been answered; a list of texts is as many references, any of which will do.
    pub expected: Value,
    /// What the answer should rest on; a list has the most relevant first.
    pub context: Value,
    /// The tools that were called, in order.
    pub tool_calls: Vec<ToolCall>,
    /// The tools that should have been called.
    pub expected_tool_calls: Option<Vec<ToolCall>>,
    /// What it took.
    pub measured: Measured,
    /// What else prompts of judges may name.
    pub more: serde_json::Map<String, Value>,
}

/// What an answer took.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Measured {
    /// Milliseconds to its end.
    pub duration_ms: Option<f64>,
    /// US dollars.
    pub cost_usd: Option<f64>,
    /// Tokens read and written.
    pub tokens: Option<f64>,
}

/// A tool that a model called.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ToolCall {
    /// Its name.
    pub name: String,
    /// What it was called with; usually an object.
    #[serde(default)]
    pub arguments: Value,
}

impl ToolCall {
    /// Reads calls as they are written by hand (`{"name", "arguments"}`) or told by OpenAI's chat API (`{"function": {"name",
    /// "arguments": TEXT}}`); `None` when it is no list of calls.
    pub fn list(value: &Value) -> Option<Vec<Self>> {
        value.as_array()?.iter().map(Self::one).collect()
    }

    fn one(value: &Value) -> Option<Self> {
        let call = value.get("function").unwrap_or(value);
        let arguments = match call.get("arguments") {
            Some(Value::String(text)) => serde_json::from_str(text).unwrap_or_else(|_| text.clone().into()),
            Some(other) => other.clone(),
            None => Value::Object(serde_json::Map::new()),
        };
        Some(Self {
            name: call.get("name")?.as_str()?.to_owned(),
            arguments,
        })
    }
}

/// How letters are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// As they are.
    Sensitive,
    /// In lower case.
    Ignored,
}

impl Case {
    pub(crate) fn fold(self, text: &str) -> String {
        match self {
            Self::Sensitive => text.to_owned(),
            Self::Ignored => text.to_lowercase(),
        }
    }
}

/// A value as text: texts as they are, everything else as JSON, what is not known as nothing.
pub fn text_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The references that a value stands for.
pub fn texts_of(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::Array(items) if !items.is_empty() && items.iter().all(Value::is_string) => {
            items.iter().map(text_of).collect()
        }
        other => vec![text_of(other)],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tool_calls_are_read_in_both_forms() {
        let told = json!([
            {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}},
            {"name": "g", "arguments": {"b": 2}},
            {"name": "h"},
            {"function": {"name": "broken", "arguments": "{"}},
        ]);
        let calls = ToolCall::list(&told).unwrap();
        let arguments: Vec<&Value> = calls.iter().map(|call| &call.arguments).collect();
        assert_eq!(
            arguments,
            [&json!({"a": 1}), &json!({"b": 2}), &json!({}), &json!("{")]
        );
        for broken in [json!({}), json!([1]), json!([{"arguments": {}}])] {
            assert_eq!(ToolCall::list(&broken), None, "{broken}");
        }
    }

    #[test]
    fn a_list_of_texts_is_several_references_and_any_other_value_one() {
        assert_eq!(texts_of(&json!(["a", "b"])), ["a", "b"]);
        assert_eq!(texts_of(&json!(["a", 1])), ["[\"a\",1]"]);
        assert_eq!(texts_of(&json!(1.5)), ["1.5"]);
        assert!(texts_of(&Value::Null).is_empty());
    }
}
