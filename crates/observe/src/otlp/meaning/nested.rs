//! Structures that were flattened into names: `0.message.role` and `0.message.content` are one message. Pure.
//!
//! Indices become places in a list, in order; gaps close. What `OpenInference` wraps each item of a list in
//! (`message`, `tool_call`; <https://arize-ai.github.io/openinference/spec/semantic_conventions.html>) is taken off.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// Names are cut at so many dots; the rest is one name.
const DEPTH: usize = 12;
/// What wraps the items of lists.
const WRAPPERS: [&str; 7] = [
    "completion",
    "document",
    "message",
    "message_content",
    "prompt",
    "tool",
    "tool_call",
];

#[derive(Default)]
struct Node {
    value: Option<Value>,
    below: BTreeMap<String, Node>,
}

/// The structure that these names and values are of; `None` without any.
pub(super) fn nested(pairs: Vec<(String, Value)>) -> Option<Value> {
    if pairs.is_empty() {
        return None;
    }
    let mut root = Node::default();
    for (name, value) in pairs {
        let mut node = &mut root;
        for part in name.splitn(DEPTH, '.') {
            node = node.below.entry(part.to_owned()).or_default();
        }
        node.value = Some(value);
    }
    Some(build(root))
}

fn build(node: Node) -> Value {
    if node.below.is_empty() {
        return node.value.unwrap_or(Value::Null);
    }
    let is_list = node.value.is_none() && node.below.keys().all(|name| index(name).is_some());
    if is_list {
        let mut items: Vec<(u32, Node)> = node
            .below
            .into_iter()
            .filter_map(|(name, node)| Some((index(&name)?, node)))
            .collect();
        items.sort_by_key(|(place, _)| *place);
        return items.into_iter().map(|(_, node)| bare(build(node))).collect();
    }
    let mut object: Map<String, Value> = node
        .below
        .into_iter()
        .map(|(name, node)| (name, build(node)))
        .collect();
    // A name that has a value and also names below it.
    if let Some(value) = node.value {
        object.insert("value".to_owned(), value);
    }
    Value::Object(object)
}

fn index(name: &str) -> Option<u32> {
    let is_plain = name == "0" || !name.starts_with(['0', '+']);
    name.parse().ok().filter(|_| is_plain)
}

/// An item of a list without what wraps it.
fn bare(item: Value) -> Value {
    match item {
        Value::Object(mut object) if object.len() == 1 => {
            let wrapper = WRAPPERS
                .iter()
                .find(|name| object.get(**name).is_some_and(Value::is_object));
            match wrapper.and_then(|name| object.remove(*name)) {
                Some(inner) => inner,
                None => Value::Object(object),
            }
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn flattened_messages_become_lists_in_the_order_of_their_indices() {
        for (told, expected) in [
            (
                json!({"10.role": "c", "2.role": "b", "0.role": "a", "0.content": "x"}),
                json!([{"role": "a", "content": "x"}, {"role": "b"}, {"role": "c"}]),
            ),
            (
                json!({
                    "0.message.role": "assistant",
                    "0.message.contents.0.message_content.type": "text",
                    "0.message.contents.0.message_content.text": "hi",
                    "0.message.tool_calls.0.tool_call.function.name": "f",
                    "0.message.tool_calls.0.tool_call.id": "1",
                }),
                json!([{
                    "role": "assistant",
                    "contents": [{"type": "text", "text": "hi"}],
                    "tool_calls": [{"function": {"name": "f"}, "id": "1"}],
                }]),
            ),
            (json!({"a": 1, "a.b": 2}), json!({"a": {"b": 2, "value": 1}})),
            (json!({"0": 1, "x": 2}), json!({"0": 1, "x": 2})),
            (json!({"00": 1}), json!({"00": 1})),
        ] {
            let pairs = told.as_object().unwrap().clone().into_iter().collect();
            assert_eq!(nested(pairs), Some(expected));
        }
        assert_eq!(nested(Vec::new()), None);
    }

    #[test]
    fn a_name_of_a_thousand_dots_is_no_deeper_than_others() {
        let mut value = nested(vec![("a.".repeat(1_000), json!(1))]).unwrap();
        let mut depth = 0;
        while let Some((_, inner)) = value.as_object().and_then(|object| object.iter().next()) {
            value = inner.clone();
            depth += 1;
        }
        assert_eq!(depth, DEPTH);
    }
}
