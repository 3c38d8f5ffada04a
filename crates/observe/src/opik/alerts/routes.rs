//! The routes.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use http::Extensions;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, ResourceExt,
    api::{DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use stead_kernel::{Error, Reason, Result, Verb};
use uuid::Uuid;

use super::shape::Alert;
use crate::{
    alert_rule::{AlertRule, plan, send_test, usual_key},
    control::{MANAGER, absent_is_fine},
    opik::{
        Caller, Opik,
        desk::entity,
        rights::rights,
        shelf::{TRIES, busy, listing},
        wire::{IdList, Json, OpikError, PageOf, Query, created, text},
    },
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 6] = [
    "id",
    "name",
    "enabled",
    "alert_type",
    "created_at",
    "last_updated_at",
];
const RESOURCE: &str = "alertrules";
/// What was sent, without secrets, so that it can be told again.
const SENT: &str = "stead.dev/opik-alert";
/// Who sent it.
const BY: &str = "stead.dev/opik-user";

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    let all = "/v1/private/alerts";
    Router::new()
        .route(all, get(list).post(create))
        .route(&format!("{all}/delete"), post(delete))
        .route(&format!("{all}/webhooks/tests"), post(test))
        .route(&format!("{all}/{{id}}"), get(one).put(update))
}

fn api(opik: &Opik, caller: &Caller) -> Api<AlertRule> {
    Api::namespaced(opik.client.clone(), &caller.workspace)
}

fn name_of(id: Uuid) -> String {
    format!("opik-{id}")
}

fn secret_name(id: Uuid) -> String {
    format!("opik-alert-{id}")
}

/// A rule as it is told; `None` for those that this API did not make.
fn tell(rule: &AlertRule) -> Option<Value> {
    let alert: Alert = serde_json::from_str(rule.annotations().get(SENT)?).ok()?;
    let mut told = alert.tell();
    let made = rule.metadata.creation_timestamp.as_ref().map(|time| text(time.0));
    let by = rule.annotations().get(BY);
    let told_fields = told.as_object_mut()?;
    told_fields.insert("enabled".into(), (!rule.spec.disabled).into());
    for (name, value) in [
        ("created_at", json!(made)),
        ("created_by", json!(by)),
        ("last_updated_at", json!(made)),
        ("last_updated_by", json!(by)),
    ] {
        told_fields.insert(name.into(), value);
    }
    Some(told)
}

async fn need(opik: &Opik, caller: &Caller, id: Uuid) -> Result<AlertRule> {
    let found = api(opik, caller).get_opt(&name_of(id)).await?;
    found
        .filter(|rule| tell(rule).is_some())
        .ok_or_else(|| Error::not_found("Alert not found"))
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let found = api(&opik, &caller)
        .list(&ListParams::default())
        .await
        .map_err(Error::from)?;
    let mut all: Vec<Value> = found.items.iter().filter_map(tell).collect();
    all.reverse();
    Ok(Reply(listing::page(all, &query, &FIELDS)?))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let rule = need(&opik, &caller, id).await?;
    Ok(Reply(tell(&rule).unwrap_or_default()))
}

/// The object of an alert; its secret, where it is told, is stored beside it first.
async fn object(
    opik: &Opik,
    caller: &Caller,
    id: Uuid,
    alert: Alert,
    has_secret: bool,
) -> Result<AlertRule, OpikError> {
    let alert = alert.numbered(id);
    let token = alert
        .webhook
        .secret_token
        .clone()
        .filter(|token| !token.is_empty());
    let keeps = token.is_some() || has_secret;
    let spec = alert.spec(keeps.then(|| secret_name(id))).map_err(entity)?;
    plan::check(&spec).map_err(entity)?;
    for named in &spec.opik_projects {
        if let Ok(project) = named.parse() {
            opik.projects.get(&caller.workspace, project).await?;
        }
    }
    if let Some(token) = token {
        store_secret(opik, caller, id, &token).await?;
    }
    let sent =
        serde_json::to_string(&alert).map_err(|error| Error::internal("an alert is JSON").because(error))?;
    Ok(AlertRule {
        metadata: ObjectMeta {
            name: Some(name_of(id)),
            annotations: Some([(SENT.to_owned(), sent), (BY.to_owned(), caller.user.clone())].into()),
            ..ObjectMeta::default()
        },
        spec,
        status: None,
    })
}

