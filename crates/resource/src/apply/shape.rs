//! How a value merges: as one leaf, member by member, or element by element.

use serde_json::{Map, Value};

use super::fields::{keyed_element, set_element};
use crate::schema::node::{ListType, MapType, Node, Type};

/// How a place merges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape<'a> {
    /// As one value: scalars, atomic lists and atomic maps.
    Leaf,
    /// Member by member.
    Map,
    /// As a set of values.
    Set,
    /// Element by element, told apart by these keys.
    Keyed(&'a [String]),
}

impl Shape<'_> {
    /// What the schema says; where it says nothing, maps merge and lists do not.
    pub(super) fn of<'a>(node: &'a Node, value: &Value) -> Shape<'a> {
        match (node.kind, value) {
            (Type::Object, _) | (Type::Any, Value::Object(_)) => match node.map {
                MapType::Granular => Shape::Map,
                MapType::Atomic => Shape::Leaf,
            },
            (Type::Array, _) => match &node.list {
                ListType::Atomic => Shape::Leaf,
                ListType::Set => Shape::Set,
                ListType::Map(keys) => Shape::Keyed(keys),
            },
            (
                Type::Any | Type::String | Type::Integer | Type::Number | Type::Boolean | Type::IntOrString,
                _,
            ) => Shape::Leaf,
        }
    }
}

/// The wire form of a list element, or why it has none.
pub(super) fn element_of(list: &Node, shape: Shape<'_>, element: &Value) -> Result<String, String> {
    let Shape::Keyed(keys) = shape else {
        if element.is_null() {
            return Err("a set cannot hold null".to_owned());
        }
        return Ok(set_element(element));
    };
    let Value::Object(members) = element else {
        return Err("an element of a keyed list must be an object".to_owned());
    };
    let mut found = Map::new();
    for key in keys {
        let default = || {
            list.element()
                .properties
                .get(key)
                .and_then(|property| property.default.as_ref())
        };
        if let Some(value) = members.get(key).filter(|value| !value.is_null()).or_else(default) {
            found.insert(key.clone(), value.clone());
        }
    }
    if found.is_empty() {
        return Err(format!(
            "an element of a keyed list must have its key ({})",
            keys.join(", ")
        ));
    }
    Ok(keyed_element(found))
}

/// The elements with their wire forms; those without one are left out, and of several the first counts.
pub(super) fn index<'a>(list: &Node, shape: Shape<'_>, elements: &'a [Value]) -> Vec<(String, &'a Value)> {
    let mut seen = std::collections::HashSet::new();
    elements
        .iter()
        .filter_map(|element| Some((element_of(list, shape, element).ok()?, element)))
        .filter(|(key, _)| seen.insert(key.clone()))
        .collect()
}

/// Whether an object may have lists with elements that occur twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Duplicates {
    Refused,
    Tolerated,
}

/// Checks that the value has the shape that merging by this schema needs; names the place that has not.
pub(super) fn check(node: &Node, value: &Value, path: &str, duplicates: Duplicates) -> Result<(), String> {
    match (Shape::of(node, value), value) {
        (Shape::Leaf, _) | (_, Value::Null) => Ok(()),
        (Shape::Map, Value::Object(members)) => {
            for (name, member) in members {
                check(node.member(name), member, &format!("{path}.{name}"), duplicates)?;
            }
            Ok(())
        }
        (shape @ (Shape::Set | Shape::Keyed(_)), Value::Array(elements)) => {
            let mut seen = std::collections::HashSet::new();
            for (position, element) in elements.iter().enumerate() {
                let place = format!("{path}[{position}]");
                let key = element_of(node, shape, element).map_err(|reason| format!("{place}: {reason}"))?;
                if !seen.insert(key) && duplicates == Duplicates::Refused {
                    return Err(format!("{place}: duplicate entries for key {element}"));
                }
                check(node.element(), element, &place, duplicates)?;
            }
            Ok(())
        }
        (Shape::Map, _) => Err(format!("{path}: expected a map, got {value}")),
        (Shape::Set | Shape::Keyed(_), _) => Err(format!("{path}: expected a list, got {value}")),
    }
}
