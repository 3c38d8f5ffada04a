//! The control process, as a process that runs the gateway role alone reaches it.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::Value;

use crate::Result;

/// Calls of the control process's own API (`/api/…`), as this gateway.
#[async_trait]
pub trait Control: Send + Sync {
    /// Sends JSON to a path (`/api/gateway/leases`) and reads the JSON answer; `Null` when it has no body.
    ///
    /// # Errors
    /// `Unavailable` when the control process does not answer; else what it answered.
    async fn post(&self, path: &str, body: &Value) -> Result<Value>;
}

/// The control process, where it is another one.
#[derive(Clone)]
pub struct ControlProcess {
    /// The name of this gateway in records, until the control process puts that of its token there.
    pub replica: String,
    /// How it is reached.
    pub link: Arc<dyn Control>,
}
