//! Experiments and their items as the API spells them: `Experiment_*` and `ExperimentItem_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::opik::shelf::Stamps;

/// An experiment as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Experiment {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) dataset_id: String,
    /// What the dataset was called when the experiment was made.
    pub(crate) dataset_name: String,
    #[serde(default)]
    pub(crate) project_id: Option<String>,
    #[serde(default)]
    pub(crate) metadata: Option<Value>,
    #[serde(default)]
    pub(crate) tags: Option<Vec<String>>,
    /// `regular`, `trial`, `mini-batch` or `mutation`.
    #[serde(rename = "type")]
    pub(crate) sort: String,
    /// `dataset` or `evaluation_suite`.
    pub(crate) evaluation_method: String,
    #[serde(default)]
    pub(crate) optimization_id: Option<String>,
    /// `running`, `completed` or `cancelled`.
    pub(crate) status: String,
    /// Scores of the experiment as a whole.
    #[serde(default, rename = "experiment_scores")]
    pub(crate) own_scores: Option<Value>,
    /// Ids of the versions of prompts that it tries.
    #[serde(default)]
    pub(crate) prompt_versions: Vec<String>,
    #[serde(default)]
    pub(crate) dataset_version_id: Option<String>,
    #[serde(flatten)]
    pub(crate) stamps: Stamps,
}

/// A version of a prompt, by its id.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PromptLink {
    pub(super) id: String,
}

/// `Experiment_Write`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExperimentWrite {
    pub(super) id: Option<String>,
    pub(super) dataset_name: String,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) name: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) tags: Option<Vec<String>>,
    #[serde(rename = "type")]
    pub(super) sort: Option<String>,
    pub(super) evaluation_method: Option<String>,
    pub(super) optimization_id: Option<String>,
    pub(super) status: Option<String>,
    pub(super) experiment_scores: Option<Value>,
    pub(super) prompt_version: Option<PromptLink>,
    pub(super) prompt_versions: Option<Vec<PromptLink>>,
    pub(super) dataset_version_id: Option<String>,
}

/// `ExperimentUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExperimentUpdate {
    pub(super) name: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) tags_to_add: Option<Vec<String>>,
    pub(super) tags_to_remove: Option<Vec<String>>,
    #[serde(rename = "type")]
    pub(super) sort: Option<String>,
    pub(super) status: Option<String>,
    pub(super) experiment_scores: Option<Value>,
}

/// `ExperimentBatchUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExperimentsUpdate {
    pub(super) ids: Vec<String>,
    pub(super) update: ExperimentUpdate,
    pub(super) merge_tags: Option<bool>,
}

/// `ExperimentStreamRequest`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ExperimentStream {
    pub(super) name: String,
    pub(super) limit: Option<u32>,
    pub(super) last_retrieved_id: Option<String>,
    pub(super) project_name: Option<String>,
}

/// An item as it is stored: a reference to an item of the dataset, and to the trace that came of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: String,
    pub(crate) experiment_id: String,
    pub(crate) dataset_item_id: String,
    pub(crate) trace_id: String,
    #[serde(default)]
    pub(crate) project_name: Option<String>,
    #[serde(default)]
    pub(crate) execution_policy: Option<Value>,
    #[serde(flatten)]
    pub(crate) stamps: Stamps,
    /// The experiment, the dataset's item and the item itself, by which lists are made.
    pub(crate) place: String,
}

impl Item {
    /// How many of the runs of one dataset item must pass.
    pub(super) fn threshold(&self) -> u64 {
        let policy = self.execution_policy.as_ref();
        policy
            .and_then(|policy| policy.get("pass_threshold")?.as_u64())
            .unwrap_or(1)
    }
}

/// An item as a client sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemWrite {
    pub(super) id: Option<String>,
    pub(super) experiment_id: String,
    pub(super) dataset_item_id: String,
    pub(super) trace_id: String,
    pub(super) project_name: Option<String>,
    pub(super) execution_policy: Option<Value>,
}

/// `ExperimentItemsBatch`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemBatch {
    pub(super) experiment_items: Vec<ItemWrite>,
}

/// `ExperimentItemStreamRequest`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemStream {
    pub(super) experiment_name: String,
    pub(super) limit: Option<u32>,
    pub(super) last_retrieved_id: Option<String>,
    pub(super) project_name: Option<String>,
}
