//! Environments as the API spells them: `Environment_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use stead_kernel::{Error, Result};

use crate::opik::shelf::{Stamps, Titled};

/// An environment as it is stored and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Environment {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    #[serde(default)]
    pub(super) color: Option<String>,
    #[serde(default)]
    pub(super) position: Option<i32>,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
}

/// An environment as a client sends it; in a change, what is absent stays.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Write {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) color: Option<String>,
    pub(super) position: Option<i32>,
}

impl Titled for Environment {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn project(&self) -> Option<&str> {
        None
    }

    fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }
}

impl Environment {
    /// Takes over what is said.
    pub(super) fn apply(&mut self, write: &Write) -> Result<()> {
        if let Some(name) = &write.name {
            self.name.clone_from(name);
        }
        for (new, old) in [
            (&write.description, &mut self.description),
            (&write.color, &mut self.color),
        ] {
            if new.is_some() {
                old.clone_from(new);
            }
        }
        self.position = write.position.or(self.position);
        self.check()
    }

    fn check(&self) -> Result<()> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        let length = |text: &Option<String>| text.as_deref().map_or(0, |text| text.chars().count());
        let rules = [
            (
                self.name.is_empty() || self.name.len() > 150 || !self.name.bytes().all(allowed),
                "name must have 1 to 150 letters, digits, hyphens and underscores",
            ),
            (
                length(&self.description) > 500,
                "description cannot exceed 500 characters",
            ),
            (length(&self.color) > 20, "color cannot exceed 20 characters"),
        ];
        match rules.into_iter().find(|(broken, _)| *broken) {
            Some((_, rule)) => Err(Error::invalid(rule)),
            None => Ok(()),
        }
    }
}
