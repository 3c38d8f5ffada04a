//! The schema of `apiVersion`, `kind` and `metadata`, which every object has.

use serde_json::Value;

use super::node::{ListType, MapType, Node, Rules, Type};

/// Adds the implicit fields to the schema of a whole object.
///
/// What the author restricted (`metadata.name`'s pattern, say) stays in force.
pub(crate) fn complete(node: &mut Node) {
    node.embedded = true;
    for name in ["apiVersion", "kind"] {
        node.properties
            .entry(name.to_owned())
            .or_insert_with(|| Node::of(Type::String));
    }
    let given = node.properties.remove("metadata");
    let mut metadata = object_meta();
    if let Some(given) = given {
        metadata.rules = given.rules;
        for (name, property) in given.properties {
            if let Some(own) = metadata.properties.get_mut(&name) {
                own.rules = property.rules;
            }
        }
    }
    node.properties.insert("metadata".to_owned(), metadata);
}

/// `ObjectMeta` of `meta/v1`, with the merge rules that the Kubernetes API documents for it.
fn object_meta() -> Node {
    let text = || Node::of(Type::String);
    let time = || Node {
        rules: format("date-time"),
        nullable: false,
        ..Node::of(Type::String)
    };
    let owner = Node {
        map: MapType::Atomic,
        rules: required(&["apiVersion", "kind", "name", "uid"]),
        ..Node::object([
            ("apiVersion", text()),
            ("kind", text()),
            ("name", text()),
            ("uid", text()),
            ("controller", Node::of(Type::Boolean)),
            ("blockOwnerDeletion", Node::of(Type::Boolean)),
        ])
    };
    Node::object([
        ("name", text()),
        ("generateName", text()),
        ("namespace", text()),
        ("selfLink", text()),
        ("uid", text()),
        ("resourceVersion", text()),
        ("generation", Node::of(Type::Integer)),
        ("creationTimestamp", time()),
        ("deletionTimestamp", time()),
        ("deletionGracePeriodSeconds", Node::of(Type::Integer)),
        ("labels", Node::map(text())),
        ("annotations", Node::map(text())),
        (
            "ownerReferences",
            Node::list(owner, ListType::Map(vec!["uid".to_owned()])),
        ),
        ("finalizers", Node::list(text(), ListType::Set)),
        (
            "managedFields",
            Node::list(managed_fields_entry(), ListType::Atomic),
        ),
    ])
}

fn managed_fields_entry() -> Node {
    let text = || Node::of(Type::String);
    Node::object([
        ("manager", text()),
        ("operation", text()),
        ("apiVersion", text()),
        (
            "time",
            Node {
                rules: format("date-time"),
                ..Node::of(Type::String)
            },
        ),
        ("fieldsType", text()),
        (
            "fieldsV1",
            Node {
                preserve_unknown: true,
                ..Node::of(Type::Object)
            },
        ),
        ("subresource", text()),
    ])
}

fn format(name: &str) -> Rules {
    Rules {
        format: Some(name.to_owned()),
        ..Rules::default()
    }
}

fn required(names: &[&str]) -> Rules {
    Rules {
        required: names.iter().map(|&name| name.to_owned()).collect(),
        ..Rules::default()
    }
}

/// The members of a whole object that are always known.
pub(crate) fn is_implicit(name: &str) -> bool {
    matches!(name, "apiVersion" | "kind" | "metadata")
}

/// The text of `metadata.name`, for messages and tables.
pub(crate) fn name(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("name")?.as_str()
}
