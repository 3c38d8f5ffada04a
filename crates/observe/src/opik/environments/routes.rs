//! `/v1/private/environments`.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, post},
};
use uuid::Uuid;

use super::{
    shape::{Environment, Write},
    titles,
};
use crate::opik::{
    Caller, Opik,
    desk::{entity, ids, uuid, who},
    shelf::{Stamps, new_id},
    wire::{IdList, Json, OpikError, PageOf, created},
};

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/environments", get(list).post(create))
        .route("/v1/private/environments/delete", post(delete))
        .route("/v1/private/environments/{id}", get(one).patch(update))
}

/// All of them, on one page.
async fn list(caller: Caller, State(opik): State<Opik>) -> Result<Reply<PageOf<Environment>>, OpikError> {
    let mut all = titles(&opik).all(&caller.workspace).await?;
    all.sort_by(|a, b| (a.position, &a.id).cmp(&(b.position, &b.id)));
    Ok(Reply(PageOf {
        page: 1,
        size: all.len(),
        total: all.len() as u64,
        content: all,
        sortable_by: &[],
    }))
}

async fn create(
    caller: Caller,
    State(opik): State<Opik>,
    Json(write): Json<Write>,
) -> Result<Response, OpikError> {
    let id = write
        .id
        .as_deref()
        .map(|id| uuid(id, "environment"))
        .transpose()?;
    let mut made = Environment {
        id: id.map_or_else(new_id, |id| id.to_string()),
        name: String::new(),
        description: None,
        color: None,
        position: None,
        stamps: Stamps::new(&who(&opik, &caller)),
    };
    made.apply(&write).map_err(entity)?;
    titles(&opik).create(&caller.workspace, &made).await?;
    Ok(created(&format!("/v1/private/environments/{}", made.id)))
}

async fn one(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Environment>, OpikError> {
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
    let change = |environment: &mut Environment| environment.apply(&write);
    let changed = titles(&opik)
        .change(&who(&opik, &caller), &id.to_string(), change)
        .await;
    changed.map_err(entity)?;
    Ok(StatusCode::NO_CONTENT)
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    titles(&opik).delete(&caller.workspace, &ids(&asked)?).await?;
    Ok(StatusCode::NO_CONTENT)
}
