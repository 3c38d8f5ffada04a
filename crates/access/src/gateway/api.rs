//! `/api/gateway/tokens`: making, listing and revoking the tokens of gateways; for admins.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use serde::Deserialize;
use serde_json::json;
use stead_kernel::{Clock, Ports, http::ApiError};

use super::Gateways;
use crate::{
    api::caller::{Caller, Json},
    audit::{Act, Audit},
};

struct Shared {
    gateways: Gateways,
    clock: Arc<dyn Clock>,
    audit: Audit,
}

/// What `POST /api/gateway/tokens` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
}

/// The routes.
pub(crate) fn routes(gateways: Gateways, ports: &Ports) -> Router {
    let shared = Shared {
        gateways,
        clock: Arc::clone(&ports.clock),
        audit: Audit {
            events: Arc::clone(&ports.events),
            clock: Arc::clone(&ports.clock),
        },
    };
    Router::new()
        .route("/api/gateway/tokens", get(list).post(create))
        .route("/api/gateway/tokens/{name}", delete(revoke))
        .with_state(Arc::new(shared))
}

async fn list(State(shared): State<Arc<Shared>>, caller: Caller) -> Result<Response, ApiError> {
    caller.require_admin()?;
    let tokens = shared.gateways.list().into_iter();
    let items: Vec<_> = tokens
        .map(|(name, created)| json!({"name": name, "created": created}))
        .collect();
    Ok(axum::Json(json!({"items": items})).into_response())
}

async fn create(
    State(shared): State<Arc<Shared>>,
    caller: Caller,
    Json(Wanted { name }): Json<Wanted>,
) -> Result<Response, ApiError> {
    caller.require_admin()?;
    let token = shared.gateways.create(&name, shared.clock.now()).await?;
    let (user, peer) = (&caller.principal.user, caller.visitor.peer);
    shared
        .audit
        .record(Act::MakeGatewayToken, user, &name, peer)
        .await;
    let body = axum::Json(json!({"name": name, "token": token}));
    Ok((StatusCode::CREATED, [(header::CACHE_CONTROL, "no-store")], body).into_response())
}

async fn revoke(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    caller: Caller,
) -> Result<StatusCode, ApiError> {
    caller.require_admin()?;
    shared.gateways.revoke(&name).await?;
    let (user, peer) = (&caller.principal.user, caller.visitor.peer);
    shared
        .audit
        .record(Act::RevokeGatewayToken, user, &name, peer)
        .await;
    Ok(StatusCode::NO_CONTENT)
}
