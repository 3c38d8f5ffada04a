//! Dashboards as the API spells them: `Dashboard_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::{Error, Result};

use crate::opik::shelf::{Stamps, Titled};

/// A dashboard as it is stored and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Dashboard {
    pub(super) id: String,
    pub(super) workspace_id: String,
    #[serde(default)]
    pub(super) project_id: Option<String>,
    pub(super) name: String,
    /// The name as it can stand in an address.
    pub(super) slug: String,
    /// `multi_project` or `experiments`.
    #[serde(rename = "type")]
    pub(super) sort: String,
    /// `workspace` or `insights`.
    pub(super) scope: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    pub(super) config: Value,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
}

/// A dashboard as a client sends it; in a change, what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Write {
    pub(super) project_id: Option<String>,
    pub(super) project_name: Option<String>,
    pub(super) name: Option<String>,
    #[serde(rename = "type")]
    pub(super) sort: Option<String>,
    pub(super) description: Option<String>,
    pub(super) config: Option<Value>,
}

impl Titled for Dashboard {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn project(&self) -> Option<&str> {
        self.project_id.as_deref()
    }

    fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }
}

impl Dashboard {
    /// Takes over what is said.
    pub(super) fn apply(&mut self, write: &Write) -> Result<()> {
        if let Some(name) = &write.name {
            self.name.clone_from(name);
            self.slug = slug(name);
        }
        if let Some(sort) = &write.sort {
            self.sort.clone_from(sort);
        }
        if write.description.is_some() {
            self.description.clone_from(&write.description);
        }
        if let Some(config) = &write.config {
            self.config.clone_from(config);
        }
        self.check()
    }

    fn check(&self) -> Result<()> {
        let description = self.description.as_deref().unwrap_or_default();
        let rules = [
            (
                self.name.trim().is_empty() || self.name.chars().count() > 120,
                "name must have 1 to 120 characters",
            ),
            (
                description.chars().count() > 1_000,
                "description cannot exceed 1000 characters",
            ),
            (
                !["multi_project", "experiments"].contains(&self.sort.as_str()),
                "type must be `multi_project` or `experiments`",
            ),
            (self.config.is_null(), "config must not be null"),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(Error::invalid(rule)),
            None => Ok(()),
        }
    }
}

/// A name as it can stand in an address: lower case, a hyphen for all that is no letter or digit.
pub(super) fn slug(name: &str) -> String {
    let lower = name.to_lowercase();
    let words = lower.split(|letter: char| !letter.is_alphanumeric());
    words
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slug_can_stand_in_an_address() {
        for (name, expected) in [
            ("My Dashboard (2)", "my-dashboard-2"),
            ("  A--b ", "a-b"),
            ("!", ""),
        ] {
            assert_eq!(slug(name), expected);
        }
    }
}
