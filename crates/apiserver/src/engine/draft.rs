//! From what a client sent to what is stored: cleaned, completed, checked, with the owners of its fields.

use serde_json::{Value, json};
use stead_kernel::Admission;
use stead_resource::{
    FieldError, FieldErrorKind,
    apply::{Manager, track_update},
};

use super::{
    Caller, Engine, FieldValidation, Part, Target, WriteOptions,
    identify::{Origin, identify},
    metadata,
};
use crate::{
    failure::{Failure, Outcome},
    kinds::{Form, ResourceType, rules::Rules},
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
    options: &WriteOptions,
    origin: Origin,
    warnings: &mut Vec<String>,
) -> Outcome<()> {
    if object::is_nested_deeper(body, LEVELS) {
        let message = format!("the object is nested more than {LEVELS} levels deep");
        return Err(Failure::bad_request(message));
    }
    let mut faults = options.duplicates.clone();
    if let Err(failure) = identify(target, body, origin) {
        // The original has read custom objects whole by then, and core ones not.
        let is_read = target.kind.defined && !object::top(body, "kind").is_empty();
        let told = is_read && options.validation == FieldValidation::Warn;
        return Err(if told { failure.warned(faults) } else { failure });
    }
    if origin != Origin::Applied {
        target.kind.rules.normalize(body);
        let unknown = prune(target, body);
        if !target.kind.defined {
            // Of a field that it does not know, the original does not see that it is there twice.
            faults.retain(|fault| {
                let path = fault.strip_prefix("duplicate field ");
                !path.is_some_and(|path| unknown.iter().any(|unknown| unknown.ends_with(path)))
            });
        }
        faults.extend(unknown);
    }
    warnings.extend(metadata::remarks(target, body));
    match options.validation {
        FieldValidation::Strict if !faults.is_empty() => {
            let yaml = faults.iter().any(|fault| fault.starts_with("line "));
            let why = if yaml {
                format!("yaml: unmarshal errors:\n  {}", faults.join("\n  "))
            } else {
                faults.join(", ")
            };
            if origin == Origin::Applied {
                return Err(Failure::bad_request(format!(
                    "error strict decoding YAML: error converting YAML to JSON: {why}"
                )));
            }
            let why = format!("strict decoding error: {why}");
            if origin == Origin::Patched {
                return Err(Failure::unfit_patch(&why));
            }
            let (kind, version) = (&target.kind.kind, &target.kind.version);
            Err(Failure::bad_request(format!(
                "{kind} in version {version:?} cannot be handled as a {kind}: {why}"
            )))
        }
        FieldValidation::Warn => {
            warnings.extend(faults);
            Ok(())
        }
        FieldValidation::Strict | FieldValidation::Ignore => Ok(()),
    }
}

/// Removes the fields that the schema does not know, and tells them as the original does.
fn prune(target: &Target, body: &mut Value) -> Vec<String> {
    let unknown = target.kind.schema.prune(body).into_iter();
    let mut unknown: Vec<String> = unknown
        .map(|field| format!("unknown field {:?}", field.path))
        .collect();
    if target.kind.defined {
        unknown.sort();
    }
    unknown
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
        separate(target, old, &mut new, &now);
        match tracking {
            Tracking::Compare => kind.schema.default(&mut new),
            // What was applied as null was meant.
            Tracking::Applied => kind.schema.complete(&mut new),
        }
        tidy(kind, &mut new);
        // What the kind's rules fill in is nobody's.
        let sent = (tracking == Tracking::Compare && target.part != Part::Status && kind.rules.completes())
            .then(|| new.clone());
        if target.part != Part::Status {
            kind.rules.complete(old, &mut new);
        }
        if let (Rules::Namespace, Part::Main, Some(old)) = (kind.rules, target.part, old) {
            // Only `finalize` changes the finalizers.
            copy_field(root_mut(&mut new), old.as_object(), "spec");
        }
        self.complete_definition(target, old, &mut new, &now);
        check(target, old, &new)?;
        if target.part == Part::Main {
            self.check_grant(caller, target, old, &new)?;
        }
        if matches!(target.part, Part::Main | Part::Scale) {
            self.admit(caller, target, old, &mut new)?;
        }
        if tracking == Tracking::Compare {
            let manager = Manager {
                name: &options.manager,
                api_version: &kind.api_version(),
                subresource: target.part.as_str(),
                now: &now,
                resets: resets(target),
                empty: &kind.empty,
            };
            match sent {
                Some(mut sent) => {
                    track_update(old, &mut sent, &kind.schema, &manager);
                    copy_field(metadata_mut(&mut new), object::metadata(&sent), "managedFields");
                }
                None => track_update(old, &mut new, &kind.schema, &manager),
            }
        }
        if kind.rules == Rules::Definition && target.part == Part::Main {
            own_status(target, old, &mut new, &now);
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

/// Gives the server the status of a definition that it has written itself.
fn own_status(target: &Target, old: Option<&Value>, new: &mut Value, now: &str) {
    let mut before = new.clone();
    let status = object::map_mut(&mut before, "status");
    if let Some(old) = old.and_then(|old| old.get("status")?.as_object()) {
        for field in ["acceptedNames", "conditions"] {
            copy_field(status, Some(old), field);
        }
    } else {
        // This much is there before anything is found out.
        status.insert("acceptedNames".into(), json!({}));
        status.insert("conditions".into(), json!([]));
    }
    let status = Target {
        part: Part::Status,
        ..target.clone()
    };
    let manager = Manager {
        name: "kube-apiserver",
        api_version: &target.kind.api_version(),
        subresource: status.part.as_str(),
        now,
        resets: resets(&status),
        empty: &target.kind.empty,
    };
    track_update(Some(&before), new, &target.kind.schema, &manager);
}

/// Writes an object as the original does: what is empty in the metadata is left out, and a core kind's fields that are
/// always there are there.
fn tidy(kind: &ResourceType, object: &mut Value) {
    let is_empty = |value: &Value| match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    };
    // An empty list of owners asks for something.
    metadata_mut(object).retain(|name, value| name == "managedFields" || !is_empty(value));
    if kind.defined || kind.rules == Rules::Definition {
        return;
    }
    let root = root_mut(object);
    root.retain(|name, value| name == "metadata" || !is_empty(value));
    if let (Rules::Namespace, Some(Value::Object(spec))) = (kind.rules, root.get_mut("spec")) {
        spec.retain(|_, value| !is_empty(value));
    }
    for (name, value) in kind.empty.as_object().into_iter().flatten() {
        root.entry(name.as_str()).or_insert_with(|| value.clone());
    }
}

/// The top-level fields that nobody comes to own through this part of the object.
pub(super) fn resets(target: &Target) -> &'static [&'static str] {
    match target.part {
        Part::Main | Part::Scale if target.kind.status => &["status"],
        Part::Main | Part::Scale | Part::Finalize => &[],
        Part::Status if target.kind.defined => &["metadata", "spec"],
        Part::Status => &["spec"],
    }
}

