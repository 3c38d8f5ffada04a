//! Who asks, in which project, and with which body.

use std::sync::Arc;

use axum::{
    extract::{Query, Request},
    http::Extensions,
};
use http_body_util::{BodyExt, Limited};
use serde::{Deserialize, de::DeserializeOwned};
use stead_kernel::{
    AccessRequest, Authorizer, Credential, DEFAULT_PROJECT, Error, GROUP, Identity, Principal, Result, Verb,
};

use crate::threads::Owner;

/// What every address takes in its query.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Options {
    pub(crate) project: Option<String>,
    pub(crate) limit: usize,
    pub(crate) after: Option<String>,
    /// What is looked for, where something can be.
    pub(crate) q: Option<String>,
}

/// A query that may not be one.
pub(crate) type Parameters = std::result::Result<Query<Options>, axum::extract::rejection::QueryRejection>;

/// Lets people in to what is theirs.
#[derive(Clone)]
pub(crate) struct Door {
    authorizer: Arc<dyn Authorizer>,
}

impl Door {
    pub(crate) fn new(ports: &stead_kernel::Ports) -> Self {
        Self {
            authorizer: ports.authorizer.clone(),
        }
    }

    /// Who asks, in which project, and whether they may.
    pub(crate) fn who(
        &self,
        query: Parameters,
        extensions: &Extensions,
        verb: Verb,
        name: Option<&str>,
    ) -> Result<(Options, Owner)> {
        let principal = person(extensions)?;
        let Query(options) = query.map_err(|error| Error::invalid(error.body_text()))?;
        let own = principal.projects.first().map_or(DEFAULT_PROJECT, String::as_str);
        let project = options.project.clone().unwrap_or_else(|| own.to_owned());
        if !principal.owns(&project) {
            return Err(Error::forbidden(format!(
                "project {project} is none of {}'s",
                principal.user
            )));
        }
        self.authorizer.authorize(
            &principal,
            &AccessRequest {
                verb,
                group: GROUP,
                resource: "threads",
                subresource: "",
                project: Some(&project),
                name,
            },
        )?;
        let user = principal.user.clone();
        Ok((options, Owner { user, project }))
    }
}

/// Whoever is no program with a key.
pub(crate) fn person(extensions: &Extensions) -> Result<Arc<Principal>> {
    let principal = Identity::require(extensions)?;
    if let Credential::ApiKey { .. } = principal.credential {
        return Err(
            Error::forbidden("an API key is good for the model APIs only, not for conversations")
                .hint("sign in, or use the admin token"),
        );
    }
    Ok(principal)
}

/// A body of JSON of at most `limit` bytes; an empty one is an empty object.
pub(crate) async fn body_of<T: DeserializeOwned>(request: Request, limit: usize) -> Result<T> {
    let body = Limited::new(request.into_body(), limit).collect().await;
    let bytes = body
        .map_err(|_| {
            Error::too_large(format!(
                "the request body is broken off or has more than {limit} bytes"
            ))
        })?
        .to_bytes();
    let bytes: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| Error::invalid(format!("the request body is not right: {error}")))
}
