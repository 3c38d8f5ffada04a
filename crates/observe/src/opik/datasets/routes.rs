//! `/v1/private/datasets`: datasets themselves.

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
    Datasets, Named,
    shape::{Dataset, DatasetUpdate, DatasetWrite, Identifier},
};
use crate::opik::{
    Caller, Opik,
    desk::{ProjectOf, checked_batch, entity, filled, project_to_read, project_to_write, uuid, who},
    shelf::listing,
    wire::{IdList, Json, OpikError, PageOf, Query, created},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 11] = [
    "id",
    "name",
    "description",
    "type",
    "tags",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
    "last_created_experiment_at",
    "last_created_optimization_at",
];

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/datasets", get(list).post(create))
        .route("/v1/private/datasets/retrieve", post(retrieve))
        .route("/v1/private/datasets/delete", post(delete_by_name))
        .route("/v1/private/datasets/delete-batch", post(delete_all))
        .route("/v1/private/datasets/{id}", get(one).put(update).delete(delete))
        .route("/v1/private/projects/{id}/datasets", get(list))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    ProjectOf(project): ProjectOf,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    let mut all = datasets.all(&caller.workspace).await?;
    if let Some(project) = project.map(|id| id.to_string()) {
        all.retain(|dataset| dataset.project_id.as_ref() == Some(&project));
    }
    let counted = counted(&query);
    let mut told = Vec::with_capacity(all.len());
    for dataset in &all {
        told.push(if counted {
            datasets.tell(&caller.workspace, dataset).await?
        } else {
            serde_json::to_value(dataset).unwrap_or_default()
        });
    }
    for (only, count) in [
        ("with_experiments_only", "experiment_count"),
        ("with_optimizations_only", "optimization_count"),
    ] {
        if query.flag(only) {
            told.retain(|dataset| dataset.get(count).and_then(Value::as_u64) > Some(0));
        }
    }
    let mut page = listing::page(told, &query, &FIELDS)?;
    if !counted {
        // Only what is shown is counted.
        for told in &mut page.content {
            let id = listing::text(told, "id");
            if let Some(dataset) = all.iter().find(|dataset| Some(dataset.id.as_str()) == id) {
                *told = datasets.tell(&caller.workspace, dataset).await?;
            }
        }
    }
    Ok(Reply(page))
}

/// Whether a list depends on what is counted for each dataset.
fn counted(query: &Query) -> bool {
    let named = |name: &str| {
        query
            .text(name)
            .is_some_and(|text| text.contains("last_created_"))
    };
    let only = ["with_experiments_only", "with_optimizations_only"];
    only.iter().any(|name| query.flag(name)) || named("sorting") || named("filters")
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(mut write): Json<DatasetWrite>,
) -> Result<Response, OpikError> {
    filled(&write.name, "name")?;
    if let Some(id) = &write.id {
        write.id = Some(uuid(id, "dataset")?.to_string());
    }
    let (name, id) = (write.project_name.as_deref(), write.project_id.as_deref());
    write.project_id = project_to_write(&opik, &caller, name, id).await?;
    let datasets = Datasets::new(&opik.ports.records);
    let dataset = datasets
        .create(&who(&opik, &caller), write)
        .await
        .map_err(entity)?;
    Ok(created(&format!("/v1/private/datasets/{}", dataset.id)))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    let dataset = datasets.get(&caller.workspace, &id.to_string()).await?;
    Ok(Reply(datasets.tell(&caller.workspace, &dataset).await?))
}

async fn retrieve(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Identifier>,
) -> Result<Reply<Value>, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    let dataset = named(&opik, &caller, &asked).await?;
    Ok(Reply(datasets.tell(&caller.workspace, &dataset).await?))
}

async fn named(opik: &Opik, caller: &Caller, asked: &Identifier) -> Result<Dataset, OpikError> {
    let project = project_to_read(opik, caller, asked.project_name.as_deref()).await?;
    let named = Named {
        name: filled(&asked.dataset_name, "dataset_name")?,
        project: project.as_deref(),
    };
    let datasets = Datasets::new(&opik.ports.records);
    Ok(datasets.need(&caller.workspace, named).await?)
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(update): Json<DatasetUpdate>,
) -> Result<StatusCode, OpikError> {
    filled(&update.name, "name")?;
    let datasets = Datasets::new(&opik.ports.records);
    let changed = datasets
        .update(&who(&opik, &caller), &id.to_string(), &update)
        .await;
    changed.map_err(entity)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    datasets.delete(&caller.workspace, &id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_by_name(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Identifier>,
) -> Result<StatusCode, OpikError> {
    let dataset = named(&opik, &caller, &asked).await?;
    let datasets = Datasets::new(&opik.ports.records);
    datasets.delete(&caller.workspace, &dataset.id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    checked_batch(asked.ids.len(), "ids")?;
    let datasets = Datasets::new(&opik.ports.records);
    for id in asked.ids {
        datasets.delete(&caller.workspace, &id.to_string()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
