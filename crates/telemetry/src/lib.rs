//! The stores for events (what happened) and records (what people make and change), over SQLite.
//!
//! Events lie in a file per UTC day, with their usage rollups in the same transaction; records lie in one
//! transactional file. Each store has one writer, a thread that commits whatever waits for it at once.
//!
//! *Invariant:* a write that was answered is on disk; nothing here knows a kind, and nothing panics on a damaged
//! file.

mod events;
mod pool;
mod queue;
mod records;
mod sqlite;

pub use events::{EventOptions, EventStore};
pub use records::RecordStore;
