//! What a definition must be beyond its schema, in the words of the Kubernetes API server (version 1.36).

use std::collections::HashSet;

use serde_json::{Value, json};
use stead_resource::{FieldError, FieldErrorKind, Schema};

use super::{
    custom::{read_version, versions},
    rules::{SUBDOMAIN_RULE, is_subdomain},
};
use crate::object::{self, top};

/// How many fields a kind may let selectors name.
const MOST_FIELDS: usize = 8;
const COLUMN_TYPES: [&str; 5] = ["boolean", "date", "integer", "number", "string"];
const LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic \
                     character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for \
                     validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
/// Who may define kinds in Kubernetes' own groups says so with this.
const APPROVAL: &str = "api-approved.kubernetes.io";

/// Checks a part of a version that stands at a path; the version tells what schema it is about.
type Part = fn(&mut Check, &Value, &Value, &str);

/// The parts of a version that stand above all versions when they are the same in all.
const PARTS: &[(&str, Part)] = &[
    ("subresources", |check, part, _, path| {
        if let Some(scale) = part.get("scale") {
            check.scale(scale, &format!("{path}.scale"));
        }
    }),
    ("additionalPrinterColumns", |check, part, _, path| {
        for (index, column) in part.as_array().into_iter().flatten().enumerate() {
            check.column(column, &format!("{path}[{index}]"));
        }
    }),
    ("selectableFields", |check, part, version, path| {
        check.selectable_fields(part, version, path);
    }),
];

/// What is wrong with a definition.
pub(crate) fn check_definition(definition: &Value) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new() };
    let spec = definition.get("spec").unwrap_or(&Value::Null);
    check.identity(definition, spec);
    let list = versions(definition);
    check.schemas(list);
    check.names_of_versions(list);
    for (field, part) in PARTS {
        check.part(list, field, *part);
    }
    check.set_of_versions(list);
    check.names(spec.get("names").unwrap_or(&Value::Null));
    if check.errors.is_empty() {
        // What is left can only be what this server does not know how to serve.
        let unreadable = (0..list.len()).filter_map(|index| {
            let version = list.get(index)?;
            read_version(definition, index, version, None).err()
        });
        check.errors.extend(unreadable);
    }
    check.errors
}

struct Check {
    errors: Vec<FieldError>,
}

/// Whether the text is a label that begins with a letter (RFC 1035).
fn is_label(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|letter: char| letter.is_ascii_lowercase())
        && !text.ends_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn quoted(text: &str) -> Value {
    Value::from(text)
}

impl Check {
    fn invalid(&mut self, path: impl Into<String>, value: impl std::fmt::Display, detail: impl Into<String>) {
        let error = FieldError::new(path, FieldErrorKind::Invalid, detail);
        self.errors.push(error.with_value(value));
    }

    fn require(&mut self, path: impl Into<String>, detail: impl Into<String>) {
        self.errors
            .push(FieldError::new(path, FieldErrorKind::Required, detail));
    }

    fn identity(&mut self, definition: &Value, spec: &Value) {
        let (group, plural) = (
            top(spec, "group"),
            object::top(spec.get("names").unwrap_or(&Value::Null), "plural"),
        );
        let name = object::name(definition);
        if name != format!("{plural}.{group}") {
            self.invalid(
                "metadata.name",
                quoted(name),
                "must be spec.names.plural+\".\"+spec.group",
            );
        }
        if group.is_empty() {
            self.require("spec.group", "");
        } else if !is_subdomain(group) {
            self.invalid("spec.group", quoted(group), SUBDOMAIN_RULE);
        } else if !group.contains('.') {
            self.invalid(
                "spec.group",
                quoted(group),
                "should be a domain with at least one dot",
            );
        }
        let protected = ["k8s.io", "kubernetes.io"]
            .iter()
            .any(|own| group == *own || group.ends_with(&format!(".{own}")));
        let approval =
            object::metadata(definition).and_then(|metadata| metadata.get("annotations")?.get(APPROVAL));
        if protected && approval.and_then(Value::as_str).is_none_or(str::is_empty) {
            let detail = format!(
                "protected groups must have approval annotation {APPROVAL:?}, see \
                 https://github.com/kubernetes/enhancements/pull/1111"
            );
            self.require(format!("metadata.annotations[{APPROVAL}]"), detail);
        }
        match top(spec, "scope") {
            "" => self.require("spec.scope", ""),
            "Cluster" | "Namespaced" => {}
            scope => {
                let detail = "supported values: \"Cluster\", \"Namespaced\"";
                let error = FieldError::new("spec.scope", FieldErrorKind::NotSupported, detail);
                self.errors.push(error.with_value(quoted(scope)));
            }
        }
        let strategy = spec.pointer("/conversion/strategy").and_then(Value::as_str);
        if let Some(strategy) = strategy.filter(|strategy| *strategy != "None") {
            let detail = "only None is supported: versions must not need conversion";
            self.invalid("spec.conversion.strategy", quoted(strategy), detail);
        }
    }

