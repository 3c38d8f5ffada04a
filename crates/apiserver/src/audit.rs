//! Delivery of the audit outbox to events.
//!
//! *Invariant:* a row leaves the outbox only after events have it; delivered twice, it is stored once, by its id.

use std::{sync::Arc, time::Duration};

use stead_kernel::ports::{
    Events,
    events::{AuditRow, Event},
};
use tokio::time::sleep;

use crate::{engine::Engine, store::StoreError};

/// How many rows are delivered at a time.
const BATCH: usize = 2_048;
/// How long rows gather for the next delivery: each is a commit in two stores, and waits for the disk as writers do.
const GATHERING: Duration = Duration::from_millis(100);
/// The pause after a first failure; it doubles.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

/// Delivers whenever there is something; ends with the server.
pub(crate) async fn deliver(engine: Arc<Engine>, events: Arc<dyn Events>) {
    let mut pause = PAUSE;
    loop {
        match deliver_batch(&engine, &*events).await {
            Ok(0) => {
                pause = PAUSE;
                engine.store.signals().outbox.notified().await;
            }
            Ok(count) => {
                pause = PAUSE;
                if count < BATCH {
                    sleep(GATHERING).await;
                }
            }
            Err(error) => {
                tracing::warn!(error = error.full_message(), "audit records wait in the outbox");
                sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
    }
}

async fn deliver_batch(engine: &Engine, events: &dyn Events) -> stead_kernel::Result<usize> {
    let unavailable = |error: StoreError| stead_kernel::Error::unavailable("the outbox").because(error);
    let rows = engine.store.outbox(BATCH).await.map_err(unavailable)?;
    let Some((last, _)) = rows.last() else {
        return Ok(0);
    };
    let (last, count) = (*last, rows.len());
    let batch = rows
        .iter()
        .filter_map(|(place, text)| match serde_json::from_str::<AuditRow>(text) {
            Ok(row) => Some(Event::Audit(Box::new(row))),
            Err(error) => {
                tracing::error!(place, %error, "an audit record cannot be read and is dropped");
                None
            }
        })
        .collect();
    events.append(batch).await?;
    engine.store.forget_outbox(last).await.map_err(unavailable)?;
    Ok(count)
}
