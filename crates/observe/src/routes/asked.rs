//! Who asks in which project, for routes that work in one: `?project=NAME`; without it, it is an API key's own, the caller's
//! first one, or `default` for an admin.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::request::Parts,
};
use serde::de::DeserializeOwned;
use std::sync::Arc;
use stead_kernel::{
    AccessRequest, Credential, DEFAULT_PROJECT, Error, Identity, Ports, Principal, Result, Verb,
    http::{ApiError, BodyError, read_body},
};

use super::parameters::Parameters;

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 32 << 20;

/// Who asks, in which project, and with which parameters.
pub(crate) struct Asked {
    /// Who.
    pub(crate) principal: Arc<Principal>,
    /// In which project.
    pub(crate) project: String,
    /// The parameters but for `project`.
    pub(crate) parameters: Parameters,
}

/// The parameters that routes in a project may have.
const KNOWN: &str = "project limit after first second seed resamples confidence";

impl<S: AsRef<Ports> + Sync> FromRequestParts<S> for Asked {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let principal = Identity::require(&parts.extensions)?;
        let mut parameters = Parameters::parse(parts.uri.query(), KNOWN)?;
        let project = project(&principal, parameters.text("project")?)?;
        let verb = if parts.method.is_safe() {
            Verb::Get
        } else {
            Verb::Create
        };
        if !matches!(principal.credential, Credential::ApiKey { .. }) {
            let wanted = AccessRequest {
                verb,
                group: "",
                resource: "traces",
                subresource: "",
                project: Some(&project),
                name: None,
            };
            state.as_ref().authorizer.authorize(&principal, &wanted)?;
        }
        Ok(Self {
            principal,
            project,
            parameters,
        })
    }
}

fn project(principal: &Principal, asked: Option<String>) -> Result<String> {
    if let Credential::ApiKey { project, .. } = &principal.credential {
        // A key works in its own project, which is the default one to it.
        return match asked {
            Some(asked) if asked != *project && asked != DEFAULT_PROJECT => Err(Error::forbidden(format!(
                "the key is of another project than {asked:?}"
            ))),
            _ => Ok(project.clone()),
        };
    }
    let own = principal.projects.first().map_or(DEFAULT_PROJECT, String::as_str);
    let project = asked.unwrap_or_else(|| own.to_owned());
    if principal.owns(&project) {
        return Ok(project);
    }
    Err(Error::forbidden(format!(
        "project {project} is none of {}'s",
        principal.user
    )))
}

/// A JSON body.
pub(crate) struct Sent<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Sent<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let (parts, body) = request.into_parts();
        let bytes = read_body(&parts.headers, body, BODY_LIMIT)
            .await
            .map_err(|error| match error {
                BodyError::TooLarge => {
                    Error::too_large(format!("the request body has more than {BODY_LIMIT} bytes"))
                }
                BodyError::Incomplete => Error::invalid("the request body broke off"),
            })?;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Error::invalid(format!("the request body is not right: {error}")))?;
        Ok(Self(value))
    }
}
