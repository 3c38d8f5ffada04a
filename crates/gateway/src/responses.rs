//! Responses that are kept: what was asked and answered, for the next request of a conversation.
//!
//! *Invariant:* a kept response belongs to a project; to others it does not exist.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_dialects::responses::output_items;
use stead_kernel::{
    Clock, Context, Error, Reason, Result,
    ports::{RecordKey, RecordQuery, RecordWrite, Records},
};

/// The collection of kept responses.
pub(crate) const COLLECTION: &str = "gateway.responses";
/// The most turns of a conversation.
const LONGEST: usize = 1_000;
/// How often those that are too old are removed.
const ROUND: Duration = Duration::from_hours(1);

/// One question and its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Turn {
    /// The response as the client got it.
    pub(crate) response: Value,
    /// The items of the question itself, each with an id.
    pub(crate) input: Vec<Value>,
    /// The response before it.
    pub(crate) previous: Option<String>,
}

/// All kept responses.
#[derive(Clone)]
pub(crate) struct Responses {
    records: Arc<dyn Records>,
}

impl Responses {
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        Self { records }
    }

    /// The responses of a process; one that has records of its own removes old ones from time to time.
    pub(crate) fn start(context: &Context) -> Self {
        let responses = Self::new(Arc::clone(&context.ports.records));
        if context.control.is_none() {
            responses.look_after(context);
        }
        responses
    }

    /// Keeps a turn; durable when it returns.
    pub(crate) async fn keep(&self, project: &str, id: &str, turn: &Turn) -> Result<()> {
        let body = serde_json::to_value(turn);
        let write = RecordWrite::Put {
            key: key(project, id),
            expected: None,
            body: body.map_err(|error| Error::internal("a record is JSON").because(error))?,
        };
        self.records.commit(vec![write]).await.map(drop)
    }

    pub(crate) async fn get(&self, project: &str, id: &str) -> Result<Option<Turn>> {
        let record = self.records.get(&key(project, id)).await?;
        let turn = record.map(|record| serde_json::from_value(record.body));
        turn.transpose()
            .map_err(|error| Error::internal("a kept response is damaged").because(error))
    }

    /// Removes a response. Returns whether it was there.
    pub(crate) async fn delete(&self, project: &str, id: &str) -> Result<bool> {
        if self.get(project, id).await?.is_none() {
            return Ok(false);
        }
        let write = RecordWrite::Delete {
            key: key(project, id),
            expected: None,
        };
        self.records.commit(vec![write]).await?;
        Ok(true)
    }

    /// Everything that was said up to a response and with it, in order; `None` when it or one before it is not there.
    pub(crate) async fn history(&self, project: &str, id: &str) -> Result<Option<Vec<Value>>> {
        let (mut turns, mut next) = (Vec::new(), Some(id.to_owned()));
        while let Some(id) = next.take() {
            if turns.len() == LONGEST {
                return Err(Error::invalid(format!(
                    "the conversation has more than {LONGEST} turns"
                )));
            }
            let Some(turn) = self.get(project, &id).await? else {
                return Ok(None);
            };
            next.clone_from(&turn.previous);
            turns.push(turn);
        }
        let items = turns.into_iter().rev().flat_map(|turn| {
            let output = output_items(&turn.response);
            turn.input.into_iter().chain(output)
        });
        Ok(Some(items.collect()))
    }

    /// The items with these ids, as far as they are kept: an id that was made here names its response.
    pub(crate) async fn items(&self, project: &str, ids: &[String]) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        for id in ids {
            let Some(response) = response_of(id) else { continue };
            let Some(turn) = self.get(project, &response).await? else {
                continue;
            };
            let output = output_items(&turn.response);
            let mut items = turn.input.into_iter().chain(output);
            found.extend(items.find(|item| item.get("id").and_then(Value::as_str) == Some(id)));
        }
        Ok(found)
    }

    /// Removes what is older than the events.
    async fn prune(&self, clock: &dyn Clock, age: Duration) -> Result<()> {
        let Ok(oldest) = clock.now().checked_sub(age) else {
            return Ok(());
        };
        loop {
            let query = RecordQuery {
                collection: COLLECTION.into(),
                ..RecordQuery::default()
            };
            let page = self.records.list(query).await?;
            let old = page
                .items
                .into_iter()
                .take_while(|record| record.created < oldest);
            let writes: Vec<RecordWrite> = old
                .map(|record| RecordWrite::Delete {
                    key: record.key,
                    expected: None,
                })
                .collect();
            if writes.is_empty() {
                return Ok(());
            }
            self.records.commit(writes).await?;
        }
    }

    /// Removes old responses from time to time.
    fn look_after(&self, context: &Context) {
        let responses = self.clone();
        let clock = Arc::clone(&context.ports.clock);
        let age = Duration::from_hours(24 * u64::from(context.settings.retention_days));
        context.tasks.spawn_until_stopped("responses", async move {
            loop {
                if let Err(error) = responses.prune(&*clock, age).await {
                    if error.reason() == Reason::Unsupported {
                        return;
                    }
                    tracing::warn!(error = error.full_message(), "old responses were not removed");
                }
                tokio::time::sleep(ROUND).await;
            }
        });
    }
}

/// The id of the response of which the id of an item was made: `msg_RESPONSE_0`.
fn response_of(item: &str) -> Option<String> {
    let (_, rest) = item.split_once('_')?;
    let (response, _) = rest.rsplit_once('_')?;
    Some(format!("resp_{response}"))
}

fn key(project: &str, id: &str) -> RecordKey {
    RecordKey {
        collection: COLLECTION.to_owned(),
        project: project.to_owned(),
        id: id.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_testkit::{ManualClock, MemoryRecords};

    use super::*;

    #[tokio::test]
    async fn responses_that_are_too_old_are_removed() {
        let clock = Arc::new(ManualClock::default());
        let responses = Responses::new(Arc::new(MemoryRecords::new(clock.clone())));
        let turn = Turn {
            response: json!({}),
            input: Vec::new(),
            previous: None,
        };
        let day = Duration::from_hours(24);
        responses.keep("a", "resp_old", &turn).await.unwrap();
        clock.advance(day);
        responses.keep("b", "resp_new", &turn).await.unwrap();
        clock.advance(Duration::from_secs(1));
        responses.prune(&*clock, day).await.unwrap();
        assert_eq!(responses.get("a", "resp_old").await.unwrap(), None);
        assert_eq!(responses.get("b", "resp_new").await.unwrap(), Some(turn));
    }
}
