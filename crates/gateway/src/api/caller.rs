//! Who calls, and in which project.

use std::sync::Arc;

use http::request::Parts;
use stead_kernel::{Credential, Error, Identity, Principal, Timestamp, project_of};

use super::error::ApiError;
use crate::snapshot::{Asker, Key, Snapshot};

/// Who calls, and in which project.
pub(super) struct Caller {
    principal: Arc<Principal>,
    key: Option<Arc<Key>>,
    project: Arc<str>,
}

impl Caller {
    /// The caller of a request.
    pub(super) fn of(parts: &Parts, snapshot: &Snapshot, now: Timestamp) -> Result<Self, ApiError> {
        let principal = Identity::require(&parts.extensions)?;
        if let Credential::ApiKey { project, name } = &principal.credential {
            let key = snapshot.keys.by_name(project, name).cloned().ok_or_else(|| {
                ApiError::from(Error::unauthenticated(format!(
                    "the API key `{name}` was deleted"
                )))
            })?;
            // Work that goes on for hours, a batch, was recognised when it was made.
            if key.disabled || key.expires.is_some_and(|expires| expires <= now) {
                let message = format!("the API key `{name}` is switched off or has expired");
                return Err(Error::unauthenticated(message).into());
            }
            return Ok(Self {
                project: Arc::clone(&key.project),
                key: Some(key),
                principal,
            });
        }
        let project = project_of(&principal, &parts.headers)?;
        Ok(Self {
            principal,
            key: None,
            project: project.into(),
        })
    }

    /// Who it is, for requests on their behalf.
    pub(super) fn identity(&self) -> Identity {
        Identity::Known(Arc::clone(&self.principal))
    }

    pub(super) fn user(&self) -> &str {
        &self.principal.user
    }

    pub(super) fn project(&self) -> &str {
        &self.project
    }

    pub(super) fn key(&self) -> Option<&Key> {
        self.key.as_deref()
    }

    pub(super) fn asker(&self) -> Asker<'_> {
        Asker {
            project: &self.project,
            admin: self.principal.is_admin() || self.key.as_ref().is_some_and(|key| key.admin),
            key: self.key.as_deref(),
        }
    }
}
