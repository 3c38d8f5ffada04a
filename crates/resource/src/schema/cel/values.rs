//! Objects as the values that expressions see.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use stead_cel::{Identity, Key, List, Timestamp, Value as Cel, escape, parse_duration};

use crate::schema::node::{ListType, Node, Type};

/// The value of a place; what does not fit its schema is null.
pub(super) fn of(node: &Node, value: &Value) -> Cel {
    match (node.kind, value) {
        (Type::Boolean, Value::Bool(value)) => Cel::Bool(*value),
        (Type::Integer | Type::IntOrString, Value::Number(number)) => integer(number),
        (Type::Number, Value::Number(number)) => number.as_f64().map_or(Cel::Null, Cel::Double),
        (Type::String, Value::String(text)) => formatted(node.rules.format.as_deref(), text),
        (Type::IntOrString, Value::String(text)) => text.as_str().into(),
        (Type::Array, Value::Array(items)) => list(node, items),
        (Type::Object, Value::Object(members)) => object(node, members),
        _ => Cel::Null,
    }
}

fn integer(number: &serde_json::Number) -> Cel {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "whole numbers, as the schema was checked first"
    )]
    let whole = number
        .as_i64()
        .or_else(|| number.as_f64().map(|number| number as i64));
    whole.map_or(Cel::Null, Cel::Int)
}

fn formatted(format: Option<&str>, text: &str) -> Cel {
    let read = match format {
        Some("byte") => STANDARD.decode(text).ok().map(|bytes| Cel::Bytes(bytes.into())),
        Some("duration") => parse_duration(text).map(Cel::Duration),
        Some("date-time") => Timestamp::parse(text).map(Cel::Timestamp),
        Some("date") => Timestamp::parse_date(text).map(Cel::Timestamp),
        _ => Some(text.into()),
    };
    read.unwrap_or(Cel::Null)
}

fn list(node: &Node, items: &[Value]) -> Cel {
    let element = node.element();
    Cel::List(List {
        items: Arc::new(items.iter().map(|item| of(element, item)).collect()),
        identity: match &node.list {
            ListType::Atomic => Identity::Place,
            ListType::Set => Identity::Value,
            ListType::Map(keys) => Identity::Fields(keys.iter().filter_map(|key| escape(key)).collect()),
        },
    })
}

fn object(node: &Node, members: &Map<String, Value>) -> Cel {
    let mut fields = BTreeMap::new();
    for (name, member) in members {
        if let Some(values) = &node.additional {
            fields.insert(Key::String(name.as_str().into()), of(values, member));
            continue;
        }
        let known = node.properties.get(name).filter(|known| known.kind != Type::Any);
        if let (Some(known), Some(name)) = (known, escape(name)) {
            let value = if node.embedded && name == "metadata" {
                metadata(member)
            } else {
                of(known, member)
            };
            fields.insert(Key::String(name.into()), value);
        }
    }
    Cel::Map(Arc::new(fields))
}

fn metadata(metadata: &Value) -> Cel {
    let fields = ["name", "generateName"].into_iter().filter_map(|name| {
        let text = metadata.get(name)?.as_str()?;
        Some((Key::String(name.into()), text.into()))
    });
    Cel::Map(Arc::new(fields.collect()))
}
