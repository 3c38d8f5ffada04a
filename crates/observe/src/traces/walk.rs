//! Traces of applications and requests to the gateway as one list, newest first.
//!
//! *Invariant:* a request that lies inside an application's trace is not a row of its own, unless requests alone are
//! asked for; a list that is cut off says where it goes on.

use std::collections::{HashMap, HashSet, VecDeque};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use stead_kernel::{
    Error, Result, Timestamp,
    ports::{
        events::{Outcome, RequestQuery, RequestRow},
        traces::{Count, Entry, Kind, Query},
    },
};
use uuid::Uuid;

use super::{
    desk::{Desk, Scope, absent_as_none},
    filter::Question,
    row::{Row, began},
};

/// So many rows are fetched at once.
const CHUNK: usize = 100;
/// So many requests are.
const REQUESTS: usize = 500;

/// What is asked for.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) scope: Scope,
    pub(super) question: Question,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
}

/// Where a list was left.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Place {
    /// The last trace of an application.
    #[serde(rename = "t", skip_serializing_if = "Option::is_none")]
    trace: Option<Uuid>,
    /// When the last request began, in microseconds.
    #[serde(rename = "u", skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    /// The requests that began then and were seen.
    #[serde(rename = "s", default, skip_serializing_if = "HashSet::is_empty")]
    seen: HashSet<String>,
}

impl Place {
    /// As a client gets it.
    pub(super) fn text(&self) -> Result<String> {
        let json = serde_json::to_vec(self);
        let json =
            json.map_err(|error| Error::internal("a place in a list has no JSON form").because(error))?;
        Ok(URL_SAFE_NO_PAD.encode(json))
    }

    /// As a client gives it back.
    ///
    /// # Errors
    /// `Invalid` when it is not one.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let json = URL_SAFE_NO_PAD.decode(text).ok();
        let place = json.and_then(|json| serde_json::from_slice(&json).ok());
        place.ok_or_else(|| {
            Error::invalid("after: this is not where a page of this list ended")
                .hint("give the `next` of the page before")
        })
    }

    fn passed(&mut self, found: &Found) {
        match found {
            Found::Trace(entry, _) => self.trace = Some(entry.id),
            Found::Request(row) => {
                let at = row.started.as_microsecond();
                if self.at != Some(at) {
                    self.at = Some(at);
                    self.seen.clear();
                }
                self.seen.insert(row.id.clone());
            }
        }
    }
}

/// One of what is walked over.
#[derive(Debug)]
pub(super) enum Found {
    /// A trace, and the project that it is in.
    Trace(Box<Entry>, String),
    /// A request.
    Request(Box<RequestRow>),
}

impl Found {
    /// When it began.
    pub(super) fn began(&self) -> Timestamp {
        match self {
            Self::Trace(entry, _) => began(entry),
            Self::Request(row) => row.started,
        }
    }
}

/// The traces of one workspace.
struct Traces {
    workspace: String,
    names: HashMap<Uuid, String>,
    after: Option<Uuid>,
    ready: VecDeque<Entry>,
    is_over: bool,
}

/// The requests.
struct Requests {
    next: Option<String>,
    ready: VecDeque<RequestRow>,
    is_over: bool,
}

/// A walk over both.
pub(super) struct Walk<'a> {
    desk: &'a Desk,
    asked: &'a Asked,
    traces: Vec<Traces>,
    requests: Requests,
    place: Place,
    begun: Place,
    /// Whether a trace of OpenTelemetry is an application's.
    inside: HashMap<(String, String), bool>,
}

impl<'a> Walk<'a> {
    /// From a place on.
    pub(super) async fn begin(desk: &'a Desk, asked: &'a Asked, place: Place) -> Result<Self> {
        let mut traces = Vec::new();
        if !asked.question.is_of_requests() {
            for workspace in &asked.scope.workspaces {
                traces.push(Traces {
                    workspace: workspace.clone(),
                    names: desk.applications(workspace).await?,
                    after: place.trace,
                    ready: VecDeque::new(),
                    is_over: false,
                });
            }
        }
        Ok(Self {
            desk,
            asked,
            traces,
            requests: Requests {
                next: None,
                ready: VecDeque::new(),
                is_over: asked.question.is_of_applications(),
            },
            begun: place.clone(),
            place,
            inside: HashMap::new(),
        })
    }

    /// Goes over requests alone.
    pub(super) fn leave_traces_out(&mut self) {
        self.traces.clear();
    }

    /// Where the walk has come to.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The next one, whether or not it is meant.
    pub(super) async fn next(&mut self) -> Result<Option<Found>> {
        loop {
            self.fill().await?;
            let trace = self.traces.iter().enumerate().filter_map(|(index, traces)| {
                let first = traces.ready.front()?;
                Some((index, first.id))
            });
            let trace = trace.max_by_key(|(_, id)| *id);
            let request = self.requests.ready.front().map(|row| row.started);
            let is_trace = match (trace, request) {
                (None, None) => return Ok(None),
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (Some((_, id)), Some(started)) => told_time(id).is_some_and(|time| time >= started),
            };
            let found = if is_trace {
                let traces = trace.and_then(|(index, _)| self.traces.get_mut(index));
                traces.and_then(|traces| {
                    let entry = traces.ready.pop_front()?;
                    Some(Found::Trace(Box::new(entry), traces.workspace.clone()))
                })
            } else {
                let row = self.requests.ready.pop_front();
                row.map(|row| Found::Request(Box::new(row)))
            };
            let Some(found) = found else { return Ok(None) };
            self.place.passed(&found);
            if self.is_own(&found).await? {
                return Ok(Some(found));
            }
        }
    }

