//! Validation rules in the Common Expression Language (`x-kubernetes-validations`).
//!
//! Facts: Kubernetes' documentation of validation rules, and the API server's messages (version 1.36).

mod prepare;
mod rule;
mod run;
mod types;
mod values;

pub(super) use prepare::{check_selectable, prepare};
pub(crate) use rule::Rule;
pub(super) use rule::read;
pub(super) use run::check;

use super::FieldError;

/// What the rules say about an object.
#[derive(Debug, Default)]
pub struct Verdict {
    /// What forbids it.
    pub errors: Vec<FieldError>,
    /// What would, had it not been so before.
    pub warnings: Vec<FieldError>,
}
