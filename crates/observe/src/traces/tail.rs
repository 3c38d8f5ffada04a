//! Traces and requests as they come and change, as server-sent events
//! (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! What is told anew is told with the same id; a client keeps the last of each. An event's id is the time until which
//! all was told, so that who comes back with it is told what came and changed since.
//!
//! *Invariant:* nothing is left out while a client follows: who is too slow gets what it missed from the stores, again
//! where need be.

use std::{collections::HashSet, convert::Infallible, time::Duration};

use axum::{
    extract::{RawQuery, State},
    response::sse::{Event, KeepAlive, Sse},
};
use futures::{Stream, stream};
use http::{Extensions, HeaderMap};
use jiff::SignedDuration;
use stead_kernel::{
    Error, Result, Timestamp,
    http::ApiError,
    ports::{
        Follower, Told,
        traces::{Filter, Kind, Operator, Query},
    },
};
use tokio::sync::broadcast::error::RecvError;

use super::{
    asked,
    desk::{Desk, absent_as_none},
    row::Row,
    walk::{Asked, Found, Place, Walk, of_requests, of_traces},
};
use crate::routes::Parameters;

/// What comes within this time is told at once.
const TOGETHER: Duration = Duration::from_millis(200);
/// How often a line says that the connection is open.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What began longer before a client went than this, and changed since, it is not told of when it comes back.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(1);
/// What was told while others wrote may have been committed a little later than it says.
const OVERLAP: SignedDuration = SignedDuration::from_secs(5);
/// At most so many of each are told to who comes back.
const MISSED: usize = 1_000;

pub(super) async fn tail(
    State(desk): State<Desk>,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> std::result::Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref(), "q projects lastEventId")?;
    let now = desk.ports.clock.now();
    let asked = asked(&desk, &extensions, &mut parameters, now).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = match last {
        Some(last) => Some(last.to_owned()),
        None => parameters.text("lastEventId")?,
    };
    let last = last.map(|last| place(&last)).transpose()?;
    // Before the stores are asked, so that nothing falls between.
    let follower = desk.ports.feed.follow();
    let tail = Tail {
        desk,
        asked,
        follower,
        missed_since: last,
    };
    let events = stream::unfold(tail, |mut tail| async move {
        let events = tail.next().await?;
        Some((stream::iter(events.into_iter().map(Ok)), tail))
    });
    let events = futures::StreamExt::flatten(events);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

/// The time that an event's id says.
fn place(id: &str) -> Result<Timestamp> {
    let time = id
        .parse()
        .ok()
        .and_then(|micros| Timestamp::from_microsecond(micros).ok());
    time.ok_or_else(|| Error::invalid("Last-Event-ID: this is not the id of an event of this stream"))
}

struct Tail {
    desk: Desk,
    asked: Asked,
    follower: Follower,
    /// Since when the stores must be asked.
    missed_since: Option<Timestamp>,
}

