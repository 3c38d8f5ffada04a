//! One request's work: from what it asks for to its answer.

use std::sync::Arc;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use stead_dialects::chat::Head;
use stead_kernel::{
    Body,
    ports::{self, Keeper},
};
use tokio::time::Instant;

use super::{
    caller::Caller,
    controls::Controls,
    error::ApiError,
    serve::PathModel,
    stored,
    surface::{Form, Surface},
};
use crate::{
    Gateway,
    cache::{self, CacheControl},
    dispatch::{Answered, Dispatch, Order, Question},
    ledger::{Ledger, clipped},
    operation::Operation,
    quota::{self, Size},
    realtime::Joined,
    route::plan::Limits,
    scan::{self, Scanned},
    snapshot::{Provider, Refusal, Route, Snapshot},
    stream::{Clocks, StreamBody},
    tally::Tally,
    trace::Trace,
    upstream::Answer,
};

const REQUEST_ID: HeaderName = HeaderName::from_static("x-stead-request-id");
const TRACE_ID: HeaderName = HeaderName::from_static("x-stead-trace-id");
const ROUTE: HeaderName = HeaderName::from_static("x-stead-route");
const PROVIDER: HeaderName = HeaderName::from_static("x-stead-provider");
const TARGET: HeaderName = HeaderName::from_static("x-stead-target");
/// What the cache did: `hit`, `semantic` or `miss`.
const CACHE: HeaderName = HeaderName::from_static("x-stead-cache");
const ATTEMPTS: HeaderName = HeaderName::from_static("x-stead-attempts");
/// What a whole answer cost, in US dollars.
const COST: HeaderName = HeaderName::from_static("x-stead-cost");
/// What a provider of another dialect does not get.
pub(super) const WARNINGS: HeaderName = HeaderName::from_static("x-stead-warnings");
/// The most bytes of that header.
const WARNINGS_LIMIT: usize = 1_000;

/// Everything that one request works with; owned, so that the work can go on after the head of its answer is sent.
pub(super) struct Job {
    pub(super) gateway: Arc<Gateway>,
    pub(super) snapshot: Arc<Snapshot>,
    pub(super) caller: Caller,
    pub(super) surface: Surface,
    pub(super) trace: Trace,
    /// What of the client's own headers goes to a provider of the same dialect.
    pub(super) passed: Vec<(HeaderName, HeaderValue)>,
    /// What the client wants of the cache.
    pub(super) cache: CacheControl,
    /// All of the client's headers, for those who choose by them.
    pub(super) headers: HeaderMap,
    /// Who keeps a whole answer before it is settled.
    pub(super) keeper: Option<Keeper>,
    pub(super) ledger: Box<Ledger>,
}

/// A request that is read, resolved and reserved.
pub(super) struct Prepared {
    pub(super) request: Arc<Scanned>,
    route: Arc<Route>,
    order: Order,
    controls: Option<Box<Controls>>,
    /// By which API providers are asked: guardrails read streams in the usual form, whichever the client wants.
    asked: Surface,
}

/// What is to be done with a request.
pub(super) enum Ready {
    /// A provider is asked.
    Ask(Box<Prepared>),
    /// There is an answer already.
    Answered(Box<Answered>, Option<Box<Controls>>),
}

impl Prepared {
    /// Whether the client can be told to wait before anything of the answer is there.
    pub(super) fn may_wait(&self, surface: Surface) -> bool {
        let text = matches!(surface.operation, Operation::Chat | Operation::Completions);
        text && self.request.fields.stream && surface.takes_comments()
    }
}

/// How a request's work ended; not settled yet.
pub(super) struct Done {
    result: Result<Answered, ApiError>,
    /// What was produced of an answer that the client does not get.
    wasted: Tally,
    /// How old the answer is, in seconds, if it was given before.
    age: Option<u64>,
    ledger: Box<Ledger>,
}

