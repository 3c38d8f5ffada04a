//! Traces, logs and metrics of OpenTelemetry, taken in over HTTP (<https://opentelemetry.io/docs/specs/otlp/>) at
//! `/otlp/v1/…`, over gRPC, and at the addresses that Opik's and Langfuse's exporters have. Traces lie beside what Opik's SDKs trace
//! and are read in the same ways.
//!
//! *Invariant:* a 200 means that everything which is not counted as rejected is durable and readable.

mod attributes;
mod batch;
mod grpc;
mod ids;
mod logs;
mod meaning;
mod metrics;
mod names;
#[cfg(test)]
pub(crate) mod tests;
mod told;
mod wire;

use std::{collections::HashMap, sync::Arc};

use axum::{
    Router,
    extract::{FromRequestParts, Request, State},
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::post,
};
use bytes::Bytes;
use prost::Message;
use serde::de::DeserializeOwned;
use stead_kernel::{Collection, Context, Error, Reason, Result, ports::traces::Write};
use uuid::Uuid;

use self::{
    batch::{Item, Rejected},
    ids::TraceId,
    names::{Names, Wanted},
    told::Teller,
    wire::{Encoding, Signal},
};
pub(crate) use self::{
    ids::{found_span as span_id, trace_of},
    names::{Named, named},
};
use crate::opik::{Caller, Opik, OpikError, plain_body};

/// Under which addresses traces, logs and metrics are taken, each by its own name.
const DOORS: [&str; 4] = [
    "/otlp/v1",
    // https://www.comet.com/docs/opik/integrations/opentelemetry
    "/opik/api/v1/private/otel/v1",
    "/opik/v1/private/otel/v1",
    // https://langfuse.com/integrations/native/opentelemetry
    "/api/public/otel/v1",
];
/// The header in which Opik's users name the project.
const PROJECT: &str = "projectname";
/// So many spans, lines or points are written at once.
const CHUNK: usize = 1_000;
/// Requests beyond so many bytes are read off the runtime.
const INLINE: usize = 16 << 10;

/// What the handlers work with. Cheap to clone.
#[derive(Clone)]
struct Otlp {
    opik: Opik,
    names: Arc<Names>,
}

/// The collections of records.
pub(crate) fn collections() -> impl IntoIterator<Item = Collection> {
    names::COLLECTIONS
}

/// The routes with their absolute paths.
pub(crate) fn routes(context: &Context, opik: Opik) -> Router {
    names::forget_old(&context.tasks, &context.ports, context.settings.retention_days);
    let names = Arc::new(Names::new(&context.ports, Arc::clone(&opik.projects)));
    let mut router = grpc::routes();
    for door in DOORS {
        router = router
            .route(&format!("{door}/traces"), post(traces))
            .route(&format!("{door}/logs"), post(logs))
            .route(&format!("{door}/metrics"), post(metrics));
    }
    router.with_state(Otlp { opik, names })
}

async fn traces(State(otlp): State<Otlp>, request: Request) -> Response {
    otlp.answer(Signal::Traces, request).await
}

async fn logs(State(otlp): State<Otlp>, request: Request) -> Response {
    otlp.answer(Signal::Logs, request).await
}

async fn metrics(State(otlp): State<Otlp>, request: Request) -> Response {
    otlp.answer(Signal::Metrics, request).await
}

