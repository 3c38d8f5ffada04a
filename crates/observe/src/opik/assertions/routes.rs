//! `/v1/private/assertion-results`.

use axum::{Router, extract::State, http::StatusCode, routing::put};
use serde::Deserialize;

use super::{Assertion, Assertions, place};
use crate::opik::{
    Caller, Opik,
    desk::{checked_batch, filled, uuid, who},
    shelf::Stamps,
    wire::{Json, OpikError},
};

/// `AssertionResultBatch`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Batch {
    entity_type: String,
    assertion_results: Vec<Found>,
}

/// `AssertionResultBatchItem`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Found {
    entity_id: String,
    name: String,
    status: String,
    reason: Option<String>,
    source: Option<String>,
}

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    Router::new().route("/v1/private/assertion-results", put(store))
}

async fn store(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<Batch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(sent.assertion_results.len(), "assertion_results")?;
    let sort = match sent.entity_type.to_ascii_uppercase().as_str() {
        "TRACE" => "trace",
        "SPAN" => "span",
        "THREAD" => "thread",
        _ => {
            return Err(OpikError::unprocessable(
                "entity_type must be TRACE, SPAN or THREAD",
            ));
        }
    };
    let who = who(&opik, &caller);
    let mut all = Vec::with_capacity(sent.assertion_results.len());
    for found in sent.assertion_results {
        let entity = uuid(&found.entity_id, "entity")?.to_string();
        filled(&found.name, "name")?;
        if !["passed", "failed"].contains(&found.status.as_str()) {
            return Err(OpikError::unprocessable("status must be `passed` or `failed`"));
        }
        let place = place(sort, &entity, &found.name);
        let assertion = Assertion {
            name: found.name,
            status: found.status,
            reason: found.reason,
            source: found.source.unwrap_or_else(|| "sdk".to_owned()),
            stamps: Stamps::new(&who),
            place: place.clone(),
        };
        all.push((place, assertion));
    }
    Assertions::new(&opik.ports.records).store(&who, all).await?;
    Ok(StatusCode::NO_CONTENT)
}
