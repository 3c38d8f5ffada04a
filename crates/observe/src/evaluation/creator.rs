//! Who began an evaluation, as it is kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_kernel::{Credential, Identity, Principal};

/// Who began an evaluation. An API key is looked up again with every request, so that one that was switched off or has
/// expired is refused; a user keeps the groups and projects they had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Creator {
    /// The user's name.
    pub(super) user: String,
    groups: Vec<String>,
    projects: Vec<String>,
    /// The project and name of the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<(String, String)>,
}

impl Creator {
    /// What is kept of a principal.
    pub(super) fn of(principal: &Principal) -> Self {
        let key = match &principal.credential {
            Credential::ApiKey { project, name } => Some((project.clone(), name.clone())),
            Credential::Process | Credential::Token | Credential::Session | Credential::Gateway { .. } => {
                None
            }
        };
        Self {
            user: principal.user.clone(),
            groups: principal.groups.clone(),
            projects: principal.projects.clone(),
            key,
        }
    }

    /// The identity that its requests have.
    pub(super) fn identity(&self) -> Identity {
        let credential = match self.key.clone() {
            Some((project, name)) => Credential::ApiKey { project, name },
            None => Credential::Token,
        };
        Identity::Known(Arc::new(Principal {
            user: self.user.clone(),
            groups: self.groups.clone(),
            projects: self.projects.clone(),
            credential,
        }))
    }
}
