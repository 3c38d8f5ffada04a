//! `/v1/private/prompts/…/versions`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    routing::{get, patch, post},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    Prompts,
    shape::{EnvironmentUpdate, PromptWrite, Retrieve, Version, VersionCreate, VersionWrite, VersionsUpdate},
    store::Pick,
};
use crate::opik::{
    Caller, Opik,
    desk::{entity, filled, project_to_read, project_to_write, uuid, uuids, who},
    environments,
    shelf::listing,
    wire::{IdList, Json, OpikError, PageOf, Query},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 9] = [
    "id",
    "commit",
    "version_number",
    "template",
    "metadata",
    "change_description",
    "tags",
    "created_at",
    "created_by",
];

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    let versions = "/v1/private/prompts/versions";
    Router::new()
        .route(versions, post(create).patch(update))
        .route(&format!("{versions}/retrieve"), post(retrieve))
        .route(&format!("{versions}/retrieve-by-ids"), post(by_ids))
        .route(&format!("{versions}/{{id}}"), get(one))
        .route(&format!("{versions}/{{id}}/environments"), patch(place))
        .route("/v1/private/prompts/{id}/versions", get(list))
        .route(
            "/v1/private/prompts/{id}/versions/by-number/{number}",
            get(by_number),
        )
        .route(
            "/v1/private/prompts/{id}/versions/{version}/restore",
            post(restore),
        )
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(mut sent): Json<VersionCreate>,
) -> Result<Reply<Value>, OpikError> {
    filled(&sent.name, "name")?;
    filled(&sent.version.template, "template")?;
    if let Some(id) = &sent.version.id {
        sent.version.id = Some(uuid(id, "prompt version")?.to_string());
    }
    let named = sent
        .version
        .environment
        .iter()
        .chain(sent.version.environments.iter().flatten());
    let named: Vec<String> = named.cloned().collect();
    environments::check(&opik, &caller, &named).await?;
    let (name, id) = (sent.project_name.as_deref(), sent.project_id.as_deref());
    let prompt = PromptWrite {
        project_id: project_to_write(&opik, &caller, name, id).await?,
        name: sent.name,
        template_structure: sent.template_structure,
        ..PromptWrite::default()
    };
    let prompts = Prompts::new(&opik.ports.records);
    let made = prompts
        .add_named(&who(&opik, &caller), &prompt, &sent.version)
        .await;
    Ok(Reply(made.map_err(entity)?.tell()))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<VersionsUpdate>,
) -> Result<StatusCode, OpikError> {
    let ids = uuids(&sent.ids, "prompt version")?;
    let Some(tags) = sent.update.tags else {
        return Ok(StatusCode::NO_CONTENT);
    };
    let merge = sent.merge_tags == Some(true);
    let prompts = Prompts::new(&opik.ports.records);
    let found = prompts.versions_by_id(&caller.workspace, &ids).await?;
    for version in found {
        let change = |own: &mut Vec<String>| {
            if !merge {
                own.clear();
            }
            for tag in &tags {
                if !own.contains(tag) {
                    own.push(tag.clone());
                }
            }
        };
        prompts.label(&caller.workspace, &version.id, change).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn retrieve(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Retrieve>,
) -> Result<Reply<Value>, OpikError> {
    let name = filled(&asked.name, "name")?;
    let pick = picked(&asked)?;
    let prompts = Prompts::new(&opik.ports.records);
    let project = project_to_read(&opik, &caller, asked.project_name.as_deref()).await?;
    let prompt = prompts.find(&caller.workspace, project.as_deref(), name).await?;
    let prompt = prompt.ok_or_else(|| prompts.missing())?;
    let version = prompts.pick(&caller.workspace, &prompt, pick).await?;
    Ok(Reply(version.ok_or_else(missing)?.tell()))
}

fn missing() -> OpikError {
    OpikError::not_found("Prompt version not found")
}

/// Which version is asked for; by one way at most.
fn picked(asked: &Retrieve) -> Result<Pick<'_>, OpikError> {
    let filled = |text: &'_ Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    let ways = [&asked.commit, &asked.environment, &asked.version_number];
    if ways.into_iter().filter(|way| filled(way)).count() > 1 {
        return Err(OpikError::invalid(
            "commit, environment and version_number are mutually exclusive",
        ));
    }
    match (&asked.commit, &asked.environment, &asked.version_number) {
        (Some(commit), ..) if !commit.is_empty() => Ok(Pick::Commit(commit)),
        (_, Some(environment), _) if !environment.is_empty() => Ok(Pick::Environment(environment)),
        (.., Some(number)) if !number.is_empty() => Ok(Pick::Number(number_of(number)?)),
        _ => Ok(Pick::Latest),
    }
}

/// The number in `v3`.
fn number_of(name: &str) -> Result<u64, OpikError> {
    let number = name.strip_prefix('v').and_then(|number| number.parse().ok());
    number.ok_or_else(|| {
        OpikError::invalid(format!(
            "{name:?} is no version number; it has the form v<number>"
        ))
    })
}

async fn by_ids(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<Reply<Vec<Value>>, OpikError> {
    let ids: Vec<String> = asked.ids.iter().map(Uuid::to_string).collect();
    let ids = uuids(&ids, "prompt version")?;
    let prompts = Prompts::new(&opik.ports.records);
    let found = prompts.versions_by_id(&caller.workspace, &ids).await?;
    Ok(Reply(found.iter().map(Version::tell).collect()))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let prompts = Prompts::new(&opik.ports.records);
    Ok(Reply(
        prompts.version(&caller.workspace, &id.to_string()).await?.tell(),
    ))
}

async fn place(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(update): Json<EnvironmentUpdate>,
) -> Result<StatusCode, OpikError> {
    let named = update
        .environments
        .unwrap_or_else(|| update.environment.into_iter().collect());
    environments::check(&opik, &caller, &named).await?;
    let prompts = Prompts::new(&opik.ports.records);
    prompts
        .place(&who(&opik, &caller), &id.to_string(), &named)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let prompts = Prompts::new(&opik.ports.records);
    let prompt = prompts.get(&caller.workspace, &id.to_string()).await?;
    let mut all = prompts.versions(&caller.workspace, &prompt.id).await?;
    if let Some(text) = query.text("search").map(str::to_lowercase) {
        let found = |words: &str| words.to_lowercase().contains(&text);
        all.retain(|version| {
            found(&version.template) || version.change_description.as_deref().is_some_and(found)
        });
    }
    let told = all.iter().map(Version::tell).collect();
    Ok(Reply(listing::page(told, &query, &FIELDS)?))
}

async fn by_number(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, number)): Path<(Uuid, String)>,
) -> Result<Reply<Value>, OpikError> {
    let prompts = Prompts::new(&opik.ports.records);
    let prompt = prompts.get(&caller.workspace, &id.to_string()).await?;
    let pick = Pick::Number(number_of(&number)?);
    let version = prompts.pick(&caller.workspace, &prompt, pick).await?;
    Ok(Reply(version.ok_or_else(missing)?.tell()))
}

async fn restore(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, version)): Path<(Uuid, Uuid)>,
) -> Result<Reply<Value>, OpikError> {
    let prompts = Prompts::new(&opik.ports.records);
    let old = prompts.version(&caller.workspace, &version.to_string()).await?;
    if old.prompt_id != id.to_string() {
        return Err(missing());
    }
    let write = VersionWrite {
        change_description: Some(format!("Restored from version {}", old.commit)),
        template: old.template,
        metadata: old.metadata,
        syntax: Some(old.syntax),
        tags: Some(old.tags),
        ..VersionWrite::default()
    };
    let made = prompts.add(&who(&opik, &caller), &old.prompt_id, &write).await?;
    Ok(Reply(made.tell()))
}
