//! `/api/traces…`: what applications trace and what the gateway was asked, as one list and one tree, for the console
//! and the CLI.
//!
//! *Invariant:* a principal sees the projects that the authorizer lets them list; what is elsewhere does not exist for
//! them. Nothing here adds up a page of rows and calls it a total.

mod desk;
mod export;
mod filter;
mod histogram;
mod import;
mod line;
mod payload;
mod row;
mod tail;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod walk;

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, RawQuery, State},
    routing::{get, post},
};
use http::Extensions;
use serde::Serialize;
use stead_kernel::{Identity, Result, Timestamp, http::ApiError};

pub(crate) use self::{
    desk::{Desk, absent_as_none},
    import::Imported,
    row::{Row, Source},
    tail::KEEP_ALIVE,
    tree::{Node, Sort},
};
use self::{
    filter::Question,
    payload::Payload,
    tree::Tree,
    walk::{Asked, Place, Walk},
};
use crate::{opik::Opik, routes::Parameters};

type Answer<T> = std::result::Result<Json<T>, ApiError>;

/// How many rows a page has when nobody says.
const PAGE: usize = 50;
/// So many are looked at for one page; who wants more asks on.
const LOOKED_AT: usize = 5_000;

/// The routes.
pub(crate) fn routes(opik: &Opik) -> Router {
    Router::new()
        .route("/api/traces", get(list))
        .route("/api/traces/histogram", get(histogram::histogram))
        .route("/api/traces/tail", get(tail::tail))
        .route("/api/traces/export", get(export::export))
        .route(
            "/api/traces/import",
            post(import::import).layer(DefaultBodyLimit::disable()),
        )
        .route("/api/traces/{id}", get(tree))
        .route("/api/traces/{id}/spans/{span}", get(payload))
        .with_state(Desk::new(opik))
}

/// A page of rows.
#[derive(Debug, Serialize)]
struct Page {
    items: Vec<Row>,
    /// Where the next page begins; none when this is the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// What a query asks for.
async fn asked(
    desk: &Desk,
    extensions: &Extensions,
    parameters: &mut Parameters,
    now: Timestamp,
) -> Result<Asked> {
    let principal = Identity::require(extensions)?;
    let question = parameters.text("q")?.unwrap_or_default();
    Ok(Asked {
        question: Question::parse(&question)?,
        scope: desk.scope(&principal, parameters.list("projects")).await?,
        since: parameters.time("since", now)?,
        until: parameters.time("until", now)?,
    })
}

async fn list(State(desk): State<Desk>, extensions: Extensions, RawQuery(query): RawQuery) -> Answer<Page> {
    let mut parameters = Parameters::parse(query.as_deref(), "q projects since until limit after")?;
    let asked = asked(&desk, &extensions, &mut parameters, desk.ports.clock.now()).await?;
    let limit = match parameters.limit("limit")? {
        0 => PAGE,
        limit => limit,
    };
    let after = parameters.text("after")?;
    let place = after
        .as_deref()
        .map(Place::parse)
        .transpose()?
        .unwrap_or_default();
    let mut walk = Walk::begin(&desk, &asked, place).await?;
    let (mut items, mut looked_at) = (Vec::new(), 0);
    let next = loop {
        if items.len() >= limit || looked_at >= LOOKED_AT {
            // What is beyond is looked for, so that the last page says that it is.
            let place = walk.place().text()?;
            break walk.next().await?.map(|_| place);
        }
        let Some(found) = walk.next().await? else {
            break None;
        };
        looked_at += 1;
        items.extend(walk.row(&found));
    };
    Ok(Json(Page { items, next }))
}

async fn tree(State(desk): State<Desk>, extensions: Extensions, Path(id): Path<String>) -> Answer<Tree> {
    let principal = Identity::require(&extensions)?;
    let scope = desk.scope(&principal, Vec::new()).await?;
    let found = desk.find(&scope, &id).await?;
    Ok(Json(tree::read(&desk, &scope, found).await?))
}

async fn payload(
    State(desk): State<Desk>,
    extensions: Extensions,
    Path((id, span)): Path<(String, String)>,
) -> Answer<Payload> {
    let principal = Identity::require(&extensions)?;
    let scope = desk.scope(&principal, Vec::new()).await?;
    let found = desk.find(&scope, &id).await?;
    Ok(Json(payload::read(&desk, &scope, found, &span).await?))
}
