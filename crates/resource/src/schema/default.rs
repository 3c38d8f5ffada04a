//! Filling absent fields with their defaults.

use serde_json::Value;

use super::node::Node;

/// Removes the nulls that the schema does not allow and fills what is absent, recursively.
pub(super) fn fill(node: &Node, value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|name, member| {
                !member.is_null() || node.known_member(name).is_none_or(|known| known.nullable)
            });
            for (name, property) in &node.properties {
                if let Some(default) = &property.default
                    && !members.contains_key(name)
                {
                    members.insert(name.clone(), default.clone());
                }
            }
            for (name, member) in members.iter_mut() {
                if let Some(known) = node.known_member(name) {
                    fill(known, member);
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
                fill(items, element);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
