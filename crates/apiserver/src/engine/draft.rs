//! From what a client sent to what is stored: cleaned, completed, checked, with the owners of its fields.

use serde_json::Value;
use stead_kernel::Admission;
use stead_resource::{
    FieldError, FieldErrorKind,
    apply::{Manager, track_update},
};

use super::{Caller, Engine, FieldValidation, Part, Target, WriteOptions, metadata};
use crate::{
    failure::{Failure, Outcome},
    kinds::{Form, ResourceType},
    object::{self, copy_field, metadata_mut, root_mut},
};

/// How many levels deep an object may be nested. What is stored, and lists and changes of it, must be within the 128
/// levels that readers of JSON, our own among them, put up with.
const LEVELS: usize = 100;

/// How `managedFields` come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tracking {
    /// By comparing what was with what is.
    Compare,
    /// They are in the object already: it was applied.
    Applied,
}

/// Checks that the body is what the path says, and removes the fields that its schema does not know.
pub(super) fn clean(
    target: &Target,
    body: &mut Value,
    validation: FieldValidation,
    warnings: &mut Vec<String>,
) -> Outcome<()> {
    if object::is_nested_deeper(body, LEVELS) {
        let message = format!("the object is nested more than {LEVELS} levels deep");
        return Err(Failure::bad_request(message));
    }
    identify(target, body)?;
    target.kind.rules.normalize(body);
    let unknown: Vec<String> = target
        .kind
        .schema
        .prune(body)
        .into_iter()
        .map(|field| field.to_string())
        .collect();
    warnings.extend(target.kind.rules.remarks(body));
    match validation {
        FieldValidation::Strict if !unknown.is_empty() => Err(Failure::bad_request(format!(
            "{} in version {:?} cannot be handled as a {}: strict decoding error: {}",
            target.kind.kind,
            target.kind.version,
            target.kind.kind,
            unknown.join(", ")
        ))),
        FieldValidation::Warn => {
            warnings.extend(unknown);
            Ok(())
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(()),
    }
}

fn identify(target: &Target, body: &mut Value) -> Outcome<()> {
    if !body.is_object() {
        return Err(Failure::bad_request("the body is not an object"));
    }
    for (field, expected) in [
        ("apiVersion", target.kind.api_version()),
        ("kind", target.kind.kind.clone()),
    ] {
        let given = object::top(body, field);
        if !given.is_empty() && given != expected {
            return Err(Failure::bad_request(format!(
                "the {field} in the data ({given}) does not match the expected {field} ({expected})"
            )));
        }
        root_mut(body).insert(field.into(), expected.into());
    }
    if body.get("metadata").is_some_and(|metadata| !metadata.is_object()) {
        return Err(Failure::bad_request("the metadata is not an object"));
    }
    if target.kind.namespaced {
        let given = object::namespace(body);
        if !given.is_empty() && given != target.namespace {
            return Err(Failure::bad_request(format!(
                "the namespace of the provided object ({given}) does not match the namespace sent on the request ({})",
                target.namespace
            )));
        }
        metadata_mut(body).insert("namespace".into(), target.namespace.clone().into());
    } else {
        metadata_mut(body).shift_remove("namespace");
    }
    let given = object::name(body);
    if !target.name.is_empty() && given != target.name {
        if !given.is_empty() {
            return Err(Failure::bad_request(format!(
                "the name of the object ({given}) does not match the name on the URL ({})",
                target.name
            )));
        }
        metadata_mut(body).insert("name".into(), target.name.clone().into());
    }
    Ok(())
}

impl Engine {
    /// Makes the object that is to be stored; equal to `old` when there is nothing to do.
    pub(super) fn draft(
        &self,
        caller: &Caller,
        target: &Target,
        options: &WriteOptions,
        old: Option<&Value>,
        mut new: Value,
        tracking: Tracking,
    ) -> Outcome<Value> {
        let kind = &target.kind;
        let now = self.now();
        separate(target, old, &mut new, &now, tracking);
        kind.schema.default(&mut new);
        if target.part != Part::Status {
            kind.rules.complete(old, &mut new);
        }
        self.complete_definition(target, old, &mut new, &now);
        check(target, old, &new)?;
        if target.part == Part::Main {
            self.admit(caller, target, old, &mut new)?;
        }
        if tracking == Tracking::Compare {
            let manager = Manager {
                name: &options.manager,
                api_version: &kind.api_version(),
                subresource: target.part.as_str(),
                now: &now,
            };
            track_update(old, &mut new, &kind.schema, &manager);
        }
        if let Some(old) = old {
            if same(old, &new) {
                return Ok(old.clone());
            }
            count(target, old, &mut new);
        }
        Ok(new)
    }

    /// Runs the kind's own rule, and checks again what it made.
    fn admit(&self, caller: &Caller, target: &Target, old: Option<&Value>, new: &mut Value) -> Outcome<()> {
        let Some(admit) = target.kind.admit else {
            return Ok(());
        };
        let before = new.clone();
        let about = |error| Failure::from(error).about(&target.kind, object::name(&before));
        admit(&mut Admission {
            principal: &caller.principal,
            authorizer: &*self.authorizer,
            old,
            new,
        })
        .map_err(about)?;
        if before != *new {
            target.kind.schema.prune(new);
            check(target, old, new)?;
        }
        Ok(())
    }
}

/// Keeps each part of the object from the writers of the other, and the server's own fields from all.
fn separate(target: &Target, old: Option<&Value>, new: &mut Value, now: &str, tracking: Tracking) {
    let Some(old) = old else {
        let fields = metadata_mut(new).get("managedFields").cloned();
        metadata::begin(new, now, target.kind.counted);
        if let Some(fields) = fields.filter(|_| tracking == Tracking::Applied) {
            metadata_mut(new).insert("managedFields".into(), fields);
        }
        if target.kind.status {
            root_mut(new).shift_remove("status");
        }
        return;
    };
    if target.part == Part::Main {
        if target.kind.status {
            copy_field(root_mut(new), old.as_object(), "status");
        }
    } else {
        let part = if target.part == Part::Status {
            "status"
        } else {
            "spec"
        };
        let mut whole = old.clone();
        copy_field(root_mut(&mut whole), new.as_object(), part);
        copy_field(metadata_mut(&mut whole), object::metadata(new), "managedFields");
        *new = whole;
    }
    metadata::keep(old, new);
}

/// Refuses what is wrong, unless it was wrong in the same way before: an object that an older, laxer schema let
/// in can still be changed elsewhere.
fn check(target: &Target, old: Option<&Value>, new: &Value) -> Outcome<()> {
    let kind = &target.kind;
    let mut errors = metadata::check(old, new);
    errors.extend(kind.rules.check(old, new));
    // What a rule says about a fault is more than what the schema says about it.
    let told: Vec<(String, FieldErrorKind)> = errors
        .iter()
        .map(|error| (error.path.clone(), error.kind))
        .collect();
    let schema = schema_faults(kind, new).into_iter();
    errors.extend(schema.filter(|error| !told.contains(&(error.path.clone(), error.kind))));
    if target.part == Part::Status {
        errors.retain(|error| error.path == "status" || error.path.starts_with("status."));
    }
    if let (false, Some(old)) = (errors.is_empty(), old) {
        let mut before = schema_faults(kind, old);
        before.extend(kind.rules.check(None, old));
        errors.retain(|error| !before.contains(error));
    }
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(kind, object::name(new), &errors))
    }
}

