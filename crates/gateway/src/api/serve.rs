//! One request from its head to its answer.

use std::{sync::Arc, time::Duration};

use axum::{
    extract::Request,
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request::Parts};
use stead_kernel::{
    Body,
    http::{BodyError, read_body},
    ports::events::RequestRow,
};

use super::{caller::Caller, error::ApiError};
use crate::{
    Gateway,
    dispatch::{Answered, Dispatch},
    ledger::{Ledger, clipped},
    scan::{self, Operation},
    snapshot::{Refusal, Snapshot},
    stream::{Clocks, StreamBody},
    tally::Tally,
    trace::Trace,
    upstream::Answer,
};

/// How long a client may take to send its request.
const UPLOAD_LIMIT: Duration = Duration::from_mins(2);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-stead-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-stead-trace-id");
const ROUTE: HeaderName = HeaderName::from_static("x-stead-route");
const PROVIDER: HeaderName = HeaderName::from_static("x-stead-provider");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-stead-attempts");
/// What a provider of another dialect does not get.
const WARNINGS: HeaderName = HeaderName::from_static("x-stead-warnings");
/// The most bytes of that header.
const WARNINGS_LIMIT: usize = 1_000;

/// Answers a request.
pub(super) async fn serve(gateway: &Gateway, operation: Operation, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let snapshot = gateway.snapshot.load();
    let caller = match Caller::of(&parts, &snapshot) {
        Ok(caller) => caller,
        Err(error) => return error.into_response(),
    };
    let trace = Trace::of(&parts.headers);
    let mut ledger = open(gateway, operation, &caller, trace);
    let body = match read(gateway, &parts, body).await {
        Ok(body) => body,
        Err(error) => return refuse(error, ledger),
    };
    match answer(gateway, &snapshot, operation, &caller, trace, body, &mut ledger).await {
        Ok(answered) => respond(answered, ledger),
        Err(error) => refuse(error, ledger),
    }
}

fn open(gateway: &Gateway, operation: Operation, caller: &Caller, trace: Trace) -> Ledger {
    let key = caller.key();
    let row = RequestRow {
        trace_id: trace.id(),
        project: caller.project().to_owned(),
        user: caller.user().to_owned(),
        key: key.map(|key| key.name.to_string()).unwrap_or_default(),
        dialect: "openai".into(),
        operation: operation.as_str().into(),
        labels: key.map(|key| key.labels.clone()).unwrap_or_default(),
        ..RequestRow::default()
    };
    Ledger::open(Arc::clone(&gateway.books), row)
}

/// Reads the body, not beyond the limit.
async fn read(gateway: &Gateway, parts: &Parts, body: Body) -> Result<Bytes, ApiError> {
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

async fn answer(
    gateway: &Gateway,
    snapshot: &Snapshot,
    operation: Operation,
    caller: &Caller,
    trace: Trace,
    body: Bytes,
    ledger: &mut Ledger,
) -> Result<Answered, ApiError> {
    let request = scan::scan(body)?;
    ledger.describe(|row| {
        row.model = clipped(&request.fields.model);
        row.stream = request.fields.stream;
    });
    let asker = caller.asker();
    let route = snapshot
        .resolve(asker, &request.fields.model)
        .map_err(|refusal| refused(&refusal, &request.fields.model))?;
    ledger.describe(|row| row.route.push_str(&route.name));
    let dispatch = Dispatch {
        gateway,
        snapshot,
        asker,
        operation,
        request: &request,
        trace,
    };
    let targets = dispatch.targets(&route);
    let first = targets.first().cloned().or_else(|| dispatch.spare(&route));
    let Some(first) = first else {
        let message = format!("route `{}` has no target that can answer you", route.name);
        return Err(ApiError::unavailable("no_target", message));
    };
    ledger.reserve(&request.body, request.fields.max_tokens, &first)?;
    dispatch.run(route, targets, ledger).await
}

fn refused(refusal: &Refusal, model: &str) -> ApiError {
    match refusal {
        Refusal::Unknown => ApiError::unknown_model(model),
        Refusal::Ambiguous(names) => ApiError::invalid(
            "model_ambiguous",
            format!(
                "several providers offer this model; name one of: {}",
                names.join(", ")
            ),
        )
        .param("model"),
        Refusal::NotAllowed => ApiError::new(
            StatusCode::FORBIDDEN,
            "permission_error",
            "model_not_allowed",
            "this API key may not use this model",
        )
        .param("model"),
    }
}

/// Settles and sends the answer; a stream settles before its last event.
fn respond(answered: Answered, mut ledger: Ledger) -> Response {
    let Answered {
        answer,
        target,
        route,
        deadline,
    } = answered;
    ledger.describe(|row| {
        row.route.clear();
        row.route.push_str(&route.name);
    });
    let mut headers = HeaderMap::with_capacity(8);
    describe(&mut headers, &ledger);
    headers.extend(warnings(ledger.warnings()).map(|value| (WARNINGS, value)));
    let (status, sort, body) = match answer {
        Answer::Whole { status, body, tally } => {
            ledger.succeed(tally);
            (status, "application/json", Body::from(body))
        }
        Answer::Stream { head, source, tally } => {
            let clocks = Clocks {
                idle: route.limits.idle,
                deadline,
                total: route.limits.total,
            };
            let body = StreamBody::new(source, target.provider, head, tally, ledger, clocks);
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
            (
                StatusCode::OK,
                "text/event-stream; charset=utf-8",
                Body::new(body),
            )
        }
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sort));
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Settles and sends an error.
fn refuse(error: ApiError, ledger: Ledger) -> Response {
    let mut headers = HeaderMap::with_capacity(8);
    describe(&mut headers, &ledger);
    ledger.fail(&error, Tally::default());
    let mut response = error.into_response();
    response.headers_mut().extend(headers);
    response
}

/// Warnings as a header's value, of bounded length. They may name what the client sent, so whatever is no printable
/// ASCII is replaced.
fn warnings(warnings: &[String]) -> Option<HeaderValue> {
    if warnings.is_empty() {
        return None;
    }
    let mut text = String::new();
    for letter in warnings.join("; ").chars() {
        if text.len() == WARNINGS_LIMIT {
            text.truncate(WARNINGS_LIMIT - 3);
            text.push_str("...");
            break;
        }
        let printable = letter == ' ' || letter.is_ascii_graphic();
        text.push(if printable { letter } else { '?' });
    }
    HeaderValue::try_from(text).ok()
}

/// Says in headers how the request went.
fn describe(headers: &mut HeaderMap, ledger: &Ledger) {
    let row = ledger.row();
    let table = [
        (REQUEST_ID, row.id.as_str()),
        (TRACE_ID, &row.trace_id),
        (ROUTE, &row.route),
        (PROVIDER, &row.provider),
    ];
    for (name, text) in table {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::try_from(text)) {
            headers.insert(name, value);
        }
    }
    if !row.attempts.is_empty() {
        headers.insert(ATTEMPTS, HeaderValue::from(row.attempts.len()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_fit_into_a_header_whatever_the_client_sent() {
        assert_eq!(warnings(&[]), None);
        let given = [
            "n\u{f6}te\r\nset-cookie: a=b was left out".to_owned(),
            "b".to_owned(),
        ];
        let value = warnings(&given).unwrap();
        assert_eq!(value, "n?te??set-cookie: a=b was left out; b");
        let value = warnings(&["x".repeat(5_000)]).unwrap();
        assert!(value.len() == WARNINGS_LIMIT && value.as_bytes().ends_with(b"x..."));
        assert_eq!(warnings(&["x".repeat(1_000)]).unwrap().len(), 1_000);
    }
}
