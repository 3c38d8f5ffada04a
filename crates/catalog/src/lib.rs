//! Facts as data: what models cost.
//!
//! *Invariant:* nothing here performs I/O; the facts are part of the binary, and a test checks their form.

mod names;
mod prices;

pub use prices::Catalog;
