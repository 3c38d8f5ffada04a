//! `/v1/private/prompts`: prompts themselves.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    Prompts,
    shape::{Commits, Prompt, PromptUpdate, PromptWrite, Version, VersionWrite},
    store::Pick,
};
use crate::opik::{
    Caller, Opik,
    desk::{ProjectOf, checked_batch, entity, filled, project_to_write, uuid, who},
    shelf::listing,
    wire::{IdList, Json, OpikError, PageOf, Query, created},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 10] = [
    "id",
    "name",
    "description",
    "template_structure",
    "tags",
    "created_at",
    "last_updated_at",
    "created_by",
    "last_updated_by",
    "version_count",
];

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/prompts", get(list).post(create))
        .route("/v1/private/prompts/delete", post(delete_all))
        .route("/v1/private/prompts/by-commit/{commit}", get(by_commit))
        .route("/v1/private/prompts/retrieve-by-commits", post(by_commits))
        .route("/v1/private/prompts/{id}", get(one).put(update).delete(delete))
        .route("/v1/private/projects/{id}/prompts", get(list))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    ProjectOf(project): ProjectOf,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let mut all = Prompts::new(&opik.ports.records).all(&caller.workspace).await?;
    if let Some(project) = project.map(|id| id.to_string()) {
        all.retain(|prompt| prompt.project_id.as_ref() == Some(&project));
    }
    let told = all.iter().map(Prompt::tell).collect();
    Ok(Reply(listing::page(told, &query, &FIELDS)?))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(mut write): Json<PromptWrite>,
) -> Result<Response, OpikError> {
    filled(&write.name, "name")?;
    if let Some(id) = &write.id {
        write.id = Some(uuid(id, "prompt")?.to_string());
    }
    let (name, id) = (write.project_name.as_deref(), write.project_id.as_deref());
    write.project_id = project_to_write(&opik, &caller, name, id).await?;
    let first = write.template.clone().map(|template| VersionWrite {
        template,
        metadata: write.metadata.clone(),
        syntax: write.syntax.clone(),
        change_description: write.change_description.clone(),
        ..VersionWrite::default()
    });
    let prompts = Prompts::new(&opik.ports.records);
    let made = prompts.create(&who(&opik, &caller), &write, first).await;
    let (prompt, _) = made.map_err(entity)?;
    Ok(created(&format!("/v1/private/prompts/{}", prompt.id)))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let prompts = Prompts::new(&opik.ports.records);
    let prompt = prompts.get(&caller.workspace, &id.to_string()).await?;
    let requested = match (query.id("mask_id")?, query.text("environment")) {
        (Some(_), Some(_)) => {
            return Err(OpikError::invalid(
                "mask_id and environment are mutually exclusive",
            ));
        }
        (Some(mask), None) => {
            let version = prompts.version(&caller.workspace, &mask.to_string()).await?;
            Some(version).filter(|version| version.prompt_id == prompt.id)
        }
        (None, Some(name)) => {
            prompts
                .pick(&caller.workspace, &prompt, Pick::Environment(name))
                .await?
        }
        (None, None) => return Ok(Reply(detail(&prompts, &caller, &prompt, None).await?)),
    };
    let requested = requested.ok_or_else(|| OpikError::not_found("Prompt version not found"))?;
    Ok(Reply(detail(&prompts, &caller, &prompt, Some(&requested)).await?))
}

/// A prompt as `Prompt_Detail`.
async fn detail(
    prompts: &Prompts,
    caller: &Caller,
    prompt: &Prompt,
    requested: Option<&Version>,
) -> Result<Value, OpikError> {
    let latest = prompts.pick(&caller.workspace, prompt, Pick::Latest).await?;
    let mut told = prompt.tell();
    if let Some(told) = told.as_object_mut() {
        told.insert(
            "latest_version".to_owned(),
            json!(latest.as_ref().map(Version::tell)),
        );
        told.extend(requested.map(|version| ("requested_version".to_owned(), version.tell())));
    }
    Ok(told)
}

async fn by_commit(
    caller: Caller,
    State(opik): State<Opik>,
    Path(commit): Path<String>,
) -> Result<Reply<Value>, OpikError> {
    let prompts = Prompts::new(&opik.ports.records);
    let found = prompts.having_commit(&caller.workspace, &commit).await?;
    let version = found
        .first()
        .ok_or_else(|| OpikError::not_found("Prompt version not found"))?;
    let prompt = prompts.get(&caller.workspace, &version.prompt_id).await?;
    Ok(Reply(detail(&prompts, &caller, &prompt, Some(version)).await?))
}

async fn by_commits(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Commits>,
) -> Result<Reply<Vec<Value>>, OpikError> {
    checked_batch(asked.commits.len(), "commits")?;
    let prompts = Prompts::new(&opik.ports.records);
    let mut links = Vec::new();
    for commit in &asked.commits {
        for version in prompts.having_commit(&caller.workspace, commit).await? {
            let prompt = prompts.get(&caller.workspace, &version.prompt_id).await?;
            links.push(json!({
                "prompt_version_id": version.id,
                "commit": version.commit,
                "prompt_id": prompt.id,
                "prompt_name": prompt.name,
            }));
        }
    }
    Ok(Reply(links))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(update): Json<PromptUpdate>,
) -> Result<StatusCode, OpikError> {
    filled(&update.name, "name")?;
    let prompts = Prompts::new(&opik.ports.records);
    let changed = prompts
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
    let prompts = Prompts::new(&opik.ports.records);
    prompts.delete(&caller.workspace, &id.to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    checked_batch(asked.ids.len(), "ids")?;
    let prompts = Prompts::new(&opik.ports.records);
    for id in asked.ids {
        prompts.delete(&caller.workspace, &id.to_string()).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}
