//! What is told of traces and spans, and each of them.

use std::collections::HashMap;

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use serde_json::Value;
use stead_kernel::ports::traces::{Kind, Put, TagChange, Write};
use uuid::Uuid;

use super::{
    search::list,
    shown::{Part, Shown},
    told::{Batch, Changes, Told},
};
use crate::opik::{
    Caller, Opik,
    desk::checked_batch,
    wire::{IdList, Json, OpikError, Query, created},
};

/// The routes of one kind.
pub(super) fn routes(kind: Kind, base: &'static str) -> Router<Opik> {
    Router::new()
        .route(
            base,
            get(move |caller: Caller, state: State<Opik>, query: Query| list(kind, caller, state, query))
                .post(move |caller: Caller, state: State<Opik>, body: Json<Told>| {
                    create(kind, base, caller, state, body)
                }),
        )
        .route(
            &format!("{base}/batch"),
            post(move |caller: Caller, state: State<Opik>, body: Json<Batch>| {
                create_all(kind, caller, state, body)
            })
            .patch(move |caller: Caller, state: State<Opik>, body: Json<Changes>| {
                change_all(kind, caller, state, body)
            }),
        )
        .route(
            &format!("{base}/delete"),
            post(move |caller: Caller, state: State<Opik>, body: Json<IdList>| {
                delete_all(kind, caller, state, body)
            }),
        )
        .route(
            &format!("{base}/{{id}}"),
            get(move |caller: Caller, state: State<Opik>, id: Path<Uuid>| one(kind, caller, state, id))
                .patch(
                    move |caller: Caller, state: State<Opik>, id: Path<Uuid>, body: Json<Told>| {
                        change(kind, caller, state, id, body)
                    },
                )
                .delete(move |caller: Caller, state: State<Opik>, id: Path<Uuid>| {
                    delete(kind, caller, state, id)
                }),
        )
}

async fn create(
    kind: Kind,
    base: &str,
    caller: Caller,
    State(opik): State<Opik>,
    Json(told): Json<Told>,
) -> Result<Response, OpikError> {
    let project = opik
        .projects
        .to_write(&caller, told.project_name.as_deref(), told.project_id)
        .await?;
    let put = told.report(kind, project, &caller, opik.ports.clock.now())?;
    let id = put.id;
    opik.ports.traces.write(vec![Write::Put(Box::new(put))]).await?;
    Ok(created(&format!("{base}/{id}")))
}

async fn create_all(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Json(batch): Json<Batch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(batch.items.len(), &format!("{}s", kind.as_str()))?;
    let now = opik.ports.clock.now();
    let mut projects: HashMap<Option<String>, Uuid> = HashMap::new();
    let mut writes = Vec::with_capacity(batch.items.len());
    for told in batch.items {
        let project = if let Some(project) = projects.get(&told.project_name) {
            *project
        } else {
            let project = opik
                .projects
                .to_write(&caller, told.project_name.as_deref(), None)
                .await?;
            projects.insert(told.project_name.clone(), project);
            project
        };
        writes.push(Write::Put(Box::new(told.report(kind, project, &caller, now)?)));
    }
    opik.ports.traces.write(writes).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The project of a change: the one that the entry is in, unless the change names one; a change may come before what
/// it changes.
async fn project_of(
    kind: Kind,
    opik: &Opik,
    caller: &Caller,
    told: &Told,
    id: Uuid,
) -> Result<Uuid, OpikError> {
    if told.project_name.is_none() && told.project_id.is_none() {
        let known = opik.ports.traces.entry(kind, &caller.workspace, id).await?;
        if let Some(entry) = known {
            return Ok(entry.project);
        }
    }
    Ok(opik
        .projects
        .to_write(caller, told.project_name.as_deref(), told.project_id)
        .await?)
}

async fn change(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(told): Json<Told>,
) -> Result<StatusCode, OpikError> {
    let project = project_of(kind, &opik, &caller, &told, id).await?;
    let put = told.change(kind, (project, id), &caller, opik.ports.clock.now())?;
    opik.ports.traces.write(vec![Write::Put(Box::new(put))]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn change_all(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Json(changes): Json<Changes>,
) -> Result<StatusCode, OpikError> {
    checked_batch(changes.ids.len(), "ids")?;
    let now = opik.ports.clock.now();
    let first = changes.ids.first().copied().unwrap_or_default();
    let named = changes.update.project_name.is_some() || changes.update.project_id.is_some();
    let project = project_of(kind, &opik, &caller, &changes.update, first).await?;
    let change = changes.update.change(kind, (project, first), &caller, now)?;
    let mut writes = Vec::with_capacity(changes.ids.len());
    for id in changes.ids {
        let mut put = Put { id, ..change.clone() };
        if !named && let Some(known) = opik.ports.traces.entry(kind, &caller.workspace, id).await? {
            put.project = known.project;
        }
        // Many spans are of many traces.
        put.fields.trace_id = None;
        if changes.merge_tags == Some(true) {
            let add = put.fields.tags.take().unwrap_or_default();
            put.tags = TagChange {
                add: [put.tags.add, add].concat(),
                ..put.tags
            };
        }
        writes.push(Write::Put(Box::new(put)));
    }
    opik.ports.traces.write(writes).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn one(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let found = opik.ports.traces.entry(kind, &caller.workspace, id).await?;
    let what = if kind == Kind::Trace { "Trace" } else { "Span" };
    let entry = found.ok_or_else(|| OpikError::not_found(format!("{what} id: {id} not found")))?;
    let shown = serde_json::to_value(Shown {
        entry: &entry,
        part: &Part::default(),
    });
    Ok(Reply(shown.map_err(|error| {
        stead_kernel::Error::internal("an entry could not be written").because(error)
    })?))
}

async fn delete(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, OpikError> {
    remove(kind, &opik, caller, vec![id]).await
}

async fn delete_all(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    checked_batch(asked.ids.len(), "ids")?;
    remove(kind, &opik, caller, asked.ids).await
}

async fn remove(kind: Kind, opik: &Opik, caller: Caller, ids: Vec<Uuid>) -> Result<StatusCode, OpikError> {
    crate::opik::attachments::forget(opik, &caller, &ids).await?;
    let write = Write::Delete {
        kind,
        workspace: caller.workspace,
        ids,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}
