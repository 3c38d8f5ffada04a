//! Records: JSON documents in collections, over one transactional file or over PostgreSQL.
//!
//! *Invariant:* both engines keep the contract of [`Records`], which one suite of tests holds them to; a damaged or newer store is
//! refused, never replaced: what people made is not to be begun anew.

mod cursor;
mod postgres;
mod rules;
mod sqlite;
#[cfg(test)]
mod tests;

use std::path::Path;

use async_trait::async_trait;
use stead_kernel::{Result, ports::Records};

pub use postgres::{PostgresOptions, PostgresRecords};
pub use sqlite::RecordStore;

/// A store of records, as the one who runs it sees it.
#[async_trait]
pub trait RecordEngine: Records {
    /// Copies everything at one point in time to a new `SQLite` file, while writes go on.
    ///
    /// # Errors
    /// `Conflict` when there is such a file already; `Unavailable` when it cannot be written, or the store not be read.
    async fn backup(&self, to: &Path) -> Result<()>;

    /// Whether the store is whole, as far as it can tell.
    ///
    /// # Errors
    /// `Unavailable` when it is damaged or does not answer.
    async fn check(&self) -> Result<()>;

    /// What the store counts, in Prometheus' text format.
    fn metrics(&self) -> String;

    /// Stores what waits, then refuses further writes and closes the store. Reading goes on to work where it can.
    async fn close(&self);
}
