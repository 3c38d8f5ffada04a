//! Whether what was sent is what its address says, in the words of the original.

use base64::{DecodeError, Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use stead_resource::{FieldError, FieldErrorKind};

use super::Target;
use crate::{
    failure::{Failure, Outcome},
    kinds::rules::Rules,
    object::{self, metadata_mut, root_mut, top},
};

/// How an object came to be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was sent.
    Sent,
    /// A patch made it.
    Patched,
    /// It was sent to be applied.
    Applied,
}

/// Checks kind, name and namespace, and completes them from the address.
pub(super) fn identify(target: &Target, body: &mut Value, origin: Origin) -> Outcome<()> {
    if !body.is_object() {
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): couldn't get version/kind; json parse error",
            target.kind.kind
        )));
    }
    match origin {
        Origin::Applied => {
            check_applied_kind(target, body)?;
            check_namespace(target, body, origin)?;
            return check_name(target, body);
        }
        Origin::Sent | Origin::Patched if target.kind.defined => check_custom_kind(target, body, origin)?,
        Origin::Sent | Origin::Patched => check_core_kind(target, body, origin)?,
    }
    let root = root_mut(body);
    root.insert("apiVersion".into(), target.kind.api_version().into());
    root.insert("kind".into(), target.kind.kind.clone().into());
    if let Some(why) = misfit(target, body) {
        return Err(match origin {
            Origin::Patched => Failure::unfit_patch(&why),
            Origin::Sent | Origin::Applied => undecodable(target, &why),
        });
    }
    check_namespace(target, body, origin)?;
    check_name(target, body)
}

/// Something that cannot be read as an object of the kind.
fn undecodable(target: &Target, why: &str) -> Failure {
    let (kind, version) = (&target.kind.kind, &target.kind.version);
    Failure::bad_request(format!(
        "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
    ))
}

fn check_applied_kind(target: &Target, body: &Value) -> Outcome<()> {
    let (version, kind) = (top(body, "apiVersion"), top(body, "kind"));
    if version == target.kind.api_version() && kind == target.kind.kind {
        return Ok(());
    }
    // Kubernetes prints a version without its group as `/v1`.
    let slash = if version.contains('/') { "" } else { "/" };
    let message = format!("invalid object type: {slash}{version}, Kind={kind}");
    Err(Failure::bad_request(message))
}

fn check_core_kind(target: &Target, body: &Value, origin: Origin) -> Outcome<()> {
    let (version, kind) = (top(body, "apiVersion"), top(body, "kind"));
    let fits = |given: &str, expected: &str| given.is_empty() || given == expected;
    let expected = target.kind.api_version();
    if fits(version, &expected) && fits(kind, &target.kind.kind) {
        return Ok(());
    }
    let (told_kind, told_version) = (or(kind, &target.kind.kind), or(version, &expected));
    let why = format!("no kind {told_kind:?} is registered for version {told_version:?}");
    if origin == Origin::Patched {
        return Err(Failure::unfit_patch(&why));
    }
    let short = told_version.rsplit('/').next().unwrap_or_default();
    Err(Failure::bad_request(format!(
        "{told_kind} in version {short:?} cannot be handled as a {}: {why}",
        target.kind.kind
    )))
}

fn or<'a>(text: &'a str, other: &'a str) -> &'a str {
    if text.is_empty() { other } else { text }
}

fn check_custom_kind(target: &Target, body: &Value, origin: Origin) -> Outcome<()> {
    let (version, kind) = (top(body, "apiVersion"), top(body, "kind"));
    let expected = target.kind.api_version();
    if kind.is_empty() {
        return Err(Failure::bad_request(format!(
            "the object provided is unrecognized (must be of type {}): Object 'Kind' is missing",
            target.kind.kind
        )));
    }
    if version != expected {
        if origin == Origin::Patched {
            let error = must_be("apiVersion", version, &expected);
            return Err(Failure::invalid(&target.kind, object::name(body), &[error]));
        }
        return Err(Failure::bad_request(format!(
            "the API version in the data ({version}) does not match the expected API version ({expected})"
        )));
    }
    if kind != target.kind.kind {
        let error = must_be("kind", kind, &target.kind.kind);
        return Err(Failure::invalid_as(
            &target.kind,
            kind,
            object::name(body),
            &[error],
        ));
    }
    Ok(())
}

fn must_be(path: &str, given: &str, expected: &str) -> FieldError {
    let error = FieldError::new(path, FieldErrorKind::Invalid, format!("must be {expected}"));
    error.with_value(format_args!("{given:?}"))
}

fn check_namespace(target: &Target, body: &mut Value, origin: Origin) -> Outcome<()> {
    if !target.kind.namespaced {
        metadata_mut(body).shift_remove("namespace");
        return Ok(());
    }
    let given = object::namespace(body);
    if !given.is_empty() && given != target.namespace {
        let message = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Failure::bad_request(message));
    }
    // What is applied stays what was sent: messages tell it so.
    if origin != Origin::Applied {
        metadata_mut(body).insert("namespace".into(), target.namespace.clone().into());
    }
    Ok(())
}

