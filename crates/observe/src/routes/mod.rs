//! `/api/requests`, `/api/requests/{id}`, `/api/usage` and `/api/audit`.
//!
//! A principal sees the projects that the authorizer lets them list; whoever may list across projects sees all. What
//! lies in a project that is not theirs does not exist for them.

mod asked;
mod journal;
mod parameters;
#[cfg(test)]
mod tests;
mod times;
mod usage;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    routing::{get, post},
};
use http::Extensions;
use stead_kernel::{
    AccessRequest, Error, Identity, Ports, Principal, Result, Verb,
    http::ApiError,
    ports::{
        Page,
        events::{AuditQuery, AuditRow, JOURNAL_PATH, RequestQuery, RequestRow},
    },
};

pub(crate) use self::{
    asked::{Asked, Sent},
    parameters::Parameters,
    usage::Sum,
};
use crate::{opik::Opik, traces::Desk};

/// What handlers refuse with.
pub(crate) type Refused = ApiError;
/// What handlers answer.
pub(crate) type Answer<T> = std::result::Result<Json<T>, ApiError>;

/// The routes.
pub(crate) fn routes(opik: &Opik) -> Router {
    let usage = Router::new()
        .route("/api/usage", get(usage::usage))
        .with_state(Desk::new(opik));
    let ports = opik.ports.clone();
    Router::new()
        .route("/api/requests", get(requests))
        .route("/api/requests/{id}", get(request))
        .route("/api/audit", get(audit))
        .route(JOURNAL_PATH, post(journal::append))
        .with_state(ports)
        .merge(usage)
}

async fn requests(
    State(ports): State<Ports>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Answer<Page<RequestRow>> {
    let principal = Identity::require(&extensions)?;
    let names = "projects since until model provider key user outcome trace after limit";
    let mut parameters = Parameters::parse(query.as_deref(), names)?;
    let now = ports.clock.now();
    let query = RequestQuery {
        projects: visible(&ports, &principal, "requests", parameters.list("projects"))?,
        since: parameters.time("since", now)?,
        until: parameters.time("until", now)?,
        model: parameters.text("model")?,
        provider: parameters.text("provider")?,
        key: parameters.text("key")?,
        user: parameters.text("user")?,
        outcome: parameters.word("outcome")?,
        trace: parameters.text("trace")?,
        traced: false,
        after: parameters.text("after")?,
        limit: parameters.limit("limit")?,
    };
    Ok(Json(ports.events.requests(query).await?))
}

async fn request(
    State(ports): State<Ports>,
    extensions: Extensions,
    Path(id): Path<String>,
) -> Answer<RequestRow> {
    let principal = Identity::require(&extensions)?;
    let projects = visible(&ports, &principal, "requests", Vec::new())?;
    let row = ports.events.request(&id).await?;
    let seen = row.filter(|row| projects.is_none_or(|projects| projects.contains(&row.project)));
    let row = seen.ok_or_else(|| {
        Error::not_found(format!("there is no request {id:?}"))
            .hint("it may be older than what is kept; see what there is with: stead trace list")
    })?;
    Ok(Json(row))
}

async fn audit(
    State(ports): State<Ports>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Answer<Page<AuditRow>> {
    let principal = Identity::require(&extensions)?;
    let mut parameters =
        Parameters::parse(query.as_deref(), "projects user resource since until after limit")?;
    let now = ports.clock.now();
    let query = AuditQuery {
        projects: visible(&ports, &principal, "audit", parameters.list("projects"))?,
        user: parameters.text("user")?,
        resource: parameters.text("resource")?,
        since: parameters.time("since", now)?,
        until: parameters.time("until", now)?,
        after: parameters.text("after")?,
        limit: parameters.limit("limit")?,
    };
    Ok(Json(ports.events.audit(query).await?))
}

/// The projects that the answer may be about; `None` for all. Projects that are asked for must be allowed; when none
/// is, the answer is about those that are.
pub(crate) fn visible(
    ports: &Ports,
    principal: &Principal,
    resource: &str,
    asked: Vec<String>,
) -> Result<Option<Vec<String>>> {
    let may = |project: Option<&str>| {
        let request = AccessRequest {
            verb: Verb::List,
            group: "",
            resource,
            subresource: "",
            project,
            name: None,
        };
        ports.authorizer.authorize(principal, &request)
    };
    if !asked.is_empty() {
        for project in &asked {
            may(Some(project))?;
        }
        return Ok(Some(asked));
    }
    let Err(refusal) = may(None) else {
        return Ok(None);
    };
    let own = principal
        .projects
        .iter()
        .filter(|project| may(Some(project)).is_ok());
    let own: Vec<String> = own.cloned().collect();
    if own.is_empty() {
        Err(refusal)
    } else {
        Ok(Some(own))
    }
}
