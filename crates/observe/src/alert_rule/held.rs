//! The state of alerts as records.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_kernel::{Result, Timestamp, ports::Records};

use crate::opik::shelf::Shelf;

/// The collection.
pub(super) const ALERTS: &str = "observe.alerts";

/// How far an alert is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum Phase {
    /// No threshold is crossed.
    #[default]
    Ok,
    /// One is, and not yet for long enough.
    Pending,
    /// It was told.
    Firing,
    /// No threshold is crossed any more, and not yet for long enough.
    Clearing,
}

impl Phase {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Pending => "Pending",
            Self::Firing => "Firing",
            Self::Clearing => "Clearing",
        }
    }
}

/// What is kept of an alert.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Held {
    pub(super) phase: Phase,
    /// Since when.
    pub(super) since: Option<Timestamp>,
    /// When it began to fire.
    pub(super) fired: Option<Timestamp>,
    /// When it was last decided to tell.
    pub(super) told: Option<Timestamp>,
    /// Which of the thresholds are crossed.
    pub(super) crossed: Vec<bool>,
    /// What was measured.
    pub(super) values: Vec<Option<f64>>,
    /// When it was last looked at.
    pub(super) looked: Option<Timestamp>,
    /// What waits to be told, the oldest first.
    pub(super) outbox: Vec<Delivery>,
    /// When something last arrived.
    pub(super) sent: Option<Timestamp>,
    pub(super) last_error: String,
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Delivery {
    /// Stays the same over all tries, so that the receiver knows it again.
    pub(super) id: String,
    /// The body.
    pub(super) body: String,
    /// When it came up.
    pub(super) made: Timestamp,
    pub(super) tries: u32,
    /// When it is tried next.
    pub(super) next: Timestamp,
}

/// The state of all alerts.
pub(super) struct Alerts(Shelf<Held>);

impl Alerts {
    pub(super) fn new(records: &Arc<dyn Records>) -> Self {
        Self(Shelf::new(Arc::clone(records), ALERTS, "Alert"))
    }

    pub(super) async fn get(&self, project: &str, id: &str) -> Result<Held> {
        Ok(self
            .0
            .get(project, id)
            .await?
            .map(|kept| kept.body)
            .unwrap_or_default())
    }

    pub(super) async fn put(&self, project: &str, id: &str, held: &Held) -> Result<()> {
        let write = self.0.put(project, id, held)?;
        self.0.commit(vec![write]).await
    }
}
