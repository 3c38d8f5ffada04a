//! `/api/alerts/{name}/test`

use axum::{
    Json, Router,
    extract::{Path, State},
    routing::post,
};
use kube::Api;
use serde_json::{Value, json};
use stead_kernel::{AccessRequest, Error, GROUP, Verb};

use super::{AlertRule, send_test};
use crate::{
    opik::Opik,
    routes::{Answer, Asked},
};

/// The route.
pub(crate) fn routes(opik: Opik) -> Router {
    Router::new()
        .route("/api/alerts/{name}/test", post(test))
        .with_state(opik)
}

/// Sends a message that says it is a test, at once and once.
async fn test(State(opik): State<Opik>, asked: Asked, Path(name): Path<String>) -> Answer<Value> {
    let wanted = AccessRequest {
        verb: Verb::Update,
        group: GROUP,
        resource: "alertrules",
        subresource: "",
        project: Some(&asked.project),
        name: Some(&name),
    };
    opik.ports.authorizer.authorize(&asked.principal, &wanted)?;
    let api: Api<AlertRule> = Api::namespaced(opik.client.clone(), &asked.project);
    let rule = api.get_opt(&name).await.map_err(Error::from)?;
    let rule = rule.ok_or_else(|| {
        Error::not_found(format!("there is no alert {name:?}"))
            .hint("see what there is with: stead get alertrules")
    })?;
    let sent = send_test(&opik, &asked.project, &name, &rule.spec).await;
    let status = if sent.error.is_none() {
        "success"
    } else {
        "failure"
    };
    let took = u64::try_from(sent.took.as_millis()).unwrap_or(u64::MAX);
    Ok(Json(
        json!({"status": status, "statusCode": sent.status, "error": sent.error, "milliseconds": took}),
    ))
}
