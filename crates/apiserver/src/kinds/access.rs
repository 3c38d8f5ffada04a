//! Roles, bindings and service accounts: what they require beyond their schemas.

use serde_json::{Value, json};
use stead_resource::{FieldError, FieldErrorKind};

use crate::{
    object::{self, root_mut, top},
    rbac::GROUP,
};

fn require(path: String, detail: &str) -> FieldError {
    FieldError::new(path, FieldErrorKind::Required, detail)
}

fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object
        .get(field)
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// What is wrong with a name that stands in a path.
pub(super) fn check_name(object: &Value) -> Option<FieldError> {
    let name = object::name(object);
    let detail = match name {
        "" => "must not be empty",
        "." => "may not be '.'",
        ".." => "may not be '..'",
        name if name.contains('/') => "may not contain '/'",
        name if name.contains('%') => "may not contain '%'",
        _ => return None,
    };
    let error = FieldError::new("metadata.name", FieldErrorKind::Invalid, detail);
    Some(error.with_value(Value::from(name)))
}

/// What is wrong with a role.
pub(super) fn check_role(role: &Value) -> Vec<FieldError> {
    let namespaced = !object::namespace(role).is_empty();
    let mut errors: Vec<FieldError> = check_name(role).into_iter().collect();
    for (index, rule) in list(role, "rules").iter().enumerate() {
        let at = |field: &str| format!("rules[{index}].{field}");
        if list(rule, "verbs").is_empty() {
            errors.push(require(at("verbs"), "verbs must contain at least one value"));
        }
        let paths = list(rule, "nonResourceURLs");
        if !paths.is_empty() {
            let shown = json!(paths);
            let others = ["apiGroups", "resources", "resourceNames"]
                .iter()
                .any(|field| !list(rule, field).is_empty());
            let detail = if namespaced {
                Some("namespaced rules cannot apply to non-resource URLs")
            } else {
                others.then_some("rules cannot apply to both regular resources and non-resource URLs")
            };
            if let Some(detail) = detail {
                let error = FieldError::new(at("nonResourceURLs"), FieldErrorKind::Invalid, detail);
                errors.push(error.with_value(shown));
            }
            continue;
        }
        if list(rule, "apiGroups").is_empty() {
            errors.push(require(
                at("apiGroups"),
                "resource rules must supply at least one api group",
            ));
        }
        if list(rule, "resources").is_empty() {
            errors.push(require(
                at("resources"),
                "resource rules must supply at least one resource",
            ));
        }
    }
    errors
}

/// Fills in what a binding leaves to be understood.
pub(super) fn complete_binding(binding: &mut Value) {
    if let Some(role) = binding.get_mut("roleRef").filter(|role| role.is_object()) {
        root_mut(role).entry("apiGroup").or_insert_with(|| GROUP.into());
    }
    let subjects = binding.get_mut("subjects").and_then(Value::as_array_mut);
    for subject in subjects
        .into_iter()
        .flatten()
        .filter(|subject| subject.is_object())
    {
        if matches!(top(subject, "kind"), "User" | "Group") {
            root_mut(subject)
                .entry("apiGroup")
                .or_insert_with(|| GROUP.into());
        }
    }
}

/// What is wrong with a binding.
pub(super) fn check_binding(old: Option<&Value>, binding: &Value) -> Vec<FieldError> {
    let role = binding.get("roleRef").unwrap_or(&Value::Null);
    let unsupported = |path: String, value: &str, allowed: &[&str]| {
        let allowed: Vec<String> = allowed.iter().map(|text| format!("{text:?}")).collect();
        let detail = format!("supported values: {}", allowed.join(", "));
        FieldError::new(path, FieldErrorKind::NotSupported, detail).with_value(format_args!("{value:?}"))
    };
    let mut errors: Vec<FieldError> = check_name(binding).into_iter().collect();
    if let Some(old) = old.filter(|old| old.get("roleRef") != binding.get("roleRef")) {
        let _ = old;
        let error = FieldError::new("roleRef", FieldErrorKind::Invalid, "cannot change roleRef");
        errors.push(error.with_value(role));
    }
    if top(role, "apiGroup") != GROUP {
        errors.push(unsupported(
            "roleRef.apiGroup".into(),
            top(role, "apiGroup"),
            &[GROUP],
        ));
    }
    let kinds: &[&str] = if object::namespace(binding).is_empty() {
        &["ClusterRole"]
    } else {
        &["Role", "ClusterRole"]
    };
    if !kinds.contains(&top(role, "kind")) {
        errors.push(unsupported("roleRef.kind".into(), top(role, "kind"), kinds));
    }
    if top(role, "name").is_empty() {
        errors.push(require("roleRef.name".into(), ""));
    }
    for (index, subject) in list(binding, "subjects").iter().enumerate() {
        let at = |field: &str| format!("subjects[{index}].{field}");
        if top(subject, "name").is_empty() {
            errors.push(require(at("name"), ""));
        }
        match top(subject, "kind") {
            "ServiceAccount" => {
                if !top(subject, "apiGroup").is_empty() {
                    errors.push(unsupported(at("apiGroup"), top(subject, "apiGroup"), &[""]));
                }
                if top(subject, "namespace").is_empty() && object::namespace(binding).is_empty() {
                    errors.push(require(at("namespace"), ""));
                }
            }
            "User" | "Group" => {
                if top(subject, "apiGroup") != GROUP {
                    errors.push(unsupported(at("apiGroup"), top(subject, "apiGroup"), &[GROUP]));
                }
            }
            other => errors.push(unsupported(
                at("kind"),
                other,
                &["ServiceAccount", "User", "Group"],
            )),
        }
    }
    errors
}
