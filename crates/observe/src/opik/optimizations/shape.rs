//! Optimizations as the API spells them: `Optimization_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::{Error, Result};

use crate::opik::shelf::Stamps;

/// An optimization as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Optimization {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) dataset_id: String,
    pub(super) dataset_name: String,
    #[serde(default)]
    pub(super) project_id: Option<String>,
    /// The score that is to grow.
    pub(super) objective_name: String,
    /// `initialized`, `running`, `completed`, `cancelled` or `error`.
    pub(super) status: String,
    #[serde(default)]
    pub(super) metadata: Option<Value>,
    #[serde(default)]
    pub(super) studio_config: Option<Value>,
    #[serde(default)]
    pub(super) error_info: Option<Value>,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
}

/// An optimization as a client sends it; in a change, what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Write {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) dataset_name: String,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) objective_name: String,
    pub(super) status: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) studio_config: Option<Value>,
    pub(super) error_info: Option<Value>,
}

/// The states that there are.
const STATUSES: [&str; 5] = ["running", "completed", "cancelled", "initialized", "error"];

impl Optimization {
    /// Takes over what is said.
    pub(super) fn apply(&mut self, write: &Write) -> Result<()> {
        for (new, old) in [(&write.name, &mut self.name), (&write.status, &mut self.status)] {
            if let Some(new) = new {
                old.clone_from(new);
            }
        }
        for (new, old) in [
            (&write.metadata, &mut self.metadata),
            (&write.studio_config, &mut self.studio_config),
            (&write.error_info, &mut self.error_info),
        ] {
            if new.is_some() {
                old.clone_from(new);
            }
        }
        if !write.objective_name.is_empty() {
            self.objective_name.clone_from(&write.objective_name);
        }
        self.check()
    }

    fn check(&self) -> Result<()> {
        if self.objective_name.trim().is_empty() {
            return Err(Error::invalid("objective_name must not be blank"));
        }
        if !STATUSES.contains(&self.status.as_str()) {
            return Err(Error::invalid(format!(
                "status must be one of: {}",
                STATUSES.join(", ")
            )));
        }
        Ok(())
    }
}
