//! Datasets, their items and versions as the API spells them: `Dataset_*`, `DatasetItem_*` and `DatasetVersion_*` in
//! Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::opik::shelf::Stamps;

/// A dataset as it is stored and, with what is counted, as it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Dataset {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project_id: Option<String>,
    /// `dataset` or `evaluation_suite`.
    #[serde(rename = "type")]
    pub(super) sort: String,
    pub(super) visibility: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
    /// The number of the newest version; 0 before the first.
    #[serde(default)]
    pub(super) latest: u64,
    /// The id of the newest version.
    #[serde(default)]
    pub(super) latest_id: Option<String>,
}

/// What a dataset is made from: `Dataset_Write`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DatasetWrite {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    #[serde(rename = "type")]
    pub(super) sort: Option<String>,
    pub(super) visibility: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) description: Option<String>,
}

/// What a dataset becomes: `DatasetUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct DatasetUpdate {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) visibility: Option<String>,
    pub(super) tags: Option<Vec<String>>,
}

/// Which dataset, by name: `DatasetIdentifier`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Identifier {
    pub(super) dataset_name: String,
    pub(super) project_name: Option<String>,
}

/// An item as it is stored and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Item {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) trace_id: Option<String>,
    #[serde(default)]
    pub(crate) span_id: Option<String>,
    /// `manual`, `trace`, `span` or `sdk`.
    pub(crate) source: String,
    /// A JSON object, whose fields are the dataset's columns.
    pub(crate) data: Value,
    #[serde(default)]
    pub(crate) description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) tags: Option<Vec<String>>,
    #[serde(default)]
    pub(crate) evaluators: Option<Value>,
    #[serde(default)]
    pub(crate) execution_policy: Option<Value>,
    pub(crate) dataset_id: String,
    #[serde(flatten)]
    pub(crate) stamps: Stamps,
}

/// An item as a client sends it: `DatasetItem_Write`; in a change, what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemWrite {
    pub(super) id: Option<String>,
    /// Another name for `id`, in changes.
    pub(super) dataset_item_id: Option<String>,
    pub(super) trace_id: Option<String>,
    pub(super) span_id: Option<String>,
    pub(super) source: Option<String>,
    pub(super) data: Option<Value>,
    pub(super) description: Option<String>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) evaluators: Option<Value>,
    pub(super) execution_policy: Option<Value>,
    pub(super) clear_execution_policy: Option<bool>,
    /// The first of the columns, from before there were several.
    pub(super) input: Option<Value>,
    pub(super) expected_output: Option<Value>,
    pub(super) metadata: Option<Value>,
    pub(super) tags_to_add: Option<Vec<String>>,
    pub(super) tags_to_remove: Option<Vec<String>>,
}

/// `DatasetItemBatch_Write`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemBatch {
    pub(super) dataset_name: Option<String>,
    pub(super) dataset_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) items: Vec<ItemWrite>,
    pub(super) batch_group_id: Option<String>,
    pub(super) copy_from_dataset_id: Option<String>,
    pub(super) copy_from_version_id: Option<String>,
}

/// `DatasetItemsDelete`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemsDelete {
    pub(super) item_ids: Option<Vec<String>>,
    pub(super) dataset_id: Option<String>,
    pub(super) filters: Option<Value>,
    pub(super) batch_group_id: Option<String>,
}

/// `DatasetItemBatchUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemsUpdate {
    pub(super) ids: Option<Vec<String>>,
    pub(super) filters: Option<Value>,
    pub(super) dataset_id: Option<String>,
    pub(super) update: ItemWrite,
    pub(super) merge_tags: Option<bool>,
    pub(super) batch_group_id: Option<String>,
}

/// `DatasetItemChanges`: the document does not say its fields; these are what the SDKs and the web application send.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemChanges {
    pub(super) base_version: Option<String>,
    pub(super) added_items: Option<Vec<ItemWrite>>,
    pub(super) edited_items: Option<Vec<ItemWrite>>,
    pub(super) deleted_ids: Option<Vec<String>>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) change_description: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) evaluators: Option<Value>,
    pub(super) execution_policy: Option<Value>,
    pub(super) clear_execution_policy: Option<bool>,
    pub(super) copy_from_dataset_id: Option<String>,
    pub(super) copy_from_version_id: Option<String>,
}

