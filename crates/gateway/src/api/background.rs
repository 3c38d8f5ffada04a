//! Responses that are made in the background (<https://platform.openai.com/docs/guides/background>).
//!
//! What is wrong with a request is said at once; then its client has a response that is `queued`, and reads it again
//! until it is over. The work goes on in this process alone: when the process ends first, the response has failed, and
//! says so.
//!
//! *Invariant:* a response that a client was told of is kept, and its status becomes one of those that last, whatever
//! happens to the work, the client or the process.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{Json, response::IntoResponse, response::Response};
use http::{HeaderMap, HeaderValue, header, request::Parts};
use http_body_util::{BodyExt, Collected, Limited};
use serde::Deserialize;
use serde_json::Value;
use stead_dialects::{
    chat::{Head, View, Wire},
    responses,
    sse::{self, Decoder},
};
use stead_kernel::{Body, Error};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    caller::Caller,
    error::ApiError,
    idempotency,
    job::{Done, Job, Ready, describe},
    keeping::{ANSWER_LIMIT, Keeper},
    serve::{PathModel, begin},
    stateful::Asked,
    surface::Surface,
};
use crate::{
    Gateway,
    responses::{Responses, Turn},
    scan,
};

mod live;

use live::{Live, follow};

/// How many responses are made at a time.
const PLACES: usize = 1_000;
/// How long the events of a response are kept after its end.
const KEPT: Duration = Duration::from_mins(5);
/// The longest event, in bytes.
const EVENT_LIMIT: usize = 64 << 20;

/// The responses that are made in the background.
pub(crate) struct Background {
    live: Mutex<HashMap<(String, String), Arc<Live>>>,
    places: Arc<Semaphore>,
}

impl Default for Background {
    fn default() -> Self {
        Self {
            live: Mutex::default(),
            places: Arc::new(Semaphore::new(PLACES)),
        }
    }
}

impl Background {
    fn all(&self) -> MutexGuard<'_, HashMap<(String, String), Arc<Live>>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, project: &str, id: &str) -> Option<Arc<Live>> {
        self.all().get(&(project.to_owned(), id.to_owned())).cloned()
    }

    /// Whether a response is made at present.
    pub(super) fn is_under_way(&self, project: &str, id: &str) -> bool {
        self.find(project, id).is_some_and(|live| !live.is_over())
    }

    /// Ends a response that is made at present, and waits until its end is kept.
    pub(super) async fn cancel(&self, project: &str, id: &str, patience: Duration) {
        if let Some(live) = self.find(project, id) {
            live.cancel.cancel();
            // Whoever asks reads what is kept then.
            drop(timeout(patience, live.ended()).await);
        }
    }
}

/// Begins a response, and says that it is queued.
pub(super) async fn create(gateway: &Arc<Gateway>, parts: Parts, asked: Asked) -> Response {
    let surface = Surface::chat(Wire::Responses);
    match start(gateway, parts, asked, surface).await {
        Ok(response) => response,
        Err(Refusal::Before(error)) => surface.refuse(error),
        Err(Refusal::Recorded(response)) => *response,
    }
}

/// Why nothing was begun.
enum Refusal {
    Before(ApiError),
    /// It is recorded and told already.
    Recorded(Box<Response>),
}

impl<E: Into<ApiError>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self::Before(error.into())
    }
}