async fn store_secret(opik: &Opik, caller: &Caller, id: Uuid, token: &str) -> Result<()> {
    let secrets: Api<Secret> = Api::namespaced(opik.client.clone(), &caller.workspace);
    let name = secret_name(id);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name},
        "stringData": {usual_key(): token}});
    secrets
        .patch(&name, &PatchParams::apply(MANAGER).force(), &Patch::Apply(secret))
        .await?;
    Ok(())
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    extensions: Extensions,
    Json(alert): Json<Alert>,
) -> Result<Response, OpikError> {
    rights(&opik, &caller, &extensions, Verb::Create, RESOURCE)?;
    let id = alert.id.unwrap_or_else(Uuid::now_v7);
    if api(&opik, &caller)
        .get_opt(&name_of(id))
        .await
        .map_err(Error::from)?
        .is_some()
    {
        return Err(Error::conflict("Alert already exists").into());
    }
    let object = object(&opik, &caller, id, alert, false).await?;
    api(&opik, &caller)
        .create(&PostParams::default(), &object)
        .await
        .map_err(Error::from)?;
    Ok(created(&format!("/v1/private/alerts/{id}")))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    extensions: Extensions,
    Json(alert): Json<Alert>,
) -> Result<StatusCode, OpikError> {
    rights(&opik, &caller, &extensions, Verb::Update, RESOURCE)?;
    for _ in 0..TRIES {
        let old = need(&opik, &caller, id).await?;
        let has_secret = old.spec.webhook.secret_ref.is_some();
        // Another address gets no secret that was meant for this one.
        let same = old.spec.webhook.url == alert.webhook.url;
        let mut new = object(&opik, &caller, id, alert.clone(), has_secret && same).await?;
        new.metadata.resource_version = old.metadata.resource_version;
        match api(&opik, &caller)
            .replace(&name_of(id), &PostParams::default(), &new)
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
    let secrets: Api<Secret> = Api::namespaced(opik.client.clone(), &caller.workspace);
    for id in asked.ids {
        let removed = api(&opik, &caller)
            .delete(&name_of(id), &DeleteParams::default())
            .await;
        absent_is_fine(removed.map(drop).map_err(Error::from))?;
        let removed = secrets.delete(&secret_name(id), &DeleteParams::default()).await;
        absent_is_fine(removed.map(drop).map_err(Error::from))?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Sends a test to the webhook of an alert that need not be there. It is not signed: its secret is stored nowhere.
async fn test(
    caller: Caller,
    State(opik): State<Opik>,
    extensions: Extensions,
    Json(alert): Json<Alert>,
) -> Result<Reply<Value>, OpikError> {
    rights(&opik, &caller, &extensions, Verb::Create, RESOURCE)?;
    let name = alert.name.clone().unwrap_or_default();
    let stored = match alert.id {
        Some(id) => api(&opik, &caller)
            .get_opt(&name_of(id))
            .await
            .map_err(Error::from)?,
        None => None,
    };
    let secret = stored
        .filter(|rule| rule.spec.webhook.url == alert.webhook.url)
        .and(alert.id)
        .map(secret_name);
    let spec = alert.spec(secret).map_err(entity)?;
    plan::check(&spec).map_err(entity)?;
    let sent = send_test(&opik, &caller.workspace, &name, &spec).await;
    Ok(Reply(json!({
        "status": if sent.error.is_none() { "success" } else { "failure" },
        "status_code": sent.status,
        "request_body": sent.body,
        "error_message": sent.error,
    })))
}
