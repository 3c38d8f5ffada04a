//! How several gateway processes share limits: the leader lends slices, the others borrow them.

mod borrower;
mod desk;
mod http;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use stead_kernel::Result;
use stead_metering::{Grant, Report};

pub(crate) use borrower::{Borrower, Grown};
pub(crate) use desk::{COLLECTION, Desk};
pub(crate) use http::{Remote, routes};

/// Lends slices of limits.
#[async_trait]
pub(crate) trait Leases: Send + Sync {
    /// Answers reports of one holder. The next batch must wait until this one is answered or given up.
    ///
    /// # Errors
    /// When the leader cannot be reached, or cannot remember what it lends.
    async fn report(&self, batch: Batch) -> Result<Answer>;

    /// Waits for a while until some limits are wanted back; answers with their keys.
    async fn recalls(&self, holder: &str) -> Result<Vec<String>>;
}

/// What a holder says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Batch {
    /// Who reports; a process that starts anew is another holder.
    pub(crate) holder: String,
    /// Numbers the batches of a holder, from 1 on.
    pub(crate) sequence: u64,
    /// A report for each limit, by its key.
    pub(crate) reports: Vec<(String, Report)>,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Answer {
    /// For how long the grants hold, from when the batch was sent, in milliseconds.
    pub(crate) holds_ms: u64,
    /// A grant for each limit that is known.
    pub(crate) grants: Vec<(String, Grant)>,
}
