//! Strategic merge patches, which merge some lists by key and know directives.
//!
//! The directives and the merge keys are those of the Kubernetes API documentation, for the core kinds that are served.

use serde_json::{Map, Value};

use super::PatchError;

const DIRECTIVE: &str = "$patch";
const RETAIN: &str = "$retainKeys";
const DELETE_VALUES: &str = "$deleteFromPrimitiveList/";
const ORDER: &str = "$setElementOrder/";

/// How a list is patched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum List {
    /// The patch's list replaces it.
    Replace,
    /// The patch's values are added.
    Values,
    /// Elements are merged by this key.
    Keyed(&'static str),
}

/// The lists of core kinds that are not replaced: everything else is.
const LISTS: &[(&[&str], List)] = &[
    (&["metadata", "finalizers"], List::Values),
    (&["metadata", "ownerReferences"], List::Keyed("uid")),
    (&["status", "conditions"], List::Keyed("type")),
];

fn list_at(path: &[&str]) -> List {
    LISTS
        .iter()
        .find(|(known, _)| *known == path)
        .map_or(List::Replace, |(_, list)| *list)
}

/// Applies a strategic merge patch to an object of a core kind (`ConfigMap`, `Secret`, `Namespace`, `Event`,
/// `Lease`); custom resources do not have it.
///
/// # Errors
/// `Malformed` when the patch is no object, a directive is unknown or an element lacks its merge key.
pub fn strategic_merge(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Object(changes) = patch else {
        return Err(malformed("a strategic merge patch must be an object"));
    };
    let mut members = object.as_object().cloned().unwrap_or_default();
    match merge_map(&mut members, changes, &[])? {
        Outcome::Merged => {}
        Outcome::Deleted => members.clear(),
    }
    Ok(Value::Object(members))
}

/// What became of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Merged,
    Deleted,
}

fn malformed(message: impl Into<String>) -> PatchError {
    PatchError::Malformed(message.into())
}

fn merge_map(
    members: &mut Map<String, Value>,
    changes: &Map<String, Value>,
    path: &[&str],
) -> Result<Outcome, PatchError> {
    match directive(changes)? {
        Some("delete") => return Ok(Outcome::Deleted),
        Some("replace") => {
            members.clone_from(changes);
            members.shift_remove(DIRECTIVE);
            return Ok(Outcome::Merged);
        }
        _ => {}
    }
    retain_keys(members, changes)?;
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix(DELETE_VALUES) {
            delete_values(members, list, change)?;
        }
    }
    for (name, change) in changes {
        if name.starts_with('$') {
            check_known(name)?;
        } else if change.is_null() {
            members.shift_remove(name);
        } else {
            merge_member(members, name, change, &[path, &[name]].concat())?;
        }
    }
    for (name, change) in changes {
        if let Some(list) = name.strip_prefix(ORDER) {
            order(members, list, change, list_at(&[path, &[list]].concat()))?;
        }
    }
    Ok(Outcome::Merged)
}

fn check_known(name: &str) -> Result<(), PatchError> {
    let known =
        name == DIRECTIVE || name == RETAIN || name.starts_with(DELETE_VALUES) || name.starts_with(ORDER);
    if known {
        Ok(())
    } else {
        Err(malformed(format!("the patch has the unknown directive {name:?}")))
    }
}

fn directive(changes: &Map<String, Value>) -> Result<Option<&str>, PatchError> {
    match changes.get(DIRECTIVE) {
        None => Ok(None),
        Some(Value::String(text)) if matches!(text.as_str(), "merge" | "replace" | "delete") => {
            Ok(Some(text))
        }
        Some(other) => Err(malformed(format!(
            "$patch must be merge, replace or delete, not {other}"
        ))),
    }
}

fn retain_keys(members: &mut Map<String, Value>, changes: &Map<String, Value>) -> Result<(), PatchError> {
    let Some(keys) = changes.get(RETAIN) else {
        return Ok(());
    };
    let Value::Array(keys) = keys else {
        return Err(malformed("$retainKeys must be a list of field names"));
    };
    let listed = |name: &String| keys.iter().any(|key| key.as_str() == Some(name));
    let mut named = changes
        .iter()
        .filter(|(name, change)| !name.starts_with('$') && !change.is_null());
    if let Some((name, _)) = named.find(|(name, _)| !listed(name)) {
        return Err(malformed(format!(
            "the patch sets {name:?}, which $retainKeys does not list"
        )));
    }
    members.retain(|name, _| listed(name));
    Ok(())
}

