//! `/v1/private/feedback-definitions`.

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
    DEFINITIONS,
    shape::{Definition, Write},
};
use crate::opik::{
    Caller, Opik,
    desk::{entity, ids, uuid, who},
    shelf::{Stamps, Titles, listing, new_id},
    wire::{IdList, Json, OpikError, PageOf, Query, created},
};

/// By what the list can be filtered and sorted.
const FIELDS: [&str; 8] = [
    "id",
    "name",
    "description",
    "type",
    "created_at",
    "created_by",
    "last_updated_at",
    "last_updated_by",
];

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    let all = "/v1/private/feedback-definitions";
    Router::new()
        .route(all, get(list).post(create))
        .route(&format!("{all}/delete"), post(delete_all))
        .route(&format!("{all}/{{id}}"), get(one).put(update).delete(delete))
}

fn titles(opik: &Opik) -> Titles<Definition> {
    Titles::new(
        &opik.ports.records,
        DEFINITIONS,
        "feedback_definition",
        "Feedback definition",
    )
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let mut all = titles(&opik).all(&caller.workspace).await?;
    if let Some(sort) = query.text("type") {
        all.retain(|definition| definition.sort == sort);
    }
    let told = all
        .iter()
        .map(|definition| serde_json::to_value(definition).unwrap_or_default());
    Ok(Reply(listing::page(told.collect(), &query, &FIELDS)?))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(write): Json<Write>,
) -> Result<Response, OpikError> {
    write.check().map_err(entity)?;
    let id = write
        .id
        .as_deref()
        .map(|id| uuid(id, "feedback definition"))
        .transpose()?;
    let made = Definition {
        id: id.map_or_else(new_id, |id| id.to_string()),
        name: write.name,
        description: write.description,
        sort: write.sort,
        details: write.details,
        stamps: Stamps::new(&who(&opik, &caller)),
    };
    titles(&opik).create(&caller.workspace, &made).await?;
    Ok(created(&format!("/v1/private/feedback-definitions/{}", made.id)))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Definition>, OpikError> {
    Ok(Reply(
        titles(&opik).get(&caller.workspace, &id.to_string()).await?,
    ))
}

async fn update(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(write): Json<Write>,
) -> Result<StatusCode, OpikError> {
    write.check().map_err(entity)?;
    let change = |definition: &mut Definition| {
        definition.name.clone_from(&write.name);
        definition.description.clone_from(&write.description);
        definition.sort.clone_from(&write.sort);
        definition.details.clone_from(&write.details);
        Ok(())
    };
    titles(&opik)
        .change(&who(&opik, &caller), &id.to_string(), change)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, OpikError> {
    titles(&opik).delete(&caller.workspace, &[id.to_string()]).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete_all(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    titles(&opik).delete(&caller.workspace, &ids(&asked)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
