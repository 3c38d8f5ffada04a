//! Fields that somebody else owns with another value.

use std::fmt;

use super::{
    fields::FieldSet,
    owners::{Operation, Owner},
};

/// A field that somebody else owns with another value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The field as `.spec.targets[name="a"].weight`.
    pub field: String,
    /// The owner's name.
    pub manager: String,
    /// The version by which the owner wrote.
    pub api_version: String,
    /// The subresource by which the owner wrote; empty for the object itself.
    pub subresource: String,
    /// Whether the owner wrote by `Update` (and not by `Apply`).
    pub by_update: bool,
}

impl Conflict {
    /// The cause's message in a Kubernetes `Status`: `conflict with "kubectl" using apps/v1`.
    pub fn message(&self) -> String {
        format!("conflict with {}", self.owner())
    }

    fn owner(&self) -> String {
        let mut text = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            text.extend([" with subresource \"", &self.subresource, "\""]);
        }
        if self.by_update {
            text.push_str(" using ");
            text.push_str(&self.api_version);
        }
        text
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.message(), self.field)
    }
}

/// Why an apply was refused; prints as the Kubernetes API server's message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    /// Others own fields with other values, and `force` was not given (HTTP 409, causes `FieldManagerConflict`).
    #[error("{}", describe(.0))]
    Conflicts(Vec<Conflict>),
    /// The applied object is none that may be applied: `managedFields` given (HTTP 400).
    #[error("{0}")]
    Invalid(String),
    /// An object does not have the shape that merging by its schema needs: duplicate keys, wrong types, fields that
    /// the schema does not declare (HTTP 500, as the original answers).
    #[error("{0}")]
    Untyped(String),
}

fn describe(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        return format!("Apply failed with 1 conflict: {conflict}");
    }
    let mut lines = Vec::new();
    let mut last = String::new();
    for conflict in conflicts {
        let owner = conflict.owner();
        if owner != last {
            lines.push(format!("conflicts with {owner}:"));
            last = owner;
        }
        lines.push(format!("- {}", conflict.field));
    }
    format!(
        "Apply failed with {} conflicts: {}",
        conflicts.len(),
        lines.join("\n")
    )
}

/// What of `taken` is owned by others, by owner and field.
pub(super) fn find(owners: &[Owner], taken: &FieldSet) -> Vec<Conflict> {
    let mut conflicts = Vec::new();
    let mut sorted: Vec<&Owner> = owners.iter().collect();
    sorted.sort_by_key(|owner| {
        (
            &owner.manager,
            owner.operation,
            &owner.subresource,
            &owner.api_version,
        )
    });
    for owner in sorted {
        for field in owner.fields.intersection(taken).paths() {
            conflicts.push(Conflict {
                field,
                manager: owner.manager.clone(),
                api_version: owner.api_version.clone(),
                subresource: owner.subresource.clone(),
                by_update: owner.operation == Operation::Update,
            });
        }
    }
    conflicts
}