async fn start(
    gateway: &Arc<Gateway>,
    parts: Parts,
    asked: Asked,
    surface: Surface,
) -> Result<Response, Refusal> {
    let keeper = asked.keep.filter(Keeper::stores).ok_or_else(|| {
        let message =
            "background: a response that is made in the background has to be kept; leave store: false out";
        ApiError::from(Error::invalid(message)).param("background")
    })?;
    if parts.headers.contains_key(idempotency::HEADER) {
        let error = Error::unsupported("a response in the background takes no idempotency key");
        return Err(ApiError::from(error.hint("read the response by its id instead of asking twice")).into());
    }
    let place = Arc::clone(&gateway.background.places)
        .try_acquire_owned()
        .map_err(|_| {
            ApiError::rate_limited("this process makes as many responses in the background as it can")
        })?;
    let snapshot = gateway.snapshot.load();
    let caller = Caller::of(&parts, &snapshot, gateway.clock.now())?;
    let mut job = begin(gateway, surface, (snapshot, caller), &parts.headers);
    job.headers = parts.headers;
    let keeper = keeper.promised(format!("resp_{}", job.ledger.uuid()));
    let refuse = |error: ApiError, job: Job| {
        Refusal::Recorded(Box::new(Done::refused(error, job.ledger).respond(surface)))
    };
    let queued = match queued(&keeper, &job) {
        Ok(queued) => queued,
        Err(error) => return Err(refuse(error, job)),
    };
    let ready = match job.prepare(asked.body, &PathModel::default()).await {
        Ok(ready) => ready,
        Err(error) => return Err(refuse(error, job)),
    };
    let begun = async {
        let (id, turn) = keeper.turn(queued)?;
        gateway.responses.begin(keeper.project(), &id, &turn).await?;
        Ok::<_, Error>((id, turn))
    };
    let (id, turn) = match begun.await {
        Ok(begun) => begun,
        Err(error) => return Err(refuse(error.into(), job)),
    };
    let headers = describe(&job.ledger);
    let streams = streams(keeper.body());
    let live = Arc::new(Live::new(streams));
    let name = (keeper.project().to_owned(), id);
    gateway.background.all().insert(name.clone(), Arc::clone(&live));
    let response = turn.response.clone();
    let work = Work {
        gateway: Arc::clone(gateway),
        keeper,
        live: Arc::clone(&live),
        turn,
        name,
        place,
    };
    let making = work.run(job, ready, surface);
    drop(gateway.tasks.spawn("background response", making));
    let mut answer = if streams {
        stream(live, None)
    } else {
        Json(response).into_response()
    };
    answer.headers_mut().extend(headers);
    Ok(answer)
}

/// The response before anything was done.
fn queued(keeper: &Keeper, job: &Job) -> Result<Value, ApiError> {
    let scanned = scan::scan(keeper.body().clone(), Wire::Responses, Head::default())?;
    let request = scanned.request().map_err(ApiError::from)?;
    let view = View {
        id: job.ledger.uuid().to_string(),
        model: scanned.fields.model.clone(),
        created: job.gateway.clock.now().as_second(),
        request: Arc::clone(request),
    };
    let written = serde_json::from_slice(&responses::queued(&view));
    written.map_err(|error| Error::internal("a response is JSON").because(error).into())
}

fn streams(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Streams {
        #[serde(default)]
        stream: Option<bool>,
    }
    serde_json::from_slice::<Streams>(body).is_ok_and(|body| body.stream == Some(true))
}

