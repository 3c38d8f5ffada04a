//! `/api/requests`, `/api/requests/{id}`, `/api/usage` and `/api/audit`.
//!
//! A principal sees the projects that the authorizer lets them list; whoever may list across projects sees all. What
//! lies in a project that is not theirs does not exist for them.

mod journal;
mod parameters;
#[cfg(test)]
mod tests;
mod times;

use axum::{
    Json, Router,
    extract::{Path, RawQuery, State},
    routing::{get, post},
};
use http::Extensions;
use serde::Serialize;
use stead_kernel::{
    AccessRequest, Error, Identity, Ports, Principal, Result, Verb,
    http::ApiError,
    ports::{
        Page,
        events::{
            AuditQuery, AuditRow, JOURNAL_PATH, RequestQuery, RequestRow, UsageGroup, UsageQuery, UsageRow,
        },
    },
};

use self::parameters::Parameters;

type Answer<T> = std::result::Result<Json<T>, ApiError>;

/// The routes.
pub(crate) fn routes(ports: Ports) -> Router {
    Router::new()
        .route("/api/requests", get(requests))
        .route("/api/requests/{id}", get(request))
        .route("/api/usage", get(usage))
        .route("/api/audit", get(audit))
        .route(JOURNAL_PATH, post(journal::append))
        .with_state(ports)
}

/// Usage with its total.
#[derive(Debug, Serialize)]
struct Usage {
    /// By what it is summed.
    by: Vec<UsageGroup>,
    /// A row per group, in the order of the groups.
    items: Vec<UsageRow>,
    /// The sum over all groups.
    total: UsageRow,
}

async fn requests(
    State(ports): State<Ports>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Answer<Page<RequestRow>> {
    let principal = Identity::require(&extensions)?;
    let names = "projects since until model provider key user outcome after limit";
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

async fn usage(
    State(ports): State<Ports>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> Answer<Usage> {
    let principal = Identity::require(&extensions)?;
    let mut parameters = Parameters::parse(query.as_deref(), "projects since until by")?;
    let now = ports.clock.now();
    let query = UsageQuery {
        projects: visible(&ports, &principal, "usage", parameters.list("projects"))?,
        since: parameters.time("since", now)?,
        until: parameters.time("until", now)?,
        by: parameters.words("by")?,
    };
    let by = query.by.clone();
    let items = ports.events.usage(query).await?;
    let total = total(&items);
    Ok(Json(Usage { by, items, total }))
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
fn visible(
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

fn total(rows: &[UsageRow]) -> UsageRow {
    let mut total = UsageRow::default();
    for row in rows {
        total.add(row);
    }
    total
}
