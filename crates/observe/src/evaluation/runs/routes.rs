//! `/api/evaluations`.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, post},
};
use serde_json::Value;
use stead_kernel::{Result, ports::Page};

use super::{Evaluation, Runner};
use crate::{
    evaluation::suite::Suite,
    routes::{Answer, Asked, Sent},
};

/// The routes.
pub(in crate::evaluation) fn routes(runner: Runner) -> Router {
    Router::new()
        .route("/api/evaluations", get(list).post(create))
        .route("/api/evaluations/{id}", get(one))
        .route("/api/evaluations/{id}/cancel", post(cancel))
        .route("/api/evaluations/{id}/resume", post(resume))
        .with_state(runner)
}

impl AsRef<stead_kernel::Ports> for Runner {
    fn as_ref(&self) -> &stead_kernel::Ports {
        &self.opik.ports
    }
}

async fn create(
    State(runner): State<Runner>,
    asked: Asked,
    Sent(suite): Sent<Suite>,
) -> Result<(StatusCode, Json<Value>), crate::routes::Refused> {
    let evaluation = runner.create(&asked.principal, &asked.project, suite).await?;
    Ok((StatusCode::CREATED, Json(evaluation.tell())))
}

async fn list(State(runner): State<Runner>, mut asked: Asked) -> Answer<Page<Value>> {
    let (limit, after) = (asked.parameters.limit("limit")?, asked.parameters.text("after")?);
    let page = runner.store.list(&asked.project, limit, after).await?;
    Ok(Json(Page {
        items: page.items.iter().map(Evaluation::tell).collect(),
        next: page.next,
    }))
}

async fn one(State(runner): State<Runner>, asked: Asked, Path(id): Path<String>) -> Answer<Value> {
    Ok(Json(runner.store.get(&asked.project, &id).await?.tell()))
}

async fn cancel(State(runner): State<Runner>, asked: Asked, Path(id): Path<String>) -> Answer<Value> {
    Ok(Json(runner.cancel(&asked.project, &id).await?.tell()))
}

async fn resume(State(runner): State<Runner>, asked: Asked, Path(id): Path<String>) -> Answer<Value> {
    Ok(Json(runner.resume(&asked.project, &id).await?.tell()))
}
