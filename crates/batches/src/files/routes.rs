//! `/v1/files` (<https://platform.openai.com/docs/api-reference/files>).

use std::time::Duration;

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    response::Response,
    routing::get,
};
use http::{HeaderValue, header, request::Parts};
use serde_json::{Value, json};
use stead_kernel::{Body, Error, Result};
use tokio_util::io::ReaderStream;

use super::{Draft, FileBody, Files, LARGEST, OUTPUT, PURPOSES, expiry, form::Form};
use crate::{
    caller::Caller,
    error::{ApiError, wrong_method},
    page::{self, Options},
};

/// How long an upload may rest between two pieces.
const PATIENCE: Duration = Duration::from_mins(1);
/// The most bytes of a field that is no file.
const FIELD_LIMIT: usize = 1 << 10;
/// The longest name of a file, in bytes.
const LONGEST_NAME: usize = 512;

type Answer<T> = std::result::Result<T, ApiError>;
type Parameters = std::result::Result<Query<Options>, axum::extract::rejection::QueryRejection>;

/// The routes.
pub(crate) fn routes(files: Files) -> Router {
    Router::new()
        .route("/v1/files", get(list).post(create).fallback(wrong_method))
        .route("/v1/files/{id}", get(one).delete(delete).fallback(wrong_method))
        .route("/v1/files/{id}/content", get(content).fallback(wrong_method))
        .with_state(files)
}

async fn create(State(files): State<Files>, request: Request) -> Answer<Json<Value>> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts)?;
    let mut form = Form::new(body, boundary(&parts)?);
    let (draft, mut file, lifetime) = upload(&files, &mut form).await?;
    file.user.clone_from(&caller.principal.user);
    let kept = files.keep(draft).await?;
    let (id, file) = files.create(&caller.project, kept, file, lifetime).await?;
    Ok(Json(file.document(&id)))
}

fn boundary(parts: &Parts) -> Result<&str> {
    let sort = parts.headers.get(header::CONTENT_TYPE);
    sort.and_then(|sort| sort.to_str().ok())
        .and_then(stead_dialects::scan::boundary)
        .ok_or_else(|| Error::invalid("the body must be a form: multipart/form-data with a boundary"))
}

/// Reads the form; its fields may come in any order.
async fn upload(files: &Files, form: &mut Form) -> Answer<(Draft, FileBody, Option<u64>)> {
    let (mut draft, mut filename, mut purpose) = (None, String::new(), None);
    let (mut anchor, mut seconds) = (None, None);
    while let Some(part) = patiently(form.part()).await? {
        match part.name.as_str() {
            "file" if draft.is_none() => {
                filename = named(part.filename)?;
                draft = Some(receive(files, form).await?);
            }
            "purpose" => purpose = Some(patiently(form.text(FIELD_LIMIT)).await?),
            "expires_after[anchor]" => anchor = Some(patiently(form.text(FIELD_LIMIT)).await?),
            "expires_after[seconds]" => seconds = Some(patiently(form.text(FIELD_LIMIT)).await?),
            name => {
                let name: String = name.chars().take(100).collect();
                return Err(Error::invalid(format!("the form has a field too many: {name}")).into());
            }
        }
    }
    let missing = |name| ApiError::param(Error::invalid(format!("the form needs a field {name}")), name);
    let draft = draft.ok_or_else(|| missing("file"))?;
    let purpose = purpose.ok_or_else(|| missing("purpose"))?;
    if !PURPOSES.contains(&purpose.as_str()) {
        let error = Error::invalid(format!("purpose must be one of: {}", PURPOSES.join(", ")));
        return Err(ApiError::param(error, "purpose"));
    }
    let file = FileBody {
        filename,
        purpose,
        bytes: 0,
        digest: String::new(),
        created_at: 0,
        user: String::new(),
        expires_at: None,
    };
    let lifetime = if anchor.is_some() || seconds.is_some() {
        let seconds = seconds.and_then(|seconds| seconds.trim().parse().ok());
        let lifetime = expiry::lifetime(&anchor.unwrap_or_default(), seconds);
        Some(lifetime.map_err(|error| ApiError::param(error, "expires_after"))?)
    } else {
        None
    };
    Ok((draft, file, lifetime))
}

/// The name without the folders that some clients send.
fn named(filename: Option<String>) -> Answer<String> {
    let filename = filename.unwrap_or_default();
    let name = filename.rsplit(['/', '\\']).next().unwrap_or_default();
    if name.is_empty() || name.len() > LONGEST_NAME || name.chars().any(char::is_control) {
        let message = format!("the file needs a name of at most {LONGEST_NAME} bytes");
        return Err(ApiError::param(Error::invalid(message), "file"));
    }
    Ok(name.to_owned())
}

async fn receive(files: &Files, form: &mut Form) -> Answer<Draft> {
    let mut draft = files.draft().await?;
    while let Some(piece) = patiently(form.piece()).await? {
        if draft.bytes() + piece.len() as u64 > LARGEST {
            let error = Error::too_large(format!("the file has more than {LARGEST} bytes"));
            return Err(ApiError::param(error, "file"));
        }
        draft.write(&piece).await?;
    }
    Ok(draft)
}

async fn patiently<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let done = tokio::time::timeout(PATIENCE, work).await;
    done.map_err(|_| {
        Error::timeout(format!(
            "nothing of the upload came within {} s",
            PATIENCE.as_secs()
        ))
    })?
}

async fn list(State(files): State<Files>, query: Parameters, request: Request) -> Answer<Json<Value>> {
    let caller = Caller::of(&request.into_parts().0)?;
    let Query(options) = query.map_err(|error| Error::invalid(error.body_text()))?;
    let (found, more) = files.list(&caller.project, &options).await?;
    let objects: Vec<Value> = found.iter().map(|(id, file)| file.document(id)).collect();
    Ok(Json(page::document(&objects, more)))
}

async fn one(State(files): State<Files>, Path(id): Path<String>, request: Request) -> Answer<Json<Value>> {
    let caller = Caller::of(&request.into_parts().0)?;
    let file = files.shown(&caller.project, &id).await;
    let file = file.map_err(|error| ApiError::param(error, "id"))?;
    Ok(Json(file.document(&id)))
}

async fn delete(State(files): State<Files>, Path(id): Path<String>, request: Request) -> Answer<Json<Value>> {
    let caller = Caller::of(&request.into_parts().0)?;
    let deleted = files.delete(&caller.project, &id).await;
    deleted.map_err(|error| ApiError::param(error, "id"))?;
    Ok(Json(json!({"id": id, "object": "file", "deleted": true})))
}

async fn content(State(files): State<Files>, Path(id): Path<String>, request: Request) -> Answer<Response> {
    let caller = Caller::of(&request.into_parts().0)?;
    let file = files.shown(&caller.project, &id).await;
    let file = file.map_err(|error| ApiError::param(error, "id"))?;
    let content = super::read(&files.path(&file)).await?;
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(content, 64 << 10)));
    let headers = response.headers_mut();
    // Never a page: a browser that is sent here shall not run what somebody uploaded.
    let sort = if file.purpose == OUTPUT {
        "application/jsonl"
    } else {
        "application/octet-stream"
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sort));
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.bytes));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

#[cfg(test)]
mod tests;
