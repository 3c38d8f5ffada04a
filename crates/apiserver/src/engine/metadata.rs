//! The rules of `metadata`.

use serde_json::{Map, Value, json};
use stead_resource::{FieldError, FieldErrorKind};

use super::Target;
use crate::{
    kinds::{ResourceType, names, rules::Rules},
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
    for field in OWN.into_iter().chain(["resourceVersion"]) {
        metadata.shift_remove(field);
    }
    // In order of time, so that the index of uids grows at its end and a commit changes few of its pages.
    let uid = uuid::Uuid::now_v7().to_string();
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
pub(super) fn check(kind: &ResourceType, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let is_name = if kind.rules == Rules::Namespace {
        names::faults_of_label
    } else {
        names::faults_of_subdomain
    };
    let prefix = object::text(new, "generateName");
    // What follows begins with a letter.
    let stem = prefix
        .strip_suffix('-')
        .map_or_else(|| prefix.to_owned(), |stem| format!("{stem}a"));
    for (path, shown, value) in [
        ("metadata.generateName", prefix, stem.as_str()),
        ("metadata.name", object::name(new), object::name(new)),
    ] {
        if path != "metadata.generateName" || !prefix.is_empty() {
            errors.extend(is_name(value).into_iter().map(|why| invalid(path, shown, why)));
        }
    }
    let empty = Map::new();
    let metadata = object::metadata(new).unwrap_or(&empty);
    errors.extend(check_labels(metadata.get("labels")));
    errors.extend(check_annotations(metadata.get("annotations")));
    errors.extend(check_finalizers(kind, old, new));
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

fn invalid(path: &str, value: &str, rule: impl Into<String>) -> FieldError {
    FieldError::new(path, FieldErrorKind::Invalid, rule).with_value(json!(value))
}

fn check_labels(labels: Option<&Value>) -> Vec<FieldError> {
    const PATH: &str = "metadata.labels";
    let mut errors = Vec::new();
    for (key, value) in texts(PATH, labels, &mut errors) {
        errors.extend(
            names::faults_of_key(key, "label key")
                .into_iter()
                .map(|why| invalid(PATH, key, why)),
        );
        errors.extend(
            names::faults_of_label_value(value)
                .into_iter()
                .map(|why| invalid(PATH, value, why)),
        );
    }
    errors
}

fn check_annotations(annotations: Option<&Value>) -> Vec<FieldError> {
    const PATH: &str = "metadata.annotations";
    let (mut errors, mut total) = (Vec::new(), 0);
    for (key, value) in texts(PATH, annotations, &mut errors) {
        total += key.len() + value.len();
        let faults = names::faults_of_key(&key.to_lowercase(), "qualified name").into_iter();
        errors.extend(faults.map(|why| invalid(PATH, key, why)));
    }
    if total > ANNOTATIONS_LIMIT {
        let detail = format!("may not be more than {ANNOTATIONS_LIMIT} bytes");
        errors.push(FieldError::new(PATH, FieldErrorKind::TooLong, detail));
    }
    errors
}

/// Whether a finalizer without a domain is one of Kubernetes' own.
fn is_known_finalizer(finalizer: &str) -> bool {
    matches!(finalizer, "kubernetes" | "orphan" | "foregroundDeletion")
}

/// What the writer should know about metadata that is valid.
pub(super) fn remarks(target: &Target, new: &Value) -> Vec<String> {
    if !target.kind.defined {
        return Vec::new();
    }
    object::finalizers(new)
        .into_iter()
        .filter(|finalizer| !finalizer.contains('/') && !is_known_finalizer(finalizer))
        .map(|finalizer| {
            format!(
                "metadata.finalizers: {finalizer:?}: prefer a domain-qualified finalizer name to avoid accidental \
                 conflicts with other finalizer writers"
            )
        })
        .collect()
}

fn check_finalizers(kind: &ResourceType, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
    const PATH: &str = "metadata.finalizers";
    let list = object::finalizers(new);
    let mut errors = Vec::new();
    for (index, finalizer) in list.iter().enumerate() {
        errors.extend(
            names::faults_of_key(finalizer, "qualified name")
                .into_iter()
                .map(|why| invalid(PATH, finalizer, why)),
        );
        let is_core = !kind.defined && kind.rules != Rules::Definition;
        if is_core && !finalizer.contains('/') && !is_known_finalizer(finalizer) {
            let why = "name is neither a standard finalizer name nor is it fully qualified";
            errors.push(invalid(&format!("{PATH}[{index}]"), finalizer, why));
        }
    }
    if let Some(old) = old.filter(|old| object::is_deleting(old)) {
        let before = object::finalizers(old);
        let added: Vec<String> = list
            .iter()
            .filter(|item| !before.contains(item))
            .map(|item| format!("{item:?}"))
            .collect();
        if !added.is_empty() {
            let detail = format!(
                "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
                added.join(", ")
            );
            errors.push(FieldError::new(PATH, FieldErrorKind::Forbidden, detail));
        }
    }
    errors
}

fn check_owners(owners: Option<&Value>) -> Vec<FieldError> {
    let list = owners.and_then(Value::as_array);
    let mut errors = Vec::new();
    let mut controllers = Vec::new();
    for owner in list.into_iter().flatten() {
        for (field, rule) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            if object::top(owner, field).is_empty() {
                errors.push(invalid(&format!("metadata.ownerReferences.{field}"), "", rule));
            }
        }
        if owner.get("controller").and_then(Value::as_bool) == Some(true) {
            let name = format!("{}/{}", object::top(owner, "kind"), object::top(owner, "name"));
            controllers.push(name);
        }
    }
    if let [first, second, ..] = controllers.as_slice() {
        let detail = format!(
            "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {second}"
        );
        let error = FieldError::new("metadata.ownerReferences", FieldErrorKind::Invalid, detail);
        errors.push(error.with_value(shown_owners(list.map(Vec::as_slice).unwrap_or_default())));
    }
    errors
}

/// Owner references as the value of an error, their fields in the original's order.
fn shown_owners(owners: &[Value]) -> Value {
    let shown = owners.iter().map(|owner| {
        let fields = [
            "apiVersion",
            "kind",
            "name",
            "uid",
            "controller",
            "blockOwnerDeletion",
        ];
        let given = fields
            .iter()
            .filter_map(|name| Some(((*name).to_owned(), owner.get(name)?.clone())));
        Value::from(given.collect::<Map<_, _>>())
    });
    shown.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::core_kinds;

    fn kind() -> ResourceType {
        let kinds = core_kinds().expect("the core kinds");
        kinds
            .into_iter()
            .find(|kind| kind.kind == "ConfigMap")
            .expect("config maps")
    }

    #[test]
    fn faults_of_metadata_are_named() {
        let object = json!({"metadata": {
            "name": "Bad_Name",
            "labels": {"ok": "fine", "a/b/c": "x", "size": 3},
            "annotations": {"": "x"},
            "finalizers": ["no spaces"],
            "ownerReferences": [{"kind": "A", "name": "a", "apiVersion": "v1"}],
        }});
        let paths: Vec<String> = check(&kind(), None, &object)
            .into_iter()
            .map(|error| error.path)
            .collect();
        assert_eq!(
            paths,
            [
                "metadata.name",
                "metadata.labels.size",
                "metadata.labels",
                // The key's length and its form are two faults.
                "metadata.annotations",
                "metadata.annotations",
                "metadata.finalizers",
                "metadata.finalizers[0]",
                "metadata.ownerReferences.uid"
            ]
        );
    }

    #[test]
    fn finalizers_cannot_be_added_to_what_is_being_deleted() {
        let old = json!({"metadata": {"name": "a", "deletionTimestamp": "t", "finalizers": ["a/b", "a/c"]}});
        let fewer = json!({"metadata": {"name": "a", "finalizers": ["a/c"]}});
        let more = json!({"metadata": {"name": "a", "finalizers": ["a/b", "a/d"]}});
        assert!(check(&kind(), Some(&old), &fewer).is_empty());
        assert_eq!(check(&kind(), Some(&old), &more).len(), 1);
    }

    #[test]
    fn generated_suffixes_are_valid_in_names() {
        for _ in 0..100 {
            let name = suffix();
            assert!(
                name.len() == 5 && names::faults_of_subdomain(&name).is_empty(),
                "{name}"
            );
        }
    }
}
