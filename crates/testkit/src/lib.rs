//! A world for tests: a clock that tests turn, ports that remember, a resource API in memory, processes that die
//! with their test.
//!
//! *Invariant:* nothing here reaches beyond this machine, and no production crate depends on it.

mod api;
mod clickhouse;
mod clock;
mod events;
mod ports;
mod postgres;
mod process;
mod proxy;
mod records;
mod session;
mod wait;
mod web;

pub use api::FakeApi;
pub use clickhouse::ClickHouse;
pub use clock::ManualClock;
pub use events::MemoryEvents;
pub use ports::{
    AllowAll, EMBEDDING_LIMIT, FakePorts, FakeVault, NoPrices, ScriptedChat, ScriptedExec, ScriptedModels,
    World, ports,
};
pub use postgres::Postgres;
pub use process::{Process, Signal};
pub use proxy::ConnectProxy;
pub use records::MemoryRecords;
pub use session::{FakeTerminal, LocalServer};
pub use wait::{free_port, poll_until};
pub use web::FakeWeb;
