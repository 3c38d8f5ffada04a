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

/// The wire form of a list element, or why it has none, in the original's words.
pub(super) fn element_of(list: &Node, shape: Shape<'_>, element: &Value) -> Result<String, String> {
    let Shape::Keyed(keys) = shape else {
        let why = match element {
            Value::Null => "associative list without keys has an element that's an explicit null",
            Value::Array(_) => "not supported: associative list with lists as elements",
            Value::Object(_) => "associative list without keys has an element that's a map type",
            Value::Bool(_) | Value::Number(_) | Value::String(_) => return Ok(set_element(element)),
        };
        return Err(why.to_owned());
    };
    let members = match element {
        Value::Object(members) => members,
        Value::Null => return Err("associative list with keys may not have a null element".to_owned()),
        Value::Array(_) | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            return Err("associative list with keys may not have non-map elements".to_owned());
        }
    };
    let mut found = Map::new();
    for key in keys {
        let default = || {
            let property = list.element().properties.get(key);
            property.and_then(|property| property.default.as_ref())
        };
        if let Some(value) = members.get(key).or_else(default) {
            found.insert(key.clone(), value.clone());
        }
    }
    if found.is_empty() {
        let quoted: Vec<String> = keys.iter().map(|key| format!("{key:?}")).collect();
        return Err(format!(
            "associative list with keys has an element that omits all key fields [{}] (and doesn't have default \
             values for any key fields)",
            quoted.join(" ")
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
