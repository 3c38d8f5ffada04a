//! `/v1/private/optimizations`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use stead_kernel::ports::RecordQuery;
use uuid::Uuid;

use super::{
    OPTIMIZATIONS,
    shape::{Optimization, Write},
    tell::tell,
};
use crate::opik::{
    Caller, Opik,
    datasets::{Datasets, Named},
    desk::{ProjectOf, entity, filled, ids, project_to_write, uuid, who},
    shelf::{Shelf, Stamps, listing, new_id},
    wire::{IdList, Json, OpikError, PageOf, Query, created},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 11] = [
    "id",
    "name",
    "dataset_id",
    "dataset_name",
    "objective_name",
    "status",
    "metadata",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
];

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/optimizations", get(list).post(create).put(upsert))
        .route("/v1/private/optimizations/delete", post(delete))
        .route("/v1/private/optimizations/{id}", get(one).put(update))
        .route("/v1/private/projects/{id}/optimizations", get(list))
}

fn shelf(opik: &Opik) -> Shelf<Optimization> {
    Shelf::new(opik.ports.records.clone(), OPTIMIZATIONS, "Optimization")
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(write): Json<Write>,
) -> Result<Response, OpikError> {
    let made = made(&opik, &caller, &write).await?;
    shelf(&opik).add(&caller.workspace, &made.id, &made).await?;
    Ok(created(&format!("/v1/private/optimizations/{}", made.id)))
}

async fn upsert(
    caller: Caller,
    State(opik): State<Opik>,
    Json(write): Json<Write>,
) -> Result<Response, OpikError> {
    let mut made = made(&opik, &caller, &write).await?;
    let shelf = shelf(&opik);
    if let Some(old) = shelf.get(&caller.workspace, &made.id).await? {
        made.stamps = old.body.stamps;
        made.stamps.touch(&who(&opik, &caller));
    }
    let write = shelf.put(&caller.workspace, &made.id, &made)?;
    shelf.commit(vec![write]).await?;
    Ok(created(&format!("/v1/private/optimizations/{}", made.id)))
}

async fn made(opik: &Opik, caller: &Caller, write: &Write) -> Result<Optimization, OpikError> {
    let who = who(opik, caller);
    let id = match &write.id {
        Some(id) => uuid(id, "optimization")?.to_string(),
        None => new_id(),
    };
    let (name, project) = (write.project_name.as_deref(), write.project_id.as_deref());
    let project = project_to_write(opik, caller, name, project).await?;
    let named = Named {
        name: filled(&write.dataset_name, "dataset_name")?,
        project: project.as_deref(),
    };
    let dataset = Datasets::new(&opik.ports.records)
        .find_or_create(&who, named)
        .await?;
    let mut made = Optimization {
        name: format!("optimization-{}", id.get(28..).unwrap_or_default()),
        dataset_id: dataset.id().to_owned(),
        dataset_name: write.dataset_name.clone(),
        project_id: project,
        objective_name: String::new(),
        status: "running".to_owned(),
        metadata: None,
        studio_config: None,
        error_info: None,
        stamps: Stamps::new(&who),
        id,
    };
    made.apply(write).map_err(entity)?;
    Ok(made)
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let found = shelf(&opik).need(&caller.workspace, &id.to_string()).await?;
    Ok(Reply(tell(&opik, &caller.workspace, &found.body).await?))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    ProjectOf(project): ProjectOf,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let shelf = shelf(&opik);
    let all = RecordQuery {
        descending: true,
        ..shelf.query(&caller.workspace)
    };
    let all = shelf.all(all).await?;
    let mut all: Vec<Optimization> = all.into_iter().map(|kept| kept.body).collect();
    let (project, dataset) = (project.map(|id| id.to_string()), query.id("dataset_id")?);
    let (dataset, name) = (dataset.map(|id| id.to_string()), query.text("dataset_name"));
    all.retain(|one| {
        project
            .as_ref()
            .is_none_or(|project| one.project_id.as_ref() == Some(project))
            && dataset.as_ref().is_none_or(|dataset| one.dataset_id == *dataset)
            && name.is_none_or(|name| one.dataset_name.contains(name))
    });
    if query.flag("dataset_deleted") {
        let named: Vec<String> = all.iter().map(|one| one.dataset_id.clone()).collect();
        let there = Datasets::new(&opik.ports.records)
            .get_many(&caller.workspace, &named)
            .await?;
        all.retain(|one| there.iter().all(|(id, ..)| *id != one.dataset_id));
    }
    let told = all
        .iter()
        .map(|one| serde_json::to_value(one).unwrap_or_default());
    let mut page = listing::page(told.collect(), &query, &FIELDS)?;
    // Only what is shown is counted.
    for told in &mut page.content {
        let id = listing::text(told, "id");
        if let Some(one) = all.iter().find(|one| Some(one.id.as_str()) == id) {
            *told = tell(&opik, &caller.workspace, one).await?;
        }
    }
    Ok(Reply(page))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(write): Json<Write>,
) -> Result<StatusCode, OpikError> {
    let who = who(&opik, &caller);
    let change = |optimization: &mut Optimization| {
        optimization.stamps.touch(&who);
        optimization.apply(&write)
    };
    let changed = shelf(&opik)
        .change(&caller.workspace, &id.to_string(), change)
        .await;
    changed.map_err(entity)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    shelf(&opik).delete_many(&caller.workspace, &ids(&asked)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
