//! Prompts of the library in this server's own evaluations.

use serde_json::Value;
use stead_kernel::{Error, Result};

use super::{Prompts, store::Pick};

/// A version of a prompt that was asked for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chosen {
    /// The id of the version.
    pub(crate) id: String,
    /// The template: a text, or a list of messages.
    pub(crate) template: Value,
}

impl Prompts {
    /// The version of the prompt of a name: by number (`v3`), commit or environment; the newest without one.
    ///
    /// # Errors
    /// `NotFound` when there is none; `Unsupported` for templates that are not Mustache's.
    pub(crate) async fn chosen(&self, workspace: &str, name: &str, version: Option<&str>) -> Result<Chosen> {
        let missing = || {
            Error::not_found(match version {
                Some(version) => format!("there is no version {version:?} of a prompt {name:?}"),
                None => format!("there is no prompt {name:?}"),
            })
        };
        let prompt = self.find(workspace, None, name).await?.ok_or_else(missing)?;
        let number = version.and_then(|version| version.strip_prefix('v')?.parse().ok());
        let mut found = match (version, number) {
            (None, _) => self.pick(workspace, &prompt, Pick::Latest).await?,
            (Some(_), Some(number)) => self.pick(workspace, &prompt, Pick::Number(number)).await?,
            (Some(version), None) => self.pick(workspace, &prompt, Pick::Commit(version)).await?,
        };
        if let (None, Some(version)) = (&found, version) {
            found = self.pick(workspace, &prompt, Pick::Environment(version)).await?;
        }
        let found = found.ok_or_else(missing)?;
        if found.syntax != "mustache" {
            return Err(Error::unsupported(format!(
                "the prompt {name:?} is a {} template, and suites fill in Mustache's variables only",
                found.syntax
            )));
        }
        let template = match found.template_structure.as_str() {
            "chat" => serde_json::from_str(&found.template).map_err(|error| {
                Error::invalid(format!("the prompt {name:?} is no list of messages")).because(error)
            })?,
            _ => found.template.into(),
        };
        Ok(Chosen {
            id: found.id,
            template,
        })
    }
}
