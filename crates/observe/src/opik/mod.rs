//! The REST API of Opik (<https://www.comet.com/docs/opik/reference/rest-api/overview>), as its SDKs use it, under
//! `/opik/api` and `/opik`.
//!
//! Opik's workspace is a project of Stead; Opik's projects are records inside it.
//!
//! *Invariant:* what is not here answers 501 in Opik's own form; nothing answers with what it did not do.

mod alerts;
mod annotation_queues;
mod assertions;
mod attachments;
mod caller;
mod dashboards;
pub(crate) mod datasets;
pub(crate) mod desk;
mod entries;
mod environments;
mod evaluators;
pub(crate) mod experiments;
mod feedback_definitions;
mod optimizations;
mod projects;
pub(crate) mod prompts;
mod resources;
pub(crate) mod rights;
mod session;
pub(crate) mod shelf;
#[cfg(test)]
pub(crate) mod tests;
mod threads;
pub(crate) mod wire;

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, routing::get};
use serde_json::{Value, json};
use stead_kernel::{Collection, Context, DataDir, Error, Ports};

pub(crate) use self::{
    caller::Caller,
    entries::known_of,
    projects::Projects,
    wire::{OpikError, inflate, plain_body},
};

/// What every handler works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Opik {
    /// The ports.
    pub(crate) ports: Ports,
    /// The resource API, for the names of projects of Stead.
    pub(crate) client: kube::Client,
    /// Where attached files lie.
    pub(crate) data: DataDir,
    /// The applications' projects.
    pub(crate) projects: Arc<Projects>,
    /// The largest request body, in bytes, as it comes over the wire.
    pub(crate) body_limit: usize,
    /// Whether requests of this machine need no key.
    pub(crate) local: bool,
}

/// The collections of records.
pub(crate) fn collections() -> Vec<Collection> {
    let mut all = Vec::new();
    all.extend(projects::COLLECTIONS);
    all.extend(attachments::COLLECTIONS);
    all.extend(resources::collections());
    all
}

/// What the handlers work with, over a context.
pub(crate) fn opik(context: &Context) -> Opik {
    Opik {
        projects: Arc::new(Projects::new(&context.ports)),
        ports: context.ports.clone(),
        client: context.client.clone(),
        data: context.data.clone(),
        body_limit: context.settings.body_limit,
        local: context.settings.opik_local.is_on()
            && context.settings.listen.ip().is_loopback()
            && context
                .settings
                .otlp_listen
                .is_none_or(|address| address.ip().is_loopback()),
    }
}

/// The routes with their absolute paths.
pub(crate) fn routes(context: &Context, opik: Opik) -> Router {
    resources::resume(context);
    attachments::start_sweeps(&context.tasks, opik.clone());
    let api = api().with_state(opik);
    Router::new().nest("/opik/api", api.clone()).nest("/opik", api)
}

/// The routes, each resource's beside the others'.
fn api() -> Router<Opik> {
    Router::new()
        .route("/is-alive/ping", get(alive))
        .route("/is-alive/ver", get(version))
        .merge(caller::routes())
        .merge(projects::routes())
        .merge(entries::routes())
        .merge(threads::routes())
        .merge(attachments::routes())
        .merge(session::routes())
        .merge(resources::routes())
        // Else these would be taken for ids.
        .route("/v1/private/datasets/export-jobs", get(absent))
        .route("/v1/private/experiments/groups", get(absent))
        .method_not_allowed_fallback(absent)
        .fallback(absent)
}

async fn alive() -> Json<Value> {
    Json(json!({"message": "Healthy Server", "healthy": true}))
}

/// The version of Opik whose API this is; its SDKs ask for it.
async fn version() -> Json<Value> {
    Json(json!({"version": wire::OPIK_VERSION}))
}

/// What Opik has and this server has not.
async fn absent(
    _: Caller,
    State(_): State<Opik>,
    request: axum::extract::Request,
) -> (StatusCode, OpikError) {
    let error = Error::unsupported(format!(
        "{} {} is not there in this server",
        request.method(),
        request.uri().path()
    ));
    (StatusCode::NOT_IMPLEMENTED, error.into())
}
