//! `/v1/private/experiments`: experiments themselves.

use std::collections::BTreeSet;

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, patch, post, put},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Experiments,
    shape::{Experiment, ExperimentStream, ExperimentUpdate, ExperimentWrite, ExperimentsUpdate},
    store::check,
    tell::{Detail, sums_of, tell},
};
use crate::opik::{
    Caller, Opik,
    datasets::{Datasets, Named},
    desk::{ProjectOf, entity, filled, ids, project_to_read, project_to_write, uuid, uuids, who},
    shelf::{Stamps, Who, listing, new_id},
    wire::{IdList, Json, OpikError, PageOf, Query, created, ndjson},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 24] = [
    "id",
    "name",
    "dataset_id",
    "dataset_name",
    "metadata",
    "tags",
    "type",
    "status",
    "evaluation_method",
    "project_id",
    "project_name",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
    "prompt_ids",
    "experiment_scores",
    "trace_count",
    "feedback_scores",
    "duration",
    "total_estimated_cost",
    "total_estimated_cost_avg",
    "usage",
    "pass_rate",
];
/// Of these, the ones that are counted.
const COUNTED: [&str; 6] = [
    "trace_count",
    "feedback_scores",
    "duration",
    "total_estimated_cost",
    "usage",
    "pass_rate",
];
/// The most experiments or items of a stream's part, and how many it has when nothing is told.
pub(super) const LARGEST_STREAM: u32 = 2_000;
pub(super) const USUAL_STREAM: u32 = 500;

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/experiments", get(list).post(create))
        .route("/v1/private/experiments/batch", patch(update_all))
        .route("/v1/private/experiments/cancel", put(cancel))
        .route("/v1/private/experiments/delete", post(delete))
        .route("/v1/private/experiments/feedback-scores/names", get(score_names))
        .route("/v1/private/experiments/finish", post(finish))
        .route("/v1/private/experiments/stream", post(stream))
        .route("/v1/private/experiments/{id}", get(one).patch(update))
        .route("/v1/private/projects/{id}/experiments", get(list))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(write): Json<ExperimentWrite>,
) -> Result<Response, OpikError> {
    let who = who(&opik, &caller);
    let made = made(&opik, &caller, &who, write).await?;
    check(&made).map_err(entity)?;
    Experiments::new(&opik.ports.records).create(&who, &made).await?;
    Ok(created(&format!("/v1/private/experiments/{}", made.id)))
}

