//! `/v1/session/redirect/*`: where links lead that Opik's SDKs print. There is no console yet, so that they lead to what
//! they are about, as JSON.

use axum::{
    Router,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use stead_kernel::ports::traces::Kind;

use super::{
    Caller, Opik,
    wire::{OpikError, PREFIX, Query},
};

/// The routes; the SDKs end an address with a slash.
pub(super) fn routes() -> Router<Opik> {
    const BASE: &str = "/v1/session/redirect";
    ["", "/"].into_iter().fold(Router::new(), |router, end| {
        router
            .route(&format!("{BASE}/projects{end}"), get(trace))
            .route(&format!("{BASE}/datasets{end}"), get(dataset))
            .route(&format!("{BASE}/experiments{end}"), get(experiment))
            .route(&format!("{BASE}/optimizations{end}"), get(optimization))
    })
}

async fn trace(caller: Caller, State(opik): State<Opik>, query: Query) -> Result<Response, OpikError> {
    let id = query
        .id("trace_id")?
        .ok_or_else(|| OpikError::invalid("query param trace_id must not be null"))?;
    if opik
        .ports
        .traces
        .entry(Kind::Trace, &caller.workspace, id)
        .await?
        .is_none()
    {
        return Err(OpikError::not_found(format!("Trace id: {id} not found")));
    }
    see(&format!("traces/{id}"))
}

async fn dataset(_: Caller, query: Query) -> Result<Response, OpikError> {
    other("datasets", "dataset_id", &query)
}

async fn experiment(_: Caller, query: Query) -> Result<Response, OpikError> {
    other("experiments", "experiment_id", &query)
}

async fn optimization(_: Caller, query: Query) -> Result<Response, OpikError> {
    other("optimizations", "optimization_id", &query)
}

fn other(resource: &str, parameter: &str, query: &Query) -> Result<Response, OpikError> {
    let id = query.id(parameter)?;
    let id = id.ok_or_else(|| OpikError::invalid(format!("query param {parameter} must not be null")))?;
    see(&format!("{resource}/{id}"))
}

fn see(what: &str) -> Result<Response, OpikError> {
    let address = HeaderValue::try_from(format!("{PREFIX}/v1/private/{what}"));
    let address = address.map_err(|_| OpikError::invalid("the address cannot be written"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, address)]).into_response())
}