impl Job {
    /// Finds out what is asked for, and reserves it.
    pub(super) async fn prepare(&mut self, body: Bytes, path: &PathModel) -> Result<Ready, ApiError> {
        let mut body = self.prompted(body)?;
        if matches!(self.surface.operation, Operation::Chat | Operation::CountTokens) {
            body = stored::put_in(&self.gateway, &self.caller, self.surface.wire, body).await?;
        }
        let head = Head {
            model: path.model.as_deref(),
            stream: path.stream,
        };
        let mut request = match &path.form {
            Some(content_type) => scan::scan_form(body, content_type)?,
            None => scan::scan(body, self.surface.wire, head)?,
        };
        self.ledger.describe(|row| {
            row.model = clipped(&request.fields.model);
            row.stream = request.fields.stream;
        });
        let route = self
            .snapshot
            .resolve(self.caller.asker(), &request.fields.model)
            .map_err(|refusal| refused(&refusal, &request.fields.model))?;
        self.ledger.describe(|row| row.route.push_str(&route.name));
        let controls = self.controls(&mut request, &route).await?;
        let dispatch = self.dispatch(&request);
        let order = dispatch.order(&route);
        let first = order.first(&route).cloned().or_else(|| dispatch.spare(&route));
        let Some(first) = first else {
            let message = format!("route `{}` has no target that can answer you", route.name);
            return Err(ApiError::unavailable("no_target", message));
        };
        let keeps = self.ledger.keeps_output();
        if let Some(answer) = controls
            .as_ref()
            .and_then(|controls| controls.kept(&request, keeps))
        {
            let deadline = self.ledger.started() + route.limits.total;
            let answered = Answered {
                answer,
                target: first,
                route,
                deadline,
            };
            return Ok(Ready::Answered(Box::new(answered), controls));
        }
        self.ledger
            .estimate(quota::units(self.surface.operation, &request.body));
        self.admit(&mut request, &route).await?;
        self.ledger
            .reserve(&request.body, request.fields.max_tokens, &first)?;
        let asked = match &controls {
            Some(controls) if controls.guards_stream(&request) => {
                self.surface.with(self.surface.operation, Form::Usual)
            }
            Some(_) | None => self.surface,
        };
        Ok(Ready::Ask(Box::new(Prepared {
            request: Arc::new(request),
            route,
            order,
            controls,
            asked,
        })))
    }

    /// Asks until somebody answers.
    pub(super) async fn run(self, prepared: Prepared) -> Done {
        let Self {
            gateway,
            snapshot,
            caller,
            surface: _,
            trace,
            passed,
            cache: _,
            headers,
            keeper: _,
            mut ledger,
        } = self;
        let dispatch = Dispatch {
            gateway: &gateway,
            snapshot: &snapshot,
            question: Question {
                asker: caller.asker(),
                user: caller.user(),
                headers: &headers,
                request: &prepared.request,
                surface: prepared.asked,
                prices: &*gateway.books.prices,
            },
            trace,
            passed: &passed,
        };
        let result = dispatch.run(prepared.route, prepared.order, &mut ledger).await;
        Done::of(result, prepared.controls, ledger).await
    }

    /// Goes on with an answer that is there already.
    pub(super) async fn answered(self, answered: Answered, controls: Option<Box<Controls>>) -> Done {
        Done::of(Ok(answered), controls, self.ledger).await
    }

    /// Gets the request past the quotas that hold for it.
    async fn admit(&mut self, request: &mut Scanned, route: &Route) -> Result<(), ApiError> {
        if self.snapshot.quotas.is_free(self.caller.project()) {
            return Ok(());
        }
        let targets = self.snapshot.all_targets(self.caller.project(), route);
        let mut size = Size::of(self.surface.operation, request);
        size.milliseconds = u64::try_from(route.limits.total.as_millis()).unwrap_or(u64::MAX);
        let admitting = self.ledger.admit(&self.snapshot.quotas, size, &targets);
        let limit = Box::pin(admitting).await?;
        if let Some(limit) = limit {
            request.limit_output(limit);
        }
        Ok(())
    }

    fn dispatch<'a>(&'a self, request: &'a Scanned) -> Dispatch<'a> {
        Dispatch {
            gateway: &self.gateway,
            snapshot: &self.snapshot,
            question: Question {
                asker: self.caller.asker(),
                user: self.caller.user(),
                headers: &self.headers,
                request,
                surface: self.surface,
                prices: &*self.gateway.books.prices,
            },
            trace: self.trace.clone(),
            passed: &self.passed,
        }
    }
}

/// A WebSocket that a provider opened, and the record of its session.
pub(super) struct Joint {
    pub(super) joined: Box<Joined>,
    pub(super) ledger: Box<Ledger>,
    pub(super) provider: Arc<Provider>,
    pub(super) limits: Limits,
    pub(super) began: Instant,
}

/// What is left to send of an answer whose head is known.
pub(super) enum Rest {
    Whole(StatusCode, HeaderValue, Bytes),
    Stream(Option<HeaderValue>, Box<StreamBody>),
    Joined(Box<Joint>),
    Failed(ApiError),
}

impl Done {
    /// A request that came to nothing before anybody was asked.
    pub(super) fn refused(error: ApiError, ledger: Box<Ledger>) -> Self {
        Self {
            result: Err(error),
            wasted: Tally::default(),
            age: None,
            ledger,
        }
    }

    /// An answer after its guardrails.
    async fn of(
        result: Result<Answered, ApiError>,
        controls: Option<Box<Controls>>,
        mut ledger: Box<Ledger>,
    ) -> Self {
        let (Some(controls), true) = (controls, result.is_ok()) else {
            return Self {
                result,
                wasted: Tally::default(),
                age: None,
                ledger,
            };
        };
        let age = controls.age();
        let (result, wasted) = match result {
            Ok(answered) => Box::pin(controls.finish(answered, &mut ledger)).await,
            Err(error) => (Err(error), Tally::default()),
        };
        Self {
            result,
            wasted,
            age,
            ledger,
        }
    }

