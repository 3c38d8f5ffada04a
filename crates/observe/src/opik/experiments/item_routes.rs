//! `/v1/private/experiments/items`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Experiments,
    compare::tell_item,
    routes::limit,
    shape::{Item, ItemBatch, ItemStream, ItemWrite},
    tell::Found,
};
use crate::opik::{
    Caller, Opik,
    desk::{checked_batch, filled, ids, project_to_read, uuid, who},
    shelf::{Stamps, Who, new_id},
    wire::{IdList, Json, OpikError, ndjson},
};

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    let items = "/v1/private/experiments/items";
    Router::new()
        .route(items, post(create))
        .route(&format!("{items}/delete"), post(delete))
        .route(&format!("{items}/stream"), post(stream))
        .route(&format!("{items}/{{id}}"), get(one))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<ItemBatch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(sent.experiment_items.len(), "experiment_items")?;
    let who = who(&opik, &caller);
    let items = sent.experiment_items.into_iter().map(|item| made(&who, item));
    let items = items.collect::<Result<Vec<_>, _>>()?;
    Experiments::new(&opik.ports.records)
        .add_items(&who, &items)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An item as it is stored.
pub(super) fn made(who: &Who, write: ItemWrite) -> Result<Item, OpikError> {
    let id = match &write.id {
        Some(id) => uuid(id, "experiment item")?.to_string(),
        None => new_id(),
    };
    let experiment = uuid(&write.experiment_id, "experiment")?.to_string();
    let dataset_item = uuid(&write.dataset_item_id, "dataset item")?.to_string();
    Ok(Item {
        place: format!("{experiment}/{dataset_item}/{id}"),
        trace_id: uuid(&write.trace_id, "trace")?.to_string(),
        experiment_id: experiment,
        dataset_item_id: dataset_item,
        project_name: write.project_name,
        execution_policy: write.execution_policy,
        stamps: Stamps::new(who),
        id,
    })
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    let item = experiments.item(&caller.workspace, &id.to_string()).await?;
    let found = Found::of(&opik, &caller.workspace, std::slice::from_ref(&item)).await?;
    Ok(Reply(tell_item(&item, &found)?))
}

async fn stream(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<ItemStream>,
) -> Result<Response, OpikError> {
    let limit = limit(asked.limit)?;
    let name = filled(&asked.experiment_name, "experiment_name")?;
    let before = asked
        .last_retrieved_id
        .as_deref()
        .map(|id| uuid(id, "last retrieved"))
        .transpose()?;
    let before = before.map(|id| id.to_string());
    let project = project_to_read(&opik, &caller, asked.project_name.as_deref()).await?;
    let experiments = Experiments::new(&opik.ports.records);
    let mut items = Vec::new();
    for experiment in experiments
        .having(&caller.workspace, Some(("name", name)))
        .await?
    {
        if project.is_none() || experiment.project_id == project {
            items.extend(experiments.items(&caller.workspace, &experiment.id).await?);
        }
    }
    items.retain(|item| before.as_ref().is_none_or(|before| item.id < *before));
    items.sort_by(|a, b| b.id.cmp(&a.id));
    items.truncate(limit);
    let found = Found::of(&opik, &caller.workspace, &items).await?;
    let told = items.iter().map(|item| tell_item(item, &found));
    ndjson(told.collect::<Result<Vec<_>, _>>()?)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    experiments.delete_items(&caller.workspace, &ids(&asked)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
