//! `/v1/private/datasets/…/items`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post, put},
};
use serde_json::Value;
use stead_kernel::{Error, ports::traces::Filter};
use uuid::Uuid;

use super::{
    Datasets, Named, Part, View,
    convert::{self, Tags},
    plan::{Change, Seed},
    shape::{Dataset, Item, ItemBatch, ItemStream, ItemWrite, ItemsDelete, ItemsUpdate},
};
use crate::opik::{
    Caller, Opik,
    desk::{checked_batch, filled, project_to_read, project_to_write, uuid, uuids, who},
    shelf::{
        Who,
        listing::{keeps, known_filters},
    },
    wire::{Json, OpikError, PageOf, Paging, Query, ndjson},
};

/// By what items can be filtered; `data.question` is a column.
const FIELDS: [&str; 12] = [
    "id",
    "data",
    "full_data",
    "source",
    "trace_id",
    "span_id",
    "description",
    "tags",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
];
/// The most items of a stream's part, and how many it has when nothing is told.
const LARGEST_STREAM: u32 = 2_000;
const USUAL_STREAM: u32 = 500;

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/datasets/items", put(store))
        .route(
            "/v1/private/datasets/items/batch",
            axum::routing::patch(change_all),
        )
        .route("/v1/private/datasets/items/delete", post(delete))
        .route("/v1/private/datasets/items/stream", post(stream))
        .route("/v1/private/datasets/items/{id}", get(one).patch(change))
        .route("/v1/private/datasets/{id}/items", get(list))
}

async fn store(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<ItemBatch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(sent.items.len(), "items")?;
    carries_over(
        sent.copy_from_dataset_id
            .as_deref()
            .or(sent.copy_from_version_id.as_deref()),
    )?;
    let (who, datasets) = (who(&opik, &caller), Datasets::new(&opik.ports.records));
    let dataset = target(&opik, &caller, &who, &sent).await?;
    let change = Change {
        upserts: convert::batch(&who, &dataset, sent.items)?,
        ..Change::default()
    };
    let seed = group(sent.batch_group_id)?;
    datasets
        .items
        .change(&who, &dataset, &seed, None, &change)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses what would begin a version with the items of another dataset.
pub(super) fn carries_over(from: Option<&str>) -> Result<(), OpikError> {
    match from {
        None => Ok(()),
        Some(_) => Err(
            Error::unsupported("items of another dataset cannot be carried over")
                .hint("read them and store them here; an item's id belongs to one dataset")
                .into(),
        ),
    }
}

fn group(id: Option<String>) -> Result<Seed, OpikError> {
    let id = id.map(|id| uuid(&id, "batch group")).transpose()?;
    Ok(Seed {
        group: id.map(|id| id.to_string()),
        ..Seed::default()
    })
}

/// The dataset that a batch is for; one that is named and not there is made.
async fn target(opik: &Opik, caller: &Caller, who: &Who, sent: &ItemBatch) -> Result<String, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    if let Some(id) = &sent.dataset_id {
        let id = uuid(id, "dataset")?.to_string();
        return Ok(datasets.get(&caller.workspace, &id).await?.id);
    }
    let name = filled(
        sent.dataset_name.as_deref().unwrap_or_default(),
        "dataset_name or dataset_id",
    )?;
    let (project_name, project_id) = (sent.project_name.as_deref(), sent.project_id.as_deref());
    let project = project_to_write(opik, caller, project_name, project_id).await?;
    let named = Named {
        name,
        project: project.as_deref(),
    };
    Ok(datasets.find_or_create(who, named).await?.id)
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Item>, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    Ok(Reply(
        datasets.items.item(&caller.workspace, &id.to_string()).await?,
    ))
}

