//! Leases over HTTP: `POST /api/gateway/leases` takes a batch of reports, `POST /api/gateway/leases/recalls` waits until
//! something is wanted back. Both are for gateway processes and admins.

use std::sync::Arc;

use async_trait::async_trait;
use axum::{Extension, Json, Router, extract::State, routing::post};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stead_kernel::{Error, Identity, Result, http::ApiError, ports::Control};

use super::{Answer, Batch, Desk, Leases};
use crate::peers;

const LEASES: &str = "/api/gateway/leases";
const RECALLS: &str = "/api/gateway/leases/recalls";

/// What lends over HTTP.
pub(crate) fn routes(desk: Arc<Desk>) -> Router {
    Router::new()
        .route(LEASES, post(report))
        .route(RECALLS, post(recalls))
        .with_state(desk)
}

/// The question for what is wanted back.
#[derive(Serialize, Deserialize)]
struct Question {
    holder: String,
}

async fn report(
    State(desk): State<Arc<Desk>>,
    Extension(identity): Extension<Identity>,
    Json(mut batch): Json<Batch>,
) -> std::result::Result<Json<Answer>, ApiError> {
    batch.holder = holder(&identity, &batch.holder)?;
    Ok(Json(desk.report(batch).await?))
}

async fn recalls(
    State(desk): State<Arc<Desk>>,
    Extension(identity): Extension<Identity>,
    Json(question): Json<Question>,
) -> std::result::Result<Json<Vec<String>>, ApiError> {
    let holder = holder(&identity, &question.holder)?;
    Ok(Json(desk.recalls(&holder).await?))
}

/// The holder that a caller may speak for: its own name stands before it.
fn holder(identity: &Identity, named: &str) -> Result<String> {
    let principal = peers::known(identity)?;
    if !peers::is_one(&principal) {
        return Err(Error::forbidden(
            "only gateway processes and admins borrow slices of quotas",
        ));
    }
    if named.is_empty()
        || named.len() > 100
        || !named.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'|')
    {
        return Err(Error::invalid("holder: write a short name in plain letters"));
    }
    Ok(format!("{}:{named}", principal.user))
}

/// The leader, over HTTP.
pub(crate) struct Remote(pub(crate) Arc<dyn Control>);

impl Remote {
    async fn call<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T> {
        let odd = |error| Error::internal("the leader speaks another version of leases").because(error);
        let body = serde_json::to_value(body).map_err(odd)?;
        let answer = self.0.post(path, &body).await?;
        serde_json::from_value(answer).map_err(odd)
    }
}

#[async_trait]
impl Leases for Remote {
    async fn report(&self, batch: Batch) -> Result<Answer> {
        self.call(LEASES, &batch).await
    }

    async fn recalls(&self, holder: &str) -> Result<Vec<String>> {
        let question = Question {
            holder: holder.to_owned(),
        };
        self.call(RECALLS, &question).await
    }
}
