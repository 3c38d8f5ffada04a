//! Prompt templates by name and version: kept as records, rendered into requests.
//!
//! *Invariant:* a version never changes; what moves are the labels that point to it.
//! *Invariant:* a request waits for no store: every version is in memory. Where no records are, it is kept as the control
//! process has it.

mod apply;
mod book;
mod changes;
mod follow;
mod render;
mod routes;
mod shelves;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stead_kernel::{Collection, Timestamp};

pub(crate) use book::Book;
pub(crate) use follow::{follow, sharing};
pub(crate) use routes::routes;

/// The collection of prompts: a name, its labels and its newest version.
pub(crate) const PROMPTS: Collection = Collection {
    name: "gateway.prompts",
    indexes: &[],
};
/// The collection of versions.
pub(crate) const VERSIONS: Collection = Collection {
    name: "gateway.prompt-versions",
    indexes: &["name"],
};

/// The label that always means the newest version.
pub(crate) const LATEST: &str = "latest";

/// A prompt, as it is stored and as `/api/prompts` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Prompt {
    /// Unique in its project.
    pub(crate) name: String,
    /// What it is for.
    #[serde(default)]
    pub(crate) description: String,
    /// The number of its newest version.
    pub(crate) latest: u64,
    /// Labels and the versions that they point to.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, u64>,
}

/// One version of a prompt, as it is stored and as `/api/prompts` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(
    clippy::struct_field_names,
    reason = "the number of a version is its version to everybody"
)]
pub(crate) struct Version {
    /// The prompt.
    pub(crate) name: String,
    /// Counts from 1.
    pub(crate) version: u64,
    /// A UUID of version 7, unique over all prompts.
    pub(crate) id: String,
    /// What it says.
    pub(crate) template: Template,
    /// What is different in it.
    #[serde(default)]
    pub(crate) description: String,
    /// Who wrote it.
    pub(crate) author: String,
    /// When.
    pub(crate) created: Timestamp,
}

/// What a version says; every text is a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Template {
    /// The messages with which a conversation begins.
    Messages(Vec<TemplateMessage>),
    /// One text: the system prompt of a request that has messages of its own, else the user's message.
    Text(String),
}

/// A message of a template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TemplateMessage {
    /// Who says it.
    pub(crate) role: TemplateRole,
    /// What.
    pub(crate) content: String,
}

/// Who says a message of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum TemplateRole {
    /// The system prompt.
    System,
    /// The same in newer APIs.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
}

impl Template {
    /// Every text of it.
    pub(crate) fn texts(&self) -> Vec<&str> {
        match self {
            Self::Text(text) => vec![text],
            Self::Messages(messages) => messages.iter().map(|message| message.content.as_str()).collect(),
        }
    }
}
