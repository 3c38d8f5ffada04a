//! `/livez`, `/readyz`, `/version`, `/metrics`, and what answers when nothing else does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header, request::Parts},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use stead_kernel::{Error, Identity, Principal, Unready, http::ApiError};

use super::VERSION;

/// A part of `/metrics`, in Prometheus' text format.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Whether the server takes requests: false while it starts and once it stops.
#[derive(Clone)]
pub(crate) struct Readiness(Arc<Inner>);

struct Inner {
    open: AtomicBool,
    /// Whether everything was ready once; what is lost later is served from memory.
    complete: AtomicBool,
    unready: Vec<Unready>,
}

impl Readiness {
    /// Not ready yet; the domains say what keeps them.
    pub(crate) fn new(unready: Vec<Unready>) -> Self {
        Self(Arc::new(Inner {
            open: AtomicBool::new(false),
            complete: AtomicBool::new(false),
            unready,
        }))
    }

    /// Says whether requests are taken.
    pub(crate) fn set(&self, ready: bool) {
        self.0.open.store(ready, Ordering::Release);
    }

    /// What keeps the server from being ready; empty when nothing does.
    fn reasons(&self) -> Vec<String> {
        if !self.0.open.load(Ordering::Acquire) {
            return vec!["starting or stopping".to_owned()];
        }
        self.0.unready.iter().filter_map(|unready| unready()).collect()
    }

    /// Whether everything was there at least once.
    fn was_complete(&self) -> bool {
        if self.0.complete.load(Ordering::Relaxed) {
            return true;
        }
        let complete = self.0.unready.iter().all(|unready| unready().is_none());
        if complete {
            self.0.complete.store(true, Ordering::Relaxed);
        }
        complete
    }
}

/// What answers, before it is said that there is nothing: the console's pages and files.
pub(crate) type Pages = fn(&Parts) -> Option<Response>;

/// The routes. `/metrics` is for administrators, the others for everyone.
pub(crate) fn routes(readiness: Readiness, metrics: Vec<Metrics>, pages: Option<Pages>) -> Router {
    let metrics = Arc::new(metrics);
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/version", get(|| async { Json(json!({"version": VERSION})) }))
        .route(
            "/metrics",
            get(async move |request: Request| render(&metrics, &request)),
        )
        .fallback(async move |request: Request| not_found(request, pages))
}

/// Answers `503` to everything but questions about the server itself, until everything was ready once.
pub(crate) fn wait_until_ready(router: Router, readiness: Readiness) -> Router {
    router.layer(middleware::from_fn_with_state(readiness, hold))
}

/// What is answered at any time.
const ALWAYS: [&str; 4] = ["/livez", "/readyz", "/version", "/metrics"];

async fn hold(State(readiness): State<Readiness>, request: Request, next: Next) -> Response {
    if readiness.was_complete() || ALWAYS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let error = Error::unavailable("the server is starting: it has not read its resources yet");
    let mut response = ApiError(error).into_response();
    let second = header::HeaderValue::from_static("1");
    response.headers_mut().insert(header::RETRY_AFTER, second);
    response
}

fn ready(readiness: &Readiness) -> Response {
    let reasons = readiness.reasons();
    if reasons.is_empty() {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, reasons.join("; ")).into_response()
    }
}
fn render(parts: &[Metrics], request: &Request) -> Result<Response, ApiError> {
    let principal: Arc<Principal> = Identity::require(request.extensions())?;
    if !principal.is_admin() {
        return Err(Error::forbidden("metrics are for administrators").into());
    }
    let mut text = process();
    for part in parts {
        text.push_str(&part());
    }
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response())
}

/// Memory of this process, with Prometheus' own name for it.
fn process() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kibibytes: u64 = line
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    format!(
        "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes {}\n",
        kibibytes << 10
    )
}

fn not_found(request: Request, pages: Option<Pages>) -> Response {
    let (parts, _) = request.into_parts();
    if let Some(page) = pages.and_then(|pages| pages(&parts)) {
        return page;
    }
    let error = Error::not_found(format!("there is nothing at {}", parts.uri.path()));
    let hint = "the OpenAI API is at /v1, the resource API at /k8s, everything else below /api";
    ApiError(error.hint(hint)).into_response()
}