    /// The schemas; those that are the same in all versions are told of once, where the original has them then.
    fn schemas(&mut self, versions: &[Value]) {
        let schemas: Vec<Option<&Value>> = versions
            .iter()
            .map(|version| version.pointer("/schema/openAPIV3Schema"))
            .collect();
        let common = schemas.windows(2).all(|pair| pair.first() == pair.last());
        for (index, schema) in schemas.iter().enumerate() {
            match schema {
                None => self.require(format!("spec.versions[{index}].schema.openAPIV3Schema"), ""),
                Some(_) if common && index > 0 => {}
                Some(schema) if common => {
                    self.errors
                        .extend(Schema::faults(schema, "spec.validation.openAPIV3Schema"));
                }
                Some(schema) => {
                    let path = format!("spec.versions[{index}].schema.openAPIV3Schema");
                    self.errors.extend(Schema::faults(schema, &path));
                }
            }
        }
    }

    fn part(&mut self, versions: &[Value], field: &str, check: Part) {
        let common = versions.windows(2).all(|pair| match pair {
            [one, other] => one.get(field) == other.get(field),
            _ => true,
        });
        for (index, version) in versions.iter().enumerate() {
            let Some(part) = version.get(field) else { continue };
            if !common {
                check(self, part, version, &format!("spec.versions[{index}].{field}"));
            } else if index == 0 {
                check(self, part, version, &format!("spec.{field}"));
            }
        }
    }

    fn names_of_versions(&mut self, versions: &[Value]) {
        for (index, version) in versions.iter().enumerate() {
            let (path, name) = (format!("spec.versions[{index}]"), top(version, "name"));
            if !is_label(name) {
                self.invalid(format!("{path}.name"), quoted(name), LABEL);
            }
            let deprecated = version.get("deprecated").and_then(Value::as_bool) == Some(true);
            if let Some(warning) = version.get("deprecationWarning").and_then(Value::as_str) {
                let at = format!("{path}.deprecationWarning");
                if !deprecated {
                    self.invalid(at, quoted(warning), "can only be set for deprecated versions");
                } else if warning.len() > 256 {
                    self.invalid(at, quoted(warning), "must be <= 256 characters long");
                } else if warning.is_empty() {
                    self.invalid(at, quoted(warning), "must not be an empty string");
                }
            }
        }
    }

    fn scale(&mut self, scale: &Value, path: &str) {
        let fields: [(&str, &[&str], &str); 3] = [
            (
                "specReplicasPath",
                &[".spec."],
                "should be a json path under .spec",
            ),
            (
                "statusReplicasPath",
                &[".status."],
                "should be a json path under .status",
            ),
            (
                "labelSelectorPath",
                &[".spec.", ".status."],
                "should be a json path under either .spec or .status",
            ),
        ];
        for (field, roots, detail) in fields {
            let (at, value) = (format!("{path}.{field}"), top(scale, field));
            if value.is_empty() {
                if field != "labelSelectorPath" {
                    self.require(at, "");
                }
            } else if !value.starts_with('.') {
                self.invalid(at, quoted(value), "must be a simple json path starting with .");
            } else if !roots.iter().any(|root| value.starts_with(root)) {
                self.invalid(at, quoted(value), detail);
            }
        }
    }

    fn column(&mut self, column: &Value, path: &str) {
        if top(column, "name").is_empty() {
            self.require(format!("{path}.name"), "");
        }
        let (kind, types) = (top(column, "type"), COLUMN_TYPES.join(","));
        if kind.is_empty() {
            self.require(format!("{path}.type"), format!("must be one of {types}"));
        } else if !COLUMN_TYPES.contains(&kind) {
            self.invalid(
                format!("{path}.type"),
                quoted(kind),
                format!("must be one of {types}"),
            );
        }
        match top(column, "jsonPath") {
            "" => self.require(format!("{path}.JSONPath"), ""),
            value if !value.starts_with('.') => {
                let detail = "must be a simple json path starting with .";
                self.invalid(format!("{path}.JSONPath"), quoted(value), detail);
            }
            _ => {}
        }
    }

