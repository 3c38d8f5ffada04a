//! Resources as a client sees them: kinds by discovery, objects as JSON, manifests as text.

mod discovery;
pub(crate) mod manifest;
mod merge;
mod object;
mod schema;
mod select;
mod similar;

pub(crate) use discovery::{Discovery, Resource};
pub(crate) use manifest::{Document, collect, expand};
pub(crate) use merge::{apply_patch, merge_patch, overlaps};
pub(crate) use object::{hide_managed_fields, name, project, version, view};
pub(crate) use schema::{Field, Schemas};
pub(crate) use select::{Chosen, choose};
pub(crate) use similar::nearest;
