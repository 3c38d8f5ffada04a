//! `/v1/private/annotation-queues`.

use std::collections::BTreeMap;

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post, put},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    locks::Claimed,
    shape::{Batch, Queue, Write},
    store::Queues,
};
use crate::opik::{
    Caller, Opik,
    datasets::merge,
    desk::{checked_batch, entity, ids, uuid, who},
    shelf::{Stamps, listing, new_id},
    wire::{IdList, Json, OpikError, PageOf, Query, created},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 11] = [
    "id",
    "project_id",
    "name",
    "description",
    "instructions",
    "scope",
    "feedback_definition_names",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
];
/// For how long someone has an item to themselves when nothing is told, in seconds.
const LOCK: u32 = 300;

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    let all = "/v1/private/annotation-queues";
    Router::new()
        .route(all, get(list).post(create))
        .route(&format!("{all}/batch"), post(create_all))
        .route(&format!("{all}/delete"), post(delete))
        .route(&format!("{all}/{{id}}"), get(one).patch(update))
        .route(&format!("{all}/{{id}}/items/add"), post(add))
        .route(&format!("{all}/{{id}}/items/delete"), post(remove))
        .route(&format!("{all}/{{id}}/items/{{item}}/lock"), put(lock))
        .route(&format!("{all}/{{id}}/locks"), get(locks))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(write): Json<Write>,
) -> Result<Response, OpikError> {
    let made = made(&opik, &caller, &write).await?;
    let path = format!("/v1/private/annotation-queues/{}", made.id);
    Queues::new(&opik.ports.records)
        .create(&caller.workspace, &[made])
        .await?;
    Ok(created(&path))
}

async fn create_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(sent): Json<Batch>,
) -> Result<StatusCode, OpikError> {
    checked_batch(sent.annotation_queues.len(), "annotation_queues")?;
    let mut all = Vec::with_capacity(sent.annotation_queues.len());
    for write in &sent.annotation_queues {
        all.push(made(&opik, &caller, write).await?);
    }
    Queues::new(&opik.ports.records)
        .create(&caller.workspace, &all)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn made(opik: &Opik, caller: &Caller, write: &Write) -> Result<Queue, OpikError> {
    let project = uuid(write.project_id.as_deref().unwrap_or_default(), "project")?;
    let project = opik.projects.get(&caller.workspace, project).await?;
    let id = write
        .id
        .as_deref()
        .map(|id| uuid(id, "annotation queue"))
        .transpose()?;
    let mut made = Queue {
        id: id.map_or_else(new_id, |id| id.to_string()),
        project_id: project.id.to_string(),
        name: String::new(),
        description: None,
        instructions: None,
        scope: write.scope.clone().unwrap_or_default(),
        comments_enabled: false,
        feedback_definition_names: Vec::new(),
        annotators_per_item: 1,
        lock_timeout_seconds: LOCK,
        stamps: Stamps::new(&who(opik, caller)),
    };
    made.apply(write).map_err(entity)?;
    Ok(made)
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let all = Queues::new(&opik.ports.records).all(&caller.workspace).await?;
    let told = all
        .iter()
        .map(|queue| serde_json::to_value(queue).unwrap_or_default());
    let mut page = listing::page(told.collect(), &query, &FIELDS)?;
    for told in &mut page.content {
        let id = listing::text(told, "id");
        if let Some(queue) = all.iter().find(|queue| Some(queue.id.as_str()) == id) {
            *told = tell(&opik, &caller, queue).await?;
        }
    }
    Ok(Reply(page))
}

/// A queue as `AnnotationQueue_Public`.
async fn tell(opik: &Opik, caller: &Caller, queue: &Queue) -> Result<Value, OpikError> {
    let count = Queues::new(&opik.ports.records)
        .count(&caller.workspace, &queue.id)
        .await?;
    let mut name = None;
    if let Ok(project) = queue.project_id.parse() {
        // A project can be gone.
        let project = opik.projects.get(&caller.workspace, project).await;
        name = project.ok().map(|project| project.body.name);
    }
    let mut told = json!({
        "id": queue.id,
        "project_id": queue.project_id,
        "project_name": name,
        "name": queue.name,
        "description": queue.description,
        "instructions": queue.instructions,
        "scope": queue.scope,
        "comments_enabled": queue.comments_enabled,
        "feedback_definition_names": queue.feedback_definition_names,
        "annotators_per_item": queue.annotators_per_item,
        "lock_timeout_seconds": queue.lock_timeout_seconds,
        "items_count": count,
    });
    merge(&mut told, &queue.stamps)?;
    Ok(told)
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let queues = Queues::new(&opik.ports.records);
    let queue = queues.get(&caller.workspace, &id.to_string()).await?;
    Ok(Reply(tell(&opik, &caller, &queue).await?))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(write): Json<Write>,
) -> Result<StatusCode, OpikError> {
    let who = who(&opik, &caller);
    let change = |queue: &mut Queue| {
        queue.stamps.touch(&who);
        queue.apply(&write)
    };
    let queues = Queues::new(&opik.ports.records);
    queues
        .change(&caller.workspace, &id.to_string(), change)
        .await
        .map_err(entity)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    Queues::new(&opik.ports.records)
        .delete(&caller.workspace, &ids(&asked)?)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn add(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    let queues = Queues::new(&opik.ports.records);
    let queue = queues.get(&caller.workspace, &id.to_string()).await?;
    queues.add(&caller.workspace, &queue.id, &ids(&asked)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn remove(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    let queues = Queues::new(&opik.ports.records);
    let queue = queues.get(&caller.workspace, &id.to_string()).await?;
    queues.remove(&caller.workspace, &queue.id, &ids(&asked)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn lock(
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, item)): Path<(Uuid, Uuid)>,
) -> Result<Reply<Value>, OpikError> {
    let queues = Queues::new(&opik.ports.records);
    let queue = queues.get(&caller.workspace, &id.to_string()).await?;
    let who = who(&opik, &caller);
    let claimed = queues.lock(&who, &queue, &item.to_string()).await?;
    let (acquired, holder, until) = match claimed {
        Claimed::Held(until) => (true, who.user, until),
        Claimed::Taken(holder, until) => (false, holder, until),
    };
    Ok(Reply(json!({
        "acquired": acquired,
        "item_id": item,
        "locked_by": holder,
        "expires_at": format!("{until:.6}"),
    })))
}

async fn locks(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    let queues = Queues::new(&opik.ports.records);
    let queue = queues.get(&caller.workspace, &id.to_string()).await?;
    let now = opik.ports.clock.now();
    let mut locks: BTreeMap<String, Value> = BTreeMap::new();
    for item in queues.items(&caller.workspace, &queue.id).await? {
        let holders: Vec<&String> = item.holders(now).map(|(holder, _)| holder).collect();
        if !holders.is_empty() {
            let told = json!({"active_locks": holders.len(), "locked_by": holders});
            locks.insert(item.entity.clone(), told);
        }
    }
    Ok(Reply(json!({"locks": locks})))
}
