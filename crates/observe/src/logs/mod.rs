//! `/api/logs`: lines of logs, read back and followed.

use std::convert::Infallible;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    response::sse::{Event, KeepAlive, Sse},
    routing::get,
};
use futures::{Stream, StreamExt, stream};
use http::{Extensions, HeaderMap};
use serde::Serialize;
use stead_kernel::{
    Error, Identity, Result,
    http::ApiError,
    ports::{
        Follower, Told,
        signals::{LogQuery, LogRow},
    },
};
use tokio::sync::broadcast::error::RecvError;

use crate::{
    opik::Opik,
    routes::Parameters,
    traces::{Desk, KEEP_ALIVE},
};

/// How grave each word is at least (<https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber>).
pub(crate) const LEVELS: [(&str, u8); 6] = [
    ("trace", 1),
    ("debug", 5),
    ("info", 9),
    ("warn", 13),
    ("error", 17),
    ("fatal", 21),
];
/// So many lines are told at once to who follows.
const TOGETHER: usize = 500;

/// The routes.
pub(crate) fn routes(opik: &Opik) -> Router {
    Router::new()
        .route("/api/logs", get(list))
        .route("/api/logs/tail", get(tail))
        .with_state(Desk::new(opik))
}

/// A page of lines.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Lines {
    items: Vec<LogRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
    /// From where lines can be followed that came since.
    place: String,
}

async fn asked(desk: &Desk, extensions: &Extensions, parameters: &mut Parameters) -> Result<LogQuery> {
    let principal = Identity::require(extensions)?;
    let now = desk.ports.clock.now();
    let severity = parameters.text("level")?.map(|text| level(&text)).transpose()?;
    Ok(LogQuery {
        workspaces: desk
            .workspaces(&principal, "logs", parameters.list("projects"))
            .await?,
        since: parameters.time("since", now)?,
        until: parameters.time("until", now)?,
        severity,
        service: parameters.text("service")?,
        trace: parameters
            .text("trace")?
            .map(|id| id.to_lowercase().replace('-', "")),
        span: parameters.text("span")?.map(|id| id.to_lowercase()),
        text: parameters.text("q")?.filter(|text| !text.is_empty()),
        ..LogQuery::default()
    })
}

/// How grave a line must be at least.
fn level(text: &str) -> Result<u8> {
    let known = LEVELS.iter().find(|(word, _)| text.eq_ignore_ascii_case(word));
    let number = || text.parse().ok().filter(|number| (1..=24).contains(number));
    known.map(|(_, number)| *number).or_else(number).ok_or_else(|| {
        Error::invalid(format!("level: {text:?} is no level"))
            .hint("levels are trace, debug, info, warn, error, fatal, or a number from 1 to 24")
    })
}

async fn list(
    State(desk): State<Desk>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> std::result::Result<Json<Lines>, ApiError> {
    let known = "projects since until level service trace span q limit after";
    let mut parameters = Parameters::parse(query.as_deref(), known)?;
    let mut query = asked(&desk, &extensions, &mut parameters).await?;
    query.after = parameters.text("after")?;
    query.limit = parameters.limit("limit")?;
    // Before the lines are read: what comes meanwhile is told twice rather than not at all.
    let place = place(&desk, &query).await?;
    let page = desk.ports.signals.logs(query).await?;
    Ok(Json(Lines {
        items: page.items,
        next: page.next,
        place,
    }))
}

/// Where lines are now.
async fn place(desk: &Desk, query: &LogQuery) -> Result<String> {
    let now = LogQuery {
        came_after: Some(String::new()),
        after: None,
        ..query.clone()
    };
    Ok(desk.ports.signals.logs(now).await?.next.unwrap_or_default())
}

async fn tail(
    State(desk): State<Desk>,
    extensions: Extensions,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> std::result::Result<Sse<impl Stream<Item = std::result::Result<Event, Infallible>>>, ApiError> {
    let known = "projects level service trace span q lastEventId";
    let mut parameters = Parameters::parse(query.as_deref(), known)?;
    let query = asked(&desk, &extensions, &mut parameters).await?;
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let last = match last {
        Some(last) => Some(last.to_owned()),
        None => parameters.text("lastEventId")?.filter(|last| !last.is_empty()),
    };
    let follower = desk.ports.feed.follow();
    let place = match last {
        Some(last) => last,
        None => place(&desk, &query).await?,
    };
    let mut tail = Tail {
        desk,
        query,
        follower,
        place,
    };
    // What was missed, before anything is waited for; a place that is none is refused here.
    let first = tail.read().await?;
    let events = stream::unfold(tail, |mut tail| async move {
        let events = tail.next().await?;
        Some((stream::iter(events.into_iter().map(Ok)), tail))
    });
    let events = stream::iter(first.into_iter().map(Ok)).chain(events.flatten());
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

struct Tail {
    desk: Desk,
    query: LogQuery,
    follower: Follower,
    place: String,
}

impl Tail {
    /// The next events; none at the end.
    async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            match self.follower.recv().await {
                Ok(told) => {
                    let is_own = told.iter().any(|told| match told {
                        Told::Logs { workspace } => self.query.workspaces.contains(workspace),
                        Told::Request { .. } | Told::Trace { .. } => false,
                    });
                    if !is_own {
                        continue;
                    }
                }
                // What was missed is in the store.
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
            match self.read().await {
                Ok(events) if events.is_empty() => {}
                Ok(events) => return Some(events),
                Err(error) => {
                    // The client comes back with the id of its last event.
                    tracing::warn!(%error, "a client that follows logs is cut off");
                    return None;
                }
            }
        }
    }

    /// All lines that came since the last one.
    async fn read(&mut self) -> Result<Vec<Event>> {
        let mut events = Vec::new();
        loop {
            let query = LogQuery {
                came_after: Some(self.place.clone()),
                limit: TOGETHER,
                ..self.query.clone()
            };
            let page = self.desk.ports.signals.logs(query).await?;
            let is_last = page.items.len() < TOGETHER;
            if let Some(next) = page.next {
                self.place = next;
            }
            let count = page.items.len();
            for (index, row) in page.items.iter().enumerate() {
                let event = Event::default().event("log").json_data(row);
                let event =
                    event.map_err(|error| Error::internal("a line has no JSON form").because(error))?;
                // Only the last of a page says where to go on: those before it come again rather than never.
                let event = if index + 1 == count {
                    event.id(self.place.clone())
                } else {
                    event
                };
                events.push(event);
            }
            if is_last {
                return Ok(events);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_a_word_or_a_number() {
        for (text, expected) in [
            ("warn", Some(13)),
            ("ERROR", Some(17)),
            ("10", Some(10)),
            ("25", None),
            ("x", None),
        ] {
            assert_eq!(level(text).ok(), expected, "{text}");
        }
    }
}
