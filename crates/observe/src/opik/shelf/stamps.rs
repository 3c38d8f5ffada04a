//! When and by whom something was made and changed.

use serde::{Deserialize, Serialize, Serializer};
use stead_kernel::Timestamp;
use uuid::Uuid;

/// On whose behalf something is done.
#[derive(Debug, Clone)]
pub(crate) struct Who {
    /// Stead's project: Opik's workspace.
    pub(crate) project: String,
    /// The user.
    pub(crate) user: String,
    /// The present, in whole microseconds, as the API tells times.
    pub(crate) now: Timestamp,
}

impl Who {
    /// Someone at a time.
    pub(crate) fn new(project: String, user: String, now: Timestamp) -> Self {
        let now = Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now);
        Self { project, user, now }
    }
}

/// When and by whom a record was made and last changed, as the API tells it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stamps {
    #[serde(serialize_with = "micros")]
    pub(crate) created_at: Timestamp,
    pub(crate) created_by: String,
    #[serde(serialize_with = "micros")]
    pub(crate) last_updated_at: Timestamp,
    pub(crate) last_updated_by: String,
}

impl Stamps {
    /// Made now.
    pub(crate) fn new(who: &Who) -> Self {
        Self {
            created_at: who.now,
            created_by: who.user.clone(),
            last_updated_at: who.now,
            last_updated_by: who.user.clone(),
        }
    }

    /// Changed now.
    pub(crate) fn touch(&mut self, who: &Who) {
        self.last_updated_at = who.now;
        self.last_updated_by.clone_from(&who.user);
    }
}

/// A time with its microseconds, as the API tells it.
pub(crate) fn micros<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{time:.6}"))
}

/// A new id: a UUID of version 7, by which lists are in the order of creation.
pub(crate) fn new_id() -> String {
    Uuid::now_v7().to_string()
}
