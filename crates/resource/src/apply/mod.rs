//! Server-side apply and the ownership of fields in `metadata.managedFields`.
//!
//! The rules are those of the Kubernetes documentation: an applier owns the fields it names; a field that somebody
//! else owns with another value is a conflict; a field that an applier no longer names and that nobody else owns
//! goes. Updates own what they change. `fieldsV1` is the wire form of the owned fields.

mod conflict;
mod fields;
mod merge;
mod owners;
mod shape;
mod walk;

use std::sync::LazyLock;

use serde_json::{Map, Value};

pub use conflict::{ApplyError, Conflict};
use fields::FieldSet;
use owners::{Operation, Owner};
use shape::Duplicates;

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
/// Applying the same again changes nothing, `managedFields` included. With the subresource `status`, only
/// `status` of `applied` counts; when a kind has a status subresource, the caller removes `status` from what is
/// applied to the object itself. Pruning, defaulting and validation of the result are the caller's.
///
/// # Errors
/// [`ApplyError::Conflicts`] when others own fields with other values and `force` is off;
/// [`ApplyError::Invalid`] when the objects cannot be merged.
pub fn server_side_apply(
    live: Option<&Value>,
    applied: &Value,
    schema: &Schema,
    manager: &Manager<'_>,
    force: bool,
) -> Result<Value, ApplyError> {
    let node = schema.root();
    let applied = configuration(applied, node, manager)?;
    let mut owners = live
        .map_or(Ok(Vec::new()), owners::decode)
        .map_err(ApplyError::Invalid)?;
    let base = live.map_or_else(|| Value::Object(Map::new()), owners::without);
    shape::check(node, &base, "", Duplicates::Tolerated).map_err(ApplyError::Invalid)?;
    if live.is_some() && owners.is_empty() {
        let fields = ownable(&walk::compare(node, Some(&Value::Object(Map::new())), Some(&base)).added);
        owners.push(Owner::before_first_apply(manager, fields));
    }

    let is_self = |owner: &Owner| owner.is(manager, Operation::Apply);
    let last = owners
        .iter()
        .position(is_self)
        .map(|position| owners.remove(position));
    let set = walk::field_set(node, &applied);
    let merged = merge::merge(node, Some(&base), Some(&applied)).unwrap_or_default();
    let mut result = match &last {
        Some(last) => without_abandoned(node, &merged, &last.fields, &owners, &set),
        None => merged,
    };
    let comparison = walk::compare(node, Some(&base), Some(&result));
    let taken = comparison.modified.clone().union(&comparison.added);
    if !force {
        conflict::find(&owners, &taken)?;
    }
    release(&mut owners, &taken, &comparison.removed);
    owners.push(claim(last, manager, ownable(&set), same(&base, &result)));
    owners::encode(&mut result, owners);
    Ok(result)
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
    let before = old.map_or_else(|| Value::Object(Map::new()), owners::without);
    let after = owners::without(new);
    if !is_untracked {
        let comparison = walk::compare(node, Some(&before), Some(&after));
        let taken = comparison.modified.clone().union(&comparison.added);
        release(&mut owners, &taken, &comparison.removed);
        own_update(&mut owners, ownable(&taken), manager);
        owners::cap_updaters(&mut owners);
    }
    owners::encode(new, owners);
}

/// What of the applied object counts, checked.
fn configuration(applied: &Value, node: &Node, manager: &Manager<'_>) -> Result<Value, ApplyError> {
    let Value::Object(members) = applied else {
        return Err(ApplyError::Invalid(
            "the applied configuration must be an object".to_owned(),
        ));
    };
    match owners::managed_fields(applied) {
        None | Some(Value::Null) => {}
        Some(Value::Array(entries)) if entries.is_empty() => {}
        Some(_) => {
            return Err(ApplyError::Invalid(
                "metadata.managedFields must be nil".to_owned(),
            ));
        }
    }
    let mut members = members.clone();
    if !manager.subresource.is_empty() {
        members.retain(|name, _| {
            matches!(name.as_str(), "apiVersion" | "kind" | "metadata") || name == manager.subresource
        });
    }
    if let Some(Value::Object(metadata)) = members.get_mut("metadata") {
        // Clients written in Go send `creationTimestamp: null`.
        metadata.retain(|name, value| !value.is_null() && name != "managedFields");
        if !manager.subresource.is_empty() {
            metadata.retain(|name, _| matches!(name.as_str(), "name" | "namespace"));
        }
    }
    let configuration = Value::Object(members);
    shape::check(node, &configuration, "", Duplicates::Refused).map_err(ApplyError::Invalid)?;
    Ok(configuration)
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

/// The applier's new entry; its time moves only when something changed.
fn claim(last: Option<Owner>, manager: &Manager<'_>, fields: FieldSet, is_unchanged: bool) -> Owner {
    let mut owner = Owner::new(manager, Operation::Apply, fields);
    if let Some(last) = last
        && is_unchanged
        && last.fields == owner.fields
        && last.api_version == owner.api_version
    {
        owner.time = last.time;
    }
    owner
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
