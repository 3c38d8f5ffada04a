//! Merging an applied value into a live one.

use std::collections::{HashMap, HashSet, VecDeque};

use serde_json::{Map, Value};

use super::shape::{Shape, element_of, index};
use crate::schema::node::Node;

/// Merges; where both have a leaf, the applied one wins. Nothing is ever removed.
pub(super) fn merge(node: &Node, live: Option<&Value>, applied: Option<&Value>) -> Option<Value> {
    let Some(new) = applied else {
        return live.cloned();
    };
    match Shape::of(node, new) {
        Shape::Leaf => Some(new.clone()),
        Shape::Map => {
            let Some(old) = live.and_then(Value::as_object) else {
                return Some(new.clone());
            };
            match new.as_object() {
                None if old.is_empty() => Some(new.clone()),
                // A null does not empty what merges member by member.
                None => live.cloned(),
                Some(added) => Some(Value::Object(merge_members(node, old, added))),
            }
        }
        shape @ (Shape::Set | Shape::Keyed(_)) => {
            let old = live
                .and_then(Value::as_array)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let added = new.as_array().map(Vec::as_slice).unwrap_or_default();
            if old.is_empty() && added.is_empty() {
                return Some(new.clone());
            }
            Some(Value::Array(merge_elements(node, shape, old, added)))
        }
    }
}

fn merge_members(node: &Node, old: &Map<String, Value>, new: &Map<String, Value>) -> Map<String, Value> {
    let mut out = old.clone();
    for (name, member) in new {
        if let Some(merged) = merge(node.member(name), old.get(name), Some(member)) {
            out.insert(name.clone(), merged);
        }
    }
    out
}

/// Merges element by element: in the order of the applied list, with what only the live list has kept in its place
/// relative to its live neighbours.
fn merge_elements(node: &Node, shape: Shape<'_>, old: &[Value], new: &[Value]) -> Vec<Value> {
    let new = index(node, shape, new);
    let wanted: HashSet<&str> = new.iter().map(|(key, _)| key.as_str()).collect();
    let mut first_old = HashMap::new();
    let mut waiting = VecDeque::new();
    for element in old {
        let key = element_of(node, shape, element).ok();
        if let Some(key) = &key {
            first_old.entry(key.clone()).or_insert(element);
        }
        waiting.push_back((key, element));
    }
    let mut shared: VecDeque<&str> = new
        .iter()
        .map(|(key, _)| key.as_str())
        .filter(|key| first_old.contains_key(*key))
        .collect();
    let mut out = Vec::with_capacity(old.len().max(new.len()));
    for (key, element) in &new {
        while let Some((old_key, old_element)) = waiting.front() {
            match old_key.as_deref() {
                Some(old_key) if shared.front() == Some(&old_key) => break,
                // The applied list puts this one elsewhere.
                Some(old_key) if wanted.contains(old_key) => {}
                _ => out.push((*old_element).clone()),
            }
            waiting.pop_front();
        }
        if shared.front() == Some(&key.as_str()) {
            shared.pop_front();
            waiting.pop_front();
        }
        out.extend(merge(
            node.element(),
            first_old.get(key.as_str()).copied(),
            Some(element),
        ));
    }
    let rest = waiting
        .into_iter()
        .filter(|(key, _)| !key.as_deref().is_some_and(|key| wanted.contains(key)));
    out.extend(rest.map(|(_, element)| element.clone()));
    out
}
