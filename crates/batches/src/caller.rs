//! Who calls, and in which project.

use std::sync::Arc;

use http::{HeaderMap, request::Parts};
use serde::{Deserialize, Serialize};
use stead_kernel::{Credential, Identity, Principal, Result, project_of};

/// Who calls, and in which project.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) project: String,
}

impl Caller {
    /// The caller of a request.
    ///
    /// # Errors
    /// `Unauthenticated`, or what [`project_of`] refuses.
    pub(crate) fn of(parts: &Parts) -> Result<Self> {
        Self::new(Identity::require(&parts.extensions)?, &parts.headers)
    }

    fn new(principal: Arc<Principal>, headers: &HeaderMap) -> Result<Self> {
        let project = project_of(&principal, headers)?;
        Ok(Self { principal, project })
    }
}

/// Who made a batch, as it is kept. An API key is looked up again with every request, so that one that was switched
/// off, has expired or lost a route is refused; a user keeps the groups and projects they had.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Creator {
    user: String,
    groups: Vec<String>,
    projects: Vec<String>,
    /// The project and name of the API key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<(String, String)>,
}

impl Creator {
    /// What is kept of a principal.
    pub(crate) fn of(principal: &Principal) -> Self {
        let key = match &principal.credential {
            Credential::ApiKey { project, name } => Some((project.clone(), name.clone())),
            // A gateway's token has no project, and so makes nothing.
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

    /// The user's name.
    pub(crate) fn user(&self) -> &str {
        &self.user
    }

    /// The identity that the batch's requests have.
    pub(crate) fn identity(&self) -> Identity {
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