/// A new experiment on a dataset, which is made when there is none of its name.
pub(super) async fn made(
    opik: &Opik,
    caller: &Caller,
    who: &Who,
    write: ExperimentWrite,
) -> Result<Experiment, OpikError> {
    let id = match &write.id {
        Some(id) => uuid(id, "experiment")?.to_string(),
        None => new_id(),
    };
    let (name, project) = (write.project_name.as_deref(), write.project_id.as_deref());
    let project = project_to_write(opik, caller, name, project).await?;
    let named = Named {
        name: filled(&write.dataset_name, "dataset_name")?,
        project: project.as_deref(),
    };
    let dataset = Datasets::new(&opik.ports.records)
        .find_or_create(who, named)
        .await?;
    let links = write
        .prompt_version
        .iter()
        .chain(write.prompt_versions.iter().flatten());
    let links = links.map(|link| uuid(&link.id, "prompt version").map(|id| id.to_string()));
    let links = links.collect::<Result<BTreeSet<_>, _>>()?;
    let name = write.name.filter(|name| !name.trim().is_empty());
    Ok(Experiment {
        name: name.unwrap_or_else(|| format!("experiment-{}", id.get(28..).unwrap_or_default())),
        dataset_name: write.dataset_name,
        project_id: project,
        metadata: write.metadata,
        tags: write.tags,
        sort: write.sort.unwrap_or_else(|| "regular".to_owned()),
        evaluation_method: write.evaluation_method.unwrap_or_else(|| "dataset".to_owned()),
        optimization_id: write.optimization_id,
        status: write.status.unwrap_or_else(|| "running".to_owned()),
        own_scores: write.experiment_scores,
        prompt_versions: links.into_iter().collect(),
        dataset_version_id: write
            .dataset_version_id
            .or_else(|| dataset.latest_id().map(str::to_owned)),
        dataset_id: dataset.id().to_owned(),
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
    let experiment = experiments.get(&caller.workspace, &id.to_string()).await?;
    let mut told = tell(&opik, &caller, &[experiment], Detail::Counted).await?;
    Ok(Reply(told.pop().unwrap_or_default()))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    ProjectOf(project): ProjectOf,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let all = matching(&opik, &caller, &query, project).await?;
    let named = |name: &str| query.text(name).unwrap_or_default();
    let counted = |field: &&str| named("sorting").contains(field) || named("filters").contains(field);
    if COUNTED.iter().any(counted) {
        let told = tell(&opik, &caller, &all, Detail::Counted).await?;
        return Ok(Reply(listing::page(told, &query, &FIELDS)?));
    }
    let told = tell(&opik, &caller, &all, Detail::Plain).await?;
    let mut page = listing::page(told, &query, &FIELDS)?;
    // Only what is shown is counted.
    for told in &mut page.content {
        let Some(id) = listing::text(told, "id").map(str::to_owned) else {
            continue;
        };
        let sums = sums_of(&opik, &caller.workspace, &id).await?;
        if let Some(told) = told.as_object_mut() {
            told.extend(sums.tell());
        }
    }
    Ok(Reply(page))
}

/// The experiments that the parameters of a list name.
async fn matching(
    opik: &Opik,
    caller: &Caller,
    query: &Query,
    project: Option<Uuid>,
) -> Result<Vec<Experiment>, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    let ids = |name: &str| query.id(name).map(|id| id.map(|id| id.to_string()));
    let (dataset, optimization) = (ids("datasetId")?, ids("optimization_id")?);
    let field = match (&dataset, &optimization) {
        (Some(dataset), _) => Some(("dataset_id", dataset.as_str())),
        (None, Some(optimization)) => Some(("optimization_id", optimization.as_str())),
        (None, None) => None,
    };
    let mut all = experiments.having(&caller.workspace, field).await?;
    if let Some(optimization) = optimization {
        all.retain(|experiment| experiment.optimization_id.as_ref() == Some(&optimization));
    }
    if let Some(project) = project.map(|id| id.to_string()) {
        all.retain(|experiment| experiment.project_id.as_ref() == Some(&project));
    }
    for (name, value) in [
        (
            "types",
            (|experiment| experiment.sort.as_str()) as fn(&Experiment) -> &str,
        ),
        ("experiment_ids", |experiment| experiment.id.as_str()),
    ] {
        if let Some(words) = words(query, name)? {
            all.retain(|experiment| words.iter().any(|word| word == value(experiment)));
        }
    }
    if let Some(prompt) = ids("prompt_id")? {
        let versions = crate::opik::prompts::Prompts::new(&opik.ports.records);
        let versions = versions.ids_of(&caller.workspace, &prompt).await?;
        all.retain(|experiment| experiment.prompt_versions.iter().any(|id| versions.contains(id)));
    }
    if query.flag("dataset_deleted") {
        let datasets = Datasets::new(&opik.ports.records);
        let named: Vec<String> = all
            .iter()
            .map(|experiment| experiment.dataset_id.clone())
            .collect();
        let there = datasets.get_many(&caller.workspace, &named).await?;
        all.retain(|experiment| there.iter().all(|(id, ..)| *id != experiment.dataset_id));
    }
    Ok(all)
}

/// A parameter that is a JSON list of words.
pub(super) fn words(query: &Query, name: &str) -> Result<Option<Vec<String>>, OpikError> {
    let Some(text) = query.text(name) else {
        return Ok(None);
    };
    let words = serde_json::from_str(text);
    words
        .map(Some)
        .map_err(|error| OpikError::invalid(format!("Invalid query param {name} '{text}': {error}")))
}

async fn stream(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<ExperimentStream>,
) -> Result<Response, OpikError> {
    let limit = limit(asked.limit)?;
    let named = filled(&asked.name, "name")?.to_lowercase();
    let before = asked
        .last_retrieved_id
        .as_deref()
        .map(|id| uuid(id, "last retrieved"))
        .transpose()?;
    let before = before.map(|id| id.to_string());
    let project = project_to_read(&opik, &caller, asked.project_name.as_deref()).await?;
    let mut all = Experiments::new(&opik.ports.records)
        .having(&caller.workspace, None)
        .await?;
    all.retain(|experiment| {
        experiment.name.to_lowercase().contains(&named)
            && before.as_ref().is_none_or(|before| experiment.id < *before)
            && project
                .as_ref()
                .is_none_or(|project| experiment.project_id.as_ref() == Some(project))
    });
    all.truncate(limit);
    ndjson(tell(&opik, &caller, &all, Detail::Counted).await?)
}

/// How much of a stream is asked for.
pub(super) fn limit(asked: Option<u32>) -> Result<usize, OpikError> {
    let limit = asked.unwrap_or(USUAL_STREAM);
    if !(1..=LARGEST_STREAM).contains(&limit) {
        return Err(OpikError::unprocessable(format!(
            "limit must be between 1 and {LARGEST_STREAM}"
        )));
    }
    Ok(limit as usize)
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(update): Json<ExperimentUpdate>,
) -> Result<StatusCode, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    let changed = experiments
        .update(&who(&opik, &caller), &id.to_string(), &update, None)
        .await;
    changed.map_err(entity)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn update_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<ExperimentsUpdate>,
) -> Result<StatusCode, OpikError> {
    let ids = uuids(&sent.ids, "experiment")?;
    each(&opik, &caller, &ids, &sent.update, sent.merge_tags).await
}

/// Makes a change of several experiments; those that are not there are passed over.
async fn each(
    opik: &Opik,
    caller: &Caller,
    ids: &[String],
    update: &ExperimentUpdate,
    merge_tags: Option<bool>,
) -> Result<StatusCode, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    for experiment in experiments.get_many(&caller.workspace, ids).await? {
        let who = who(opik, caller);
        let changed = experiments.update(&who, &experiment.id, update, merge_tags).await;
        changed.map_err(entity)?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn finish(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    end(&opik, &caller, &asked, "completed").await
}

async fn cancel(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    end(&opik, &caller, &asked, "cancelled").await
}

async fn end(opik: &Opik, caller: &Caller, asked: &IdList, status: &str) -> Result<StatusCode, OpikError> {
    let update = ExperimentUpdate {
        status: Some(status.to_owned()),
        ..ExperimentUpdate::default()
    };
    each(opik, caller, &ids(asked)?, &update, None).await
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    let experiments = Experiments::new(&opik.ports.records);
    for id in ids(&asked)? {
        experiments.delete(&caller.workspace, &id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn score_names(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let project = query.id("project_id")?;
    let mut names: BTreeSet<String> = BTreeSet::new();
    for experiment in matching(&opik, &caller, &query, project).await? {
        let sums = sums_of(&opik, &caller.workspace, &experiment.id).await?;
        names.extend(sums.scores().into_keys().map(str::to_owned));
    }
    let names = names
        .into_iter()
        .map(|name| json!({"name": name, "type": "feedback_scores"}));
    Ok(Reply(json!({"scores": names.collect::<Vec<_>>()})))
}
