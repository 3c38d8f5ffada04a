//! What Secrets of Kubernetes' own types must hold. No value of a Secret is in what is told.

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use stead_resource::{FieldError, FieldErrorKind};

use crate::object::{self, top};

/// The types, the keys that each needs, and whether any one of them is enough.
const TYPES: &[(&str, &[&str], Need)] = &[
    ("kubernetes.io/tls", &["tls.crt", "tls.key"], Need::All),
    ("kubernetes.io/basic-auth", &["username", "password"], Need::Any),
    ("kubernetes.io/ssh-auth", &["ssh-privatekey"], Need::Filled),
    ("kubernetes.io/dockercfg", &[".dockercfg"], Need::Json),
    (
        "kubernetes.io/dockerconfigjson",
        &[".dockerconfigjson"],
        Need::Json,
    ),
];
/// Names the account whose token a Secret holds.
const ACCOUNT: &str = "kubernetes.io/service-account.name";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    All,
    Any,
    Filled,
    Json,
}

/// What is wrong with a Secret of a type that has rules.
pub(super) fn faults(secret: &Value) -> Vec<FieldError> {
    let kind = top(secret, "type");
    if kind == "kubernetes.io/service-account-token" {
        let annotations = object::metadata(secret).and_then(|metadata| metadata.get("annotations"));
        let named = annotations.is_some_and(|annotations| !top(annotations, ACCOUNT).is_empty());
        return if named {
            Vec::new()
        } else {
            vec![required(&format!("metadata.annotations[{ACCOUNT}]"))]
        };
    }
    let Some((_, keys, need)) = TYPES.iter().find(|(name, ..)| *name == kind) else {
        return Vec::new();
    };
    let value = |key: &str| {
        secret
            .get("data")
            .and_then(|data| data.get(key))
            .and_then(Value::as_str)
    };
    let missing = |key: &&&str| match need {
        Need::All | Need::Any | Need::Json => value(key).is_none(),
        Need::Filled => value(key).is_none_or(str::is_empty),
    };
    let absent: Vec<&&str> = keys.iter().filter(missing).collect();
    if *need == Need::Any && absent.len() < keys.len() {
        return Vec::new();
    }
    let mut errors: Vec<FieldError> = absent
        .iter()
        .map(|key| required(&format!("data[{key}]")))
        .collect();
    for key in keys.iter().filter(|_| *need == Need::Json) {
        let bytes = value(key).and_then(|text| STANDARD.decode(text).ok());
        if bytes.is_some_and(|bytes| serde_json::from_slice::<Value>(&bytes).is_err()) {
            let error = FieldError::new(format!("data[{key}]"), FieldErrorKind::Invalid, "must be JSON");
            errors.push(error.with_value("\"<secret contents redacted>\""));
        }
    }
    errors
}

fn required(path: &str) -> FieldError {
    FieldError::new(path, FieldErrorKind::Required, "")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn types_need_their_keys() {
        for (kind, data, wanted) in [
            ("Opaque", json!({}), vec![]),
            ("kubernetes.io/tls", json!({"tls.crt": ""}), vec!["data[tls.key]"]),
            ("kubernetes.io/basic-auth", json!({"password": ""}), vec![]),
            (
                "kubernetes.io/basic-auth",
                json!({}),
                vec!["data[username]", "data[password]"],
            ),
            (
                "kubernetes.io/ssh-auth",
                json!({"ssh-privatekey": ""}),
                vec!["data[ssh-privatekey]"],
            ),
            (
                "kubernetes.io/dockercfg",
                json!({".dockercfg": "YQ=="}),
                vec!["data[.dockercfg]"],
            ),
            ("kubernetes.io/dockercfg", json!({".dockercfg": "e30="}), vec![]),
        ] {
            let found = faults(&json!({"type": kind, "data": data}));
            let paths: Vec<&str> = found.iter().map(|error| error.path.as_str()).collect();
            assert_eq!(paths, wanted, "{kind}");
        }
    }
}
