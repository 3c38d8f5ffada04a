//! Who asks, and in which workspace.

use axum::{
    Json, Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    routing::{get, post},
};
use k8s_openapi::api::core::v1::Namespace;
use serde_json::{Value, json};
use stead_kernel::{
    AccessRequest, Credential, DEFAULT_PROJECT, Error, Identity, Principal, Result, Verb, http::Connection,
};

use super::{Opik, wire::OpikError};

/// The header in which Opik's SDKs name the workspace.
const WORKSPACE: &str = "comet-workspace";
/// Headers that a proxy adds: what comes with one is not from this machine, whoever connected.
const FORWARDING: [&str; 6] = [
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-real-ip",
];
/// Whose name stands at what a request of this machine without a key wrote.
const LOCAL_USER: &str = "local";

/// Who asks, and in which project of Stead. Every handler takes one; it refuses who may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The project of Stead, which is Opik's workspace.
    pub(crate) workspace: String,
    /// The user's name.
    pub(crate) user: String,
}

impl FromRequestParts<Opik> for Caller {
    type Rejection = OpikError;

    async fn from_request_parts(parts: &mut Parts, opik: &Opik) -> Result<Self, OpikError> {
        let asked = asked_workspace(&parts.headers);
        let verb = if parts.method.is_safe() {
            Verb::Get
        } else {
            Verb::Create
        };
        match Identity::require(&parts.extensions) {
            Ok(principal) => named(opik, &principal, asked, verb).await.map_err(Into::into),
            Err(error) if opik.local && is_local(parts) => {
                if asked == DEFAULT_PROJECT {
                    return Ok(Self {
                        workspace: asked.to_owned(),
                        user: LOCAL_USER.to_owned(),
                    });
                }
                Err(error
                    .hint("without a key, only the workspace `default` can be used")
                    .into())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The workspace that a request names; `default` when it names none.
fn asked_workspace(headers: &HeaderMap) -> &str {
    let named = headers.get(WORKSPACE).and_then(|value| value.to_str().ok());
    named
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .unwrap_or(DEFAULT_PROJECT)
}

/// Whether a request without any credential comes from a program of this machine, and not from a page in a browser or
/// through a proxy.
fn is_local(parts: &Parts) -> bool {
    let peer = parts.extensions.get::<Connection>();
    let anonymous = matches!(parts.extensions.get(), Some(Identity::Anonymous));
    anonymous
        && peer.is_some_and(|connection| connection.peer.ip().to_canonical().is_loopback())
        && !parts.headers.contains_key(header::ORIGIN)
        && !FORWARDING.iter().any(|name| parts.headers.contains_key(*name))
}

/// The caller behind a credential. A project that is not theirs does not exist for them.
async fn named(opik: &Opik, principal: &Principal, asked: &str, verb: Verb) -> Result<Caller> {
    let caller = |workspace: &str| Caller {
        workspace: workspace.to_owned(),
        user: principal.user.clone(),
    };
    let unknown = || {
        Error::not_found(format!("there is no workspace {asked:?}"))
            .hint("a workspace is a project of Stead; see what there is with: stead project list")
    };
    // A key works in one project; the SDKs say `default` when nobody told them another.
    if let Credential::ApiKey { project, .. } = &principal.credential {
        let own = asked == DEFAULT_PROJECT || asked == project;
        return own.then(|| caller(project)).ok_or_else(unknown);
    }
    if !principal.owns(asked) {
        return Err(unknown());
    }
    opik.ports.authorizer.authorize(
        principal,
        &AccessRequest {
            verb,
            group: "",
            resource: "traces",
            subresource: "",
            project: Some(asked),
            name: None,
        },
    )?;
    if principal.is_admin() && asked != DEFAULT_PROJECT && !exists(opik, asked).await? {
        return Err(unknown());
    }
    Ok(caller(asked))
}

/// Whether there is such a project of Stead; an admin may name any.
async fn exists(opik: &Opik, project: &str) -> Result<bool> {
    let all: kube::Api<Namespace> = kube::Api::all(opik.client.clone());
    Ok(all.get_opt(project).await?.is_some())
}

/// `POST /v1/private/auth` and `GET /v1/private/auth/workspace`.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/auth", post(check))
        .route("/v1/private/auth/workspace", get(workspace))
}

async fn check(_: Caller, State(_): State<Opik>) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn workspace(caller: Caller, State(_): State<Opik>) -> Json<Value> {
    Json(json!({"workspace_name": caller.workspace}))
}
