//! `/livez`, `/readyz`, `/version`, `/metrics`, and what answers when nothing else does.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use axum::{
    Json, Router,
    extract::Request,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use stead_kernel::{Error, Identity, Principal, http::ApiError};

use super::VERSION;

/// A part of `/metrics`, in Prometheus' text format.
pub(crate) type Metrics = Arc<dyn Fn() -> String + Send + Sync>;

/// Whether the server takes requests: false while it starts and once it stops.
#[derive(Clone, Default)]
pub(crate) struct Readiness(Arc<AtomicBool>);

impl Readiness {
    /// Says whether requests are taken.
    pub(crate) fn set(&self, ready: bool) {
        self.0.store(ready, Ordering::Release);
    }
}

/// The routes. `/metrics` is for administrators, the others for everyone.
pub(crate) fn routes(readiness: Readiness, metrics: Vec<Metrics>) -> Router {
    let metrics = Arc::new(metrics);
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(async move || ready(&readiness)))
        .route("/version", get(|| async { Json(json!({"version": VERSION})) }))
        .route(
            "/metrics",
            get(async move |request: Request| render(&metrics, &request)),
        )
        .fallback(not_found)
}

fn ready(readiness: &Readiness) -> Response {
    if readiness.0.load(Ordering::Acquire) {
        "ok".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "starting or stopping").into_response()
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

async fn not_found(request: Request) -> ApiError {
    let error = Error::not_found(format!("there is nothing at {}", request.uri().path()));
    ApiError(error.hint("the OpenAI API is at /v1, the resource API at /k8s, everything else below /api"))
}
