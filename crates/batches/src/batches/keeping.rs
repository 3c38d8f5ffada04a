//! Keeping the answer to a line, before it is billed.

use std::{sync::OnceLock, time::Duration};

use async_trait::async_trait;
use serde_json::Value;
use stead_kernel::{
    Result,
    ports::{Answered, KeepAnswer},
};

use super::{
    Form,
    plan::{self, Answer},
    runner::passes,
    store::{Kept, Place, Store},
};

/// How long to wait before an answer is kept that could not be, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Keeps the answer to a line before the gateway bills it. A process that is killed before has not billed it, and asks
/// again; one that is killed after has the answer.
pub(super) struct LineKeeper {
    pub(super) form: Form,
    pub(super) store: Store,
    pub(super) place: Place,
    pub(super) line: u64,
    pub(super) custom_id: String,
    /// Whether it is kept.
    pub(super) kept: OnceLock<()>,
}

impl LineKeeper {
    /// Keeps an answer; durable when it returns. Returns whether it went well.
    pub(super) async fn store(&self, answer: &Answer) -> Result<bool> {
        let ok = answer.status.is_success();
        let id = plan::result_id(&self.place.id, self.line);
        let kept = Kept {
            batch: self.place.id.clone(),
            line: self.line,
            ok,
            result: self.form.result(&id, &self.custom_id, answer),
        };
        self.store.keep(&self.place, &kept).await?;
        Ok(ok)
    }
}

#[async_trait]
impl KeepAnswer for LineKeeper {
    async fn keep(&self, given: Answered) {
        let answer = Answer {
            status: given.status,
            request_id: Some(given.request_id),
            body: json_of(&given.body),
        };
        let mut pause = FIRST_PAUSE;
        loop {
            match self.store(&answer).await {
                Ok(_) => {
                    self.kept.set(()).ok();
                    return;
                }
                Err(error) if passes(&error) => {
                    tracing::warn!(
                        batch = self.place.id,
                        line = self.line,
                        error = error.full_message(),
                        "an answer of a batch cannot be kept yet"
                    );
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                Err(error) => {
                    tracing::warn!(
                        batch = self.place.id,
                        line = self.line,
                        error = error.full_message(),
                        "an answer of a batch cannot be kept"
                    );
                    return;
                }
            }
        }
    }
}

/// A body as JSON; as a text when it is none.
pub(super) fn json_of(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into())
}
