//! Who calls, and in which project.

use std::sync::Arc;

use http::{HeaderMap, request::Parts};
use stead_kernel::{Credential, DEFAULT_PROJECT, Error, Identity, Principal};

use super::error::ApiError;
use crate::snapshot::{Asker, Key, Snapshot};

/// The header by which those who are not bound to a project choose one.
const PROJECT_HEADER: &str = "x-stead-project";

/// Who calls, and in which project.
pub(super) struct Caller {
    principal: Arc<Principal>,
    key: Option<Arc<Key>>,
    project: Arc<str>,
}

impl Caller {
    /// The caller of a request.
    pub(super) fn of(parts: &Parts, snapshot: &Snapshot) -> Result<Self, ApiError> {
        let principal = Identity::require(&parts.extensions)?;
        if let Credential::ApiKey { project, name } = &principal.credential {
            let key = snapshot.keys.by_name(project, name).cloned().ok_or_else(|| {
                ApiError::from(Error::unauthenticated(format!(
                    "the API key `{name}` was deleted"
                )))
            })?;
            return Ok(Self {
                project: Arc::clone(&key.project),
                key: Some(key),
                principal,
            });
        }
        let project = project(&principal, &parts.headers)?;
        Ok(Self {
            principal,
            key: None,
            project: project.into(),
        })
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

/// The project that the header names; else `default` where that is the caller's, else their first own one.
fn project(principal: &Principal, headers: &HeaderMap) -> Result<String, ApiError> {
    if let Some(value) = headers.get(PROJECT_HEADER) {
        let named = value.to_str().unwrap_or_default();
        if !is_project(named) {
            return Err(Error::invalid(format!("{PROJECT_HEADER} holds no name of a project")).into());
        }
        if principal.owns(named) {
            return Ok(named.to_owned());
        }
        let refused = Error::forbidden(format!("{PROJECT_HEADER} names a project that is not yours"));
        return Err(refused.into());
    }
    if principal.owns(DEFAULT_PROJECT) {
        return Ok(DEFAULT_PROJECT.to_owned());
    }
    principal.projects.first().cloned().ok_or_else(|| {
        let refused = Error::forbidden(format!("user `{}` has no project to work in", principal.user));
        refused.hint("ask an admin for one").into()
    })
}

/// Whether a text can be a project's name (<https://www.rfc-editor.org/rfc/rfc1123#section-2>): an admin may name any,
/// and rows are summed by it.
fn is_project(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = |byte: Option<&u8>| byte.is_some_and(|byte| alphanumeric(*byte));
    let bytes = text.as_bytes();
    bytes.len() <= 63
        && ends(bytes.first())
        && ends(bytes.last())
        && bytes.iter().all(|byte| alphanumeric(*byte) || *byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_works_in_a_project_of_their_own() {
        let ada = Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: vec!["research".into(), "art".into()],
            credential: Credential::Session,
        };
        let nobody = Principal {
            projects: Vec::new(),
            ..ada.clone()
        };
        let admin = Principal::admin();
        let cases = [
            (&ada, None, Some("research")),
            (&ada, Some("art"), Some("art")),
            (&ada, Some("finance"), None),
            (&nobody, None, None),
            (&admin, None, Some("default")),
            (&admin, Some("finance"), Some("finance")),
            (&admin, Some(""), None),
            (&admin, Some("a b"), None),
            (&admin, Some("-a"), None),
        ];
        for (principal, named, expected) in cases {
            let mut headers = HeaderMap::new();
            if let Some(named) = named {
                headers.insert(PROJECT_HEADER, named.parse().unwrap());
            }
            assert_eq!(
                project(principal, &headers).ok().as_deref(),
                expected,
                "{named:?}"
            );
        }
    }
}
