//! What the core kinds require beyond their schemas, and the rules of names.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use stead_resource::{FieldError, FieldErrorKind};

use super::{check_definition, names};
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
    Lease,
    Definition,
    Role,
    Binding,
    Account,
}

impl Rules {
    /// Brings what a client sent into the stored form, before it is merged with anything.
    pub(crate) fn normalize(self, object: &mut Value) {
        match self {
            Self::Secret => {
                fold_string_data(object);
                let data = object.get_mut("data").and_then(Value::as_object_mut);
                for value in data
                    .into_iter()
                    .flat_map(|data| data.values_mut())
                    .filter(|value| value.is_null())
                {
                    *value = "".into();
                }
                root_mut(object).entry("type").or_insert_with(|| "Opaque".into());
            }
            Self::Namespace => {
                let name = object::name(object).to_owned();
                if !name.is_empty() {
                    let labels = metadata_mut(object).entry("labels").or_insert(Value::Null);
                    root_mut(labels).insert("kubernetes.io/metadata.name".into(), name.into());
                }
            }
            Self::Definition => complete_definition(object),
            Self::None
            | Self::ConfigMap
            | Self::Event
            | Self::Lease
            | Self::Role
            | Self::Binding
            | Self::Account => {}
        }
    }

    /// Whether [`Rules::complete`] fills in what its writer does not own.
    pub(crate) fn completes(self) -> bool {
        match self {
            Self::Namespace | Self::Definition => true,
            Self::None
            | Self::Secret
            | Self::ConfigMap
            | Self::Event
            | Self::Lease
            | Self::Role
            | Self::Binding
            | Self::Account => false,
        }
    }

    /// Whether a write changes what the server itself knows.
    pub(crate) const fn has_aftermath(self) -> bool {
        matches!(
            self,
            Self::Definition | Self::Role | Self::Binding | Self::Account
        )
    }

    /// Whether an update makes an object that is not there.
    pub(crate) fn creates_on_update(self) -> bool {
        match self {
            Self::Lease | Self::Event | Self::Role | Self::Binding => true,
            Self::None
            | Self::Secret
            | Self::ConfigMap
            | Self::Namespace
            | Self::Account
            | Self::Definition => false,
        }
    }

    /// Completes an object that is about to be stored.
    pub(crate) fn complete(self, old: Option<&Value>, new: &mut Value) {
        match self {
            Self::None | Self::ConfigMap | Self::Event | Self::Role | Self::Account | Self::Lease => {}
            Self::Binding => super::access::complete_binding(new),
            Self::Secret => {
                fold_string_data(new);
                root_mut(new).entry("type").or_insert_with(|| "Opaque".into());
            }
            Self::Namespace => complete_namespace(old, new),
            Self::Definition => complete_definition(new),
        }
    }

    /// What is wrong with an object that is about to be stored.
    pub(crate) fn check(self, old: Option<&Value>, new: &Value) -> Vec<FieldError> {
        match self {
            // The name's rule is with the metadata's.
            Self::None | Self::Account => Vec::new(),
            Self::Role => super::access::check_role(new),
            Self::Binding => super::access::check_binding(old, new),
            Self::Namespace => check_phase(new),
            Self::Lease => check_lease(new),
            Self::Secret => {
                let mut errors = check_data(new, "data", true);
                errors.extend(super::secrets::faults(new));
                errors.extend(immutable(old, new, &["data"]));
                if old.is_some_and(|old| top(old, "type") != top(new, "type")) {
                    let error = FieldError::new("type", FieldErrorKind::Invalid, "field is immutable");
                    errors.push(error.with_value(Value::from(top(new, "type"))));
                }
                errors
            }
            Self::ConfigMap => {
                let mut errors = check_data(new, "data", false);
                errors.extend(check_data(new, "binaryData", true));
                errors.extend(immutable(old, new, &["data", "binaryData"]));
                errors
            }
            Self::Event => {
                let mut errors = super::events::faults(old, new);
                if errors.is_empty() && top(new, "apiVersion") == "v1" {
                    errors.extend(super::access::check_name(new));
                }
                errors
            }
            Self::Definition => {
                let mut errors = check_definition(new);
                errors.extend(
                    old.map(|old| super::check::check_change(old, new))
                        .unwrap_or_default(),
                );
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
        let spec = object::map_mut(new, "spec");
        let finalizers = spec.entry("finalizers").or_insert_with(|| json!([]));
        if let Some(list) = finalizers.as_array_mut()
            && !list.iter().any(|finalizer| finalizer == "kubernetes")
        {
            list.push("kubernetes".into());
        }
        root_mut(new).insert("status".into(), json!({"phase": "Active"}));
    }
}

fn complete_definition(new: &mut Value) {
    if !new.get("spec").is_some_and(Value::is_object) {
        return;
    }
    let names = super::custom::wanted_names(new);
    let spec = object::map_mut(new, "spec");
    spec.insert("names".into(), names);
    spec.entry("conversion")
        .or_insert_with(|| json!({"strategy": "None"}));
}

fn check_phase(namespace: &Value) -> Vec<FieldError> {
    let phase = namespace
        .get("status")
        .map(|status| top(status, "phase"))
        .unwrap_or_default();
    let rule = match (object::is_deleting(namespace), phase) {
        (false, "" | "Active") | (true, "Terminating") => return Vec::new(),
        (false, _) => "may only be 'Active' if `deletionTimestamp` is empty",
        (true, _) => "may only be 'Terminating' if `deletionTimestamp` is not empty",
    };
    let error = FieldError::new("status.Phase", FieldErrorKind::Invalid, rule);
    vec![error.with_value(Value::from(phase))]
}

fn check_lease(lease: &Value) -> Vec<FieldError> {
    let at_least = |field: &str, least: i64, rule: &str| {
        let number = lease.pointer(&format!("/spec/{field}")).and_then(Value::as_i64)?;
        let error = FieldError::new(format!("spec.{field}"), FieldErrorKind::Invalid, rule);
        (number < least).then(|| error.with_value(number))
    };
    [
        at_least("leaseDurationSeconds", 1, "must be greater than 0"),
        at_least("leaseTransitions", 0, "must be greater than or equal to 0"),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn check_data(object: &Value, field: &str, encoded: bool) -> Vec<FieldError> {
    let Some(data) = object.get(field).and_then(Value::as_object) else {
        return Vec::new();
    };
    let (mut errors, mut total) = (Vec::new(), 0);
    for (key, value) in data {
        let path = format!("{field}[{key}]");
        for rule in names::faults_of_data_key(key) {
            let error = FieldError::new(&path, FieldErrorKind::Invalid, rule);
            errors.push(error.with_value(Value::from(key.as_str())));
        }
        if field == "data"
            && object
                .pointer("/binaryData")
                .is_some_and(|other| other.get(key).is_some())
        {
            let error = FieldError::new(
                &path,
                FieldErrorKind::Invalid,
                "duplicate of key present in binaryData",
            );
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

/// What a subdomain must be, in words.
pub(crate) const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
     characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for \
     validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_rfc_1123() {
        for good in ["a", "a-b", "0", "a1", "a.b-c.d"] {
            assert!(is_subdomain(good), "{good}");
        }
        for bad in [
            "",
            "-a",
            "a-",
            "A",
            "a_b",
            "ä",
            "a..b",
            ".a",
            "a.",
            "a.-b",
            "a/b",
            &"a".repeat(254),
        ] {
            assert!(!is_subdomain(bad), "{bad}");
        }
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
