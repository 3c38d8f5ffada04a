//! The routes.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use http::Extensions;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, PostParams},
};
use serde_json::{Value, json};
use stead_kernel::{Error, Reason, Result, Verb};
use uuid::Uuid;

use super::shape::{self, Write};
use crate::{
    control::absent_is_fine,
    evaluation_rule::{EvaluationRule, Progresses, plan},
    opik::{
        Caller, Opik,
        desk::{entity, uuid},
        rights::rights,
        shelf::{TRIES, busy, listing, new_id},
        wire::{IdList, Json, OpikError, PageOf, Query, created, text},
    },
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 9] = [
    "id",
    "name",
    "type",
    "enabled",
    "sampling_rate",
    "project_id",
    "project_name",
    "created_at",
    "last_updated_at",
];
const RESOURCE: &str = "evaluationrules";
/// Who wrote an object through this API.
const BY: &str = "stead.dev/opik-user";
/// How many lines of a log are told, when nothing is told; and the most.
const LINES: usize = 1_000;

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    let all = "/v1/private/automations/evaluators";
    Router::new()
        .route(all, get(list).post(create))
        .route(&format!("{all}/delete"), post(delete))
        .route(&format!("{all}/{{id}}"), get(one).patch(update))
        .route(&format!("{all}/{{id}}/logs"), get(logs))
}

fn api(opik: &Opik, caller: &Caller) -> Api<EvaluationRule> {
    Api::namespaced(opik.client.clone(), &caller.workspace)
}

/// The id of a rule: that in its name where this API made it, else the object's.
fn id_of(rule: &EvaluationRule) -> String {
    let name = rule.name_any();
    let own = name.strip_prefix("opik-").filter(|id| id.parse::<Uuid>().is_ok());
    own.map(str::to_owned)
        .or_else(|| rule.uid())
        .unwrap_or(name.clone())
}

async fn rules(opik: &Opik, caller: &Caller) -> Result<Vec<EvaluationRule>> {
    let mut all = api(opik, caller).list(&ListParams::default()).await?.items;
    all.retain(|rule| shape::tell(&rule.spec).is_some());
    all.sort_by_key(|rule| std::cmp::Reverse(rule.metadata.creation_timestamp.as_ref().map(|time| time.0)));
    Ok(all)
}

async fn need(opik: &Opik, caller: &Caller, id: Uuid) -> Result<EvaluationRule> {
    let id = id.to_string();
    let found = rules(opik, caller)
        .await?
        .into_iter()
        .find(|rule| id_of(rule) == id);
    found.ok_or_else(|| Error::not_found("Automation rule evaluator not found"))
}

async fn tell(opik: &Opik, caller: &Caller, rule: &EvaluationRule) -> Result<Value> {
    let mut projects = Vec::new();
    for named in &rule.spec.opik_projects {
        let found = match named.parse() {
            Ok(id) => opik.projects.get(&caller.workspace, id).await.ok(),
            Err(_) => opik.projects.find(&caller.workspace, named).await?,
        };
        projects.extend(
            found.map(|project| json!({"project_id": project.id, "project_name": project.body.name})),
        );
    }
    let first = projects.first().cloned().unwrap_or_default();
    let made = rule.metadata.creation_timestamp.as_ref().map(|time| text(time.0));
    let by = rule.annotations().get(BY).cloned();
    let mut told = shape::tell(&rule.spec).unwrap_or_default();
    let more = json!({
        "id": id_of(rule),
        "name": rule.spec.title.clone().unwrap_or_else(|| rule.name_any()),
        "project_id": first.get("project_id"),
        "project_name": first.get("project_name"),
        "projects": projects,
        "created_at": made,
        "created_by": by,
        "last_updated_at": made,
        "last_updated_by": by,
    });
    if let Value::Object(more) = more {
        told.extend(more);
    }
    Ok(Value::Object(told))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let mut told = Vec::new();
    for rule in rules(&opik, &caller).await? {
        told.push(tell(&opik, &caller, &rule).await?);
    }
    if let Some(project) = query.id("project_id")?.map(|id| id.to_string()) {
        let is_of = |told: &Value| {
            let projects = told.get("projects").and_then(Value::as_array);
            projects.is_some_and(|projects| {
                projects
                    .iter()
                    .any(|one| one.get("project_id").is_some_and(|id| *id == project.as_str()))
            })
        };
        told.retain(is_of);
    }
    if let Some(part) = query.text("id") {
        told.retain(|told| listing::text(told, "id").is_some_and(|id| id.contains(part)));
    }
    Ok(Reply(listing::page(told, &query, &FIELDS)?))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let rule = need(&opik, &caller, id).await?;
    Ok(Reply(tell(&opik, &caller, &rule).await?))
}

