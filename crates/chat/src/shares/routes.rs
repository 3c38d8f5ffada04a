//! `/api/threads/{id}/shares` and `/api/shares`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::StatusCode,
    routing::{get, post},
};
use serde::Deserialize;
use stead_kernel::{Clock, Error, Verb, http::ApiError};

use super::store::{Audience, Share, Shares, Shown, branch};
use crate::{
    caller::{Door, Parameters, body_of, person},
    threads::{Part, Threads},
};

/// Whether conversations may be shared with people who are not signed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Public {
    /// An administrator allows it.
    Allowed,
    /// Only with people who are signed in.
    Refused,
}

/// The largest request body, in bytes.
const BODY: usize = 16 << 10;
/// How long a share is good when nobody says.
const WEEK: u64 = 7 * 24 * 3600;
/// How many messages are looked at.
const MESSAGES: usize = 2000;

#[derive(Clone)]
struct Sharing {
    shares: Shares,
    threads: Threads,
    door: Door,
    clock: Arc<dyn Clock>,
    public: Public,
}

/// The routes.
pub(crate) fn routes(ports: &stead_kernel::Ports, public: Public) -> Router {
    let sharing = Sharing {
        shares: Shares::new(ports.records.clone()),
        threads: Threads::new(ports.records.clone()),
        door: Door::new(ports),
        clock: ports.clock.clone(),
        public,
    };
    Router::new()
        .route("/api/threads/{id}/shares", post(make))
        .route("/api/shares", get(list))
        .route("/api/shares/{id}", get(open).delete(end))
        .with_state(sharing)
}

type Answer<T> = std::result::Result<T, ApiError>;

/// What `POST /api/threads/{id}/shares` takes.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct NewShare {
    #[serde(default)]
    audience: Audience,
    /// For how many seconds it is good.
    #[serde(default = "week")]
    seconds: u64,
    /// The end of the branch that is shown; the thread's newest message when absent.
    #[serde(default)]
    leaf: Option<String>,
}

const fn week() -> u64 {
    WEEK
}

async fn make(
    State(sharing): State<Sharing>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<(StatusCode, Json<Share>)> {
    let (_, owner) = sharing
        .door
        .who(query, request.extensions(), Verb::Update, Some(&id))?;
    let new: NewShare = body_of(request, BODY).await?;
    if new.audience == Audience::Public && sharing.public == Public::Refused {
        return Err(
            Error::forbidden("conversations are shared with people who are signed in only")
                .hint("an admin can allow more: `publicShares: true` in the configuration")
                .into(),
        );
    }
    let thread = sharing.threads.get(&owner, &id).await?;
    let mut messages = Vec::new();
    let mut after = None;
    loop {
        let part = Part {
            limit: MESSAGES,
            after,
        };
        let page = sharing.threads.messages(&owner, &id, part).await?;
        messages.extend(page.items);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let leaf = new.leaf.or_else(|| thread.leaf.clone()).unwrap_or_default();
    let shown = branch(messages, &leaf);
    if shown.is_empty() {
        return Err(Error::invalid("there is nothing to share yet").into());
    }
    let terms = (new.audience, Duration::from_secs(new.seconds));
    let share = sharing
        .shares
        .make(thread, shown, terms, sharing.clock.now())
        .await?;
    Ok((StatusCode::CREATED, Json(share)))
}

async fn list(
    State(sharing): State<Sharing>,
    query: Parameters,
    request: Request,
) -> Answer<Json<Vec<Share>>> {
    let (_, owner) = sharing.door.who(query, request.extensions(), Verb::List, None)?;
    Ok(Json(sharing.shares.of(&owner, sharing.clock.now()).await?))
}

async fn open(
    State(sharing): State<Sharing>,
    Path(id): Path<String>,
    request: Request,
) -> Answer<Json<Shown>> {
    let signed_in = person(request.extensions());
    let shown = sharing.shares.open(&id, sharing.clock.now()).await;
    let is_public =
        |shown: &Shown| shown.share.audience == Audience::Public && sharing.public == Public::Allowed;
    match (signed_in, shown) {
        (Ok(_), shown) => Ok(Json(shown?)),
        (Err(_), Ok(shown)) if is_public(&shown) => Ok(Json(shown)),
        // Who is not signed in does not learn whether there is something.
        (Err(error), _) => Err(error.into()),
    }
}

async fn end(
    State(sharing): State<Sharing>,
    Path(id): Path<String>,
    query: Parameters,
    request: Request,
) -> Answer<StatusCode> {
    let (_, owner) = sharing
        .door
        .who(query, request.extensions(), Verb::Delete, Some(&id))?;
    sharing.shares.end(&owner, &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests;