    fn selectable_fields(&mut self, fields: &Value, version: &Value, path: &str) {
        let fields = fields.as_array();
        let schema = version.pointer("/schema/openAPIV3Schema").map(Schema::compile);
        let (Some(fields), Some(Ok(schema))) = (fields, schema) else {
            return;
        };
        let mut seen = HashSet::new();
        for (index, field) in fields.iter().enumerate() {
            let (at, value) = (format!("{path}[{index}].jsonPath"), top(field, "jsonPath"));
            if value.is_empty() {
                self.require(at, "");
                continue;
            }
            if let Err(detail) = schema.check_selectable(value) {
                self.invalid(at, quoted(value), detail);
            } else if !seen.insert(value) {
                let error = FieldError::new(at, FieldErrorKind::Duplicate, "");
                self.errors.push(error.with_value(quoted(value)));
            }
        }
        if seen.len() > MOST_FIELDS {
            let detail = format!("must have at most {MOST_FIELDS} items");
            let error = FieldError::new(path, FieldErrorKind::TooMany, detail);
            self.errors.push(error.with_value(seen.len()));
        }
    }

    fn set_of_versions(&mut self, list: &[Value]) {
        let stored = list
            .iter()
            .filter(|version| version.get("storage").and_then(Value::as_bool) == Some(true))
            .count();
        let names: HashSet<&str> = list.iter().map(|version| top(version, "name")).collect();
        let shown = list.iter().map(shown_version).collect::<Value>().to_string();
        if names.len() < list.len() {
            self.invalid("spec.versions", &shown, "must contain unique version names");
        }
        if stored != 1 {
            let detail = "must have exactly one version marked as storage version";
            self.invalid("spec.versions", &shown, detail);
        }
        let first = list
            .first()
            .map(|version| top(version, "name"))
            .unwrap_or_default();
        if !is_label(first) {
            self.invalid("spec.version", quoted(first), LABEL);
        }
        if stored == 0 {
            self.invalid(
                "status.storedVersions",
                "null",
                "must have at least one stored version",
            );
        }
    }

    fn names(&mut self, names: &Value) {
        for field in ["plural", "singular", "kind", "listKind"] {
            let (at, value) = (format!("spec.names.{field}"), top(names, field));
            let mixed = matches!(field, "kind" | "listKind");
            if value.is_empty() {
                self.require(at, "");
            } else if mixed && !is_label(&value.to_lowercase()) {
                let detail = format!("may have mixed case, but should otherwise match: {LABEL}");
                self.invalid(at, quoted(value), detail);
            } else if !mixed && !is_label(value) {
                self.invalid(at, quoted(value), LABEL);
            }
        }
        let kind = top(names, "kind");
        if !kind.is_empty() && kind == top(names, "listKind") {
            self.invalid(
                "spec.names.listKind",
                quoted(kind),
                "kind and listKind may not be the same",
            );
        }
        for field in ["shortNames", "categories"] {
            let list = names.get(field).and_then(Value::as_array);
            for (index, word) in list.into_iter().flatten().filter_map(Value::as_str).enumerate() {
                if !is_label(word) {
                    self.invalid(format!("spec.names.{field}[{index}]"), quoted(word), LABEL);
                }
            }
        }
    }
}

/// A version as the value of an error, without the parts that are shown elsewhere.
fn shown_version(version: &Value) -> Value {
    let flag = |field| version.get(field).and_then(Value::as_bool) == Some(true);
    json!({
        "Name": top(version, "name"),
        "Served": flag("served"),
        "Storage": flag("storage"),
        "Deprecated": flag("deprecated"),
        "DeprecationWarning": version.get("deprecationWarning"),
        "Schema": null,
        "Subresources": null,
        "AdditionalPrinterColumns": null,
        "SelectableFields": null,
    })
}

/// What may not change in a definition whose objects may exist already.
pub(super) fn check_change(old: &Value, new: &Value) -> Vec<FieldError> {
    let mut check = Check { errors: Vec::new() };
    for path in ["spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"] {
        let pointer = format!("/{}", path.replace('.', "/"));
        let value = new.pointer(&pointer);
        if old.pointer(&pointer) != value {
            check.invalid(path, value.unwrap_or(&Value::Null), "field is immutable");
        }
    }
    let list = |pointer| {
        new.pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    for (index, stored) in list("/status/storedVersions")
        .filter_map(Value::as_str)
        .enumerate()
    {
        if !list("/spec/versions").any(|version| top(version, "name") == stored) {
            let detail = format!(
                "missing from spec.versions; {stored} was previously a storage version, and must remain in spec.versions \
                 until a storage migration ensures no data remains persisted in {stored} and removes {stored} from \
                 status.storedVersions"
            );
            check.invalid(format!("status.storedVersions[{index}]"), json!(stored), detail);
        }
    }
    check.errors
}
