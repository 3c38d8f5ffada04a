//! Traces of OpenTelemetry, taken in over HTTP (<https://opentelemetry.io/docs/specs/otlp/>) at `/otlp/v1/traces`, and at
//! the addresses that Opik's and Langfuse's exporters have. They lie beside what Opik's SDKs trace and are read in the
//! same ways.
//!
//! *Invariant:* a 200 means that every span which is not counted as rejected is durable and readable; metrics and logs
//! answer 501.

mod attributes;
mod batch;
mod ids;
mod meaning;
mod names;
#[cfg(test)]
mod tests;
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
use stead_kernel::{Collection, Context, Error, Reason, Result, ports::traces::Write};
use uuid::Uuid;

use self::{
    batch::{Item, Rejected},
    ids::TraceId,
    names::{Named, Names, Wanted},
    told::Teller,
    wire::Encoding,
};
use crate::opik::{Caller, Opik, OpikError, plain_body};

/// Where traces are taken.
const TRACES: [&str; 4] = [
    "/otlp/v1/traces",
    // https://www.comet.com/docs/opik/integrations/opentelemetry
    "/opik/api/v1/private/otel/v1/traces",
    "/opik/v1/private/otel/v1/traces",
    // https://langfuse.com/integrations/native/opentelemetry
    "/api/public/otel/v1/traces",
];
/// What is not taken.
const OTHERS: [&str; 8] = [
    "/otlp/v1/metrics",
    "/otlp/v1/logs",
    "/opik/api/v1/private/otel/v1/metrics",
    "/opik/api/v1/private/otel/v1/logs",
    "/opik/v1/private/otel/v1/metrics",
    "/opik/v1/private/otel/v1/logs",
    "/api/public/otel/v1/metrics",
    "/api/public/otel/v1/logs",
];
/// The header in which Opik's users name the project.
const PROJECT: &str = "projectname";
/// So many spans are written at once.
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
    let taken = TRACES
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, post(traces)));
    OTHERS
        .into_iter()
        .fold(taken, |router, path| router.route(path, post(others)))
        .with_state(Otlp { opik, names })
}

async fn traces(State(otlp): State<Otlp>, request: Request) -> Response {
    let Some(encoding) = Encoding::of(request.headers()) else {
        let error = Error::invalid("the content type must be application/x-protobuf or application/json");
        return Encoding::Json.refuse_as(StatusCode::UNSUPPORTED_MEDIA_TYPE, &error);
    };
    match otlp.export(request, encoding).await {
        Ok(rejected) => encoding.answer(rejected),
        Err(error) => encoding.refuse(&error),
    }
}

async fn others(State(otlp): State<Otlp>, request: Request) -> Response {
    let encoding = Encoding::of(request.headers()).unwrap_or(Encoding::Json);
    let (mut parts, _) = request.into_parts();
    let caller = Caller::from_request_parts(&mut parts, &otlp.opik).await;
    let error = caller.map_or_else(OpikError::into_error, |_| {
        Error::unsupported("metrics and logs are not taken yet; traces are").hint("export traces alone")
    });
    encoding.refuse(&error)
}

impl Otlp {
    /// Takes in the spans of a request.
    async fn export(&self, request: Request, encoding: Encoding) -> Result<Rejected> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, &self.opik)
            .await
            .map_err(OpikError::into_error)?;
        let body = plain_body(&parts.headers, body, &self.opik).await;
        let body = body.map_err(OpikError::into_error)?;
        let (items, mut rejected) = read(body, encoding).await?;
        if items.is_empty() {
            return Ok(rejected);
        }
        let names = self.named(&caller, &parts.headers, &items).await?;
        let teller = Teller {
            workspace: caller.workspace,
            user: caller.user,
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

/// The spans of a body.
async fn read(body: Bytes, encoding: Encoding) -> Result<(Vec<Item>, Rejected)> {
    let is_short = body.len() <= INLINE;
    let read = move || encoding.decode(&body).map(batch::items);
    if is_short {
        return read();
    }
    let done = tokio::task::spawn_blocking(read).await;
    done.map_err(|error| Error::internal("reading spans was cut off").because(error))?
}
