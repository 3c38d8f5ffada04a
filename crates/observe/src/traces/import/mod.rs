//! `POST /api/traces/import`: takes back what an export wrote, and what Opik's and Langfuse's exports hold.
//!
//! The body is a sequence of JSON documents, or lists of them, with or without lines between them. What was told before
//! is told again with the same ids and times, so that an import changes nothing the second time.
//!
//! *Invariant:* an answer means that all of the body is stored; a body that is refused for what it says stored nothing.

mod langfuse;
mod opik;

use axum::{
    Json,
    body::Body,
    extract::{RawQuery, Request, State},
};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use stead_kernel::{
    AccessRequest, DEFAULT_PROJECT, Error, GROUP, Identity, Principal, Result, Timestamp, Verb,
    http::{ApiError, BodyError, read_body},
    ports::{
        events::{Event, RequestRow},
        traces::{Kind, Origin, Put, Subject, TagChange, Write},
    },
    resources,
};

use super::{
    desk::Desk,
    line::{Line, Of, Told},
};
use crate::{opik::Caller, routes::Parameters};

/// The largest body, in bytes; clients send more in several.
pub(crate) const BODY_LIMIT: usize = 64 << 20;
/// So many writes are made at once.
const CHUNK: usize = 1_000;

/// What was stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Imported {
    /// Traces.
    pub(crate) traces: u64,
    /// Spans.
    pub(crate) spans: u64,
    /// Requests.
    pub(crate) requests: u64,
    /// Scores.
    pub(crate) scores: u64,
    /// Comments.
    pub(crate) comments: u64,
}

impl Imported {
    /// Adds what another body held.
    pub(crate) fn add(&mut self, other: Self) {
        self.traces += other.traces;
        self.spans += other.spans;
        self.requests += other.requests;
        self.scores += other.scores;
        self.comments += other.comments;
    }
}

/// What a body holds.
#[derive(Debug, Default)]
struct Read {
    entries: Vec<(Kind, Box<Told>)>,
    requests: Vec<RequestRow>,
}

pub(super) async fn import(
    State(desk): State<Desk>,
    RawQuery(query): RawQuery,
    request: Request<Body>,
) -> std::result::Result<Json<Imported>, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref(), "project")?;
    let project = parameters
        .text("project")?
        .unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    let principal = Identity::require(request.extensions())?;
    may(&desk, &principal, ("", "traces"), Some(&project))?;
    let (parts, body) = request.into_parts();
    let body = read_body(&parts.headers, body, BODY_LIMIT).await;
    let body = body.map_err(|error| match error {
        BodyError::TooLarge => {
            Error::too_large(format!("a part of an import has at most {BODY_LIMIT} bytes"))
                .hint("send it in several; `stead trace import` does")
        }
        BodyError::Incomplete => Error::invalid("the body ended before it was complete"),
    })?;
    let read = tokio::task::spawn_blocking(move || read(&body)).await;
    let read = read.map_err(|error| Error::internal("reading an import was cut off").because(error))??;
    if !read.requests.is_empty() {
        // Requests are usage.
        may(&desk, &principal, (GROUP, resources::JOURNALS), None).map_err(|error| {
            error.hint(
                "only who may add to journals can import requests; leave them out with: stead trace export \
                        -q source:application",
            )
        })?;
    }
    let caller = Caller {
        workspace: project,
        user: principal.user.clone(),
    };
    Ok(Json(store(&desk, &caller, read).await?))
}

fn may(
    desk: &Desk,
    principal: &Principal,
    (group, resource): (&str, &str),
    project: Option<&str>,
) -> Result<()> {
    desk.ports.authorizer.authorize(
        principal,
        &AccessRequest {
            verb: Verb::Create,
            group,
            resource,
            subresource: "",
            project,
            name: None,
        },
    )
}

/// Reads all documents of a body.
fn read(body: &Bytes) -> Result<Read> {
    let mut read = Read::default();
    let documents = serde_json::Deserializer::from_slice(body).into_iter::<Box<RawValue>>();
    for (index, document) in documents.enumerate() {
        let number = index + 1;
        let wrong = |what: String| Error::invalid(format!("document {number} of the import: {what}"));
        let document = document.map_err(|error| wrong(format!("it is no JSON ({error})")))?;
        if document.get().starts_with('[') {
            let items: Vec<Box<RawValue>> =
                serde_json::from_str(document.get()).map_err(|error| wrong(error.to_string()))?;
            for item in items {
                add(&mut read, &item).map_err(|error| wrong(error.message().to_owned()))?;
            }
        } else {
            add(&mut read, &document).map_err(|error| wrong(error.message().to_owned()))?;
        }
    }
    Ok(read)
}

