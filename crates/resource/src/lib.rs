//! The pure rules of the Kubernetes resource model: schemas, server-side apply, patches, tables, selectors.
//!
//! Everything works on [`serde_json::Value`]s and knows no kind of its own: what differs between kinds is in
//! the [`Schema`] that the caller passes in.
//!
//! *Invariants:* nothing here performs I/O, reads a clock or panics on any input.

pub mod apply;
mod canonical;
pub mod names;
pub mod patch;
pub mod schema;
pub mod selector;
pub mod table;
mod time;

pub use schema::{FieldError, FieldErrorKind, Schema, SchemaError, UnknownField, Verdict};
