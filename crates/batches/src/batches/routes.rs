//! `/v1/batches` (<https://platform.openai.com/docs/api-reference/batch>).

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    routing::{get, post},
};
use serde_json::Value;
use stead_kernel::{Error, http::read_body};

use super::{
    Form, plan,
    runner::Runner,
    store::{Order, Place},
};
use crate::{
    caller::Caller,
    error::{ApiError, wrong_method},
    page::{self, Options},
};

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 64 << 10;

type Answer = Result<Json<Value>, ApiError>;
type Parameters = Result<Query<Options>, axum::extract::rejection::QueryRejection>;

/// The routes.
pub(crate) fn routes(runner: Runner) -> Router {
    Router::new()
        .route("/v1/batches", get(list).post(create).fallback(wrong_method))
        .route("/v1/batches/{id}", get(one).fallback(wrong_method))
        .route("/v1/batches/{id}/cancel", post(cancel).fallback(wrong_method))
        .with_state(runner)
}

async fn create(State(runner): State<Runner>, request: Request) -> Answer {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts)?;
    let body = read_body(&parts.headers, body, BODY_LIMIT).await;
    let body =
        body.map_err(|_| Error::invalid(format!("the body broke off or has more than {BODY_LIMIT} bytes")))?;
    let wanted = plan::wanted(&body).map_err(|(error, param)| ApiError::param(error, param))?;
    let made = runner.create(&caller, wanted).await;
    let (id, batch) = made.map_err(|error| ApiError::param(error, "input_file_id"))?;
    Ok(Json(batch.document(&id)))
}

async fn list(State(runner): State<Runner>, query: Parameters, request: Request) -> Answer {
    let caller = Caller::of(&request.into_parts().0)?;
    let Query(options) = query.map_err(|error| Error::invalid(error.body_text()))?;
    let (after, limit) = (options.after.as_deref(), options.limit(20, 100)?);
    let listed = runner
        .store
        .list(&caller.project, Form::OpenAi, after, Order::NewestFirst, limit);
    let (found, more) = listed.await?;
    let objects: Vec<Value> = found.iter().map(|(id, batch)| batch.document(id)).collect();
    Ok(Json(page::document(&objects, more)))
}

async fn one(State(runner): State<Runner>, Path(id): Path<String>, request: Request) -> Answer {
    let place = place(request, id)?;
    let batch = runner.store.get(&place).await;
    let batch = batch.map_err(|error| ApiError::param(error, "id"))?;
    Ok(Json(batch.document(&place.id)))
}

async fn cancel(State(runner): State<Runner>, Path(id): Path<String>, request: Request) -> Answer {
    let place = place(request, id)?;
    let batch = runner.cancel(&place).await;
    let batch = batch.map_err(|error| ApiError::param(error, "id"))?;
    Ok(Json(batch.document(&place.id)))
}

fn place(request: Request, id: String) -> Result<Place, ApiError> {
    let project = Caller::of(&request.into_parts().0)?.project;
    let place = Place { project, id };
    match place.check(Form::OpenAi) {
        Ok(()) => Ok(place),
        Err(error) => Err(ApiError::param(error, "id")),
    }
}
