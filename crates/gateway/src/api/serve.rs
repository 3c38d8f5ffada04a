//! One request from its head to its answer.

use std::{sync::Arc, time::Duration};

use axum::{extract::Request, response::Response};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, request::Parts};
use stead_kernel::{
    Body,
    http::{BodyError, read_body},
    ports::{Keeper, events::RequestRow},
};

use super::{
    caller::Caller,
    error::ApiError,
    idempotency::{self, Claim},
    job::{Done, Job, Ready},
    surface::Surface,
    waiting,
};
use crate::{Gateway, cache::CacheControl, ledger::Ledger, snapshot::Snapshot, trace::Trace};

/// How long a client may take to send its request.
const UPLOAD_LIMIT: Duration = Duration::from_mins(2);

/// What of a request its path says.
#[derive(Debug, Clone, Default)]
pub(super) struct PathModel {
    /// The model, where the path names it.
    pub(super) model: Option<String>,
    /// Whether the path asks for a stream.
    pub(super) stream: bool,
    /// The content type of a form, where the body is one.
    pub(super) form: Option<HeaderValue>,
}

/// Answers a request.
pub(super) async fn serve(
    gateway: &Arc<Gateway>,
    surface: Surface,
    path: PathModel,
    request: Request,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot, gateway.clock.now()) {
        Ok(caller) => caller,
        Err(error) => return surface.refuse(error),
    };
    let mut job = begin(gateway, surface, (snapshot, caller), &parts.headers);
    job.keeper = parts.extensions.get::<Keeper>().cloned();
    let body = match read(gateway, &parts, body).await {
        Ok(body) => body,
        Err(error) => return Done::refused(error, job.ledger).respond(surface),
    };
    if !parts.headers.contains_key(idempotency::HEADER) {
        job.headers = parts.headers;
        return answer(job, body, &path).await;
    }
    let who = format!(
        "{}/{}/{}",
        job.caller.project(),
        job.caller.user(),
        job.ledger.row().key
    );
    let claim = gateway.replies.claim(&parts, &who, &body);
    job.headers = std::mem::take(&mut parts.headers);
    match claim {
        Ok(None) => answer(job, body, &path).await,
        Ok(Some(Claim::First(slot))) => {
            let outcome = job.ledger.outcome();
            slot.record(answer(job, body, &path).await, outcome)
        }
        Ok(Some(Claim::Again(response))) => {
            job.ledger.forget();
            *response
        }
        Err(error) => Done::refused(error, job.ledger).respond(surface),
    }
}

/// Opens the record of a request, and its work.
pub(super) fn begin(
    gateway: &Arc<Gateway>,
    surface: Surface,
    (snapshot, caller): (Arc<Snapshot>, Caller),
    headers: &HeaderMap,
) -> Job {
    let mut ledger = open(gateway, surface, &caller);
    let trace = Trace::of(headers).unwrap_or_else(|| Trace::begun_by(ledger.uuid()));
    ledger.describe(|row| {
        row.trace_id = trace.id();
        row.span_id = trace.span_id();
        row.parent_span_id = trace.parent_span_id();
    });
    Job {
        ledger,
        passed: surface.passed(headers),
        cache: CacheControl::of(headers),
        keeper: None,
        headers: HeaderMap::new(),
        gateway: Arc::clone(gateway),
        snapshot,
        caller,
        surface,
        trace,
    }
}

async fn answer(mut job: Job, body: Bytes, path: &PathModel) -> Response {
    let surface = job.surface;
    match job.prepare(body, path).await {
        Ok(Ready::Ask(prepared)) if prepared.may_wait(surface) => {
            Box::pin(waiting::answer(job, *prepared)).await
        }
        Ok(Ready::Ask(prepared)) => {
            let keeper = job.keeper.take();
            let mut done = job.run(*prepared).await;
            if let Some(keeper) = keeper {
                done = Box::pin(done.kept_by(keeper)).await;
            }
            done.respond(surface)
        }
        Ok(Ready::Answered(answered, controls)) => {
            Box::pin(job.answered(*answered, controls)).await.respond(surface)
        }
        Err(error) => Done::refused(error, job.ledger).respond(surface),
    }
}

fn open(gateway: &Gateway, surface: Surface, caller: &Caller) -> Box<Ledger> {
    let key = caller.key();
    let row = RequestRow {
        project: caller.project().to_owned(),
        user: caller.user().to_owned(),
        key: key.map(|key| key.name.to_string()).unwrap_or_default(),
        team: key.map(|key| key.team.to_string()).unwrap_or_default(),
        dialect: surface.wire.as_str().into(),
        operation: surface.operation.as_str().into(),
        labels: key.map(|key| key.labels.clone()).unwrap_or_default(),
        ..RequestRow::default()
    };
    Ledger::open(Arc::clone(&gateway.books), row)
}

/// Reads the body, not beyond the limit.
pub(super) async fn read(gateway: &Gateway, parts: &Parts, body: Body) -> Result<Bytes, ApiError> {
    let limit = gateway.body_limit;
    let too_large = || {
        ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "invalid_request_error",
            "request_too_large",
            format!("the body is larger than {limit} bytes, the limit of this server"),
        )
    };
    let read = tokio::time::timeout(UPLOAD_LIMIT, read_body(&parts.headers, body, limit)).await;
    match read {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(BodyError::TooLarge)) => Err(too_large()),
        Ok(Err(BodyError::Incomplete)) => Err(ApiError::invalid(
            "incomplete_body",
            "the body ended before it was complete",
        )),
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "invalid_request_error",
            "upload_timeout",
            format!("the body did not arrive within {} s", UPLOAD_LIMIT.as_secs()),
        )),
    }
}