/// What the schema says about an object; of a kind that is sealed, without the values.
fn schema_faults(kind: &ResourceType, object: &Value) -> Vec<FieldError> {
    let errors = kind.schema.validate(object);
    if kind.form != Form::Sealed {
        return errors;
    }
    let blank = |error: FieldError| {
        if error.path.starts_with("metadata") {
            error
        } else {
            FieldError::new(error.path, error.kind, "the value does not fit the schema")
        }
    };
    errors.into_iter().map(blank).collect()
}

/// Whether nothing but times of ownership differs.
fn same(old: &Value, new: &Value) -> bool {
    let comparable = |object: &Value| {
        let mut object = object.clone();
        let metadata = metadata_mut(&mut object);
        metadata.shift_remove("resourceVersion");
        let entries = metadata.get_mut("managedFields").and_then(Value::as_array_mut);
        for entry in entries.into_iter().flatten() {
            root_mut(entry).shift_remove("time");
        }
        object
    };
    comparable(old) == comparable(new)
}

/// Counts a change of anything but the metadata and the status.
fn count(target: &Target, old: &Value, new: &mut Value) {
    if !target.kind.counted || target.part != Part::Main {
        return;
    }
    let meant = |object: &Value| {
        let mut object = object.clone();
        let root = root_mut(&mut object);
        root.shift_remove("metadata");
        if target.kind.status {
            root.shift_remove("status");
        }
        object
    };
    if meant(old) != meant(new) {
        next_generation(new);
    }
}

/// Adds one to the generation.
pub(super) fn next_generation(object: &mut Value) {
    let metadata = metadata_mut(object);
    let generation = metadata.get("generation").and_then(Value::as_i64).unwrap_or(0);
    metadata.insert("generation".into(), (generation + 1).into());
}
