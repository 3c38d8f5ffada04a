//! `/v1/messages/batches` (<https://docs.anthropic.com/en/api/creating-message-batches>).

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use http::{HeaderValue, Method, StatusCode, header, request::Parts};
use serde::Deserialize;
use serde_json::{Value, json};
use stead_dialects::chat::{ErrorBody, ErrorKind, Wire};
use stead_kernel::{Body, Error, Reason, http::Connection, ports::RecordWrite};
use tokio_util::io::ReaderStream;
use uuid::Uuid;

use super::{document, intake, is_over};
use crate::{
    batches::{
        Batch, Form, Runner, Status,
        runner::New,
        store::{Order, Place},
        work::BETA,
    },
    caller::Caller,
    files::{self, FileBody, MESSAGES},
};

/// Where the requests of these batches go.
const ENDPOINT: &str = "/v1/messages";
/// How long a batch may take.
const WINDOW: &str = "24h";

/// An error on its way to a client of Anthropic.
pub(super) struct Refusal(Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let reason = self.0.reason();
        let mut message = self.0.full_message();
        if let Some(hint) = self.0.get_hint() {
            message.push_str("; ");
            message.push_str(hint);
        }
        say(stead_kernel::http::status(reason), kind(reason), message)
    }
}

const fn kind(reason: Reason) -> ErrorKind {
    match reason {
        Reason::Invalid | Reason::Conflict | Reason::Gone => ErrorKind::Invalid,
        Reason::Unsupported => ErrorKind::Unsupported,
        Reason::TooLarge => ErrorKind::TooLarge,
        Reason::Unauthenticated => ErrorKind::Authentication,
        Reason::Forbidden => ErrorKind::Permission,
        Reason::NotFound => ErrorKind::NotFound,
        Reason::Exhausted => ErrorKind::RateLimit,
        Reason::Unavailable => ErrorKind::Overloaded,
        Reason::Timeout => ErrorKind::Timeout,
        Reason::Internal => ErrorKind::Api,
    }
}

fn say(status: StatusCode, kind: ErrorKind, message: String) -> Response {
    let error = ErrorBody {
        status: status.as_u16(),
        kind,
        message,
        code: None,
        param: None,
    };
    let body = stead_dialects::client(Wire::Anthropic).map(|dialect| dialect.error(&error));
    let sort = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (status, sort, body.unwrap_or_default()).into_response()
}

type Answer<T> = std::result::Result<T, Refusal>;

/// The routes.
pub(crate) fn routes(runner: Runner) -> Router {
    const ALL: &str = "/v1/messages/batches";
    Router::new()
        .route(ALL, get(list).post(create).fallback(wrong_method))
        .route(
            &format!("{ALL}/{{id}}"),
            get(one).delete(delete).fallback(wrong_method),
        )
        .route(
            &format!("{ALL}/{{id}}/cancel"),
            post(cancel).fallback(wrong_method),
        )
        .route(
            &format!("{ALL}/{{id}}/results"),
            get(results).fallback(wrong_method),
        )
        .with_state(runner)
}

async fn wrong_method(method: Method) -> Response {
    say(
        StatusCode::METHOD_NOT_ALLOWED,
        ErrorKind::Invalid,
        format!("this address does not take {method}"),
    )
}

/// Where this server is for its client.
fn address(parts: &Parts) -> String {
    let is_secure = parts
        .extensions
        .get::<Connection>()
        .is_some_and(|connection| connection.tls);
    let host = parts
        .headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    match host.or_else(|| parts.uri.authority().map(http::uri::Authority::as_str)) {
        Some(host) => format!("{}://{host}", if is_secure { "https" } else { "http" }),
        // SDKs put their own address before one that has none.
        None => String::new(),
    }
}

async fn create(State(runner): State<Runner>, request: Request) -> Answer<Json<Value>> {
    let (parts, body) = request.into_parts();
    let caller = Caller::of(&parts)?;
    runner.check(&caller.project).await?;
    let taken = intake::read(&runner.files, body, ENDPOINT).await?;
    let kept = runner.files.keep(taken.draft).await?;
    let input = format!("file-{}", Uuid::now_v7().simple());
    let file = FileBody {
        filename: "requests.jsonl".to_owned(),
        purpose: MESSAGES.to_owned(),
        bytes: kept.bytes,
        digest: kept.digest.clone(),
        created_at: runner.now(),
        user: caller.principal.user.clone(),
        expires_at: None,
    };
    let beta = parts.headers.get_all(BETA).iter();
    let beta: Vec<&str> = beta.filter_map(|value| value.to_str().ok()).collect();
    let new = New {
        form: Form::Anthropic,
        endpoint: ENDPOINT.to_owned(),
        completion_window: WINDOW.to_owned(),
        total: taken.total,
        output_lifetime: None,
        beta: (!beta.is_empty()).then(|| beta.join(",")),
        metadata: None,
        writes: vec![files::write(&caller.project, &input, &file)?],
        input_file_id: input,
    };
    let (id, batch) = runner.begin(&caller, new).await?;
    drop(kept);
    Ok(Json(document(&id, &batch, &address(&parts))))
}

