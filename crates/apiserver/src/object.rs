//! Reading and changing the parts that every object has.

use serde_json::{Map, Value};
use stead_kernel::Timestamp;

/// `metadata`, if it is an object.
pub(crate) fn metadata(object: &Value) -> Option<&Map<String, Value>> {
    object.get("metadata")?.as_object()
}

/// `metadata`; made an object if it is none.
pub(crate) fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    map_mut(object, "metadata")
}

/// The field, made an object if it is none; the whole is made an object too.
pub(crate) fn map_mut<'a>(object: &'a mut Value, field: &str) -> &'a mut Map<String, Value> {
    let value = root_mut(object).entry(field).or_insert_with(empty);
    root_mut(value)
}

/// The value as an object, which it becomes if it is none.
pub(crate) fn root_mut(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = empty();
    }
    value.as_object_mut().expect("it was made an object just above")
}

fn empty() -> Value {
    Value::Object(Map::new())
}

/// A text of the metadata; empty when absent.
pub(crate) fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    metadata(object)
        .and_then(|metadata| metadata.get(field))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// A top-level text; empty when absent.
pub(crate) fn top<'a>(object: &'a Value, field: &str) -> &'a str {
    object.get(field).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn name(object: &Value) -> &str {
    text(object, "name")
}

pub(crate) fn namespace(object: &Value) -> &str {
    text(object, "namespace")
}

pub(crate) fn uid(object: &Value) -> &str {
    text(object, "uid")
}

/// The resource version as a number, 0 when there is none.
pub(crate) fn version(object: &Value) -> u64 {
    text(object, "resourceVersion").parse().unwrap_or_default()
}

pub(crate) fn is_deleting(object: &Value) -> bool {
    metadata(object).is_some_and(|metadata| metadata.contains_key("deletionTimestamp"))
}

/// The finalizers.
pub(crate) fn finalizers(object: &Value) -> Vec<&str> {
    metadata(object)
        .and_then(|metadata| metadata.get("finalizers"))
        .and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).collect())
        .unwrap_or_default()
}

/// Sets the finalizers; no finalizers, no field.
pub(crate) fn set_finalizers<S: Into<String>>(object: &mut Value, list: Vec<S>) {
    let list: Vec<Value> = list.into_iter().map(|item| Value::String(item.into())).collect();
    if list.is_empty() {
        metadata_mut(object).shift_remove("finalizers");
    } else {
        metadata_mut(object).insert("finalizers".into(), list.into());
    }
}

/// The owner references.
pub(crate) fn owners(object: &Value) -> &[Value] {
    metadata(object)
        .and_then(|metadata| metadata.get("ownerReferences"))
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// The uids of the owners.
pub(crate) fn owner_uids(object: &Value) -> Vec<String> {
    owners(object)
        .iter()
        .map(|owner| top(owner, "uid").to_owned())
        .filter(|uid| !uid.is_empty())
        .collect()
}

/// Whether lists and objects are nested in the value more than so many levels deep. Looks no deeper than that.
pub(crate) fn is_nested_deeper(value: &Value, than: usize) -> bool {
    let inner = |value: &Value| match than.checked_sub(1) {
        Some(less) => is_nested_deeper(value, less),
        None => value.is_array() || value.is_object(),
    };
    match value {
        Value::Array(list) => list.iter().any(inner),
        Value::Object(map) => map.values().any(inner),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

/// Puts the field of `from` into `to`, or takes it away there.
pub(crate) fn copy_field(to: &mut Map<String, Value>, from: Option<&Map<String, Value>>, field: &str) {
    match from.and_then(|from| from.get(field)) {
        Some(value) => {
            to.insert(field.into(), value.clone());
        }
        None => {
            to.shift_remove(field);
        }
    }
}

/// A time as Kubernetes writes it: RFC 3339 with whole seconds.
pub(crate) fn time(now: Timestamp) -> String {
    now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
