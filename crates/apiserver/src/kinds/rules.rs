//! What the core kinds require beyond their schemas, and the rules of names.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use stead_resource::{FieldError, FieldErrorKind};

use super::check_definition;
use crate::object::{self, metadata_mut, root_mut, top};

/// The finalizer that keeps a definition until its objects are gone.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";
/// The largest sum of a Secret's or `ConfigMap`'s values.
const DATA_LIMIT: usize = 1 << 20;

/// The rules of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    None,
    Namespace,
    Secret,
    ConfigMap,
    Event,
    Definition,
}

impl Rules {
    /// Brings what a client sent into the stored form, before it is merged with anything.
    pub(crate) fn normalize(self, object: &mut Value) {
        if self == Self::Secret {
            fold_string_data(object);
        }
    }

    /// What the writer should know about an object that is valid.
    pub(crate) fn remarks(self, object: &Value) -> Vec<String> {
        match self {
            Self::Definition => super::custom::remarks(object),
            Self::None | Self::Namespace | Self::Secret | Self::ConfigMap | Self::Event => Vec::new(),
        }
    }

    /// Completes an object that is about to be stored.
    pub(crate) fn complete(self, old: Option<&Value>, new: &mut Value) {
        match self {
            Self::None | Self::ConfigMap | Self::Event => {}
            Self::Secret => {
                fold_string_data(new);
                root_mut(new).entry("type").or_insert_with(|| "Opaque".into());
            }
            Self::Namespace => complete_namespace(old, new),
            Self::Definition => complete_definition(old, new),
        }
    }

    /// What is wrong with an object that is about to be stored.
    pub(crate) fn check(self, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
        match self {
            Self::None => Vec::new(),
            Self::Namespace => check_namespace(new),
            Self::Secret => {
                let mut errors = check_data(new, "data", true);
                errors.extend(immutable(old, new, &["data"]));
                if old.is_some_and(|old| top(old, "type") != top(new, "type")) {
                    errors.push(FieldError::new(
                        "type",
                        FieldErrorKind::Invalid,
                        "field is immutable",
                    ));
                }
                errors
            }
            Self::ConfigMap => {
                let mut errors = check_data(new, "data", false);
                errors.extend(check_data(new, "binaryData", true));
                errors.extend(immutable(old, new, &["data", "binaryData"]));
                errors
            }
            Self::Event => check_event(new),
            Self::Definition => {
                let mut errors = check_definition(new);
                errors.extend(old.map(|old| fixed(old, new)).unwrap_or_default());
                errors
            }
        }
    }
}

fn fold_string_data(secret: &mut Value) {
    let Some(Value::Object(plain)) = root_mut(secret).shift_remove("stringData") else {
        return;
    };
    let data = object::map_mut(secret, "data");
    for (key, value) in plain {
        // Anything but text is left for the schema to refuse.
        let value = match value {
            Value::String(text) => Value::String(STANDARD.encode(text)),
            other => other,
        };
        data.insert(key, value);
    }
}

fn complete_namespace(old: Option<&Value>, new: &mut Value) {
    let name = object::name(new).to_owned();
    let labels = metadata_mut(new).entry("labels").or_insert(Value::Null);
    root_mut(labels).insert("kubernetes.io/metadata.name".into(), name.into());
    if old.is_none() {
        root_mut(new).insert("spec".into(), json!({"finalizers": ["kubernetes"]}));
        root_mut(new).insert("status".into(), json!({"phase": "Active"}));
    }
}

fn complete_definition(old: Option<&Value>, new: &mut Value) {
    let names = super::custom::wanted_names(new);
    let spec = object::map_mut(new, "spec");
    spec.insert("names".into(), names);
    spec.entry("conversion")
        .or_insert_with(|| json!({"strategy": "None"}));
    if old.is_none() {
        let mut finalizers: Vec<String> = object::finalizers(new).into_iter().map(str::to_owned).collect();
        if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
            finalizers.push(CLEANUP.into());
        }
        object::set_finalizers(new, finalizers);
    }
}

fn check_namespace(namespace: &Value) -> Vec<FieldError> {
    let name = object::name(namespace);
    if is_label(name) {
        return Vec::new();
    }
    let error = FieldError::new("metadata.name", FieldErrorKind::Invalid, LABEL_RULE);
    vec![error.with_value(Value::from(name))]
}

fn check_event(event: &Value) -> Vec<FieldError> {
    let about = ["involvedObject", "regarding"]
        .into_iter()
        .find_map(|field| event.get(field));
    let place = about.map(|about| top(about, "namespace")).unwrap_or_default();
    if place.is_empty() || place == object::namespace(event) {
        return Vec::new();
    }
    let error = FieldError::new(
        "involvedObject.namespace",
        FieldErrorKind::Invalid,
        "does not match the event's namespace",
    );
    vec![error.with_value(Value::from(place))]
}

fn check_data(object: &Value, field: &str, encoded: bool) -> Vec<FieldError> {
    let Some(data) = object.get(field).and_then(Value::as_object) else {
        return Vec::new();
    };
    let (mut errors, mut total) = (Vec::new(), 0);
    for (key, value) in data {
        let path = format!("{field}[{key}]");
        if !is_data_key(key) {
            let rule =
                "a valid key has at most 253 letters, digits, '-', '_' and '.', and is not '.' or '..'";
            let error = FieldError::new(&path, FieldErrorKind::Invalid, rule);
            errors.push(error.with_value(Value::from(key.as_str())));
        }
        let Some(text) = value.as_str() else { continue };
        total += text.len();
        if encoded && STANDARD.decode(text).is_err() {
            // The value itself is not repeated: it may be a secret.
            let path = format!("{field}.{key}");
            errors.push(FieldError::new(path, FieldErrorKind::Invalid, "should be base64"));
        }
    }
    let limit = if encoded {
        DATA_LIMIT / 3 * 4 + 4
    } else {
        DATA_LIMIT
    };
    if total > limit {
        let detail = format!("must have at most {DATA_LIMIT} bytes");
        errors.push(FieldError::new(field, FieldErrorKind::TooLong, detail));
    }
    errors
}