/// The ids of the Opik projects that a request names, each of which is there.
async fn projects(opik: &Opik, caller: &Caller, write: &Write) -> Result<Vec<String>, OpikError> {
    let mut found = Vec::new();
    for id in write.project_ids.iter().flatten().chain(&write.project_id) {
        let id = opik
            .projects
            .get(&caller.workspace, uuid(id, "project")?)
            .await?
            .id
            .to_string();
        if !found.contains(&id) {
            found.push(id);
        }
    }
    Ok(found)
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    extensions: Extensions,
    Json(write): Json<Write>,
) -> Result<Response, OpikError> {
    let key = rights(&opik, &caller, &extensions, Verb::Create, RESOURCE)?;
    let projects = projects(&opik, &caller, &write).await?;
    let mut spec = shape::spec(write, projects, None).map_err(entity)?;
    spec.key = key;
    plan::check(&spec).map_err(entity)?;
    let id = new_id();
    let object = EvaluationRule {
        metadata: ObjectMeta {
            name: Some(format!("opik-{id}")),
            annotations: Some([(BY.to_owned(), caller.user.clone())].into()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    };
    api(&opik, &caller)
        .create(&PostParams::default(), &object)
        .await
        .map_err(Error::from)?;
    Ok(created(&format!("/v1/private/automations/evaluators/{id}")))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    extensions: Extensions,
    Json(write): Json<Write>,
) -> Result<StatusCode, OpikError> {
    let key = rights(&opik, &caller, &extensions, Verb::Update, RESOURCE)?;
    for _ in 0..TRIES {
        let mut rule = need(&opik, &caller, id).await?;
        let mut chosen = projects(&opik, &caller, &write).await?;
        if write.project_ids.is_none() && write.project_id.is_none() {
            chosen.clone_from(&rule.spec.opik_projects);
        }
        let mut spec = shape::spec(write.clone(), chosen, Some(&rule.spec)).map_err(entity)?;
        if key.is_some() {
            spec.key.clone_from(&key);
        }
        plan::check(&spec).map_err(entity)?;
        rule.spec = spec;
        let name = rule.name_any();
        match api(&opik, &caller)
            .replace(&name, &PostParams::default(), &rule)
            .await
            .map_err(Error::from)
        {
            Err(error) if error.reason() == Reason::Conflict => {}
            result => return Ok(result.map(|_| StatusCode::NO_CONTENT)?),
        }
    }
    Err(busy().into())
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    extensions: Extensions,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    rights(&opik, &caller, &extensions, Verb::Delete, RESOURCE)?;
    let all = rules(&opik, &caller).await?;
    for id in asked.ids {
        let id = id.to_string();
        let Some(rule) = all.iter().find(|rule| id_of(rule) == id) else {
            continue;
        };
        let removed = api(&opik, &caller)
            .delete(&rule.name_any(), &DeleteParams::default())
            .await;
        absent_is_fine(removed.map(drop).map_err(Error::from))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

async fn logs(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let rule = need(&opik, &caller, id).await?;
    let size = query.number("size")?.unwrap_or(LINES).clamp(1, LINES);
    let uid = rule.uid().unwrap_or_else(|| rule.name_any());
    let lines = Progresses::new(&opik.ports.records)
        .logs(&caller.workspace, &uid, size)
        .await?;
    let content: Vec<Value> = lines
        .iter()
        .map(|line| {
            json!({"timestamp": text(line.time), "rule_id": id, "level": line.level, "message": line.message, "markers": line.about})
        })
        .collect();
    let total = content.len();
    Ok(Reply(
        json!({"content": content, "page": 1, "size": total, "total": total}),
    ))
}