fn merge_member(
    members: &mut Map<String, Value>,
    name: &str,
    change: &Value,
    path: &[&str],
) -> Result<(), PatchError> {
    match change {
        Value::Object(changes) => {
            let mut inner = match members.get_mut(name) {
                Some(Value::Object(inner)) => std::mem::take(inner),
                _ => Map::new(),
            };
            match merge_map(&mut inner, changes, path)? {
                Outcome::Merged => members.insert(name.to_owned(), Value::Object(inner)),
                Outcome::Deleted => members.shift_remove(name),
            };
        }
        Value::Array(changes) => {
            let old = match members.get_mut(name) {
                Some(Value::Array(elements)) => std::mem::take(elements),
                _ => Vec::new(),
            };
            members.insert(name.to_owned(), Value::Array(merge_list(old, changes, path)?));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            members.insert(name.to_owned(), change.clone());
        }
    }
    Ok(())
}

fn merge_list(mut elements: Vec<Value>, changes: &[Value], path: &[&str]) -> Result<Vec<Value>, PatchError> {
    match list_at(path) {
        List::Replace => Ok(changes.to_vec()),
        List::Values => {
            for change in changes {
                if !elements.contains(change) {
                    elements.push(change.clone());
                }
            }
            Ok(elements)
        }
        List::Keyed(key) => {
            let replaces = |change: &&Value| change.get(DIRECTIVE).and_then(Value::as_str) == Some("replace");
            if changes.iter().any(|change| replaces(&change)) {
                return Ok(changes
                    .iter()
                    .filter(|change| !replaces(change))
                    .cloned()
                    .collect());
            }
            for change in changes {
                merge_element(&mut elements, change, key, path)?;
            }
            Ok(elements)
        }
    }
}

fn merge_element(
    elements: &mut Vec<Value>,
    change: &Value,
    key: &str,
    path: &[&str],
) -> Result<(), PatchError> {
    let (Value::Object(changes), Some(wanted)) = (change, change.get(key)) else {
        return Err(malformed(format!(
            "an element of {} lacks its merge key {key}",
            path.join(".")
        )));
    };
    let position = elements
        .iter()
        .position(|element| element.get(key) == Some(wanted));
    let mut inner = match position.and_then(|position| elements.get(position)) {
        Some(Value::Object(inner)) => inner.clone(),
        _ => Map::new(),
    };
    match merge_map(&mut inner, changes, &[])? {
        Outcome::Deleted => elements.retain(|element| element.get(key) != Some(wanted)),
        Outcome::Merged => match position.and_then(|position| elements.get_mut(position)) {
            Some(element) => *element = Value::Object(inner),
            None => elements.push(Value::Object(inner)),
        },
    }
    Ok(())
}

fn delete_values(members: &mut Map<String, Value>, name: &str, values: &Value) -> Result<(), PatchError> {
    let Value::Array(values) = values else {
        return Err(malformed(format!("{DELETE_VALUES}{name} must be a list")));
    };
    if let Some(Value::Array(elements)) = members.get_mut(name) {
        elements.retain(|element| !values.contains(element));
    }
    Ok(())
}