/// Keeps each part of the object from the writers of the other, and the server's own fields from all.
fn separate(target: &Target, old: Option<&Value>, new: &mut Value, now: &str) {
    let Some(old) = old else {
        metadata::begin(new, now, target.kind.counted);
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
    let mut errors = metadata::check(kind, old, new);
    if kind.names_are_segments() {
        errors.retain(|error| error.path != "metadata.name");
    }
    errors.extend(kind.rules.check(old, new));
    // What a rule says about a fault is more than what the schema says about it.
    let told: Vec<(String, FieldErrorKind)> = errors
        .iter()
        .map(|error| (error.path.clone(), error.kind))
        .collect();
    let schema = schema_faults(kind, new).into_iter();
    // Elements of the metadata's lists may occur twice.
    let schema = schema
        .filter(|error| error.kind != FieldErrorKind::Duplicate || !error.path.starts_with("metadata."))
        // They are looked at above.
        .filter(|error| !error.path.starts_with("metadata.ownerReferences["));
    errors.extend(schema.filter(|error| !told.contains(&(error.path.clone(), error.kind))));
    if target.part == Part::Status {
        errors.retain(|error| error.path == "status" || error.path.starts_with("status."));
    }
    if let (false, Some(old)) = (errors.is_empty(), old) {
        let mut before = schema_faults(kind, old);
        before.extend(kind.rules.check(None, old));
        errors.retain(|error| !before.contains(error));
    }
    errors.extend(broken_rules(kind, old, new, &errors));
    if errors.is_empty() {
        Ok(())
    } else {
        Err(Failure::invalid(kind, object::name(new), &errors))
    }
}

/// What the kind's validation rules say; nothing but that they were not asked when the object has not even the form
/// that they are written for.
fn broken_rules(
    kind: &ResourceType,
    old: Option<&Value>,
    new: &Value,
    errors: &[FieldError],
) -> Vec<FieldError> {
    let blocks = |error: &FieldError| match error.kind {
        FieldErrorKind::NotSupported
        | FieldErrorKind::Required
        | FieldErrorKind::TooLong
        | FieldErrorKind::TooMany
        | FieldErrorKind::TypeInvalid => true,
        FieldErrorKind::Invalid | FieldErrorKind::Duplicate | FieldErrorKind::Forbidden => false,
    };
    if !kind.schema.has_rules() {
        return Vec::new();
    }
    if errors.iter().any(blocks) {
        let detail = "some validation rules were not checked because the object was invalid; correct the existing \
                      errors to complete validation";
        return vec![FieldError::new("<nil>", FieldErrorKind::Invalid, detail).with_value("null")];
    }
    kind.schema.evaluate_rules(new, old).errors
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
    if !target.kind.counted || !matches!(target.part, Part::Main | Part::Scale) {
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