async fn change(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(write): Json<ItemWrite>,
) -> Result<StatusCode, OpikError> {
    let (who, datasets) = (who(&opik, &caller), Datasets::new(&opik.ports.records));
    let item = datasets.items.item(&caller.workspace, &id.to_string()).await?;
    update(
        &datasets,
        &who,
        vec![item],
        (&write, Tags::Replace),
        &Seed::default(),
    )
    .await
}

async fn change_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<ItemsUpdate>,
) -> Result<StatusCode, OpikError> {
    let (who, datasets) = (who(&opik, &caller), Datasets::new(&opik.ports.records));
    let tags = match sent.merge_tags {
        Some(true) => Tags::Merge,
        _ => Tags::Replace,
    };
    let seed = group(sent.batch_group_id)?;
    let (items, tags) = match (&sent.ids, &sent.filters) {
        (Some(ids), None) => {
            let ids = uuids(ids, "dataset item")?;
            (datasets.items.items(&caller.workspace, &ids).await?, tags)
        }
        (None, Some(filters)) => {
            let id = filled(sent.dataset_id.as_deref().unwrap_or_default(), "dataset_id")?;
            let id = uuid(id, "dataset")?.to_string();
            (matching(&datasets, &caller, &id, filters).await?, Tags::Merge)
        }
        _ => return Err(OpikError::invalid("either ids or filters must be given")),
    };
    update(&datasets, &who, items, (&sent.update, tags), &seed).await
}