/// Orders the listed elements as listed; the others stay behind the element that they stood behind.
fn order(members: &mut Map<String, Value>, name: &str, wanted: &Value, list: List) -> Result<(), PatchError> {
    let Value::Array(wanted) = wanted else {
        return Err(malformed(format!("{ORDER}{name} must be a list")));
    };
    let Some(Value::Array(elements)) = members.get_mut(name) else {
        return Ok(());
    };
    let identity = |element: &Value| match list {
        List::Keyed(key) => element.get(key).cloned(),
        List::Replace | List::Values => Some(element.clone()),
    };
    let rank = |element: &Value| {
        let element = identity(element)?;
        wanted
            .iter()
            .position(|one| identity(one).as_ref() == Some(&element))
    };
    let mut ordered: Vec<Value> = elements
        .iter()
        .filter(|element| rank(element).is_some())
        .cloned()
        .collect();
    ordered.sort_by_key(|element| rank(element));
    let mut previous: Option<Value> = None;
    for element in elements.iter() {
        if rank(element).is_none() {
            let behind = previous
                .as_ref()
                .and_then(|previous| ordered.iter().position(|one| one == previous));
            ordered.insert(behind.map_or(0, |position| position + 1), element.clone());
        }
        previous = Some(element.clone());
    }
    *elements = ordered;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{PatchError, strategic_merge};

    fn owner(uid: &str, name: &str) -> Value {
        json!({"uid": uid, "name": name})
    }

    #[test]
    fn lists_merge_by_key_and_by_value() {
        let object =
            json!({"metadata": {"finalizers": ["a"], "ownerReferences": [owner("1", "x"), owner("2", "y")]}});
        let cases = [
            (
                "values are added once",
                json!({"finalizers": ["a", "b"]}),
                "/finalizers",
                json!(["a", "b"]),
            ),
            (
                "values are deleted",
                json!({"$deleteFromPrimitiveList/finalizers": ["a"], "finalizers": ["c"]}),
                "/finalizers",
                json!(["c"]),
            ),
            (
                "elements merge by uid",
                json!({"ownerReferences": [{"uid": "2", "controller": true}, owner("3", "z")]}),
                "/ownerReferences",
                json!([owner("1", "x"), {"uid": "2", "name": "y", "controller": true}, owner("3", "z")]),
            ),
            (
                "an element is deleted",
                json!({"ownerReferences": [{"uid": "1", "$patch": "delete"}]}),
                "/ownerReferences",
                json!([owner("2", "y")]),
            ),
            (
                "a list is replaced",
                json!({"ownerReferences": [{"$patch": "replace"}, owner("9", "n")]}),
                "/ownerReferences",
                json!([owner("9", "n")]),
            ),
            (
                "a list is ordered",
                json!({"$setElementOrder/ownerReferences": [{"uid": "3"}, {"uid": "1"}], "ownerReferences": [owner("3", "z")]}),
                "/ownerReferences",
                json!([owner("3", "z"), owner("1", "x"), owner("2", "y")]),
            ),
        ];
        for (name, patch, pointer, wanted) in cases {
            let result = strategic_merge(&object, &json!({"metadata": patch}));
            let result = result
                .as_ref()
                .map(|result| result.pointer(&format!("/metadata{pointer}")).cloned());
            assert_eq!(result, Ok(Some(wanted)), "{name}");
        }
    }

    #[test]
    fn maps_merge_and_know_directives() {
        let object = json!({"data": {"a": "1", "b": "2"}, "x": [1]});
        let cases = [
            (
                json!({"data": {"a": null, "c": "3"}}),
                json!({"data": {"b": "2", "c": "3"}, "x": [1]}),
            ),
            (
                json!({"data": {"$patch": "replace", "c": "3"}}),
                json!({"data": {"c": "3"}, "x": [1]}),
            ),
            (json!({"data": {"$patch": "delete"}}), json!({"x": [1]})),
            (
                json!({"data": {"$retainKeys": ["a", "c"], "c": "3"}}),
                json!({"data": {"a": "1", "c": "3"}, "x": [1]}),
            ),
            (
                json!({"x": [2], "new": {"gone": null, "kept": {"$patch": "merge"}}}),
                json!({"data": {"a": "1", "b": "2"}, "x": [2], "new": {"kept": {}}}),
            ),
        ];
        for (patch, wanted) in cases {
            assert_eq!(strategic_merge(&object, &patch), Ok(wanted), "{patch}");
        }
    }

    #[test]
    fn malformed_directives_are_refused() {
        let object = json!({"data": {"a": "1"}, "metadata": {"finalizers": []}});
        for patch in [
            json!([]),
            json!({"$patch": "explode"}),
            json!({"data": {"$retainKeys": "a"}}),
            json!({"data": {"$retainKeys": ["b"], "a": "2"}}),
            json!({"data": {"$nonsense": 1}}),
            json!({"metadata": {"ownerReferences": [{"name": "x"}]}}),
            json!({"metadata": {"ownerReferences": [7]}}),
            json!({"metadata": {"$deleteFromPrimitiveList/finalizers": "a"}}),
            json!({"metadata": {"$setElementOrder/finalizers": {}}}),
        ] {
            assert!(
                matches!(strategic_merge(&object, &patch), Err(PatchError::Malformed(_))),
                "{patch}"
            );
        }
    }
}