impl Tail {
    /// The next events; none at the end.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            let now = self.desk.ports.clock.now();
            let rows = if let Some(since) = self.missed_since.take() {
                self.missed(since).await
            } else {
                let told = self.told(now).await?;
                if self.missed_since.is_some() {
                    continue;
                }
                self.rows(told).await
            };
            match rows {
                Ok(rows) => {
                    let events: Vec<Event> = rows.iter().filter_map(|row| event(row, now)).collect();
                    if !events.is_empty() {
                        return Some(events);
                    }
                }
                Err(error) => {
                    // The client comes back with the id of its last event.
                    tracing::warn!(%error, "a client that follows traces is cut off");
                    return None;
                }
            }
        }
    }

    /// Waits until something is told, and a little longer for what comes with it.
    async fn told(&mut self, now: Timestamp) -> Option<HashSet<Told>> {
        let mut all = HashSet::new();
        let mut next = self.follower.recv().await;
        let deadline = tokio::time::Instant::now() + TOGETHER;
        loop {
            match next {
                Ok(told) => all.extend(told.iter().cloned()),
                Err(RecvError::Lagged(_)) => {
                    self.missed_since = Some(now);
                    return Some(all);
                }
                Err(RecvError::Closed) if all.is_empty() => return None,
                Err(RecvError::Closed) => return Some(all),
            }
            let Ok(more) = tokio::time::timeout_at(deadline, self.follower.recv()).await else {
                return Some(all);
            };
            next = more;
        }
    }

    /// The rows of what was told.
    async fn rows(&self, told: HashSet<Told>) -> Result<Vec<Row>> {
        let mut found = Vec::new();
        for told in told {
            match told {
                Told::Trace { workspace, id } if self.asked.scope.workspaces.contains(&workspace) => {
                    found.extend(self.trace(&workspace, id).await?);
                }
                Told::Request { project, id } if self.asked.scope.has(&project) => {
                    let row = self.desk.ports.events.request(&id).await?;
                    found.extend(row.map(|row| Found::Request(Box::new(row))));
                }
                Told::Trace { .. } | Told::Request { .. } | Told::Logs { .. } => {}
            }
        }
        self.shown(found).await
    }

    /// A trace, if it is meant by what its row does not show.
    async fn trace(&self, workspace: &str, id: uuid::Uuid) -> Result<Option<Found>> {
        let entry = self.desk.ports.traces.entry(Kind::Trace, workspace, id).await?;
        let meant = entry.filter(|entry| self.asked.question.holds_apart(entry));
        Ok(meant.map(|entry| Found::Trace(Box::new(entry), workspace.to_owned())))
    }

    /// What came and changed since a client went.
    async fn missed(&self, since: Timestamp) -> Result<Vec<Row>> {
        let changed = since.checked_sub(OVERLAP).unwrap_or(since);
        let begun = since.checked_sub(LOOK_BACK).unwrap_or(since);
        let mut asked = self.asked.clone();
        asked.since = Some(begun);
        let mut found = Vec::new();
        for workspace in &asked.scope.workspaces {
            let mut query = Query {
                limit: MISSED,
                ..of_traces(&asked, workspace)
            };
            let changed = changed.to_string();
            query.filters.push(Filter::new(
                "last_updated_at",
                "",
                Operator::GreaterOrEqual,
                changed,
            ));
            let traces = absent_as_none(self.desk.ports.traces.entries(Kind::Trace, query).await)?;
            let traces = traces.map(|found| found.items).unwrap_or_default();
            found.extend(
                traces
                    .into_iter()
                    .map(|entry| Found::Trace(Box::new(entry), workspace.clone())),
            );
        }
        let mut query = of_requests(&asked);
        query.limit = MISSED;
        let requests = self.desk.ports.events.requests(query).await?.items;
        let ended = requests.into_iter().filter(|row| {
            let took = SignedDuration::from_micros(i64::try_from(row.duration_us).unwrap_or(i64::MAX));
            row.started.checked_add(took).is_ok_and(|ended| ended >= changed)
        });
        found.extend(ended.map(|row| Found::Request(Box::new(row))));
        self.shown(found).await
    }

    /// The rows of what is meant, the earliest first.
    async fn shown(&self, found: Vec<Found>) -> Result<Vec<Row>> {
        let mut walk = Walk::begin(&self.desk, &self.asked, Place::default()).await?;
        let mut rows = Vec::with_capacity(found.len());
        for found in found {
            if walk.is_own(&found).await? {
                rows.extend(walk.row(&found));
            }
        }
        rows.sort_by(|own, other| (own.start, &own.id).cmp(&(other.start, &other.id)));
        Ok(rows)
    }
}

fn event(row: &Row, until: Timestamp) -> Option<Event> {
    let event = Event::default()
        .event("trace")
        .id(until.as_microsecond().to_string())
        .json_data(row);
    event.ok()
}