    /// Whether it has a row of its own.
    pub(super) async fn is_own(&mut self, found: &Found) -> Result<bool> {
        let question = &self.asked.question;
        match found {
            Found::Trace(..) => Ok(!question.is_of_requests()),
            Found::Request(_) if question.is_of_applications() => Ok(false),
            Found::Request(_) if question.is_of_requests() => Ok(true),
            Found::Request(row) => Ok(!self.is_inside(row).await?),
        }
    }

    /// The row of one that is meant.
    pub(super) fn row(&self, found: &Found) -> Option<Row> {
        let question = &self.asked.question;
        let row = match found {
            Found::Trace(entry, workspace) => {
                let names = self.traces.iter().find(|traces| traces.workspace == *workspace);
                let name = names.and_then(|traces| traces.names.get(&entry.project));
                Row::of_trace(entry, workspace, name.cloned())
            }
            Found::Request(request) => {
                let row = Row::of_request(request);
                if question.text.as_deref().is_some_and(|text| !row.mentions(text)) {
                    return None;
                }
                row
            }
        };
        question.holds(|field, key| row.cell(field, key)).then_some(row)
    }

    async fn fill(&mut self) -> Result<()> {
        let (desk, asked) = (self.desk, self.asked);
        for traces in &mut self.traces {
            if traces.ready.is_empty() && !traces.is_over {
                traces.fill(desk, asked).await?;
            }
        }
        while self.requests.ready.is_empty() && !self.requests.is_over {
            self.fill_requests().await?;
        }
        Ok(())
    }

    async fn fill_requests(&mut self) -> Result<()> {
        let query = RequestQuery {
            until: self.until(),
            after: self.requests.next.take(),
            ..of_requests(self.asked)
        };
        let page = self.desk.ports.events.requests(query).await?;
        let (at, seen) = (self.begun.at, &self.begun.seen);
        let new = page
            .items
            .into_iter()
            .filter(|row| at != Some(row.started.as_microsecond()) || !seen.contains(&row.id));
        self.requests.ready.extend(new);
        self.requests.next = page.next;
        self.requests.is_over = self.requests.next.is_none();
        Ok(())
    }

    /// Requests begin before then: the microsecond at which the walk was left is looked at again.
    fn until(&self) -> Option<Timestamp> {
        let left = self
            .begun
            .at
            .and_then(|at| Timestamp::from_microsecond(at.saturating_add(1)).ok());
        match (left, self.asked.until) {
            (Some(left), Some(until)) => Some(left.min(until)),
            (left, until) => left.or(until),
        }
    }

    /// Whether a request was made inside a trace that an application told of.
    async fn is_inside(&mut self, row: &RequestRow) -> Result<bool> {
        if row.parent_span_id.is_empty() {
            return Ok(false);
        }
        let key = (row.project.clone(), row.trace_id.clone());
        if let Some(known) = self.inside.get(&key) {
            return Ok(*known);
        }
        let named = absent_as_none(self.desk.named(&row.project, &row.trace_id).await)?;
        let is_inside = named.flatten().is_some();
        self.inside.insert(key, is_inside);
        Ok(is_inside)
    }
}

impl Traces {
    async fn fill(&mut self, desk: &Desk, asked: &Asked) -> Result<()> {
        let query = Query {
            after: self.after,
            limit: CHUNK,
            count: Count::None,
            ..of_traces(asked, &self.workspace)
        };
        let found = absent_as_none(desk.ports.traces.entries(Kind::Trace, query).await)?;
        let items = found.map(|found| found.items).unwrap_or_default();
        self.is_over = items.len() < CHUNK;
        self.after = items.last().map(|entry| entry.id).or(self.after);
        self.ready.extend(items);
        Ok(())
    }
}

/// The part of a question that the store of traces answers.
pub(super) fn of_traces(asked: &Asked, workspace: &str) -> Query {
    Query {
        workspace: workspace.to_owned(),
        since: asked.since,
        until: asked.until,
        filters: asked.question.stored(),
        search: asked.question.text.clone(),
        ..Query::default()
    }
}

/// The part of a question that the store of requests answers.
pub(super) fn of_requests(asked: &Asked) -> RequestQuery {
    let only = |field| asked.question.only(field).map(str::to_owned);
    let outcomes = [
        Outcome::Ok,
        Outcome::Error,
        Outcome::Cancelled,
        Outcome::Interrupted,
    ];
    let status = only("status");
    RequestQuery {
        projects: asked.scope.projects.clone(),
        since: asked.since,
        until: asked.until,
        outcome: outcomes
            .into_iter()
            .find(|outcome| status.as_deref() == Some(outcome.as_str())),
        provider: only("provider"),
        user: only("user"),
        key: only("key"),
        trace: only("trace"),
        limit: REQUESTS,
        ..RequestQuery::default()
    }
}

/// The time that an id tells.
fn told_time(id: Uuid) -> Option<Timestamp> {
    let (seconds, nanos) = id.get_timestamp()?.to_unix();
    Timestamp::new(i64::try_from(seconds).ok()?, i32::try_from(nanos).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_survives_its_text_and_garbage_is_refused() {
        let place = Place {
            trace: Some(Uuid::nil()),
            at: Some(-5),
            seen: HashSet::from(["r1".to_owned()]),
        };
        assert_eq!(Place::parse(&place.text().unwrap()).unwrap(), place);
        assert_eq!(
            Place::parse(&Place::default().text().unwrap()).unwrap(),
            Place::default()
        );
        for garbage in ["", "x", "bm90aGluZw"] {
            assert!(Place::parse(garbage).is_err(), "{garbage}");
        }
    }
}