/// Makes the same change of several items, which may lie in several datasets.
async fn update(
    datasets: &Datasets,
    who: &Who,
    mut items: Vec<Item>,
    (write, tags): (&ItemWrite, Tags),
    seed: &Seed,
) -> Result<StatusCode, OpikError> {
    for item in &mut items {
        *item = convert::changed(who, item, write, tags)?;
    }
    for (dataset, upserts) in by_dataset(items) {
        let change = Change {
            upserts,
            ..Change::default()
        };
        datasets.items.change(who, &dataset, seed, None, &change).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

fn by_dataset(items: Vec<Item>) -> std::collections::BTreeMap<String, Vec<Item>> {
    let mut datasets: std::collections::BTreeMap<String, Vec<Item>> = std::collections::BTreeMap::new();
    for item in items {
        datasets.entry(item.dataset_id.clone()).or_default().push(item);
    }
    datasets
}

/// All current items of a dataset that meet the filters of a body.
async fn matching(
    datasets: &Datasets,
    caller: &Caller,
    dataset: &str,
    filters: &Value,
) -> Result<Vec<Item>, OpikError> {
    let dataset = datasets.get(&caller.workspace, dataset).await?;
    let filters = body_filters(Some(filters))?;
    let part = Part {
        view: View::Latest,
        before: None,
        skip: 0,
        limit: usize::MAX,
        filtered: true,
    };
    let keep = |item: &Item| kept(item, &filters);
    Ok(datasets
        .items
        .read(&caller.workspace, &dataset.id, part, keep)
        .await?)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<ItemsDelete>,
) -> Result<StatusCode, OpikError> {
    let (who, datasets) = (who(&opik, &caller), Datasets::new(&opik.ports.records));
    let items = match (&sent.item_ids, &sent.dataset_id) {
        (Some(ids), None) => {
            let ids = uuids(ids, "dataset item")?;
            datasets.items.items(&caller.workspace, &ids).await?
        }
        (None, Some(dataset)) => {
            let dataset = uuid(dataset, "dataset")?.to_string();
            let all = Value::Array(Vec::new());
            matching(
                &datasets,
                &caller,
                &dataset,
                sent.filters.as_ref().unwrap_or(&all),
            )
            .await?
        }
        _ => return Err(OpikError::invalid("either item_ids or dataset_id must be given")),
    };
    let seed = group(sent.batch_group_id)?;
    for (dataset, items) in by_dataset(items) {
        let change = Change {
            deletes: items.into_iter().map(|item| item.id).collect(),
            ..Change::default()
        };
        datasets
            .items
            .change(&who, &dataset, &seed, None, &change)
            .await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Filters in a body: a list, or a text that holds one.
fn body_filters(filters: Option<&Value>) -> Result<Vec<Filter>, OpikError> {
    match filters {
        None | Some(Value::Null) => Ok(Vec::new()),
        Some(Value::String(text)) if text.trim().is_empty() => Ok(Vec::new()),
        Some(Value::String(text)) => known_filters(Some(text), &FIELDS),
        Some(filters) => known_filters(Some(&filters.to_string()), &FIELDS),
    }
}

fn kept(item: &Item, filters: &[Filter]) -> bool {
    if filters.is_empty() {
        return true;
    }
    let mut told = serde_json::to_value(item).unwrap_or_default();
    if let Some(fields) = told.as_object_mut() {
        fields.insert("full_data".to_owned(), item.data.to_string().into());
    }
    keeps(&told, filters)
}

/// The view that a version's hash, tag or name stands for.
async fn view(
    datasets: &Datasets,
    dataset: &Dataset,
    workspace: &str,
    version: Option<&str>,
) -> Result<(View, u64), OpikError> {
    let version = match version {
        None => datasets.items.latest(workspace, dataset).await?,
        Some(name) => Some(datasets.items.version_by(workspace, dataset, name).await?),
    };
    Ok(match version {
        None => (View::Latest, 0),
        Some(version) if version.number == dataset.latest => (View::Latest, version.items_total),
        Some(version) => (View::At(version.number), version.items_total),
    })
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<PageOf<Item>>, OpikError> {
    let datasets = Datasets::new(&opik.ports.records);
    let (workspace, paging) = (caller.workspace.as_str(), Paging::of(&query, 10)?);
    let filters = known_filters(query.text("filters"), &FIELDS)?;
    let dataset = datasets.get(workspace, &id.to_string()).await?;
    let (view, total) = view(&datasets, &dataset, workspace, query.text("version")).await?;
    let part = Part {
        view,
        before: None,
        skip: paging.offset(),
        limit: paging.size,
        filtered: !filters.is_empty(),
    };
    if !part.filtered {
        let items = datasets
            .items
            .read(workspace, &dataset.id, part, |_| true)
            .await?;
        return Ok(Reply(paging.around(items, total, &[])));
    }
    let part = Part {
        skip: 0,
        limit: usize::MAX,
        ..part
    };
    let keep = |item: &Item| kept(item, &filters);
    let items = datasets.items.read(workspace, &dataset.id, part, keep).await?;
    Ok(Reply(paging.cut(items, &[])))
}

async fn stream(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<ItemStream>,
) -> Result<Response, OpikError> {
    let limit = asked.steam_limit.unwrap_or(USUAL_STREAM);
    if !(1..=LARGEST_STREAM).contains(&limit) {
        return Err(OpikError::unprocessable(format!(
            "steam_limit must be between 1 and {LARGEST_STREAM}"
        )));
    }
    let before = asked
        .last_retrieved_id
        .as_deref()
        .map(|id| uuid(id, "last retrieved"));
    let before = before.transpose()?.map(|id| id.to_string());
    let filters = body_filters(asked.filters.as_ref())?;
    let project = project_to_read(&opik, &caller, asked.project_name.as_deref()).await?;
    let datasets = Datasets::new(&opik.ports.records);
    let named = Named {
        name: filled(&asked.dataset_name, "dataset_name")?,
        project: project.as_deref(),
    };
    let workspace = caller.workspace.as_str();
    let dataset = datasets.need(workspace, named).await?;
    let (view, _) = view(&datasets, &dataset, workspace, asked.dataset_version.as_deref()).await?;
    let part = Part {
        view,
        before: before.as_deref(),
        skip: 0,
        limit: limit as usize,
        filtered: !filters.is_empty(),
    };
    let keep = |item: &Item| kept(item, &filters);
    let items = datasets.items.read(workspace, &dataset.id, part, keep).await?;
    ndjson(items)
}