/// What a list's address says.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Options {
    after_id: Option<String>,
    before_id: Option<String>,
    limit: Option<usize>,
}

async fn list(
    State(runner): State<Runner>,
    query: std::result::Result<Query<Options>, QueryRejection>,
    request: Request,
) -> Answer<Json<Value>> {
    let (parts, _) = request.into_parts();
    let caller = Caller::of(&parts)?;
    let Query(options) = query.map_err(|error| Error::invalid(error.body_text()))?;
    let limit = options.limit.unwrap_or(20);
    if !(1..=1_000).contains(&limit) {
        return Err(Error::invalid("limit: must be from 1 to 1000").into());
    }
    let (after, order) = match (&options.after_id, &options.before_id) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("after_id: must not be given together with before_id").into());
        }
        (None, Some(before)) => (Some(before), Order::OldestFirst),
        (after, None) => (after.as_ref(), Order::NewestFirst),
    };
    let after = after.map(String::as_str);
    let listed = runner
        .store
        .list(&caller.project, Form::Anthropic, after, order, limit);
    let (mut found, has_more) = listed.await?;
    if order == Order::OldestFirst {
        found.reverse();
    }
    let address = address(&parts);
    let data: Vec<Value> = found
        .iter()
        .map(|(id, batch)| document(id, batch, &address))
        .collect();
    let id = |batch: Option<&(String, Batch)>| batch.map(|(id, _)| id.clone());
    Ok(Json(json!({
        "first_id": id(found.first()), "last_id": id(found.last()), "has_more": has_more, "data": data,
    })))
}

/// The batch that a request names.
async fn find(runner: &Runner, parts: &Parts, id: String) -> Answer<(Place, Batch)> {
    let project = Caller::of(parts)?.project;
    let place = Place { project, id };
    place.check(Form::Anthropic)?;
    let batch = runner.store.get(&place).await?;
    Ok((place, batch))
}

async fn one(State(runner): State<Runner>, Path(id): Path<String>, request: Request) -> Answer<Json<Value>> {
    let (parts, _) = request.into_parts();
    let (place, batch) = find(&runner, &parts, id).await?;
    Ok(Json(document(&place.id, &batch, &address(&parts))))
}

/// To cancel what has made all its requests changes nothing.
async fn cancel(
    State(runner): State<Runner>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Json<Value>> {
    let (parts, _) = request.into_parts();
    let (place, batch) = find(&runner, &parts, id).await?;
    let batch = match batch.status {
        _ if is_over(&batch) => {
            let message = "the batch has ended, and cannot be cancelled";
            return Err(Error::conflict(message).into());
        }
        Status::Validating | Status::InProgress | Status::Cancelling => runner.cancel(&place).await?,
        Status::Finalizing | Status::Failed | Status::Completed | Status::Expired | Status::Cancelled => {
            batch
        }
    };
    Ok(Json(document(&place.id, &batch, &address(&parts))))
}

async fn delete(
    State(runner): State<Runner>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Json<Value>> {
    let (parts, _) = request.into_parts();
    let (place, batch) = find(&runner, &parts, id).await?;
    if !is_over(&batch) {
        let error = Error::conflict("the batch has not ended").hint("cancel it, and wait for its end");
        return Err(error.into());
    }
    let (mut writes, mut digests) = (Vec::new(), Vec::new());
    for file in [Some(&batch.input_file_id), batch.output_file_id.as_ref()]
        .into_iter()
        .flatten()
    {
        match runner.files.get(&place.project, file).await {
            Ok(body) => digests.push(body.digest),
            Err(error) if error.reason() == Reason::NotFound => continue,
            Err(error) => return Err(error.into()),
        }
        writes.push(RecordWrite::Delete {
            key: files::key(&place.project, file),
            expected: None,
        });
    }
    runner.store.remove(&place, writes).await?;
    for digest in digests {
        runner.files.release(&digest).await?;
    }
    Ok(Json(json!({"id": place.id, "type": "message_batch_deleted"})))
}

/// The results, a line each.
async fn results(State(runner): State<Runner>, Path(id): Path<String>, request: Request) -> Answer<Response> {
    let (parts, _) = request.into_parts();
    let (place, batch) = find(&runner, &parts, id).await?;
    let is_over = is_over(&batch);
    let file = batch.output_file_id.filter(|_| is_over);
    let Some(file) = file else {
        let error = Error::not_found("the batch has no results yet").hint("wait until it has ended");
        return Err(error.into());
    };
    let body = runner.files.get(&place.project, &file).await?;
    let content = files::read(&runner.files.path(&body)).await?;
    let mut response = Response::new(Body::from_stream(ReaderStream::with_capacity(content, 64 << 10)));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/x-jsonl"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.bytes));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}
