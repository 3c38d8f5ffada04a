//! Whether a value has the shape that merging by its schema needs, told in the words of Kubernetes' merge engine.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{
    fields::{field, print_element},
    shape::{Shape, element_of},
};
use crate::schema::node::{ListType, Node, Type};

/// Whether an object may have lists with elements that occur twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    Refused,
    Tolerated,
}

/// Checks the value against the schema's shape.
///
/// # Errors
/// Every place that does not fit, as one text.
pub(super) fn check(node: &Node, value: &Value, duplicates: Duplicates) -> Result<(), String> {
    let mut walker = Walker {
        duplicates,
        path: String::new(),
        errors: Vec::new(),
    };
    walker.node(node, value);
    match walker.errors.as_slice() {
        [] => Ok(()),
        [only] => Err(only.clone()),
        many => Err(format!("errors:\n  {}", many.join("\n  "))),
    }
}

struct Walker {
    duplicates: Duplicates,
    path: String,
    errors: Vec<String>,
}

impl Walker {
    fn fail(&mut self, message: &str) {
        let separator = if self.path.is_empty() { "" } else { ": " };
        self.errors.push(format!("{}{separator}{message}", self.path));
    }

    /// Looks at what lies below an element, given in wire form.
    fn below(&mut self, element: &str, node: &Node, value: &Value) {
        let length = self.path.len();
        print_element(element, &mut self.path);
        self.node(node, value);
        self.path.truncate(length);
    }

    fn node(&mut self, node: &Node, value: &Value) {
        match (node.kind, value) {
            (Type::Object | Type::Any, Value::Object(members)) => self.members(node, members),
            (Type::Array | Type::Any, Value::Array(elements)) => self.elements(node, elements),
            (_, Value::Null)
            | (Type::Any, _)
            | (Type::String, Value::String(_))
            | (Type::Integer | Type::Number, Value::Number(_))
            | (Type::Boolean, Value::Bool(_))
            | (Type::IntOrString, Value::String(_) | Value::Number(_) | Value::Bool(_)) => {}
            (Type::Object, _) => self.fail(&format!("expected map, got &{{{}}}", plain(value))),
            (Type::Array, _) => self.fail(&format!("expected list, got &{{{}}}", plain(value))),
            (Type::String, _) => {
                let shown = format!(
                    "expected string, got &value.valueUnstructured{{Value:{}}}",
                    syntax(value)
                );
                self.fail(&shown);
            }
            (Type::Integer | Type::Number, _) => {
                self.fail(&format!(
                    "expected numeric (int or float), got {}",
                    type_name(value)
                ));
            }
            (Type::Boolean, _) => self.fail(&format!("expected boolean, got &{{{}}}", plain(value))),
            (Type::IntOrString, _) => self.fail(&format!("expected any scalar, got &{{{}}}", plain(value))),
        }
    }

    fn members(&mut self, node: &Node, members: &Map<String, Value>) {
        let mut members: Vec<(&String, &Value)> = members.iter().collect();
        members.sort_by_key(|(name, _)| *name);
        for (name, member) in members {
            let element = field(name);
            if node.known_member(name).is_none() && node.kind == Type::Object && !node.preserve_unknown {
                let length = self.path.len();
                print_element(&element, &mut self.path);
                self.fail("field not declared in schema");
                self.path.truncate(length);
                return;
            }
            self.below(&element, node.member(name), member);
        }
    }

    fn elements(&mut self, node: &Node, elements: &[Value]) {
        let shape = match &node.list {
            ListType::Atomic => {
                for (index, element) in elements.iter().enumerate() {
                    self.below(&format!("i:{index}"), node.element(), element);
                }
                return;
            }
            ListType::Set => Shape::Set,
            ListType::Map(keys) => Shape::Keyed(keys),
        };
        let mut seen = HashSet::new();
        for (index, element) in elements.iter().enumerate() {
            let key = match element_of(node, shape, element) {
                Ok(key) => key,
                Err(why) => return self.fail(&format!("element {index}: {why}")),
            };
            if !seen.insert(key.clone()) && self.duplicates == Duplicates::Refused {
                let mut shown = String::new();
                print_element(&key, &mut shown);
                self.fail(&format!("duplicate entries for key {shown}"));
            }
            self.below(&key, node.element(), element);
        }
    }
}

/// A value as Go prints it with `%v`.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(elements) => {
            let shown: Vec<String> = elements.iter().map(plain).collect();
            format!("[{}]", shown.join(" "))
        }
        Value::Object(members) => {
            let mut shown: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{name}:{}", plain(member)))
                .collect();
            shown.sort();
            format!("map[{}]", shown.join(" "))
        }
    }
}

/// A value as Go prints it with `%#v`.
fn syntax(value: &Value) -> String {
    match value {
        Value::Null => "interface {}(nil)".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
        Value::Array(elements) => {
            let shown: Vec<String> = elements.iter().map(syntax).collect();
            format!("[]interface {{}}{{{}}}", shown.join(", "))
        }
        Value::Object(members) => {
            let mut shown: Vec<String> = members
                .iter()
                .map(|(name, member)| format!("{name:?}:{}", syntax(member)))
                .collect();
            shown.sort();
            format!("map[string]interface {{}}{{{}}}", shown.join(", "))
        }
    }
}

/// A value's type as Go prints it with `%T`.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "<nil>",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float64",
        Value::Number(_) => "int64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Schema;

    #[test]
    fn what_does_not_fit_is_told_in_the_words_of_the_original() {
        let schema = Schema::compile(&json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
            "n": {"type": "integer"}, "s": {"type": "string"}, "b": {"type": "boolean"},
            "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
            "list": {"type": "array", "items": {"type": "string"}},
            "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["id"],
                    "items": {"type": "object", "required": ["id"], "properties": {"id": {"type": "string"}}}},
        }}}}))
        .expect("a schema");
        for (spec, expected) in [
            (
                json!({"n": "x"}),
                ".spec.n: expected numeric (int or float), got string",
            ),
            (
                json!({"s": true}),
                ".spec.s: expected string, got &value.valueUnstructured{Value:true}",
            ),
            (json!({"b": "yes"}), ".spec.b: expected boolean, got &{yes}"),
            (
                json!({"list": [1]}),
                ".spec.list[0]: expected string, got &value.valueUnstructured{Value:1}",
            ),
            (
                json!({"set": ["a", "a"]}),
                ".spec.set: duplicate entries for key [=\"a\"]",
            ),
            (
                json!({"map": {"id": "a"}}),
                ".spec.map: expected list, got &{map[id:a]}",
            ),
            (
                json!({"map": ["a"]}),
                ".spec.map: element 0: associative list with keys may not have non-map elements",
            ),
            (json!({"none": 1}), ".spec.none: field not declared in schema"),
        ] {
            let found = check(schema.root(), &json!({"spec": spec}), Duplicates::Refused);
            assert_eq!(found, Err(expected.to_owned()));
        }
        let fits = json!({"spec": {"n": null, "s": "x", "set": [], "map": null}});
        assert_eq!(check(schema.root(), &fits, Duplicates::Refused), Ok(()));
    }
}
