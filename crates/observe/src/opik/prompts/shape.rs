//! Prompts as the API spells them: `Prompt_*` and `PromptVersion_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::Timestamp;

use super::variables;
use crate::opik::shelf::{Stamps, micros};

/// A prompt as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Prompt {
    pub(crate) id: String,
    pub(crate) name: String,
    #[serde(default)]
    pub(super) project_id: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    /// `text` or `chat`; never changes.
    pub(super) template_structure: String,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
    /// How many versions it has, which is the number of the newest.
    pub(super) latest: u64,
    pub(super) latest_id: Option<String>,
}

impl Prompt {
    /// As `Prompt_Public`.
    pub(super) fn tell(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "project_id": self.project_id,
            "description": self.description,
            "template_structure": self.template_structure,
            "tags": self.tags,
            "created_at": format!("{:.6}", self.stamps.created_at),
            "created_by": self.stamps.created_by,
            "last_updated_at": format!("{:.6}", self.stamps.last_updated_at),
            "last_updated_by": self.stamps.last_updated_by,
            "version_count": self.latest,
        })
    }
}

/// A version as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) id: String,
    pub(crate) prompt_id: String,
    /// Eight letters or digits that name it.
    pub(crate) commit: String,
    /// Counts from 1; a mask has none.
    pub(super) number: Option<u64>,
    pub(super) template: String,
    #[serde(default)]
    pub(super) metadata: Option<Value>,
    /// `mustache`, `jinja2` or `python`.
    #[serde(rename = "type")]
    pub(super) syntax: String,
    #[serde(default)]
    pub(super) environments: Vec<String>,
    #[serde(default)]
    pub(super) change_description: Option<String>,
    #[serde(default)]
    pub(super) tags: Vec<String>,
    pub(super) template_structure: String,
    #[serde(serialize_with = "micros")]
    pub(super) created_at: Timestamp,
    pub(super) created_by: String,
    /// The prompt and the number, by which lists are made.
    pub(super) place: String,
}

impl Version {
    /// As `PromptVersion_Detail`.
    pub(super) fn tell(&self) -> Value {
        let variables = match self.syntax.as_str() {
            "mustache" => json!(variables::mustache(&self.template)),
            _ => Value::Null,
        };
        json!({
            "id": self.id,
            "prompt_id": self.prompt_id,
            "commit": self.commit,
            "version_number": self.number.map(|number| format!("v{number}")),
            "template": self.template,
            "metadata": self.metadata,
            "type": self.syntax,
            "version_type": if self.number.is_some() { "prompt_version" } else { "mask" },
            "environment": self.environments.first(),
            "environments": self.environments,
            "change_description": self.change_description,
            "tags": self.tags,
            "variables": variables,
            "template_structure": self.template_structure,
            "created_at": format!("{:.6}", self.created_at),
            "created_by": self.created_by,
        })
    }
}

/// `Prompt_Write`, with the first version in it if there is to be one.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PromptWrite {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) template: Option<String>,
    pub(super) metadata: Option<Value>,
    pub(super) change_description: Option<String>,
    #[serde(rename = "type")]
    pub(super) syntax: Option<String>,
    pub(super) template_structure: Option<String>,
    pub(super) tags: Option<Vec<String>>,
}

/// `Prompt_Updatable`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct PromptUpdate {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) tags: Option<Vec<String>>,
}

/// A version as a client sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionWrite {
    pub(super) id: Option<String>,
    pub(super) commit: Option<String>,
    pub(super) template: String,
    pub(super) metadata: Option<Value>,
    #[serde(rename = "type")]
    pub(super) syntax: Option<String>,
    pub(super) version_type: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) environments: Option<Vec<String>>,
    pub(super) change_description: Option<String>,
    pub(super) tags: Option<Vec<String>>,
}

/// `CreatePromptVersion_Detail`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionCreate {
    pub(super) name: String,
    pub(super) version: VersionWrite,
    pub(super) template_structure: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
}

/// `PromptVersionRetrieve_Detail`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Retrieve {
    pub(super) name: String,
    pub(super) commit: Option<String>,
    pub(super) environment: Option<String>,
    pub(super) version_number: Option<String>,
    pub(super) project_name: Option<String>,
}

/// `PromptVersionBatchUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionsUpdate {
    pub(super) ids: Vec<String>,
    pub(super) update: VersionUpdate,
    pub(super) merge_tags: Option<bool>,
}

/// `PromptVersionUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct VersionUpdate {
    pub(super) tags: Option<Vec<String>>,
}

/// `PromptVersionCommitsRequest`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Commits {
    pub(super) commits: Vec<String>,
}

/// `PromptVersionEnvironmentUpdate`; an older form has one environment, or `null` for none.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct EnvironmentUpdate {
    pub(super) environments: Option<Vec<String>>,
    pub(super) environment: Option<String>,
}
