//! Server-side apply and the ownership of fields in `metadata.managedFields`.
//!
//! The rules are those of the Kubernetes documentation: an applier owns the fields it names; a field that somebody
//! else owns with another value is a conflict; a field that an applier no longer names and that nobody else owns
//! goes. Updates own what they change. `fieldsV1` is the wire form of the owned fields.

mod conflict;
mod fields;
mod merge;
mod migration;
mod owners;
mod shape;
mod typed;
mod walk;

use std::sync::LazyLock;

use serde_json::Value;

pub use conflict::{ApplyError, Conflict};
use fields::FieldSet;
use owners::{Operation, Owner};
use typed::Duplicates;

use crate::{
    Schema,
    schema::{compare::same, node::Node},
};

/// Who writes, by which version and subresource, and when.
#[derive(Debug, Clone, Copy)]
pub struct Manager<'a> {
    /// The field manager's name.
    pub name: &'a str,
    /// `group/version`, or `v1`, of the request.
    pub api_version: &'a str,
    /// The subresource written to; empty for the object itself.
    pub subresource: &'a str,
    /// RFC 3339 with whole seconds, as `2026-01-02T03:04:05Z`.
    pub now: &'a str,
    /// Top-level fields that this part of the object does not hold: nobody comes to own them through it. A kind with
    /// a status subresource has `status` here for the object itself, `metadata` and `spec` for its status.
    pub resets: &'a [&'a str],
    /// What an object of the kind holds before anything is set; an empty object for custom kinds.
    pub empty: &'a Value,
}

/// Fields that nobody owns, because the server or the request's address decides them.
static OWNERLESS: LazyLock<FieldSet> = LazyLock::new(|| {
    let mut set = FieldSet::default();
    for path in [&["f:apiVersion"][..], &["f:kind"], &["f:metadata"]] {
        set.insert(path);
    }
    for name in [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ] {
        set.insert(&["f:metadata", &fields::field(name)]);
    }
    set
});

/// Merges `applied` into `live` as `manager`; the result carries the new `metadata.managedFields`.
///
/// Nothing is taken out of `applied` but what `manager.resets` names, and that only from the ownership: what the
/// request's part of the object does not hold is the caller's to restore. Where nothing changes, the result is the
/// live object, though who owns what may differ. Pruning, defaulting and validation of the result are the caller's.
///
/// # Errors
/// [`ApplyError::Conflicts`] when others own fields with other values and `force` is off; [`ApplyError::Invalid`] and
/// [`ApplyError::Untyped`] when the objects cannot be merged.
pub fn server_side_apply(
    live: Option<&Value>,
    applied: &Value,
    schema: &Schema,
    manager: &Manager<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    let mut owners = live
        .map_or(Ok(Vec::new()), owners::decode)
        .map_err(|why| ApplyError::Untyped(format!("failed to decode managed fields: {why}")))?;
    let work = Work {
        node: schema.root(),
        manager,
        applied: configuration(applied, schema.root(), manager)?,
        base: live.map_or_else(|| kind_of(applied, manager), owners::without),
    };
    typed::check(work.node, &work.base, Duplicates::Tolerated)
        .map_err(|why| untyped("live", live.unwrap_or(applied), manager, &why))?;
    if live.is_some() && owners.is_empty() {
        let empty = kind_of(&work.base, manager);
        let added = walk::compare(work.node, Some(&empty), Some(&work.base)).added;
        let fields = ownable(&added.without(manager.resets));
        if !fields.is_empty() {
            owners.push(Owner::before_first_apply(manager, fields));
        }
    }
    let mut result = match work.merge(owners.clone()) {
        (merged, conflicts) if conflicts.is_empty() || force => merged,
        (merged, conflicts) => {
            let rest = migration::unexplained(&work, conflicts);
            if !rest.is_empty() {
                return Err(ApplyError::Conflicts(rest));
            }
            merged
        }
    };
    migration::refresh(&work, &mut result)?;
    Ok(result)
}

/// One apply, ready to be merged.
struct Work<'a> {
    node: &'a Node,
    manager: &'a Manager<'a>,
    applied: Value,
    /// The live object without its owners.
    base: Value,
}

impl Work<'_> {
    /// The result with its owners, and what had to be taken from others for it.
    fn merge(&self, mut owners: Vec<Owner>) -> (Value, Vec<Conflict>) {
        let (node, manager) = (self.node, self.manager);
        let last = owners
            .iter()
            .position(|owner| owner.is(manager, Operation::Apply))
            .map(|position| owners.remove(position));
        let set = walk::field_set(node, &self.applied).without(manager.resets);
        let merged = merge::merge(node, Some(&self.base), Some(&self.applied)).unwrap_or_default();
        let mut result = match &last {
            Some(last) => without_abandoned(node, &merged, &last.fields, &owners, &set),
            None => merged,
        };
        let comparison = walk::compare(node, Some(&self.base), Some(&result));
        let taken = comparison.modified.clone().union(&comparison.added);
        let taken = taken.without(manager.resets);
        let conflicts = conflict::find(&owners, &taken);
        release(&mut owners, &taken, &comparison.removed.without(manager.resets));
        let is_unchanged = same(&self.base, &result);
        if is_unchanged {
            result = self.base.clone();
        }
        let mut owner = Owner::new(manager, Operation::Apply, ownable(&set));
        if is_unchanged {
            owner.time = last.and_then(|last| last.time);
        }
        owners.push(owner);
        owners::encode(&mut result, owners);
        (result, conflicts)
    }
}