/// By what the sorts of documents are told apart.
#[derive(Deserialize)]
struct Look<'a> {
    #[serde(rename = "type", borrow, default)]
    of: Option<&'a RawValue>,
    #[serde(borrow, default)]
    trace: Option<&'a RawValue>,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
}

/// One document: a line of our own, or a trace as Opik or Langfuse writes it.
fn add(read: &mut Read, document: &RawValue) -> Result<()> {
    let wrong = |error: serde_json::Error| Error::invalid(format!("it cannot be read: {error}"));
    let look: Look<'_> = serde_json::from_str(document.get()).map_err(wrong)?;
    if look.trace.is_some() {
        read.entries.extend(opik::read(document.get())?);
    } else if look.of.is_some() {
        let line: Line = serde_json::from_str(document.get()).map_err(wrong)?;
        let missing = || Error::invalid("a line of this type must hold what it tells");
        match line.of {
            Of::Trace => read.entries.push((Kind::Trace, line.entry.ok_or_else(missing)?)),
            Of::Span => read.entries.push((Kind::Span, line.entry.ok_or_else(missing)?)),
            Of::Request => read.requests.push(*line.request.ok_or_else(missing)?),
            Of::End => {}
        }
    } else if look.timestamp.is_some() {
        read.entries.extend(langfuse::read(document.get())?);
    } else {
        return Err(Error::invalid(
            "it is neither a line of an export, nor a trace as Opik or Langfuse exports it",
        ));
    }
    Ok(())
}

async fn store(desk: &Desk, caller: &Caller, read: Read) -> Result<Imported> {
    let mut imported = Imported::default();
    let mut writes: Vec<Write> = Vec::new();
    for (kind, told) in read.entries {
        match kind {
            Kind::Trace => imported.traces += 1,
            Kind::Span => imported.spans += 1,
        }
        let name = Some(told.application.as_str()).filter(|name| !name.is_empty());
        let project = desk.projects.to_write(caller, name, None).await?;
        imported.scores += u64::try_from(told.scores.len()).unwrap_or(0);
        imported.comments += u64::try_from(told.comments.len()).unwrap_or(0);
        tell(caller, project, (kind, *told), &mut writes);
        if writes.len() >= CHUNK {
            desk.ports.traces.write(std::mem::take(&mut writes)).await?;
        }
    }
    if !writes.is_empty() {
        desk.ports.traces.write(writes).await?;
    }
    imported.requests = u64::try_from(read.requests.len()).unwrap_or(0);
    let events = read
        .requests
        .into_iter()
        .map(|row| Event::Request(Box::new(row)))
        .collect();
    desk.ports.events.append(events).await?;
    Ok(imported)
}

/// What the store is told of one entry.
fn tell(caller: &Caller, project: uuid::Uuid, (kind, mut told): (Kind, Told), writes: &mut Vec<Write>) {
    let workspace = &caller.workspace;
    let subject = Subject::Entry(kind, told.id);
    let (scores, comments) = (
        std::mem::take(&mut told.scores),
        std::mem::take(&mut told.comments),
    );
    writes.push(Write::Put(Box::new(Put {
        kind,
        workspace: workspace.clone(),
        project,
        id: told.id,
        origin: Origin::Report,
        told: told_at(&told),
        by: caller.user.clone(),
        fields: told.fields(),
        tags: TagChange::default(),
    })));
    writes.extend(scores.into_iter().map(|score| Write::Score {
        workspace: workspace.clone(),
        subject: subject.clone(),
        score: score.score(),
    }));
    writes.extend(comments.into_iter().map(|comment| Write::Comment {
        workspace: workspace.clone(),
        comment: comment.comment(subject.clone()),
    }));
}

/// When something was told: as the document says, so that telling it again is no news.
fn told_at(told: &Told) -> Timestamp {
    if told.updated > Timestamp::UNIX_EPOCH {
        return told.updated;
    }
    told.end.or(told.start).unwrap_or(Timestamp::UNIX_EPOCH)
}
