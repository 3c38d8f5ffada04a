//! Which fields a value has, and which differ between two values.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{
    fields::{self, FieldSet},
    shape::{Shape, element_of, index},
};
use crate::schema::{compare::same, node::Node};

/// Every leaf and every list element of the value.
pub(super) fn field_set(node: &Node, value: &Value) -> FieldSet {
    let mut out = FieldSet::default();
    match (Shape::of(node, value), value) {
        (Shape::Leaf, _) => out.member = true,
        (Shape::Map, Value::Object(members)) => {
            for (name, member) in members {
                let mut child = field_set(node.member(name), member);
                let is_named = node.properties.contains_key(name);
                child.member |= !is_named || is_empty(member);
                out.attach(fields::field(name), child);
            }
        }
        (shape @ (Shape::Set | Shape::Keyed(_)), Value::Array(elements)) => {
            for (key, element) in index(node, shape, elements) {
                let mut child = field_set(node.element(), element);
                child.member = true;
                out.attach(key, child);
            }
        }
        (Shape::Map | Shape::Set | Shape::Keyed(_), _) => {}
    }
    out
}

/// What has no leaf of its own and counts all the same. An empty list that merges by element does not.
fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.is_empty(),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// The fields that differ between two values.
#[derive(Debug, Default)]
pub(super) struct Comparison {
    pub(super) added: FieldSet,
    pub(super) modified: FieldSet,
    pub(super) removed: FieldSet,
}

impl Comparison {
    fn attach(&mut self, element: &str, child: Self) {
        self.added.attach(element.to_owned(), child.added);
        self.modified.attach(element.to_owned(), child.modified);
        self.removed.attach(element.to_owned(), child.removed);
    }

    fn leaf(&mut self, old: Option<&Value>, new: Option<&Value>) {
        match (old, new) {
            (None, _) => self.added.member = true,
            (_, None) => self.removed.member = true,
            (Some(old), Some(new)) => self.modified.member |= !same(old, new),
        }
    }
}

/// Compares two values of the same place.
pub(super) fn compare(node: &Node, old: Option<&Value>, new: Option<&Value>) -> Comparison {
    let mut out = Comparison::default();
    let old_shape = old.map(|value| Shape::of(node, value));
    let new_shape = new.map(|value| Shape::of(node, value));
    let is_leaf = match (old_shape, new_shape) {
        (None, None) => return out,
        (Some(shape), None) | (None, Some(shape)) => visit(node, shape, old, new, &mut out),
        (Some(before), Some(after)) => {
            if before != after {
                visit(node, before, old, new, &mut out);
            }
            visit(node, after, old, new, &mut out)
        }
    };
    if !is_leaf {
        out.added.member |= old.is_none();
        out.removed.member |= new.is_none();
    }
    out
}

/// Compares as one shape; true when the place counts as a leaf.
fn visit(
    node: &Node,
    shape: Shape<'_>,
    old: Option<&Value>,
    new: Option<&Value>,
    out: &mut Comparison,
) -> bool {
    match shape {
        Shape::Leaf => out.leaf(old, new),
        Shape::Map => {
            let (before, after) = (old.and_then(Value::as_object), new.and_then(Value::as_object));
            let names: BTreeSet<&String> = before.into_iter().chain(after).flat_map(Map::keys).collect();
            if !names.is_empty() {
                for name in names {
                    let before = before.and_then(|members| members.get(name));
                    let after = after.and_then(|members| members.get(name));
                    out.attach(&fields::field(name), compare(node.member(name), before, after));
                }
                return false;
            }
            out.leaf(old, new);
        }
        Shape::Set | Shape::Keyed(_) => {
            let before = old
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let after = new
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            if !before.is_empty() || !after.is_empty() {
                visit_elements(node, shape, before, after, out);
                return false;
            }
            out.leaf(old, new);
        }
    }
    true
}

fn visit_elements(node: &Node, shape: Shape<'_>, before: &[Value], after: &[Value], out: &mut Comparison) {
    mark_repeated(node, shape, before, after, out);
    let before = index(node, shape, before);
    let after: BTreeMap<_, _> = index(node, shape, after).into_iter().collect();
    for (key, element) in &before {
        out.attach(
            key,
            compare(node.element(), Some(element), after.get(key).copied()),
        );
    }
    let known: BTreeSet<&String> = before.iter().map(|(key, _)| key).collect();
    for (key, element) in after.iter().filter(|(key, _)| !known.contains(key)) {
        out.attach(key, compare(node.element(), None, Some(element)));
    }
}

/// Elements that occur more than once, in either list, have changed when their occurrences have.
fn mark_repeated(node: &Node, shape: Shape<'_>, before: &[Value], after: &[Value], out: &mut Comparison) {
    let occurrences = |elements: &[Value]| {
        let mut found: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for element in elements {
            if let Ok(key) = element_of(node, shape, element) {
                found.entry(key).or_default().push(element.clone());
            }
        }
        found
    };
    let (before, after) = (occurrences(before), occurrences(after));
    for (key, old) in &before {
        let Some(new) = after.get(key) else { continue };
        let is_repeated = old.len() > 1 || new.len() > 1;
        if is_repeated && (old.len() != new.len() || !old.iter().zip(new).all(|(old, new)| same(old, new))) {
            out.modified.insert(&[key]);
        }
    }
}

/// Adds the struct fields on the way to the set's paths, so that an emptied field can go as a whole.
pub(super) fn with_named_fields(node: &Node, set: &FieldSet) -> FieldSet {
    let mut out = FieldSet::place(set.member);
    for (element, child) in set.children() {
        let (inner, is_named) = match fields::field_name(element) {
            Some(name) => (node.member(name), node.properties.contains_key(name)),
            None => (node.element(), false),
        };
        let mut child = with_named_fields(inner, child);
        child.member |= is_named;
        out.attach(element.to_owned(), child);
    }
    out
}

/// The value without the set's fields. What loses all that it had becomes null, as the original has it, unless it is
/// in the set itself.
pub(super) fn remove(node: &Node, value: &Value, set: &FieldSet) -> Value {
    match (Shape::of(node, value), value) {
        (Shape::Map, Value::Object(members)) => {
            let rest: Map<String, Value> = members
                .iter()
                .filter_map(|(name, member)| {
                    let member = keep(node.member(name), member, set.child(&fields::field(name)))?;
                    Some((name.clone(), member))
                })
                .collect();
            if rest.is_empty() {
                Value::Null
            } else {
                Value::Object(rest)
            }
        }
        (shape @ (Shape::Set | Shape::Keyed(_)), Value::Array(elements)) => {
            let rest: Vec<Value> = elements
                .iter()
                .filter_map(|element| {
                    let child = element_of(node, shape, element)
                        .ok()
                        .and_then(|key| set.child(&key));
                    keep(node.element(), element, child)
                })
                .collect();
            if rest.is_empty() {
                Value::Null
            } else {
                Value::Array(rest)
            }
        }
        (Shape::Leaf, Value::Array(_) | Value::Object(_)) => Value::Null,
        _ => value.clone(),
    }
}

fn keep(node: &Node, value: &Value, set: Option<&FieldSet>) -> Option<Value> {
    match set {
        None => Some(value.clone()),
        Some(set) if set.member => None,
        Some(set) if set.is_empty() => Some(value.clone()),
        Some(set) => Some(remove(node, value, set)),
    }
}
