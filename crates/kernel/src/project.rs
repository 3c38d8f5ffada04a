//! In which project a request to the model APIs works.

use http::HeaderMap;

use crate::{DEFAULT_PROJECT, Error, Principal, Result};

/// The header by which those who are not bound to a project choose one.
pub const PROJECT_HEADER: &str = "x-stead-project";

/// The project of a request: an API key's own; else the one that the header names; else `default` where that is the
/// caller's, else their first own one.
///
/// # Errors
/// `Invalid` when the header holds no name of a project, `Forbidden` when the project is not the caller's, or they
/// have none.
pub fn project_of(principal: &Principal, headers: &HeaderMap) -> Result<String> {
    if let crate::Credential::ApiKey { project, .. } = &principal.credential {
        return Ok(project.clone());
    }
    if let Some(value) = headers.get(PROJECT_HEADER) {
        let named = value.to_str().unwrap_or_default();
        if !is_project(named) {
            return Err(Error::invalid(format!(
                "{PROJECT_HEADER} holds no name of a project"
            )));
        }
        if principal.owns(named) {
            return Ok(named.to_owned());
        }
        return Err(Error::forbidden(format!(
            "{PROJECT_HEADER} names a project that is not yours"
        )));
    }
    if principal.owns(DEFAULT_PROJECT) {
        return Ok(DEFAULT_PROJECT.to_owned());
    }
    principal.projects.first().cloned().ok_or_else(|| {
        Error::forbidden(format!("user `{}` has no project to work in", principal.user))
            .hint("ask an admin for one")
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
    use crate::Credential;

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
                project_of(principal, &headers).ok().as_deref(),
                expected,
                "{named:?}"
            );
        }
    }
}