fn check_name(target: &Target, body: &Value) -> Outcome<()> {
    let (given, expected) = (object::name(body), &target.name);
    if expected.is_empty() || given == expected {
        return Ok(());
    }
    Err(Failure::bad_request(if given.is_empty() {
        format!("the name of the object ({expected} based on URL) was undeterminable: name must be provided")
    } else {
        format!("the name of the object ({given}) does not match the name on the URL ({expected})")
    }))
}

/// Why the text is none that the original could read into its types: a value of the wrong JSON type, in the whole of a
/// core kind's object and in the metadata of every other.
fn misfit(target: &Target, body: &Value) -> Option<String> {
    let metadata = body.get("metadata")?;
    let Some(metadata) = metadata.as_object() else {
        if metadata.is_null() {
            return None;
        }
        let place = if target.kind.defined {
            "Go value".to_owned()
        } else {
            format!("Go struct field {}.metadata", target.kind.kind)
        };
        return Some(unreadable(metadata, &place, "v1.ObjectMeta"));
    };
    let prefix = if target.kind.defined { "" } else { "metadata." };
    if let Some(why) = misfit_of_metadata(metadata, prefix) {
        return Some(why);
    }
    if target.kind.defined {
        return None;
    }
    if let Some(why) = misfit_of_bytes(target, body) {
        return Some(why);
    }
    let faults = target.kind.schema.validate(body);
    let misfits = faults
        .iter()
        .filter(|fault| fault.kind == FieldErrorKind::TypeInvalid);
    let (fault, value) = misfits
        .filter_map(|fault| Some((fault, at(body, &fault.path)?)))
        .find(|(_, value)| !value.is_null())?;
    let path: String = fault.path.split('[').next().unwrap_or_default().to_owned();
    let path = ["data", "binaryData", "stringData"]
        .into_iter()
        .find(|map| path.starts_with(&format!("{map}.")))
        .map_or(path, str::to_owned);
    let place = format!("Go struct field {}.{path}", target.kind.kind);
    Some(unreadable(value, &place, "string"))
}

/// What of a core kind should be bytes in base64 and is not.
fn misfit_of_bytes(target: &Target, body: &Value) -> Option<String> {
    let field = match target.kind.rules {
        Rules::Secret => "data",
        Rules::ConfigMap => "binaryData",
        Rules::None
        | Rules::Namespace
        | Rules::Event
        | Rules::Lease
        | Rules::Role
        | Rules::Binding
        | Rules::Account
        | Rules::Definition => return None,
    };
    for value in body.get(field)?.as_object()?.values() {
        match value {
            Value::Null => {}
            Value::String(text) => {
                if let Err(error) = STANDARD.decode(text) {
                    let place = match error {
                        DecodeError::InvalidByte(place, _) | DecodeError::InvalidLastSymbol(place, _) => {
                            place
                        }
                        DecodeError::InvalidLength(_) | DecodeError::InvalidPadding => text.len(),
                    };
                    return Some(format!("illegal base64 data at input byte {place}"));
                }
            }
            other => {
                let place = format!("Go struct field {}.{field}", target.kind.kind);
                return Some(unreadable(other, &place, "[]uint8"));
            }
        }
    }
    None
}

fn misfit_of_metadata(metadata: &Map<String, Value>, prefix: &str) -> Option<String> {
    let place = |name: &str| format!("Go struct field ObjectMeta.{prefix}{name}");
    for name in [
        "name",
        "generateName",
        "namespace",
        "selfLink",
        "uid",
        "resourceVersion",
    ] {
        let value = metadata
            .get(name)
            .filter(|value| !value.is_null() && !value.is_string());
        if let Some(value) = value {
            return Some(unreadable(
                value,
                &place(name),
                if name == "uid" { "types.UID" } else { "string" },
            ));
        }
    }
    for name in ["labels", "annotations"] {
        let Some(value) = metadata.get(name).filter(|value| !value.is_null()) else {
            continue;
        };
        let Some(map) = value.as_object() else {
            return Some(unreadable(value, &place(name), "map[string]string"));
        };
        if let Some(value) = map.values().find(|value| !value.is_null() && !value.is_string()) {
            return Some(unreadable(value, &place(name), "string"));
        }
    }
    for (name, of) in [
        ("finalizers", "[]string"),
        ("ownerReferences", "[]v1.OwnerReference"),
        ("managedFields", "[]v1.ManagedFieldsEntry"),
    ] {
        let value = metadata
            .get(name)
            .filter(|value| !value.is_null() && !value.is_array());
        if let Some(value) = value {
            return Some(unreadable(value, &place(name), of));
        }
    }
    None
}

fn unreadable(value: &Value, place: &str, wanted: &str) -> String {
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    format!("json: cannot unmarshal {found} into {place} of type {wanted}")
}

/// The value at a path like `spec.list[0].name`.
fn at<'a>(body: &'a Value, path: &str) -> Option<&'a Value> {
    let pointer = format!("/{}", path.replace(['.', '['], "/").replace(']', ""));
    body.pointer(&pointer)
}
