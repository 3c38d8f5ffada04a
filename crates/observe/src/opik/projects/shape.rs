//! Projects on the wire (`Project_Public`, `Project_Write`, `ProjectUpdate`, `ProjectRetrieve`). Pure.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::store::Project;
use crate::opik::wire::text;

/// A project to make.
#[derive(Debug, Deserialize)]
pub(super) struct ToCreate {
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) visibility: Option<String>,
}

/// What of a project changes.
#[derive(Debug, Deserialize)]
pub(super) struct ToChange {
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) visibility: Option<String>,
}

/// Which project is asked for.
#[derive(Debug, Deserialize)]
pub(super) struct ToRetrieve {
    pub(super) name: String,
    #[serde(default, rename = "includeStats", alias = "include_stats")]
    pub(super) include_stats: Option<bool>,
}

/// A project as it is answered.
#[derive(Debug, Serialize)]
pub(super) struct Answered {
    pub(super) id: Uuid,
    pub(super) name: String,
    pub(super) visibility: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) description: Option<String>,
    pub(super) created_at: String,
    pub(super) created_by: String,
    pub(super) last_updated_at: String,
    pub(super) last_updated_by: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) last_updated_trace_at: Option<String>,
}

impl From<Project> for Answered {
    fn from(project: Project) -> Self {
        let Project {
            id,
            body,
            created,
            updated,
        } = project;
        Self {
            id,
            name: body.name,
            visibility: body.visibility.unwrap_or_else(|| "private".to_owned()),
            description: body.description,
            created_at: text(created),
            created_by: body.created_by,
            last_updated_at: text(updated),
            last_updated_by: body.updated_by,
            last_updated_trace_at: None,
        }
    }
}
