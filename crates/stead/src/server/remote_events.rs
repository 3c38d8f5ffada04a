//! The event store of the control process, to which a gateway that runs on its own sends its journal.
//!
//! *Invariant:* `append` returns after the event store has the rows for good.

use std::sync::Arc;

use async_trait::async_trait;
use http::{Request, header};
use stead_kernel::{
    Body, Error, Reason, Result,
    ports::{
        Events, Page,
        events::{
            AuditQuery, AuditRow, Event, JOURNAL_PATH, JournalBatch, RequestQuery, RequestRow, UsageQuery,
            UsageRow,
        },
    },
};

use super::link::Link;

/// How hard batches are compressed: the first level takes a tenth of a millisecond for a hundred rows.
const LEVEL: i32 = 1;

/// Sends rows to the control process.
pub(super) struct RemoteEvents(pub(super) Arc<Link>);

#[async_trait]
impl Events for RemoteEvents {
    async fn append(&self, events: Vec<Event>) -> Result<()> {
        let body = tokio::task::spawn_blocking(move || pack(events)).await;
        let body = body.map_err(|error| Error::internal("the rows could not be packed").because(error))??;
        let request = Request::post(JOURNAL_PATH)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::CONTENT_ENCODING, "zstd")
            .body(Body::from(body))
            .map_err(|error| Error::internal("the request is malformed").because(error))?;
        self.0.call(request).await.map(drop).map_err(|error| {
            if error.reason() == Reason::TooLarge {
                // Half of it may fit.
                Error::invalid(error.full_message())
            } else {
                error
            }
        })
    }

    async fn requests(&self, _: RequestQuery) -> Result<Page<RequestRow>> {
        Err(elsewhere())
    }

    async fn request(&self, _: &str) -> Result<Option<RequestRow>> {
        Err(elsewhere())
    }

    async fn usage(&self, _: UsageQuery) -> Result<Vec<UsageRow>> {
        Err(elsewhere())
    }

    async fn audit(&self, _: AuditQuery) -> Result<Page<AuditRow>> {
        Err(elsewhere())
    }
}

fn pack(events: Vec<Event>) -> Result<Vec<u8>> {
    let rows = events.into_iter().filter_map(|event| match event {
        Event::Request(row) => Some(*row),
        // Nothing in a gateway writes resources.
        Event::Audit(_) => None,
    });
    let batch = JournalBatch { rows: rows.collect() };
    let text = serde_json::to_vec(&batch)
        .map_err(|error| Error::internal("the rows have no JSON form").because(error))?;
    zstd::bulk::compress(&text, LEVEL)
        .map_err(|error| Error::internal("the rows cannot be compressed").because(error))
}

fn elsewhere() -> Error {
    Error::unsupported("this process runs the gateway role alone; ask the control process")
}