    /// Has a whole answer kept before it counts: a process that is killed in between has not billed what is lost.
    pub(super) async fn kept_by(self, Keeper(keeper): Keeper) -> Self {
        if let Ok(Answered {
            answer: Answer::Whole { status, body, .. },
            ..
        }) = &self.result
        {
            let answer = ports::Answered {
                status: *status,
                request_id: self.ledger.row().id.clone(),
                body: body.clone(),
            };
            keeper.keep(answer).await;
        }
        self
    }

    /// Settles what is complete; a stream settles before its last event. Returns what to tell in headers, and the rest.
    pub(super) fn settle(self) -> (HeaderMap, Rest) {
        let Self {
            result,
            wasted,
            age,
            mut ledger,
        } = self;
        let answered = match result {
            Ok(answered) => answered,
            Err(error) => {
                let headers = describe(&ledger);
                ledger.fail(&error, wasted);
                return (headers, Rest::Failed(error));
            }
        };
        let route = answered.route;
        ledger.describe(|row| {
            row.route.clear();
            row.route.push_str(&route.name);
        });
        let mut headers = describe(&ledger);
        headers.extend(age.map(|age| (header::AGE, HeaderValue::from(age))));
        let rest = match answered.answer {
            Answer::Whole {
                status,
                sort,
                body,
                tally,
            } => {
                let settled = ledger.succeed(tally);
                let cost = settled.cost.and_then(|cost| u64::try_from(cost.0).ok());
                headers.extend(cost.map(|cost| (COST, quota::dollars_of(cost))));
                // What was reserved and not used is free again.
                quota::describe(&mut headers, &settled.admitted, settled.at);
                Rest::Whole(status, sort, body)
            }
            Answer::Stream {
                sort,
                head,
                source,
                tally,
            } => {
                let clocks = Clocks {
                    idle: route.limits.idle,
                    deadline: answered.deadline,
                    total: route.limits.total,
                };
                let provider = answered.target.provider;
                let body = StreamBody::new(source, provider, head, tally, ledger, clocks);
                Rest::Stream(sort, Box::new(body))
            }
            Answer::Joined(joined) => Rest::Joined(Box::new(Joint {
                joined,
                began: ledger.started(),
                ledger,
                provider: answered.target.provider,
                limits: route.limits,
            })),
        };
        (headers, rest)
    }

    /// Settles and sends the answer.
    pub(super) fn respond(self, surface: Surface) -> Response {
        let (mut headers, rest) = self.settle();
        match rest {
            Rest::Whole(status, sort, body) => {
                headers.insert(header::CONTENT_TYPE, sort);
                let mut response = Response::new(Body::from(body));
                *response.status_mut() = status;
                *response.headers_mut() = headers;
                response
            }
            Rest::Stream(sort, body) => {
                let mut response = stream(surface, sort, Body::new(body));
                response.headers_mut().extend(headers);
                response
            }
            Rest::Failed(error) => refusal(surface, error, headers),
            // Its record settles as it is dropped.
            Rest::Joined(_) => {
                let error = ApiError::upstream("a WebSocket came that nobody asked for");
                refusal(surface, error, headers)
            }
        }
    }
}

fn refusal(surface: Surface, error: ApiError, headers: HeaderMap) -> Response {
    let mut response = surface.refuse(error);
    response.headers_mut().extend(headers);
    response
}

/// An answer that comes in pieces, of the provider's content type where it is no dialect's stream.
pub(super) fn stream(surface: Surface, sort: Option<HeaderValue>, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let sort = sort.unwrap_or(HeaderValue::from_static(surface.stream_type()));
    headers.insert(header::CONTENT_TYPE, sort);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
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
pub(super) fn describe(ledger: &Ledger) -> HeaderMap {
    // With room for those that the layers around this add.
    let mut headers = HeaderMap::with_capacity(16);
    let row = ledger.row();
    let target = if row.provider.is_empty() {
        String::new()
    } else {
        format!("{}/{}", row.provider, row.provider_model)
    };
    let table = [
        (REQUEST_ID, row.id.as_str()),
        (TRACE_ID, &row.trace_id),
        (ROUTE, &row.route),
        (PROVIDER, &row.provider),
        (TARGET, &target),
    ];
    for (name, text) in table {
        if let (false, Ok(value)) = (text.is_empty(), HeaderValue::try_from(text)) {
            headers.insert(name, value);
        }
    }
    if let Some(cache) = row.labels.get(cache::LABEL) {
        headers.extend(HeaderValue::try_from(cache).map(|value| (CACHE, value)));
    }
    if !row.attempts.is_empty() {
        headers.insert(ATTEMPTS, HeaderValue::from(row.attempts.len()));
    }
    headers.extend(warnings(ledger.warnings()).map(|value| (WARNINGS, value)));
    quota::describe(&mut headers, ledger.admitted(), ledger.now());
    headers
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
