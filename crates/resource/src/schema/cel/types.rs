//! The types that expressions see of a schema.

use std::sync::Arc;

use stead_cel::{ObjectType, Type as CelType, escape};

use crate::schema::node::{Node, Type};

/// The type of a place; `None` where the schema does not say enough, and expressions see nothing.
pub(super) fn of(node: &Node) -> Option<CelType> {
    Some(match node.kind {
        Type::Any => return None,
        Type::IntOrString => CelType::Dyn,
        Type::Boolean => CelType::Bool,
        Type::Integer => CelType::Int,
        Type::Number => CelType::Double,
        Type::String => text(node.rules.format.as_deref()),
        Type::Array => of(node.items.as_deref()?)?.list(),
        Type::Object => match &node.additional {
            Some(values) => of(values)?.map(),
            None => object(node),
        },
    })
}

/// The type of a text by its format.
fn text(format: Option<&str>) -> CelType {
    match format {
        Some("byte") => CelType::Bytes,
        Some("duration") => CelType::Duration,
        Some("date" | "date-time") => CelType::Timestamp,
        _ => CelType::String,
    }
}

fn object(node: &Node) -> CelType {
    let mut fields: std::collections::BTreeMap<String, CelType> = node
        .properties
        .iter()
        .filter_map(|(name, property)| Some((escape(name)?, of(property)?)))
        .collect();
    if node.embedded {
        // Of the metadata, rules see what does not change by itself.
        let metadata = ["name", "generateName"].map(|name| (name.to_owned(), CelType::String));
        let metadata = ObjectType {
            name: "object".into(),
            fields: metadata.into(),
        };
        fields.insert("metadata".into(), CelType::Object(Arc::new(metadata)));
    }
    CelType::Object(Arc::new(ObjectType {
        name: "object".into(),
        fields,
    }))
}
