//! Facts as data: what models cost, and how long their inputs and outputs can be.
//!
//! *Invariant:* nothing here performs I/O; the facts are part of the binary, and a test checks their form.

mod names;
mod prices;
mod table;

pub use prices::Catalog;
