//! Removing fields that the schema does not know.

use serde_json::{Map, Value};

use super::{
    UnknownField,
    metadata::is_implicit,
    node::{Node, Type},
    path::Path,
};

/// Removes unknown fields, recursively, and returns them in the order of the object.
pub(super) fn prune(node: &Node, value: &mut Value) -> Vec<UnknownField> {
    let mut unknown = Vec::new();
    walk(node, value, Path::Root, &mut unknown);
    unknown
}

fn walk(node: &Node, value: &mut Value, path: Path<'_>, unknown: &mut Vec<UnknownField>) {
    match value {
        Value::Object(members) => walk_object(node, members, path, unknown),
        Value::Array(elements) => {
            let Some(items) = node.items.as_deref() else {
                return;
            };
            for (index, element) in elements.iter_mut().enumerate() {
                walk(items, element, path.index(index), unknown);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn walk_object(
    node: &Node,
    members: &mut Map<String, Value>,
    path: Path<'_>,
    unknown: &mut Vec<UnknownField>,
) {
    // A map where the schema wants something else is for validation to refuse, not to be emptied here.
    let keeps_all = node.preserve_unknown || !matches!(node.kind, Type::Object | Type::Any);
    members.retain(|name, member| {
        if let Some(known) = node.known_member(name) {
            walk(known, member, path.field(name), unknown);
            return true;
        }
        if keeps_all || (node.embedded && is_implicit(name)) {
            return true;
        }
        unknown.push(UnknownField {
            path: path.field(name).to_string(),
            suggestion: suggest(node, name).map(|meant| path.field(meant).to_string()),
        });
        false
    });
}

/// The known field that was probably meant: the same but for case and separators, or few typing errors away.
fn suggest<'a>(node: &'a Node, name: &str) -> Option<&'a str> {
    let folded = fold(name);
    let most = (folded.chars().count() / 3).max(1);
    node.properties
        .keys()
        .map(|known| (strsim::damerau_levenshtein(&folded, &fold(known)), known.as_str()))
        .filter(|(distance, _)| *distance <= most)
        .min()
        .map(|(_, known)| known)
}

/// Field names are short; longer ones are no typing error, and comparing them would cost time.
fn fold(name: &str) -> String {
    name.chars()
        .filter(|character| character.is_alphanumeric())
        .take(64)
        .flat_map(char::to_lowercase)
        .collect()
}
