//! Everything that a question means, as lines of JSON that an import takes back: traces with their spans, scores and
//! comments, and the gateway's requests with their bodies. Attached files are not among it.
//!
//! *Invariant:* an export reads a page at a time, so that nobody waits for it; one that is whole ends with a line that
//! says how many came before.

use std::collections::VecDeque;

use axum::{
    body::Body,
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use futures::stream;
use http::{Extensions, header};
use stead_kernel::{
    Error, Result,
    http::ApiError,
    ports::{
        events::RequestRow,
        traces::{Count, Entry, Kind, Query},
    },
};
use uuid::Uuid;

use super::{
    asked,
    desk::Desk,
    line::Line,
    row::Row,
    walk::{Asked, Found, Place, Walk},
};
use crate::routes::Parameters;

/// So many spans are read at once.
const SPANS: usize = 500;
/// So many traces and requests are looked at before what was found is sent.
const LOOKED_AT: usize = 100;

pub(super) async fn export(
    State(desk): State<Desk>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> std::result::Result<Response, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref(), "q projects since until")?;
    let asked = asked(&desk, &extensions, &mut parameters, desk.ports.clock.now()).await?;
    let export = Export {
        desk,
        asked,
        place: Some(Place::default()),
        waiting: VecDeque::new(),
        lines: 0,
    };
    let parts = stream::try_unfold(export, |mut export| async move {
        let part = export.next().await.inspect_err(|error| {
            tracing::warn!(%error, "an export is cut off");
        })?;
        Ok::<_, Error>(part.map(|part| (part, export)))
    });
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson")];
    Ok((headers, Body::from_stream(parts)).into_response())
}

struct Export {
    desk: Desk,
    asked: Asked,
    /// Where it goes on; nothing once the end was told.
    place: Option<Place>,
    waiting: VecDeque<Waiting>,
    lines: u64,
}

/// What is still to be read.
enum Waiting {
    /// The spans of a trace after the last one that was read.
    Spans {
        workspace: String,
        trace: Uuid,
        after: Option<Uuid>,
    },
    /// The requests of a trace.
    Requests { hex: String },
}

impl Export {
    /// The next lines; none after the last.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let mut text = Vec::new();
        if let Some(waiting) = self.waiting.pop_front() {
            self.read(waiting, &mut text).await?;
            return Ok(Some(text.into()));
        }
        let Some(place) = self.place.take() else {
            return Ok(None);
        };
        let (desk, asked) = (self.desk.clone(), self.asked.clone());
        let mut walk = Walk::begin(&desk, &asked, place).await?;
        for _ in 0..LOOKED_AT {
            let Some(found) = walk.next().await? else {
                let end = Line::end(self.lines);
                self.write(&end, &mut text)?;
                return Ok(Some(text.into()));
            };
            let Some(row) = walk.row(&found) else { continue };
            let is_trace = matches!(found, Found::Trace(..));
            self.found(found, row, &mut text).await?;
            if is_trace {
                break;
            }
        }
        self.place = Some(walk.place().clone());
        Ok(Some(text.into()))
    }

    async fn found(&mut self, found: Found, row: Row, text: &mut Vec<u8>) -> Result<()> {
        match found {
            Found::Trace(entry, workspace) => {
                self.waiting.push_back(Waiting::Spans {
                    workspace,
                    trace: entry.id,
                    after: None,
                });
                if let Some(hex) = row.trace_id {
                    self.waiting.push_back(Waiting::Requests { hex });
                }
                self.write(
                    &Line::of_entry(*entry, &row.application.unwrap_or_default()),
                    text,
                )
            }
            Found::Request(request) => self.request(&request, text).await,
        }
    }

    async fn read(&mut self, waiting: Waiting, text: &mut Vec<u8>) -> Result<()> {
        match waiting {
            Waiting::Spans {
                workspace,
                trace,
                after,
            } => {
                let query = Query {
                    workspace: workspace.clone(),
                    trace: Some(trace),
                    after,
                    limit: SPANS,
                    count: Count::None,
                    ..Query::default()
                };
                let spans: Vec<Entry> = self.desk.ports.traces.entries(Kind::Span, query).await?.items;
                if let Some(last) = spans.last().filter(|_| spans.len() == SPANS) {
                    self.waiting.push_front(Waiting::Spans {
                        workspace: workspace.clone(),
                        trace,
                        after: Some(last.id),
                    });
                }
                for span in spans {
                    let application = self.desk.application(&workspace, span.project).await?;
                    self.write(&Line::of_entry(span, &application.unwrap_or_default()), text)?;
                }
            }
            Waiting::Requests { hex } => {
                for request in self.desk.requests_of(&self.asked.scope, &hex).await? {
                    self.request(&request, text).await?;
                }
            }
        }
        Ok(())
    }

    /// A request with its bodies; nothing if it went meanwhile.
    async fn request(&mut self, request: &RequestRow, text: &mut Vec<u8>) -> Result<()> {
        match self.desk.ports.events.request(&request.id).await? {
            Some(whole) => self.write(&Line::of_request(whole), text),
            None => Ok(()),
        }
    }

    fn write(&mut self, line: &Line, text: &mut Vec<u8>) -> Result<()> {
        serde_json::to_writer(&mut *text, line)
            .map_err(|error| Error::internal("a line has no JSON form").because(error))?;
        text.push(b'\n');
        self.lines += 1;
        Ok(())
    }
}
