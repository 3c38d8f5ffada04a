//! The rules of `metadata`.

use serde_json::{Map, Value, json};
use stead_resource::{FieldError, FieldErrorKind};

use crate::{
    kinds::rules::{SUBDOMAIN_RULE, is_label_value, is_qualified_name, is_subdomain},
    object::{self, copy_field, metadata_mut},
};

/// The largest sum of all annotations.
const ANNOTATIONS_LIMIT: usize = 256 << 10;
/// What the server alone decides about an existing object.
const OWN: [&str; 6] = [
    "uid",
    "creationTimestamp",
    "generation",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "selfLink",
];

/// Gives a new object what the server decides.
pub(super) fn begin(object: &mut Value, now: &str, counted: bool) {
    let metadata = metadata_mut(object);
    for field in OWN.into_iter().chain(["resourceVersion", "managedFields"]) {
        metadata.shift_remove(field);
    }
    let uid = uuid::Uuid::new_v4().to_string();
    metadata.insert("uid".into(), uid.into());
    metadata.insert("creationTimestamp".into(), now.into());
    if counted {
        metadata.insert("generation".into(), 1.into());
    }
}

/// Restores in a changed object what the server decides.
pub(super) fn keep(old: &Value, new: &mut Value) {
    let before = object::metadata(old);
    let metadata = metadata_mut(new);
    for field in OWN {
        copy_field(metadata, before, field);
    }
    copy_field(metadata, before, "resourceVersion");
}

/// Five characters that are hard to confuse, for generated names.
pub(super) fn suffix() -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let random = uuid::Uuid::new_v4().as_u128();
    let letters = LETTERS.len() as u128;
    (0..5_u32)
        .map(|place| {
            let index = random / letters.pow(place) % letters;
            let letter = usize::try_from(index).ok().and_then(|index| LETTERS.get(index));
            char::from(letter.copied().unwrap_or(b'x'))
        })
        .collect()
}

/// What is wrong with the metadata.
pub(super) fn check(old: Option<&Value>, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    if !is_subdomain(object::name(new)) {
        let error = FieldError::new("metadata.name", FieldErrorKind::Invalid, SUBDOMAIN_RULE);
        errors.push(error.with_value(json!(object::name(new))));
    }
    let empty = Map::new();
    let metadata = object::metadata(new).unwrap_or(&empty);
    errors.extend(check_labels(metadata.get("labels")));
    errors.extend(check_annotations(metadata.get("annotations")));
    errors.extend(check_finalizers(old, new));
    errors.extend(check_owners(metadata.get("ownerReferences")));
    errors
}

fn texts<'a>(
    path: &str,
    value: Option<&'a Value>,
    errors: &mut Vec<FieldError>,
) -> Vec<(&'a String, &'a str)> {
    let Some(value) = value.filter(|value| !value.is_null()) else {
        return Vec::new();
    };
    let Some(map) = value.as_object() else {
        let error = FieldError::new(path, FieldErrorKind::TypeInvalid, "must be a map of texts");
        errors.push(error);
        return Vec::new();
    };
    let mut texts = Vec::new();
    for (key, value) in map {
        match value.as_str() {
            Some(text) => texts.push((key, text)),
            None => errors.push(
                FieldError::new(
                    format!("{path}.{key}"),
                    FieldErrorKind::TypeInvalid,
                    "must be of type string",
                )
                .with_value(value),
            ),
        }
    }
    texts
}

fn check_labels(labels: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for (key, value) in texts("metadata.labels", labels, &mut errors) {
        let refused = if !is_qualified_name(key) {
            key
        } else if !is_label_value(value) {
            value
        } else {
            continue;
        };
        let rule = "must have at most 63 characters, begin and end with a letter or digit, with '-', '_' and '.' \
                    between; a key may have a domain and '/' before it";
        let error = FieldError::new("metadata.labels", FieldErrorKind::Invalid, rule);
        errors.push(error.with_value(json!(refused)));
    }
    errors
}

fn check_annotations(annotations: Option<&Value>) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let mut total = 0;
    for (key, value) in texts("metadata.annotations", annotations, &mut errors) {
        total += key.len() + value.len();
        if !is_qualified_name(&key.to_lowercase()) {
            let error = FieldError::new(
                "metadata.annotations",
                FieldErrorKind::Invalid,
                "a key is a name of at most 63 characters, with a domain and '/' before it if you like",
            );
            errors.push(error.with_value(json!(key)));
        }
    }
    if total > ANNOTATIONS_LIMIT {
        let detail = format!("may not be more than {ANNOTATIONS_LIMIT} bytes");
        errors.push(FieldError::new(
            "metadata.annotations",
            FieldErrorKind::TooLong,
            detail,
        ));
    }
    errors
}

fn check_finalizers(old: Option<&Value>, new: &Value) -> Vec<FieldError> {
    let list = object::finalizers(new);
    let mut errors: Vec<_> = list
        .iter()
        .filter(|finalizer| !is_qualified_name(finalizer))
        .map(|finalizer| {
            let error = FieldError::new(
                "metadata.finalizers",
                FieldErrorKind::Invalid,
                "must be a qualified name",
            );
            error.with_value(json!(finalizer))
        })
        .collect();
    if let Some(old) = old.filter(|old| object::is_deleting(old)) {
        let before = object::finalizers(old);
        let added: Vec<_> = list.iter().filter(|item| !before.contains(item)).collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers {added:?}"
            );
            let error = FieldError::new("metadata.finalizers", FieldErrorKind::Forbidden, detail);
            errors.push(error);
        }
    }
    errors
}

fn check_owners(owners: Option<&Value>) -> Vec<FieldError> {
    let list = owners.and_then(Value::as_array);
    let mut errors = Vec::new();
    for (index, owner) in list.into_iter().flatten().enumerate() {
        for field in ["apiVersion", "kind", "name", "uid"] {
            if object::top(owner, field).is_empty() {
                errors.push(FieldError::new(
                    format!("metadata.ownerReferences[{index}].{field}"),
                    FieldErrorKind::Required,
                    "must not be empty",
                ));
            }
        }
    }
    errors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_metadata_are_named() {
        let object = json!({"metadata": {
            "name": "Bad_Name",
            "labels": {"ok": "fine", "a/b/c": "x", "size": 3},
            "annotations": {"": "x"},
            "finalizers": ["no spaces"],
            "ownerReferences": [{"kind": "A", "name": "a", "apiVersion": "v1"}],
        }});
        let paths: Vec<String> = check(None, &object).into_iter().map(|error| error.path).collect();
        assert_eq!(
            paths,
            [
                "metadata.name",
                "metadata.labels.size",
                "metadata.labels",
                "metadata.annotations",
                "metadata.finalizers",
                "metadata.ownerReferences[0].uid"
            ]
        );
    }

    #[test]
    fn finalizers_cannot_be_added_to_what_is_being_deleted() {
        let old = json!({"metadata": {"name": "a", "deletionTimestamp": "t", "finalizers": ["a/b", "a/c"]}});
        let fewer = json!({"metadata": {"name": "a", "finalizers": ["a/c"]}});
        let more = json!({"metadata": {"name": "a", "finalizers": ["a/b", "a/d"]}});
        assert!(check(Some(&old), &fewer).is_empty());
        assert_eq!(check(Some(&old), &more).len(), 1);
    }

    #[test]
    fn generated_suffixes_are_valid_in_names() {
        for _ in 0..100 {
            let name = suffix();
            assert!(name.len() == 5 && is_subdomain(&name), "{name}");
        }
    }
}
