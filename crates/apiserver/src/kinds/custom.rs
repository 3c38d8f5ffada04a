//! Kinds that definitions describe.

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::Admit;
use stead_resource::{FieldError, FieldErrorKind, Schema, table::Columns};

use super::{Form, ResourceType, rules::Rules};
use crate::object::{self, top};

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

fn versions(definition: &Value) -> &[Value] {
    definition
        .pointer("/spec/versions")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

fn read_version(
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
        counted: true,
        fields: selectable_fields(version),
        form: Form::Plain,
        rules: Rules::None,
        admit,
        strategic: false,
        warning: warning(group, kind, version),
    })
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

/// What a definition must be, beyond its schema.
pub(crate) fn check_definition(definition: &Value) -> Vec<FieldError> {
    let spec = definition.get("spec").unwrap_or(&Value::Null);
    let names = spec.get("names").unwrap_or(&Value::Null);
    let (group, plural) = (top(spec, "group"), top(names, "plural"));
    let mut errors = Vec::new();
    let mut refuse = |path: &str, value: &str, detail: String| {
        errors.push(FieldError::new(path, FieldErrorKind::Invalid, detail).with_value(Value::from(value)));
    };
    if !group.contains('.') || !super::rules::is_subdomain(group) {
        refuse(
            "spec.group",
            group,
            "should be a domain with at least one dot".into(),
        );
    }
    if !super::rules::is_label(plural) {
        refuse(
            "spec.names.plural",
            plural,
            "should be a lowercase RFC 1123 label".into(),
        );
    }
    if top(names, "kind").is_empty() {
        refuse("spec.names.kind", "", "should be given".into());
    }
    let expected = format!("{plural}.{group}");
    if object::name(definition) != expected {
        refuse(
            "metadata.name",
            object::name(definition),
            format!("must be spec.names.plural+\".\"+spec.group, that is {expected:?}"),
        );
    }
    if !matches!(top(spec, "scope"), "Namespaced" | "Cluster") {
        refuse(
            "spec.scope",
            top(spec, "scope"),
            "should be Namespaced or Cluster".into(),
        );
    }
    let strategy = spec.pointer("/conversion/strategy").and_then(Value::as_str);
    if let Some(strategy) = strategy.filter(|strategy| *strategy != "None") {
        refuse(
            "spec.conversion.strategy",
            strategy,
            "only None is supported: versions must not need conversion".into(),
        );
    }
    errors.extend(check_versions(definition));
    errors
}

fn check_versions(definition: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let list = versions(definition);
    let stored = list
        .iter()
        .filter(|version| version.get("storage").and_then(Value::as_bool) == Some(true))
        .count();
    if stored != 1 {
        errors.push(FieldError::new(
            "spec.versions",
            FieldErrorKind::Invalid,
            "must have exactly one version marked as storage version",
        ));
    }
    for (index, version) in list.iter().enumerate() {
        let at = |field: &str| format!("spec.versions[{index}].{field}");
        if !super::rules::is_label(top(version, "name")) {
            let error = FieldError::new(
                at("name"),
                FieldErrorKind::Invalid,
                "should be a lowercase RFC 1123 label",
            );
            errors.push(error.with_value(Value::from(top(version, "name"))));
        }
        if version.pointer("/schema/openAPIV3Schema").is_none() {
            errors.push(FieldError::new(
                at("schema.openAPIV3Schema"),
                FieldErrorKind::Required,
                "schemas are required",
            ));
        }
        if let Err(error) = read_version(definition, index, version, None) {
            errors.push(error);
        }
    }
    errors
}

/// What of a definition this server does not do.
pub(super) fn remarks(definition: &Value) -> Vec<String> {
    let mut remarks = Vec::new();
    for (index, version) in versions(definition).iter().enumerate() {
        let schema = version.pointer("/schema/openAPIV3Schema").map(Schema::compile);
        if let Some(Ok(schema)) = schema {
            let places = schema.unevaluated_rules();
            if !places.is_empty() {
                remarks.push(format!(
                    "spec.versions[{index}]: x-kubernetes-validations are not evaluated: {}",
                    places.join(", ")
                ));
            }
        }
        if version.pointer("/subresources/scale").is_some() {
            remarks.push(format!(
                "spec.versions[{index}].subresources.scale: it is not served"
            ));
        }
    }
    remarks
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
