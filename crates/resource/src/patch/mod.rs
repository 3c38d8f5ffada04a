//! The patches of the Kubernetes API: JSON patch, merge patch and strategic merge patch.

mod strategic;

use serde_json::{Map, Value};

pub use strategic::strategic_merge;

/// The most operations of one JSON patch.
const MOST_OPERATIONS: usize = 10_000;
/// The most bytes that the `copy` operations of one JSON patch may add, so that a small patch makes no huge object.
const MOST_COPIED_BYTES: usize = 3 << 20;

/// Why a patch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed (HTTP 400).
    #[error("{0}")]
    Malformed(String),
    /// The patch is well-formed but does not fit the object, as a failed `test` (HTTP 422).
    #[error("{0}")]
    Unprocessable(String),
    /// The patch has directives that no patch can have (HTTP 500, as the original answers).
    #[error("{0}")]
    Unknown(String),
    /// The patch or what it would make is too large (HTTP 413).
    #[error("{0}")]
    TooLarge(String),
}

/// Applies a JSON patch (RFC 6902).
///
/// # Errors
/// `Malformed` when it is no list of operations, `Unprocessable` when a path does not exist or a `test` fails,
/// `TooLarge` above ten thousand operations or 3 MiB of copies.
pub fn json_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    let Value::Array(operations) = patch else {
        return Err(PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type []handlers.jsonPatchOp",
            type_name(patch)
        )));
    };
    if operations.len() > MOST_OPERATIONS {
        let message = format!(
            "a JSON patch may have {MOST_OPERATIONS} operations, this one has {}",
            operations.len()
        );
        return Err(PatchError::TooLarge(message));
    }
    let mut out = object.clone();
    let mut copied = 0;
    for (position, operation) in operations.iter().enumerate() {
        copied += copied_bytes(&out, operation);
        if copied > MOST_COPIED_BYTES {
            return Err(PatchError::TooLarge(format!(
                "the copies of a JSON patch may add {MOST_COPIED_BYTES} bytes"
            )));
        }
        apply(&mut out, operation).map_err(|error| error.at(position))?;
    }
    Ok(out)
}

fn apply(object: &mut Value, operation: &Value) -> Result<(), PatchError> {
    let mut operation = operation.clone();
    if is_new_member(object, &operation) {
        operation
            .as_object_mut()
            .and_then(|members| members.insert("op".to_owned(), "add".into()));
    }
    let operation: json_patch::PatchOperation =
        serde_json::from_value(operation).map_err(|error| PatchError::Unprocessable(error.to_string()))?;
    json_patch::patch(object, std::slice::from_ref(&operation))
        .map_err(|error| PatchError::Unprocessable(error.kind.to_string()))
}

/// Whether the operation replaces a member that an object does not have: Kubernetes adds it then, beyond the RFC.
fn is_new_member(object: &Value, operation: &Value) -> bool {
    let text = |name: &str| operation.get(name).and_then(Value::as_str).unwrap_or_default();
    let parent = text("path").rsplit_once('/').map(|(parent, _)| parent);
    text("op") == "replace"
        && parent.is_some_and(|parent| object.pointer(parent).is_some_and(Value::is_object))
        && object.pointer(text("path")).is_none()
}

impl PatchError {
    fn at(self, position: usize) -> Self {
        let place = |reason: String| format!("operation {position} of the JSON patch: {reason}");
        match self {
            Self::Malformed(reason) => Self::Malformed(place(reason)),
            Self::Unprocessable(reason) => Self::Unprocessable(place(reason)),
            Self::TooLarge(reason) => Self::TooLarge(place(reason)),
            Self::Unknown(reason) => Self::Unknown(place(reason)),
        }
    }
}

/// What Kubernetes calls a value that it cannot read.
pub fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn copied_bytes(object: &Value, operation: &Value) -> usize {
    let is_copy = operation.get("op").and_then(Value::as_str) == Some("copy");
    let from = operation.get("from").and_then(Value::as_str).filter(|_| is_copy);
    from.and_then(|from| object.pointer(from))
        .map_or(0, |value| value.to_string().len())
}

/// Applies a merge patch (RFC 7386) to an object.
///
/// # Errors
/// `Malformed` when the patch is no object.
pub fn merge_patch(object: &Value, patch: &Value) -> Result<Value, PatchError> {
    if !patch.is_object() {
        return Err(PatchError::Malformed(format!(
            "error decoding patch: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
            type_name(patch)
        )));
    }
    let mut out = object.clone();
    merge(&mut out, patch);
    Ok(out)
}

fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(changes) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, change) in changes {
        if change.is_null() {
            members.shift_remove(name);
        } else {
            merge(members.entry(name.as_str()).or_insert(Value::Null), change);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{PatchError, json_patch, merge_patch};

    #[test]
    fn the_examples_of_rfc_7386_hold() {
        let cases = [
            (json!({"a": "b"}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "b"}), json!({"b": "c"}), json!({"a": "b", "b": "c"})),
            (json!({"a": "b"}), json!({"a": null}), json!({})),
            (json!({"a": "b", "b": "c"}), json!({"a": null}), json!({"b": "c"})),
            (json!({"a": ["b"]}), json!({"a": "c"}), json!({"a": "c"})),
            (json!({"a": "c"}), json!({"a": ["b"]}), json!({"a": ["b"]})),
            (
                json!({"a": {"b": "c"}}),
                json!({"a": {"b": "d", "c": null}}),
                json!({"a": {"b": "d"}}),
            ),
            (json!({"a": [{"b": "c"}]}), json!({"a": [1]}), json!({"a": [1]})),
            (json!({"e": null}), json!({"a": 1}), json!({"e": null, "a": 1})),
            (json!([1, 2]), json!({"a": "b", "c": null}), json!({"a": "b"})),
            (
                json!({}),
                json!({"a": {"bb": {"ccc": null}}}),
                json!({"a": {"bb": {}}}),
            ),
        ];
        for (object, patch, wanted) in cases {
            assert_eq!(merge_patch(&object, &patch), Ok(wanted), "{object} {patch}");
        }
        assert!(matches!(
            merge_patch(&json!({}), &json!([])),
            Err(PatchError::Malformed(_))
        ));
    }

    #[test]
    fn every_operation_of_a_json_patch_works() {
        let object = json!({"a": {"b": [1, 2]}, "x/y": 1});
        let cases = [
            (
                json!([{"op": "add", "path": "/a/b/-", "value": 3}]),
                json!({"a": {"b": [1, 2, 3]}, "x/y": 1}),
            ),
            (
                json!([{"op": "add", "path": "/a/b/0", "value": 0}]),
                json!({"a": {"b": [0, 1, 2]}, "x/y": 1}),
            ),
            (
                json!([{"op": "remove", "path": "/x~1y"}]),
                json!({"a": {"b": [1, 2]}}),
            ),
            (
                json!([{"op": "replace", "path": "/a", "value": null}]),
                json!({"a": null, "x/y": 1}),
            ),
            (
                json!([{"op": "copy", "from": "/a/b/0", "path": "/c"}]),
                json!({"a": {"b": [1, 2]}, "x/y": 1, "c": 1}),
            ),
            (
                json!([{"op": "move", "from": "/a/b", "path": "/b"}]),
                json!({"a": {}, "x/y": 1, "b": [1, 2]}),
            ),
            (
                json!([{"op": "test", "path": "/a/b/1", "value": 2}]),
                object.clone(),
            ),
        ];
        for (patch, wanted) in cases {
            assert_eq!(json_patch(&object, &patch), Ok(wanted), "{patch}");
        }
    }

    #[test]
    fn a_member_that_is_replaced_may_be_new() {
        let patch = json!([{"op": "replace", "path": "/b", "value": 2}]);
        assert_eq!(json_patch(&json!({"a": 1}), &patch), Ok(json!({"a": 1, "b": 2})));
    }

    #[test]
    fn json_patches_that_do_not_fit_are_refused() {
        let object = json!({"a": [1]});
        assert!(matches!(
            json_patch(&object, &json!({})),
            Err(PatchError::Malformed(_))
        ));
        for patch in [
            json!([1]),
            json!([{"op": "add"}]),
            json!([{"op": "x", "path": "/a"}]),
            json!([{"op": "remove", "path": "/b"}]),
            json!([{"op": "add", "path": "/a/7", "value": 1}]),
            json!([{"op": "add", "path": "/b/c", "value": 1}]),
            json!([{"op": "test", "path": "/a/0", "value": 2}]),
            json!([{"op": "replace", "path": "/a/-", "value": 2}]),
        ] {
            assert!(
                matches!(json_patch(&object, &patch), Err(PatchError::Unprocessable(_))),
                "{patch}"
            );
        }
    }

    #[test]
    fn a_small_patch_cannot_make_a_huge_object() {
        let object = json!({"a": {"a": "0123456789"}});
        let doubling: Vec<_> = (0..40)
            .map(|n| json!({"op": "copy", "from": "/a", "path": format!("/a/{n}")}))
            .collect();
        assert!(matches!(
            json_patch(&object, &json!(doubling)),
            Err(PatchError::TooLarge(_))
        ));
        let many: Vec<_> = (0..10_001)
            .map(|_| json!({"op": "test", "path": "", "value": 1}))
            .collect();
        assert!(matches!(
            json_patch(&object, &json!(many)),
            Err(PatchError::TooLarge(_))
        ));
    }
}
