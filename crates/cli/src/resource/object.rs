//! Objects as JSON.

use serde_json::Value;
use stead_kernel::command::{Column, View};

use super::Resource;
use crate::json::{at, text_at};

/// The object's name.
pub(crate) fn name(object: &Value) -> &str {
    text_at(object, "/metadata/name")
}

/// The object's project, if it is in one.
pub(crate) fn project(object: &Value) -> Option<&str> {
    at(object, "/metadata/namespace")
        .as_str()
        .filter(|project| !project.is_empty())
}

/// The object's resource version.
pub(crate) fn version(object: &Value) -> &str {
    text_at(object, "/metadata/resourceVersion")
}

/// Removes what only machines read.
pub(crate) fn hide_managed_fields(object: &mut Value) {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
}

/// Objects as data to print, for formats other than tables.
pub(crate) fn view(objects: Vec<(Resource, Value)>, list: bool) -> View {
    let names = objects
        .iter()
        .map(|(resource, object)| format!("{}/{}", resource.label(), name(object)));
    View {
        columns: vec![Column::new("NAME")],
        names: names.collect(),
        rows: objects
            .iter()
            .map(|(_, object)| vec![name(object).to_owned()])
            .collect(),
        items: objects.into_iter().map(|(_, object)| object).collect(),
        list,
    }
}