/// `DatasetItemStreamRequest`; the limit's name is spelled so.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct ItemStream {
    pub(super) dataset_name: String,
    pub(super) project_name: Option<String>,
    pub(super) last_retrieved_id: Option<String>,
    pub(super) steam_limit: Option<u32>,
    pub(super) dataset_version: Option<String>,
    pub(super) filters: Option<Value>,
}

/// A version as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) dataset_id: String,
    #[serde(rename = "version_hash")]
    pub(crate) hash: String,
    pub(crate) tags: Vec<String>,
    /// Counts from 1; told as `v1`.
    pub(crate) number: u64,
    pub(crate) items_total: u64,
    pub(crate) items_added: u64,
    pub(crate) items_modified: u64,
    pub(crate) items_deleted: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) change_description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) metadata: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) evaluators: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) execution_policy: Option<Value>,
    #[serde(flatten)]
    pub(crate) stamps: Stamps,
    /// The batches that make it up name this; a batch with another name begins the next version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) group: Option<String>,
    /// Where it lies among the dataset's versions: what lists of it are made by.
    pub(crate) place: String,
    /// The dataset and the hash: what it is found by.
    pub(crate) hashed: String,
}

/// The tag that the newest version has besides its own.
pub(super) const LATEST: &str = "latest";

impl Version {
    /// `v3`.
    pub(crate) fn name(&self) -> String {
        format!("v{}", self.number)
    }

    /// Its tags, told when `latest` is the number of the dataset's newest version.
    fn all_tags(&self, latest: u64) -> Vec<&str> {
        let own = self.tags.iter().map(String::as_str);
        own.chain((self.number == latest).then_some(LATEST)).collect()
    }

    /// As `DatasetVersion_Public`.
    pub(super) fn tell(&self, latest: u64) -> Value {
        let mut told = serde_json::json!({
            "id": self.id,
            "dataset_id": self.dataset_id,
            "version_hash": self.hash,
            "tags": self.all_tags(latest),
            "is_latest": self.number == latest,
            "version_name": self.name(),
            "items_total": self.items_total,
            "items_added": self.items_added,
            "items_modified": self.items_modified,
            "items_deleted": self.items_deleted,
            "created_at": self.stamps.created_at,
            "created_by": self.stamps.created_by,
            "last_updated_at": self.stamps.last_updated_at,
            "last_updated_by": self.stamps.last_updated_by,
        });
        let more = [
            (
                "change_description",
                self.change_description.clone().map(Value::from),
            ),
            ("metadata", self.metadata.clone()),
            ("evaluators", self.evaluators.clone()),
            ("execution_policy", self.execution_policy.clone()),
        ];
        if let Some(told) = told.as_object_mut() {
            for (name, value) in more {
                told.extend(value.map(|value| (name.to_owned(), value)));
            }
        }
        told
    }

    /// As `DatasetVersionSummary_Public`.
    pub(crate) fn summary(&self, latest: u64) -> Value {
        serde_json::json!({
            "id": self.id,
            "version_hash": self.hash,
            "version_name": self.name(),
            "change_description": self.change_description,
            "tags": self.all_tags(latest),
        })
    }
}

/// `DatasetVersionUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionUpdate {
    pub(super) change_description: Option<String>,
    pub(super) tags_to_add: Option<Vec<String>>,
}

/// `DatasetVersionTag`, `DatasetVersionRestore` and `DatasetVersionRetrieveRequest`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionRef {
    pub(super) tag: String,
    #[serde(rename = "version_ref")]
    pub(super) reference: String,
    #[serde(rename = "version_name")]
    pub(super) name: String,
}

impl Dataset {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// The id of its newest version.
    pub(crate) fn latest_id(&self) -> Option<&str> {
        self.latest_id.as_deref()
    }
}