/// An object of the same kind in which nothing is set.
fn kind_of(object: &Value, manager: &Manager<'_>) -> Value {
    let mut empty = manager.empty.as_object().cloned().unwrap_or_default();
    for field in ["apiVersion", "kind"] {
        if let Some(value) = object.get(field) {
            empty.insert(field.to_owned(), value.clone());
        }
    }
    Value::Object(empty)
}

/// Records in `new`'s `metadata.managedFields` which fields an update (or create, or patch) by `manager` changed.
///
/// `old` is the object before, absent for a create. Owners are taken from `new` when the request set them (an empty
/// list forgets them all), else from `old`. An update that changes nothing changes no owner.
pub fn track_update(old: Option<&Value>, new: &mut Value, schema: &Schema, manager: &Manager<'_>) {
    let node = schema.root();
    let known = |object: &Value| owners::decode(object).unwrap_or_default();
    let is_object = manager.subresource.is_empty();
    let mut owners = if is_object && owners::is_reset(new) {
        Vec::new()
    } else {
        known(new)
    };
    if !is_object || (owners.is_empty() && !owners::is_reset(new)) {
        owners = old.map(known).unwrap_or_default();
    }
    let is_untracked = old.is_some() && owners.is_empty();
    let before = old.map_or_else(|| kind_of(new, manager), owners::without);
    let after = owners::without(new);
    if !is_untracked {
        let comparison = walk::compare(node, Some(&before), Some(&after));
        let taken = comparison.modified.clone().union(&comparison.added);
        let taken = taken.without(manager.resets);
        release(&mut owners, &taken, &comparison.removed.without(manager.resets));
        own_update(&mut owners, ownable(&taken), manager);
        owners::cap_updaters(&mut owners);
    }
    owners::encode(new, owners);
}

/// The applied object, checked.
fn configuration(applied: &Value, node: &Node, manager: &Manager<'_>) -> Result<Value, ApplyError> {
    let Value::Object(members) = applied else {
        return Err(ApplyError::Invalid(
            "the applied configuration must be an object".to_owned(),
        ));
    };
    if !matches!(owners::managed_fields(applied), None | Some(Value::Null)) {
        return Err(ApplyError::Invalid(
            "metadata.managedFields must be nil".to_owned(),
        ));
    }
    let mut members = members.clone();
    if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
        // Clients written in Go send `creationTimestamp: null`.
        metadata.retain(|name, value| !value.is_null() && name != "managedFields");
    }
    let configuration = Value::Object(members);
    typed::check(node, &configuration, Duplicates::Refused)
        .map_err(|why| untyped("patch", applied, manager, &why))?;
    Ok(configuration)
}

fn untyped(what: &str, object: &Value, manager: &Manager<'_>, why: &str) -> ApplyError {
    let text = |name: &str| {
        let metadata = object.get("metadata");
        metadata
            .and_then(|metadata| metadata.get(name))
            .and_then(Value::as_str)
    };
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    ApplyError::Untyped(format!(
        "failed to create typed {what} object ({}/{}; {}, Kind={kind}): {why}",
        text("namespace").unwrap_or_default(),
        text("name").unwrap_or_default(),
        if manager.api_version.contains('/') {
            manager.api_version.to_owned()
        } else {
            format!("/{}", manager.api_version)
        }
    ))
}

/// The merged object without what this applier named last time, does not name now, and nobody else owns.
fn without_abandoned(
    node: &Node,
    merged: &Value,
    last: &FieldSet,
    owners: &[Owner],
    set: &FieldSet,
) -> Value {
    let named = |set: &FieldSet| walk::with_named_fields(node, set);
    let fields_of = |value: &Value| named(&walk::field_set(node, value));
    let without = |set: &FieldSet| walk::remove(node, merged, set);

    let last = named(last);
    let owned = owners.iter().fold(set.clone().union(&OWNERLESS), |owned, owner| {
        owned.union(&owner.fields)
    });
    let everything = fields_of(merged);
    let unwanted = everything
        .difference(&fields_of(&without(&last)))
        .difference(&named(&owned));
    let pruned = without(&unwanted);
    // What goes with a parent but was never this applier's stays.
    let abandoned = everything.difference(&fields_of(&pruned)).intersection(&last);
    without(&abandoned)
}

/// Takes from every owner what was changed by somebody else, or is no more.
fn release(owners: &mut Vec<Owner>, taken: &FieldSet, removed: &FieldSet) {
    for owner in owners.iter_mut() {
        owner.fields = owner.fields.difference(taken).difference(removed);
    }
    owners.retain(|owner| !owner.fields.is_empty());
}

fn own_update(owners: &mut Vec<Owner>, fields: FieldSet, manager: &Manager<'_>) {
    if fields.is_empty() {
        return;
    }
    match owners
        .iter_mut()
        .find(|owner| owner.is(manager, Operation::Update))
    {
        Some(owner) => {
            owner.fields = std::mem::take(&mut owner.fields).union(&fields);
            owner.time = Some(manager.now.to_owned());
        }
        None => owners.push(Owner::new(manager, Operation::Update, fields)),
    }
}

fn ownable(set: &FieldSet) -> FieldSet {
    set.difference(&OWNERLESS)
}