fn immutable(old: Option<&Value>, new: &Value, fields: &[&str]) -> Vec<FieldError> {
    let marked = |object: &Value| object.get("immutable").and_then(Value::as_bool) == Some(true);
    let Some(old) = old.filter(|old| marked(old)) else {
        return Vec::new();
    };
    let refuse = |field: &str| {
        FieldError::new(
            field,
            FieldErrorKind::Forbidden,
            "field is immutable when `immutable` is set",
        )
    };
    let mut errors: Vec<_> = fields
        .iter()
        .filter(|field| old.get(**field) != new.get(**field))
        .map(|field| refuse(field))
        .collect();
    if !marked(new) {
        errors.push(refuse("immutable"));
    }
    errors
}

/// What of a definition its objects depend on.
fn fixed(old: &Value, new: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    for path in ["spec.group", "spec.scope", "spec.names.plural", "spec.names.kind"] {
        let pointer = format!("/{}", path.replace('.', "/"));
        if old.pointer(&pointer) != new.pointer(&pointer) {
            let error = FieldError::new(path, FieldErrorKind::Invalid, "field is immutable");
            errors.push(error);
        }
    }
    let list = |pointer| {
        new.pointer(pointer)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    for stored in list("/status/storedVersions").filter_map(Value::as_str) {
        if !list("/spec/versions").any(|version| top(version, "name") == stored) {
            let detail = format!("must keep the version {stored:?}, in which objects may be stored");
            errors.push(FieldError::new("spec.versions", FieldErrorKind::Invalid, detail));
        }
    }
    errors
}

fn is_data_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !key.is_empty() && key.len() <= 253 && key.bytes().all(allowed) && key != "." && key != ".."
}

/// What a label must be, in words.
const LABEL_RULE: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', \
     and must start and end with an alphanumeric character, and has at most 63 characters";
/// What a subdomain must be, in words.
pub(crate) const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character, and has at most 253 characters";

/// Whether the text is a lowercase RFC 1123 label.
pub(crate) fn is_label(text: &str) -> bool {
    let bytes = text.as_bytes();
    let outer =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    bytes.len() <= 63
        && outer(bytes.first())
        && outer(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
}

/// Whether the text is a lowercase RFC 1123 subdomain; its parts may be longer than labels.
pub(crate) fn is_subdomain(text: &str) -> bool {
    let part = |part: &str| {
        let bytes = part.as_bytes();
        let outer =
            |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
        outer(bytes.first())
            && outer(bytes.last())
            && bytes
                .iter()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(part)
}

/// Whether the text may be a label's key or a finalizer: `prefix/name`, the prefix a subdomain.
pub(crate) fn is_qualified_name(text: &str) -> bool {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    prefix.is_none_or(is_subdomain) && !name.is_empty() && is_label_value(name)
}

/// Whether the text may be a label's value.
pub(crate) fn is_label_value(text: &str) -> bool {
    let bytes = text.as_bytes();
    let outer = |byte: Option<&u8>| byte.is_none_or(u8::is_ascii_alphanumeric);
    bytes.len() <= 63
        && outer(bytes.first())
        && outer(bytes.last())
        && bytes
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "a-b", "0", "a1"] {
            assert!(is_label(good) && is_subdomain(good), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "ä", &"a".repeat(64)] {
            assert!(!is_label(bad), "{bad}");
        }
        assert!(is_subdomain("a.b-c.d"));
        for bad in ["a..b", ".a", "a.", "a.-b", "a/b", &"a".repeat(254)] {
            assert!(!is_subdomain(bad), "{bad}");
        }
        assert!(is_qualified_name("stead.dev/Cleanup") && !is_qualified_name("a/b/c"));
        assert!(is_label_value("") && is_label_value("A.b_c-d") && !is_label_value("-a"));
    }

    #[test]
    fn plain_values_of_a_secret_are_folded_into_its_data() {
        let mut secret = json!({"data": {"a": "QQ=="}, "stringData": {"a": "B", "c": "D"}});
        Rules::Secret.complete(None, &mut secret);
        assert_eq!(
            secret,
            json!({"data": {"a": "Qg==", "c": "RA=="}, "type": "Opaque"})
        );
    }

    #[test]
    fn an_error_about_a_secret_does_not_repeat_its_value() {
        let errors = Rules::Secret.check(None, &json!({"data": {"key": "hunter2!"}, "type": "Opaque"}));
        assert_eq!(errors.len(), 1);
        assert!(!errors[0].to_string().contains("hunter2"));
    }

    #[test]
    fn an_immutable_config_map_cannot_change_or_be_made_mutable() {
        let old = json!({"data": {"a": "b"}, "immutable": true});
        assert!(Rules::ConfigMap.check(Some(&old), &old).is_empty());
        let changed = json!({"data": {"a": "c"}});
        assert_eq!(Rules::ConfigMap.check(Some(&old), &changed).len(), 2);
    }
}