fn stream(live: Arc<Live>, after: Option<u64>) -> Response {
    let mut response = Response::new(follow(live, after));
    let headers = response.headers_mut();
    let sort = HeaderValue::from_static("text/event-stream; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, sort);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// The events of a response after the one with a number.
///
/// # Errors
/// Where they are not there: it was made without a stream, or ended a while ago, or in another process.
pub(super) fn resume(
    gateway: &Gateway,
    project: &str,
    id: &str,
    after: Option<u64>,
) -> Result<Response, ApiError> {
    let live = gateway.background.find(project, id).filter(|live| live.streams);
    let live = live.filter(|live| live.has(after)).ok_or_else(|| {
        let what = "the events of this response are not here";
        let hint = "they are there while it is made in the background with stream: true, and five minutes longer; read it without stream";
        ApiError::from(Error::unsupported(what).hint(hint)).param("stream")
    })?;
    Ok(stream(live, after))
}

/// The making of one response.
struct Work {
    gateway: Arc<Gateway>,
    keeper: Keeper,
    live: Arc<Live>,
    /// As it was begun.
    turn: Turn,
    name: (String, String),
    place: OwnedSemaphorePermit,
}

/// How it ended.
enum Outcome {
    Complete(Value),
    Failed(String, String),
    Cancelled,
    Stopped,
}

impl Work {
    /// Makes the response, keeps what came of it, and says so.
    async fn run(self, job: Job, ready: Ready, surface: Surface) {
        let stop = self.gateway.tasks.token();
        let answering = async {
            let done = match ready {
                Ready::Ask(prepared) => job.run(*prepared).await,
                Ready::Answered(answered, controls) => job.answered(*answered, controls).await,
            };
            self.take(done.respond(surface)).await
        };
        let outcome = tokio::select! {
            biased;
            () = self.live.cancel.cancelled() => Outcome::Cancelled,
            () = stop.cancelled() => Outcome::Stopped,
            outcome = answering => outcome,
        };
        self.finish(outcome).await;
        let Self {
            gateway,
            name,
            live,
            place,
            ..
        } = self;
        live.end();
        drop(place);
        let forgetting = Arc::clone(&gateway);
        gateway
            .tasks
            .spawn_until_stopped("events of a response", async move {
                tokio::time::sleep(KEPT).await;
                forgetting.background.all().remove(&name);
            });
    }

    /// Reads what came, and passes events on as they come.
    async fn take(&self, response: Response) -> Outcome {
        let (parts, body) = response.into_parts();
        if !parts.status.is_success() {
            return refused(body).await;
        }
        if is_stream(&parts.headers) {
            return self.events(body).await;
        }
        let Ok(body) = Limited::new(body, ANSWER_LIMIT).collect().await else {
            return failed("the answer broke off or is too large to be kept");
        };
        match serde_json::from_slice(&body.to_bytes()) {
            Ok(response) => Outcome::Complete(response),
            Err(_) => failed("the answer is no response"),
        }
    }

    async fn events(&self, mut body: Body) -> Outcome {
        let mut decoder = Decoder::new(EVENT_LIMIT);
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else {
                return failed("the answer broke off");
            };
            let Ok(piece) = frame.into_data() else { continue };
            let Ok(events) = decoder.push(&piece) else {
                return failed("the answer is no stream of events");
            };
            for event in events {
                if let Some(outcome) = self.event(&event.data) {
                    return outcome;
                }
            }
        }
        failed("the answer ended too early")
    }

    /// Passes an event on, unless it is the last one, which waits until the response is kept.
    fn event(&self, data: &str) -> Option<Outcome> {
        let mut event: Value = serde_json::from_str(data).ok()?;
        let kind = event.get("type")?.as_str()?.to_owned();
        if let Some(response) = event.get_mut("response") {
            self.keeper.complete(response);
            if matches!(
                &*kind,
                "response.completed" | "response.incomplete" | "response.failed"
            ) {
                return Some(Outcome::Complete(response.take()));
            }
        }
        if kind == "error" {
            let text = |name: &str| event.get(name).and_then(Value::as_str).map(str::to_owned);
            let message = text("message").unwrap_or_else(|| "the answer broke off".to_owned());
            return Some(Outcome::Failed("server_error".to_owned(), message));
        }
        self.live.tell(&kind, event);
        None
    }

    /// Without its conversation it can be kept as a failure; else the next start finds it unfinished.
    async fn keep_failure(&self, turn: &mut Turn) {
        turn.fail("server_error", "the response was made and could not be kept");
        let (project, id) = &self.name;
        if let Ok(put) = Responses::put(project, id, turn, None) {
            let writes = vec![put, Responses::done(project, id)];
            drop(self.gateway.responses.commit(writes).await);
        }
    }

    /// Keeps the end, and tells it to those who listen.
    async fn finish(&self, outcome: Outcome) {
        let mut turn = self.turn.clone();
        let told = match outcome {
            Outcome::Complete(response) => {
                turn.response = response;
                true
            }
            Outcome::Failed(code, message) => {
                turn.fail(&code, &message);
                true
            }
            Outcome::Cancelled => {
                turn.set_status("cancelled");
                false
            }
            Outcome::Stopped => {
                turn.stop();
                true
            }
        };
        self.keeper.complete(&mut turn.response);
        if let Err(error) = self.keeper.store(turn.response.clone()).await {
            tracing::warn!(
                error = error.full_message(),
                "a response made in the background was not kept"
            );
            self.keep_failure(&mut turn).await;
        }
        if told && self.live.streams {
            let status = turn.response.get("status").and_then(Value::as_str);
            let kind = match status {
                Some("incomplete") => "response.incomplete",
                Some("failed") => "response.failed",
                Some(_) | None => "response.completed",
            };
            let event = serde_json::json!({"type": kind, "response": turn.response});
            self.live.tell(kind, event);
        }
    }
}

fn failed(why: &str) -> Outcome {
    Outcome::Failed("server_error".to_owned(), why.to_owned())
}

/// A refusal in the words of the error that a client would have got.
async fn refused(body: Body) -> Outcome {
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Told {
        code: Option<String>,
        message: String,
    }
    #[derive(Deserialize)]
    struct Shape {
        error: Told,
    }
    let body = Limited::new(body, ANSWER_LIMIT).collect().await;
    let body = body.map(Collected::to_bytes).unwrap_or_default();
    let told = serde_json::from_slice::<Shape>(&body).map(|shape| shape.error);
    let told = told.unwrap_or_default();
    Outcome::Failed(
        told.code.unwrap_or_else(|| "server_error".to_owned()),
        told.message,
    )
}

fn is_stream(headers: &HeaderMap) -> bool {
    let sort = headers.get(header::CONTENT_TYPE);
    sort.is_some_and(|sort| sort.as_bytes().starts_with(b"text/event-stream"))
}

/// An event as it is sent.
fn encoded(kind: &str, event: &Value) -> bytes::Bytes {
    sse::encode(Some(kind), &event.to_string())
}
