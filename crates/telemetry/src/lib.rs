//! The stores for events (what happened), traces (what applications tell), signals (what programs log and measure) and records (what people make and change), over
//! `SQLite`; records over `PostgreSQL` too.
//!
//! Events lie in a file per UTC day, with their usage rollups in the same transaction; records lie in one
//! transactional file. Each store has one writer, a thread that commits whatever waits for it at once.
//!
//! *Invariant:* a write that was answered is on disk; nothing here knows a kind, and nothing panics on a damaged
//! file.

mod day;
mod events;
mod feed;
mod pool;
mod queue;
mod rate;
mod records;
mod signals;
mod sqlite;
mod traces;

pub use events::{EventOptions, EventStore};
pub use records::{PostgresOptions, PostgresRecords, RecordEngine, RecordStore};
pub use signals::{SignalOptions, SignalStore};
pub use traces::{ClickHouseOptions, ClickHouseTraces, TraceEngine, TraceOptions, TraceStore};
