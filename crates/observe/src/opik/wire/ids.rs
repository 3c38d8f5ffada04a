//! Ids: UUIDs of version 7, which sort by time.

use serde::Deserialize;
use stead_kernel::Timestamp;
use uuid::{NoContext, Uuid};

use super::OpikError;

/// `{"ids": [...]}`.
#[derive(Debug, Deserialize)]
pub(crate) struct IdList {
    /// The ids.
    pub(crate) ids: Vec<Uuid>,
}

/// A new id that tells this time.
pub(crate) fn new_id(now: Timestamp) -> Uuid {
    let seconds = u64::try_from(now.as_second()).unwrap_or(0);
    let nanos = u32::try_from(now.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
}

/// An id that a client chose, which must be of version 7; `what` is what it is the id of.
pub(crate) fn id_of(id: Uuid, what: &str) -> Result<Uuid, OpikError> {
    if id.get_version_num() == 7 {
        return Ok(id);
    }
    Err(OpikError::invalid(format!("{what} id must be a version 7 UUID")))
}
