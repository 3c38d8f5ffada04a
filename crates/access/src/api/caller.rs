//! Who calls, over what, and with which body.

use std::{net::IpAddr, sync::Arc};

use ::http::{HeaderValue, request::Parts};
use axum::{
    body::Body,
    extract::{FromRequest, FromRequestParts, Request},
};
use http_body_util::{BodyExt, Limited};
use serde::de::DeserializeOwned;
use stead_kernel::{
    Credential, Error, Identity, Principal, Result,
    http::{ApiError, Connection},
};

use super::NOBODY;
use crate::session::cookie;

/// The largest body, in bytes.
const BODY: usize = 16 << 10;

/// The other end of a request, whoever it is.
pub(crate) struct Visitor {
    pub(crate) peer: Option<IpAddr>,
    pub(super) secure: bool,
    /// The id of the session whose cookie the request carries, good or not.
    pub(super) session: Option<String>,
}

impl Visitor {
    fn of(parts: &Parts) -> Self {
        let connection = parts.extensions.get::<Connection>();
        Self {
            peer: connection.map(|connection| connection.peer.ip()),
            secure: cookie::is_secure(connection, &parts.headers),
            session: cookie::read(&parts.headers).map(str::to_owned),
        }
    }

    /// The address that tries are counted by.
    pub(super) fn address(&self) -> IpAddr {
        self.peer.unwrap_or(NOBODY)
    }

    /// The cookie for a new session.
    pub(super) fn set_cookie(&self, id: &str) -> HeaderValue {
        cookie::set(id, self.secure)
    }

    /// What takes the cookie away.
    pub(super) fn clear_cookie(&self) -> HeaderValue {
        cookie::clear(self.secure)
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self::of(parts))
    }
}

/// Someone who is signed in, by a session or a token: an API key is good for model APIs only.
pub(crate) struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) visitor: Visitor,
}

impl Caller {
    /// Refuses whoever is no admin.
    pub(crate) fn require_admin(&self) -> Result<()> {
        if self.principal.is_admin() {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "user {:?} is no admin",
            self.principal.user
        )))
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let principal = Identity::require(&parts.extensions)?;
        if matches!(principal.credential, Credential::ApiKey { .. }) {
            return Err(Error::forbidden("an API key is good for model APIs only")
                .hint("sign in, or use the admin token")
                .into());
        }
        if matches!(principal.credential, Credential::Gateway { .. }) {
            return Err(Error::forbidden("this is nothing that a gateway needs").into());
        }
        Ok(Self {
            principal,
            visitor: Visitor::of(parts),
        })
    }
}

/// A body of JSON; an empty one is an empty object.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parse(request.into_body()).await?))
    }
}

async fn parse<T: DeserializeOwned>(body: Body) -> Result<T> {
    let read = Limited::new(body, BODY).collect().await;
    let bytes =
        read.map_err(|_| Error::too_large(format!("the body is larger than {BODY} bytes, or broke off")))?;
    let bytes = bytes.to_bytes();
    let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
    // The message tells a place and a field's name, never a value, which may be a password.
    serde_json::from_slice(text).map_err(|error| {
        let what = match error.classify() {
            serde_json::error::Category::Data => "has a missing, unknown or wrong field",
            serde_json::error::Category::Syntax
            | serde_json::error::Category::Eof
            | serde_json::error::Category::Io => "is no JSON",
        };
        Error::invalid(format!(
            "the body {what} at line {} column {}",
            error.line(),
            error.column()
        ))
    })
}
