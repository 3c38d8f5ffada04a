//! `/v1/private/attachment`.

use axum::{
    Json as Reply, Router,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{
    files,
    shape::{Answered, Start, ToDelete, address, kind},
    store::{Attachment, attached, entity, put as put_record, remove},
};
use crate::opik::{
    Caller, Opik,
    wire::{Json, OpikError, PageOf, Paging, Query, new_id},
};

/// The id by which Opik's SDKs know that a file is sent whole, in one request to this API
/// (`LOCAL_UPLOAD_MAGIC_ID` in the SDK).
const WHOLE: &str = "BEMinIO";
/// The type of what has none.
const UNKNOWN: &str = "application/octet-stream";

/// The routes.
pub(in crate::opik) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/attachment/list", get(list))
        .route("/v1/private/attachment/upload-start", post(start))
        .route("/v1/private/attachment/upload", put(upload))
        .route("/v1/private/attachment/upload-complete", post(complete))
        .route("/v1/private/attachment/download", get(download))
        .route("/v1/private/attachment/delete", post(delete))
}

async fn start(
    _: Caller,
    State(_): State<Opik>,
    Json(asked): Json<Start>,
) -> Result<Reply<Value>, OpikError> {
    kind(&asked.entity_type)?;
    let id = asked.entity_id.to_string();
    let parameters = [
        ("file_name", asked.file_name.as_str()),
        ("project_name", asked.project_name.as_deref().unwrap_or_default()),
        ("mime_type", asked.mime_type.as_deref().unwrap_or(UNKNOWN)),
        ("entity_type", asked.entity_type.as_str()),
        ("entity_id", id.as_str()),
    ];
    let upload = address(&asked.path, "upload", &parameters)?;
    Ok(Reply(json!({"upload_id": WHOLE, "pre_sign_urls": [upload]})))
}

async fn upload(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
    request: Request,
) -> Result<StatusCode, OpikError> {
    let kind = kind(query.required("entity_type")?)?;
    let of = query.id("entity_id")?;
    let of = of.ok_or_else(|| OpikError::invalid("query param entity_id must not be null"))?;
    let file_name = query.required("file_name")?.to_owned();
    let project = opik
        .projects
        .to_write(&caller, query.text("project_name"), None)
        .await?;
    let id = new_id(opik.ports.clock.now());
    let file_size = files::store(&opik.data, id, request.into_body()).await?;
    let attachment = Attachment {
        entity: entity(kind, of),
        file_name,
        file_size,
        mime_type: query.text("mime_type").unwrap_or(UNKNOWN).to_owned(),
        project,
    };
    put_record(&opik, &caller, id, attachment).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Nothing is left to do: files come whole.
async fn complete(_: Caller, State(_): State<Opik>) -> StatusCode {
    StatusCode::NO_CONTENT
}

async fn list(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Answered>>, OpikError> {
    let paging = Paging::of(&query, 100)?;
    let (sort, of) = (query.required("entity_type")?, query.required("entity_id")?);
    let path = query.required("path")?;
    let id: Uuid = of
        .parse()
        .map_err(|_| OpikError::invalid("invalid query param entity_id"))?;
    let found = attached(&opik, &caller, &entity(kind(sort)?, id)).await?;
    let answered = found.into_iter().map(|(_, attachment)| {
        let project = attachment.project.to_string();
        let parameters = [
            ("workspace_name", caller.workspace.as_str()),
            ("container_id", project.as_str()),
            ("entity_type", sort),
            ("entity_id", of),
            ("file_name", attachment.file_name.as_str()),
            ("mime_type", attachment.mime_type.as_str()),
        ];
        Ok(Answered {
            link: address(path, "download", &parameters)?,
            file_name: attachment.file_name,
            file_size: attachment.file_size,
            mime_type: attachment.mime_type,
        })
    });
    let answered = answered.collect::<Result<Vec<_>, OpikError>>()?;
    Ok(Reply(paging.cut(answered, &[])))
}

async fn download(caller: Caller, State(opik): State<Opik>, query: Query) -> Result<Response, OpikError> {
    let kind = kind(query.required("entity_type")?)?;
    let of = query.id("entity_id")?;
    let of = of.ok_or_else(|| OpikError::invalid("query param entity_id must not be null"))?;
    let name = query.required("file_name")?;
    let mut found = attached(&opik, &caller, &entity(kind, of)).await?.into_iter();
    let file = found.find(|(_, attachment)| attachment.file_name == name);
    let (id, attachment) = file.ok_or_else(|| OpikError::not_found("Attachment not found"))?;
    let sort = HeaderValue::try_from(&attachment.mime_type);
    let headers = [
        (
            header::CONTENT_TYPE,
            sort.unwrap_or(HeaderValue::from_static(UNKNOWN)),
        ),
        (header::CONTENT_LENGTH, attachment.file_size.into()),
        // What somebody attached is no page of this server.
        (
            header::CONTENT_DISPOSITION,
            HeaderValue::from_static("attachment"),
        ),
        (
            header::CONTENT_SECURITY_POLICY,
            HeaderValue::from_static("sandbox"),
        ),
    ];
    Ok((headers, files::open(&opik.data, id).await?).into_response())
}

async fn delete(
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<ToDelete>,
) -> Result<StatusCode, OpikError> {
    let mut names = asked.file_names.unwrap_or_default();
    names.extend(asked.file_name);
    let found = attached(
        &opik,
        &caller,
        &entity(kind(&asked.entity_type)?, asked.entity_id),
    )
    .await?;
    let gone = found
        .into_iter()
        .filter(|(_, attachment)| names.contains(&attachment.file_name));
    remove(&opik, &caller, gone.map(|(id, _)| id).collect()).await?;
    Ok(StatusCode::NO_CONTENT)
}
