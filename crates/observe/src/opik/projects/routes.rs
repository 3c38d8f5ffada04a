//! `/v1/private/projects`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use stead_kernel::ports::traces::Write;
use uuid::Uuid;

use super::{
    shape::{Answered, ToChange, ToCreate, ToRetrieve},
    stats,
    store::ProjectBody,
};
use crate::opik::{
    Caller, Opik,
    wire::{IdList, Json, OpikError, PageOf, Paging, Query, created, order},
};

/// By what the list can be sorted.
const SORTABLE: [&str; 6] = [
    "id",
    "name",
    "description",
    "created_at",
    "last_updated_at",
    "last_updated_trace_at",
];

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/projects", get(list).post(create))
        .route("/v1/private/projects/retrieve", post(retrieve))
        .route("/v1/private/projects/delete", post(delete_all))
        .route("/v1/private/projects/{id}", get(one).patch(change).delete(delete))
        .merge(stats::routes())
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Answered>>, OpikError> {
    let paging = Paging::of(&query, 10)?;
    let orders = order(query.text("sorting"), |field| SORTABLE.contains(&field))?;
    let mut all = opik.projects.all(&caller.workspace).await?;
    if let Some(part) = query.text("name") {
        let part = part.to_lowercase();
        all.retain(|project| project.body.name.to_lowercase().contains(&part));
    }
    for by in orders.iter().rev() {
        all.sort_by(|left, right| {
            let order = match by.field.as_str() {
                "name" => left.body.name.cmp(&right.body.name),
                "description" => left.body.description.cmp(&right.body.description),
                "last_updated_at" | "last_updated_trace_at" => left.updated.cmp(&right.updated),
                "created_at" => left.created.cmp(&right.created),
                _ => left.id.cmp(&right.id),
            };
            if by.descending { order.reverse() } else { order }
        });
    }
    let page = paging.cut(all, &SORTABLE);
    Ok(Reply(PageOf {
        content: page.content.into_iter().map(Answered::from).collect(),
        page: page.page,
        size: page.size,
        total: page.total,
        sortable_by: page.sortable_by,
    }))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<ToCreate>,
) -> Result<Response, OpikError> {
    let body = ProjectBody {
        name: checked_name(asked.name)?,
        description: asked.description,
        visibility: asked.visibility,
        created_by: caller.user.clone(),
        updated_by: caller.user,
    };
    let id = opik.projects.create(&caller.workspace, body).await?;
    Ok(created(&format!("/v1/private/projects/{id}")))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Answered>, OpikError> {
    Ok(Reply(opik.projects.get(&caller.workspace, id).await?.into()))
}

async fn retrieve(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<ToRetrieve>,
) -> Result<Reply<Value>, OpikError> {
    let found = opik.projects.find(&caller.workspace, &asked.name).await?;
    let project = found.ok_or_else(|| OpikError::not_found("Project not found"))?;
    let id = project.id;
    let mut shown = json!(Answered::from(project));
    if asked.include_stats == Some(true)
        && let Some(shown) = shown.as_object_mut()
    {
        shown.extend(stats::summary(&opik, &caller.workspace, id).await?);
    }
    Ok(Reply(shown))
}

async fn change(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<ToChange>,
) -> Result<StatusCode, OpikError> {
    let name = asked.name.map(checked_name).transpose()?;
    let change = move |body: &mut ProjectBody| {
        body.name = name.unwrap_or_else(|| std::mem::take(&mut body.name));
        body.description = asked.description.or_else(|| body.description.take());
        body.visibility = asked.visibility.or_else(|| body.visibility.take());
        body.updated_by = caller.user;
    };
    opik.projects.change(&caller.workspace, id, change).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, OpikError> {
    remove(&opik, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    for id in asked.ids {
        remove(&opik, &caller, id).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a project with all that is in it; one that is not there is passed over.
async fn remove(opik: &Opik, caller: &Caller, id: Uuid) -> Result<(), OpikError> {
    opik.projects.delete(&caller.workspace, id).await?;
    let write = Write::DeleteProject {
        workspace: caller.workspace.clone(),
        project: id,
    };
    Ok(opik.ports.traces.write(vec![write]).await?)
}

fn checked_name(name: String) -> Result<String, OpikError> {
    if name.trim().is_empty() {
        return Err(OpikError::unprocessable("name must not be blank"));
    }
    Ok(name)
}
