//! Filling absent fields with their defaults.

use serde_json::Value;

use super::node::Node;

/// Removes the nulls that the schema does not allow and fills what is absent, recursively.
pub(super) fn fill(node: &Node, value: &mut Value) {
    remove_nulls(node, value);
    complete(node, value);
}

/// Removes the nulls that the schema does not allow, recursively.
fn remove_nulls(node: &Node, value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                let known = node.known_member(name);
                if let Some(known) = known {
                    remove_nulls(known, member);
                }
                !member.is_null() || known.is_none_or(|known| known.nullable)
            });
        }
        Value::Array(elements) => {
            if let Some(items) = node.items.as_deref() {
                for element in elements {
                    remove_nulls(items, element);
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Fills what is absent, recursively.
pub(super) fn complete(node: &Node, value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, property) in &node.properties {
                if let Some(default) = &property.default
                    && !members.contains_key(name)
                {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, member) in members.iter_mut() {
                if let Some(known) = node.known_member(name) {
                    complete(known, member);
                }
            }
        }
        Value::Array(elements) => {
            let Some(items) = node.items.as_deref() else {
                return;
            };
            for element in elements {
                if element.is_null()
                    && !items.nullable
                    && let Some(default) = &items.default
                {
                    *element = default.clone();
                }
                complete(items, element);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
