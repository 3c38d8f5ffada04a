//! Kinds that definitions describe.

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::Admit;
use stead_resource::{FieldError, FieldErrorKind, Schema, table::Columns};

use super::{Form, ResourceType, rules::Rules};
use crate::object::{self, top};

/// Where a kind's scale is, as pointers into its objects (RFC 6901).
pub(crate) struct Scale {
    /// How many there should be.
    pub(crate) spec: String,
    /// How many there are.
    pub(crate) status: String,
    /// The selector of what is counted, as text; empty when there is none.
    pub(crate) selector: String,
}

/// A definition, with the versions of it that are served.
pub(crate) struct Definition {
    /// Which stored object it was read from: uid and resource version.
    pub(crate) source: (String, u64),
    pub(crate) types: Vec<Arc<ResourceType>>,
}

/// Reads a definition that was checked before.
pub(crate) fn read_definition(definition: &Value, admit: Option<Admit>) -> Result<Definition, FieldError> {
    let mut types = Vec::new();
    for (index, version) in versions(definition).iter().enumerate() {
        if version.get("served").and_then(Value::as_bool) == Some(true) {
            types.push(Arc::new(read_version(definition, index, version, admit)?));
        }
    }
    Ok(Definition {
        source: (object::uid(definition).into(), object::version(definition)),
        types,
    })
}

pub(super) fn versions(definition: &Value) -> &[Value] {
    definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

pub(super) fn read_version(
    definition: &Value,
    index: usize,
    version: &Value,
    admit: Option<Admit>,
) -> Result<ResourceType, FieldError> {
    let spec = definition.get("spec").unwrap_or(&Value::Null);
    let names = spec.get("names").unwrap_or(&Value::Null);
    let group = top(spec, "group");
    let plural = top(names, "plural");
    let kind = top(names, "kind");
    let open_api = version
        .pointer("/schema/openAPIV3Schema")
        .cloned()
        .unwrap_or_else(|| json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}));
    let at = |field: &str| format!("spec.versions[{index}].{field}");
    let schema = Schema::compile(&open_api).map_err(|error| {
        FieldError::new(
            at(&format!("schema.{}", error.path)),
            FieldErrorKind::Invalid,
            error.message,
        )
    })?;
    let columns = Columns::from_crd_version(version.get("additionalPrinterColumns"))
        .map_err(|error| FieldError::new(at(&error.path), FieldErrorKind::Invalid, error.message))?;
    let or_else = |text: &str, other: String| if text.is_empty() { other } else { text.to_owned() };
    Ok(ResourceType {
        group: group.into(),
        version: top(version, "name").into(),
        stored_version: versions(definition)
            .iter()
            .find(|version| version.get("storage").and_then(Value::as_bool) == Some(true))
            .map(|version| top(version, "name").to_owned())
            .unwrap_or_default(),
        kind: kind.into(),
        list_kind: or_else(top(names, "listKind"), format!("{kind}List")),
        plural: plural.into(),
        defined: true,
        singular: or_else(top(names, "singular"), kind.to_lowercase()),
        short_names: texts(names.get("shortNames")),
        categories: texts(names.get("categories")),
        namespaced: top(spec, "scope") == "Namespaced",
        storage: format!("{group}/{plural}").into(),
        schema,
        open_api,
        columns,
        view: None,
        status: version.pointer("/subresources/status").is_some(),
        scale: version.pointer("/subresources/scale").map(read_scale),
        counted: true,
        fields: selectable_fields(version),
        form: Form::Plain,
        rules: Rules::None,
        admit,
        strategic: false,
        empty: json!({}),
        warning: warning(group, kind, version),
    })
}

fn read_scale(scale: &Value) -> Scale {
    let pointer = |field| top(scale, field).replace('.', "/");
    Scale {
        spec: pointer("specReplicasPath"),
        status: pointer("statusReplicasPath"),
        selector: pointer("labelSelectorPath"),
    }
}

fn texts(list: Option<&Value>) -> Vec<String> {
    list.and_then(Value::as_array)
        .map(|list| list.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default()
}

fn selectable_fields(version: &Value) -> Vec<String> {
    let list = version.get("selectableFields").and_then(Value::as_array);
    list.into_iter()
        .flatten()
        .map(|field| top(field, "jsonPath").trim_start_matches('.').to_owned())
        .filter(|path| !path.is_empty())
        .collect()
}

fn warning(group: &str, kind: &str, version: &Value) -> Option<String> {
    if version.get("deprecated").and_then(Value::as_bool) != Some(true) {
        return None;
    }
    let text = top(version, "deprecationWarning");
    if text.is_empty() {
        Some(format!("{group}/{} {kind} is deprecated", top(version, "name")))
    } else {
        Some(text.into())
    }
}

/// The names that a definition wants, as `status.acceptedNames` lists them.
pub(crate) fn wanted_names(definition: &Value) -> Value {
    let mut names = definition.pointer("/spec/names").cloned().unwrap_or(Value::Null);
    let kind = top(&names, "kind").to_owned();
    let map = object::root_mut(&mut names);
    map.entry("listKind")
        .or_insert_with(|| format!("{kind}List").into());
    map.entry("singular")
        .or_insert_with(|| kind.to_lowercase().into());
    names
}
