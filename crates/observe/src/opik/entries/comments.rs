//! Comments.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    http::StatusCode,
    response::Response,
    routing::{get, patch, post},
};
use serde::Deserialize;
use serde_json::{Value, json};
use stead_kernel::ports::traces::{Comment, Kind, Subject, Write};
use uuid::Uuid;

use crate::opik::{
    Caller, Opik,
    wire::{IdList, Json, OpikError, created, id_of, new_id, text},
};

/// A comment that is written or changed.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_field_names, reason = "the name that the API gives it")]
pub(in crate::opik) struct Text {
    #[serde(default)]
    id: Option<Uuid>,
    text: String,
    #[serde(default)]
    source_queue_id: Option<Uuid>,
}

/// A comment as it is answered.
pub(super) fn shown(comment: &Comment) -> Value {
    json!({
        "id": comment.id,
        "text": comment.text,
        "source_queue_id": comment.queue,
        "created_at": text(comment.created),
        "last_updated_at": text(comment.updated),
        "created_by": comment.created_by,
        "last_updated_by": comment.updated_by,
    })
}

/// The routes of one kind.
pub(super) fn routes(kind: Kind, base: &'static str) -> Router<Opik> {
    Router::new()
        .route(
            &format!("{base}/{{id}}/comments"),
            post(
                move |caller: Caller, state: State<Opik>, id: Path<Uuid>, body: Json<Text>| {
                    comment(kind, base, caller, state, id, body)
                },
            ),
        )
        .route(
            &format!("{base}/{{id}}/comments/{{comment}}"),
            get(
                move |caller: Caller, state: State<Opik>, ids: Path<(Uuid, Uuid)>| {
                    one(kind, caller, state, ids)
                },
            ),
        )
        .route(&format!("{base}/comments/delete"), post(delete))
        .route(&format!("{base}/comments/{{comment}}"), patch(edit))
}

async fn comment(
    kind: Kind,
    base: &str,
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<Text>,
) -> Result<Response, OpikError> {
    if opik
        .ports
        .traces
        .entry(kind, &caller.workspace, id)
        .await?
        .is_none()
    {
        return Err(OpikError::not_found(format!(
            "{} id: {id} not found",
            kind.as_str()
        )));
    }
    let written = write(&opik, &caller, Subject::Entry(kind, id), asked).await?;
    Ok(created(&format!("{base}/{id}/comments/{written}")))
}

/// Writes a comment; the answer is its id.
pub(in crate::opik) async fn write(
    opik: &Opik,
    caller: &Caller,
    subject: Subject,
    asked: Text,
) -> Result<Uuid, OpikError> {
    let now = opik.ports.clock.now();
    let comment = Comment {
        id: match asked.id {
            Some(id) => id_of(id, "comment")?,
            None => new_id(now),
        },
        subject,
        text: checked(asked.text)?,
        queue: asked.source_queue_id,
        created: now,
        updated: now,
        created_by: caller.user.clone(),
        updated_by: caller.user.clone(),
    };
    let id = comment.id;
    let write = Write::Comment {
        workspace: caller.workspace.clone(),
        comment,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(id)
}

fn checked(text: String) -> Result<String, OpikError> {
    if text.trim().is_empty() {
        return Err(OpikError::unprocessable("text must not be blank"));
    }
    Ok(text)
}

async fn one(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Path((id, comment)): Path<(Uuid, Uuid)>,
) -> Result<Reply<Value>, OpikError> {
    of(&opik, &caller, comment, |subject| {
        *subject == Subject::Entry(kind, id)
    })
    .await
}

/// One comment, if it is on what was asked.
pub(in crate::opik) async fn of(
    opik: &Opik,
    caller: &Caller,
    id: Uuid,
    on: impl Fn(&Subject) -> bool,
) -> Result<Reply<Value>, OpikError> {
    let found = opik.ports.traces.comment(&caller.workspace, id).await?;
    let comment = found.filter(|comment| on(&comment.subject));
    let comment = comment.ok_or_else(|| OpikError::not_found(format!("Comment not found: {id}")))?;
    Ok(Reply(shown(&comment)))
}

/// `PATCH …/comments/{comment}`.
pub(in crate::opik) async fn edit(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<Text>,
) -> Result<StatusCode, OpikError> {
    let write = Write::EditComment {
        workspace: caller.workspace,
        id,
        text: checked(asked.text)?,
        at: opik.ports.clock.now(),
        by: caller.user,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST …/comments/delete`.
pub(in crate::opik) async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<IdList>,
) -> Result<StatusCode, OpikError> {
    let write = Write::DeleteComments {
        workspace: caller.workspace,
        ids: asked.ids,
    };
    opik.ports.traces.write(vec![write]).await?;
    Ok(StatusCode::NO_CONTENT)
}
