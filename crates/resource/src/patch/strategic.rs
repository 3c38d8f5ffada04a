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
        return Err(malformed(format!(
            "json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            super::type_name(patch)
        )));
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
    let live = changes
        .keys()
        .any(|name| name.starts_with(ORDER))
        .then(|| members.clone());
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
            let live = live.as_ref().and_then(|live| live.get(list)?.as_array());
            let live = live.map(Vec::as_slice).unwrap_or_default();
            order(members, list, change, (list_at(&[path, &[list]].concat()), live))?;
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
        Some(Value::String(other)) => Err(PatchError::Unknown(format!(
            "unknown patch type: {other} in map: {}",
            as_go(&Value::Object(changes.clone()))
        ))),
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
            let live = elements.clone();
            for change in changes {
                if !elements.contains(change) {
                    elements.push(change.clone());
                }
            }
            Ok(in_order(elements, changes, &live, List::Values))
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
            let live = elements.clone();
            for change in changes {
                merge_element(&mut elements, change, key)?;
            }
            Ok(in_order(elements, changes, &live, List::Keyed(key)))
        }
    }
}

fn merge_element(elements: &mut Vec<Value>, change: &Value, key: &str) -> Result<(), PatchError> {
    let Value::Object(changes) = change else {
        return Err(malformed(format!(
            "an element of a list with the merge key {key} is no map"
        )));
    };
    let Some(wanted) = change.get(key) else {
        return Err(PatchError::Unknown(format!(
            "map: {} does not contain declared merge key: {key}",
            as_go(change)
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

/// Orders the elements as `$setElementOrder` lists them.
fn order(
    members: &mut Map<String, Value>,
    name: &str,
    wanted: &Value,
    (list, live): (List, &[Value]),
) -> Result<(), PatchError> {
    let Value::Array(wanted) = wanted else {
        return Err(malformed(format!("{ORDER}{name} must be a list")));
    };
    if let Some(Value::Array(elements)) = members.get_mut(name) {
        let unordered = std::mem::take(elements);
        *elements = in_order(unordered, wanted, live, list);
    }
    Ok(())
}

/// Puts the elements that are listed in the order of the list, and the others between them where they were in the live
/// list: before the first listed one that stood behind them there.
fn in_order(elements: Vec<Value>, listed: &[Value], live: &[Value], list: List) -> Vec<Value> {
    let identity = |element: &Value| match list {
        List::Keyed(key) => element.get(key).cloned(),
        List::Replace | List::Values => Some(element.clone()),
    };
    let place = |among: &[Value], element: &Value| {
        let wanted = identity(element)?;
        among
            .iter()
            .position(|other| identity(other).as_ref() == Some(&wanted))
    };
    let (mut named, mut others): (Vec<Value>, Vec<Value>) = elements
        .into_iter()
        .partition(|element| place(listed, element).is_some());
    named.sort_by_key(|element| place(listed, element));
    others.sort_by_key(|element| place(live, element));
    let (mut named, mut others) = (named.into_iter().peekable(), others.into_iter().peekable());
    let mut out = Vec::new();
    while let (Some(other), Some(next)) = (others.peek(), named.peek()) {
        let places = place(live, other).zip(place(live, next));
        let is_first = places.is_some_and(|(other, next)| other < next);
        out.extend(if is_first { others.next() } else { named.next() });
    }
    out.extend(named);
    out.extend(others);
    out
}

/// A value as Go prints it, for messages that repeat one.
fn as_go(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) => value.to_string(),
        Value::Array(list) => {
            let list: Vec<String> = list.iter().map(as_go).collect();
            format!("[{}]", list.join(" "))
        }
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            let members: Vec<String> = members
                .into_iter()
                .map(|(name, value)| format!("{name}:{}", as_go(value)))
                .collect();
            format!("map[{}]", members.join(" "))
        }
    }
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
            let refused = strategic_merge(&object, &patch);
            assert!(
                matches!(refused, Err(PatchError::Malformed(_) | PatchError::Unknown(_))),
                "{patch}"
            );
        }
    }
}