impl Otlp {
    async fn answer(&self, signal: Signal, request: Request) -> Response {
        let Some(encoding) = Encoding::of(request.headers()) else {
            let error = Error::invalid("the content type must be application/x-protobuf or application/json");
            return Encoding::Json.refuse_as(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
        };
        match self.export(signal, request, encoding).await {
            Ok(rejected) => encoding.answer(signal, rejected),
            Err(error) => encoding.refuse(&error),
        }
    }

    async fn export(&self, signal: Signal, request: Request, encoding: Encoding) -> Result<Rejected> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, &self.opik)
            .await
            .map_err(OpikError::into_error)?;
        let body = plain_body(&parts.headers, body, &self.opik).await;
        let body = body.map_err(OpikError::into_error)?;
        self.take(signal, (&caller, &parts.headers), body, encoding).await
    }

    /// Takes in what a body tells.
    async fn take(
        &self,
        signal: Signal,
        (caller, headers): (&Caller, &HeaderMap),
        body: Bytes,
        encoding: Encoding,
    ) -> Result<Rejected> {
        let now = self.opik.ports.clock.now();
        match signal {
            Signal::Traces => {
                let (items, rejected) = read(body, encoding, signal, batch::items).await?;
                self.take_spans(caller, headers, items, rejected).await
            }
            Signal::Logs => {
                let mut records = read(body, encoding, signal, move |told| logs::records(told, now)).await?;
                while !records.is_empty() {
                    let chunk = records.drain(..records.len().min(CHUNK)).collect();
                    self.opik.ports.signals.log(&caller.workspace, chunk).await?;
                }
                Ok(Rejected::default())
            }
            Signal::Metrics => {
                let (mut points, rejected) = read(body, encoding, signal, metrics::points).await?;
                while !points.is_empty() {
                    let chunk = points.drain(..points.len().min(CHUNK)).collect();
                    self.opik.ports.signals.measure(&caller.workspace, chunk).await?;
                }
                Ok(rejected)
            }
        }
    }

    /// Takes in spans.
    async fn take_spans(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        items: Vec<Item>,
        mut rejected: Rejected,
    ) -> Result<Rejected> {
        if items.is_empty() {
            return Ok(rejected);
        }
        let names = self.named(caller, headers, &items).await?;
        let teller = Teller {
            workspace: caller.workspace.clone(),
            user: caller.user.clone(),
            now: self.opik.ports.clock.now(),
        };
        let told = tokio::task::spawn_blocking(move || told::writes(items, &names, &teller)).await;
        let told = told.map_err(|error| Error::internal("reading spans was cut off").because(error))??;
        let mut told = told.into_iter();
        loop {
            let chunk: Vec<Vec<Write>> = told.by_ref().take(CHUNK).collect();
            if chunk.is_empty() {
                return Ok(rejected);
            }
            self.write(chunk, &mut rejected).await?;
        }
    }

    /// Writes what spans tell; where one is told to be elsewhere than before, the others all the same.
    async fn write(&self, told: Vec<Vec<Write>>, rejected: &mut Rejected) -> Result<()> {
        let all = told.iter().flatten().cloned().collect();
        match self.opik.ports.traces.write(all).await {
            Ok(()) => return Ok(()),
            Err(error) if error.reason() == Reason::Conflict => {}
            Err(error) => return Err(error),
        }
        let each = told.into_iter().map(|one| self.opik.ports.traces.write(one));
        for done in futures::future::join_all(each).await {
            match done {
                Ok(()) => {}
                Err(error) if error.reason() == Reason::Conflict => rejected.add(|| error.full_message()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// What the traces of these spans are here.
    async fn named(
        &self,
        caller: &Caller,
        headers: &HeaderMap,
        items: &[Item],
    ) -> Result<HashMap<TraceId, Named>> {
        let by_header = headers.get(PROJECT).and_then(|value| value.to_str().ok());
        let by_header = by_header.map(str::trim).filter(|name| !name.is_empty());
        let latest = self.opik.ports.clock.now();
        let mut projects: HashMap<Option<&str>, Uuid> = HashMap::new();
        let mut wanted: HashMap<TraceId, Wanted> = HashMap::new();
        for item in items {
            let name = by_header.or(item.origin.project.as_deref());
            let project = if let Some(project) = projects.get(&name) {
                *project
            } else {
                let project = self.opik.projects.to_write(caller, name, None).await?;
                projects.insert(name, project);
                project
            };
            // A clock that is ahead must not put a trace before all others for long.
            let start = item.start.min(latest);
            let want = wanted.entry(item.trace).or_insert(Wanted { start, project });
            want.start = want.start.min(start);
        }
        self.names.of(&caller.workspace, &wanted).await
    }
}

/// What a body tells.
async fn read<T, R>(
    body: Bytes,
    encoding: Encoding,
    signal: Signal,
    understand: impl FnOnce(T) -> R + Send + 'static,
) -> Result<R>
where
    T: Message + Default + DeserializeOwned,
    R: Send + 'static,
{
    let is_short = body.len() <= INLINE;
    let read = move || encoding.decode(&body, signal.as_str()).map(understand);
    if is_short {
        return read();
    }
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| Error::internal("reading a body was cut off").because(error))?
}
