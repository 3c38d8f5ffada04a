//! Annotation queues as the API spells them: `AnnotationQueue_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use stead_kernel::{Error, Result};

use crate::opik::shelf::Stamps;

/// A queue as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Queue {
    pub(super) id: String,
    pub(super) project_id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) instructions: Option<String>,
    /// `trace` or `thread`.
    pub(super) scope: String,
    pub(super) comments_enabled: bool,
    pub(super) feedback_definition_names: Vec<String>,
    /// How many people look at each item.
    pub(super) annotators_per_item: u32,
    /// For how long one has an item to themselves.
    pub(super) lock_timeout_seconds: u32,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
}

/// A queue as a client sends it; in a change, what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Write {
    pub(super) id: Option<String>,
    pub(super) project_id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) instructions: Option<String>,
    pub(super) scope: Option<String>,
    pub(super) comments_enabled: Option<bool>,
    pub(super) feedback_definition_names: Option<Vec<String>>,
    pub(super) annotators_per_item: Option<u32>,
    pub(super) lock_timeout_seconds: Option<u32>,
}

/// `AnnotationQueueBatch_Write`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Batch {
    pub(super) annotation_queues: Vec<Write>,
}

impl Queue {
    /// Takes over what is said. The project and the scope of a queue never change.
    pub(super) fn apply(&mut self, write: &Write) -> Result<()> {
        if let Some(name) = &write.name {
            self.name.clone_from(name);
        }
        for (new, old) in [
            (&write.description, &mut self.description),
            (&write.instructions, &mut self.instructions),
        ] {
            if new.is_some() {
                old.clone_from(new);
            }
        }
        if let Some(names) = &write.feedback_definition_names {
            self.feedback_definition_names.clone_from(names);
        }
        self.comments_enabled = write.comments_enabled.unwrap_or(self.comments_enabled);
        self.annotators_per_item = write.annotators_per_item.unwrap_or(self.annotators_per_item);
        self.lock_timeout_seconds = write.lock_timeout_seconds.unwrap_or(self.lock_timeout_seconds);
        self.check()
    }

    fn check(&self) -> Result<()> {
        let rules = [
            (self.name.trim().is_empty(), "name must not be blank"),
            (
                !["trace", "thread"].contains(&self.scope.as_str()),
                "scope must be `trace` or `thread`",
            ),
            (
                !(1..=1_000).contains(&self.annotators_per_item),
                "annotators_per_item must be between 1 and 1000",
            ),
            (
                !(1..=3_600).contains(&self.lock_timeout_seconds),
                "lock_timeout_seconds must be between 1 and 3600",
            ),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(Error::invalid(rule)),
            None => Ok(()),
        }
    }
}
