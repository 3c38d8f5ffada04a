//! Opik's API, as commands ask it: in the project that `-n` chose, with its errors as ours.

use http::{Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use stead_kernel::{Body, Error, Reason, Result, command::Session};
use url::form_urlencoded::byte_serialize;

/// Where the API is.
const BASE: &str = "/opik/api/v1/private";
/// The header that names the workspace: a project of Stead.
const WORKSPACE: &str = "comet-workspace";
/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 256 << 20;
/// How many items a part of a stream has.
pub(super) const PART: usize = 2_000;

/// Sends a request and reads the JSON answer; `Null` when it has no body.
///
/// # Errors
/// What the server answered.
pub(super) async fn call(
    session: &Session,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> Result<Value> {
    let bytes = send(session, method, path, body).await?;
    if bytes.is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::internal("the server's answer is not understood").because(error))
}

/// The lines of a stream.
pub(super) async fn lines(session: &Session, path: &str, body: Value) -> Result<Vec<Value>> {
    let bytes = send(session, Method::POST, path, Some(body)).await?;
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .map(|line| {
            serde_json::from_slice(line)
                .map_err(|error| Error::internal("the server's answer is not understood").because(error))
        })
        .collect()
}

/// All that a list has, page after page.
pub(super) async fn all(session: &Session, path: &str) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    let joint = if path.contains('?') { '&' } else { '?' };
    for page in 1_u32.. {
        let answer = call(
            session,
            Method::GET,
            &format!("{path}{joint}page={page}&size=100"),
            None,
        )
        .await?;
        let content = answer
            .get("content")
            .and_then(Value::as_array)
            .cloned()
            .unwrap_or_default();
        let (part, total) = (
            content.len(),
            answer.get("total").and_then(Value::as_u64).unwrap_or_default(),
        );
        found.extend(content);
        if part == 0 || found.len() as u64 >= total {
            break;
        }
    }
    Ok(found)
}

/// The dataset of a name.
///
/// # Errors
/// `NotFound` when there is none.
pub(super) async fn dataset(session: &Session, name: &str) -> Result<Value> {
    let found = call(
        session,
        Method::POST,
        "/datasets/retrieve",
        Some(json!({"dataset_name": name})),
    )
    .await;
    found.map_err(|error| match error.reason() {
        Reason::NotFound => Error::not_found(format!("there is no dataset {name:?}"))
            .hint("see what there is with: stead dataset list"),
        _ => error,
    })
}

/// A field's text, or nothing.
pub(super) fn text(value: &Value, field: &str) -> String {
    value.get(field).map(stead_scoring::text_of).unwrap_or_default()
}

/// A text in a path.
pub(super) fn segment(text: &str) -> String {
    byte_serialize(text.as_bytes())
        .collect::<String>()
        .replace('+', "%20")
}

async fn send(session: &Session, method: Method, path: &str, body: Option<Value>) -> Result<bytes::Bytes> {
    let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
    let request = Request::builder()
        .method(method)
        .uri(format!("{BASE}{path}"))
        .header(header::CONTENT_TYPE, "application/json")
        .header(WORKSPACE, &session.project)
        .body(body)
        .map_err(|error| Error::invalid("no valid path").because(error))?;
    let response = session.server.send(request).await?;
    let status = response.status();
    let body = Limited::new(response.into_body(), ANSWER_LIMIT).collect().await;
    let bytes = body
        .map_err(|error| Error::unavailable("the answer broke off").because(error))?
        .to_bytes();
    if status.is_success() {
        return Ok(bytes);
    }
    Err(refusal(
        status,
        &serde_json::from_slice(&bytes).unwrap_or_default(),
    ))
}

fn refusal(status: StatusCode, body: &Value) -> Error {
    let reason = match status.as_u16() {
        401 => Reason::Unauthenticated,
        403 => Reason::Forbidden,
        404 => Reason::NotFound,
        409 => Reason::Conflict,
        413 => Reason::TooLarge,
        429 => Reason::Exhausted,
        501 => Reason::Unsupported,
        503 => Reason::Unavailable,
        504 => Reason::Timeout,
        400..=499 => Reason::Invalid,
        _ => Reason::Internal,
    };
    let own = body.pointer("/error/message").or_else(|| body.get("message"));
    let message = own
        .and_then(Value::as_str)
        .map_or_else(|| format!("the server answered {status}"), str::to_owned);
    Error::new(reason, message)
}
