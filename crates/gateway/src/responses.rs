//! Responses that are kept: what was asked and answered, for the next request of a conversation.
//!
//! *Invariant:* a kept response belongs to a project; to others it does not exist.

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_dialects::responses::output_items;
use stead_kernel::{
    Clock, Context, Error, Reason, Result,
    ports::{RecordKey, RecordQuery, RecordWrite, Records},
};

/// The collection of kept responses.
pub(crate) const COLLECTION: &str = "gateway.responses";
/// The collection of those among them that are not complete: an empty record for each.
pub(crate) const UNFINISHED: &str = "gateway.responses-unfinished";
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

/// What a response says that ended with its process.
const STOPPED: &str = "the gateway was stopped while it made this response; it is not made again by itself, so that nothing is billed twice";

impl Turn {
    /// Says how far it is.
    pub(crate) fn set_status(&mut self, status: &str) {
        if let Some(members) = self.response.as_object_mut() {
            members.insert("status".to_owned(), status.into());
        }
    }

    /// Whether its response is still made.
    pub(crate) fn is_unfinished(&self) -> bool {
        let status = self.response.get("status").and_then(Value::as_str);
        matches!(status, Some("queued" | "in_progress"))
    }

    /// Its response has failed.
    pub(crate) fn fail(&mut self, code: &str, message: &str) {
        if let Some(members) = self.response.as_object_mut() {
            members.insert("status".to_owned(), "failed".into());
            members.insert("error".to_owned(), json!({"code": code, "message": message}));
        }
    }

    /// It fails as its process ends.
    pub(crate) fn stop(&mut self) {
        self.fail("server_error", STOPPED);
    }
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
    pub(crate) async fn start(context: &Context) -> Self {
        let responses = Self::new(Arc::clone(&context.ports.records));
        if context.control.is_none() {
            match responses.recover().await {
                Err(error) if error.reason() != Reason::Unsupported => tracing::warn!(
                    error = error.full_message(),
                    "responses that an earlier process left unfinished cannot be read"
                ),
                Ok(()) | Err(_) => {}
            }
            responses.look_after(context);
        }
        responses
    }

    /// What keeps a turn; `expected` as for every record.
    pub(crate) fn put(project: &str, id: &str, turn: &Turn, expected: Option<u64>) -> Result<RecordWrite> {
        let body = serde_json::to_value(turn);
        Ok(RecordWrite::Put {
            key: key(project, id),
            expected,
            body: body.map_err(|error| Error::internal("a record is JSON").because(error))?,
        })
    }

    /// What says that a response is complete.
    pub(crate) fn done(project: &str, id: &str) -> RecordWrite {
        RecordWrite::Delete {
            key: unfinished(project, id),
            expected: None,
        }
    }

    /// Writes all or nothing; durable when it returns.
    pub(crate) async fn commit(&self, writes: Vec<RecordWrite>) -> Result<()> {
        if writes.is_empty() {
            return Ok(());
        }
        self.records.commit(writes).await.map(drop)
    }

    /// Keeps a turn whose response is not complete, so that it is found if this process ends first.
    pub(crate) async fn begin(&self, project: &str, id: &str, turn: &Turn) -> Result<()> {
        let mark = RecordWrite::Put {
            key: unfinished(project, id),
            expected: None,
            body: Value::Object(serde_json::Map::new()),
        };
        self.commit(vec![Self::put(project, id, turn, None)?, mark]).await
    }

    /// Ends what an earlier process left unfinished: nobody makes it any more.
    async fn recover(&self) -> Result<()> {
        loop {
            let query = RecordQuery {
                collection: UNFINISHED.into(),
                ..RecordQuery::default()
            };
            let page = self.records.list(query).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            for record in page.items {
                let (project, id) = (record.key.project, record.key.id);
                let mut writes = vec![Self::done(&project, &id)];
                if let Some(mut turn) = self.get(&project, &id).await? {
                    turn.stop();
                    writes.push(Self::put(&project, &id, &turn, None)?);
                }
                self.commit(writes).await?;
            }
        }
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
        self.commit(vec![write, Self::done(project, id)]).await?;
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
            if turn.is_unfinished() {
                return Err(Error::conflict(format!(
                    "the response `{id}` is not complete yet"
                )));
            }
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

fn unfinished(project: &str, id: &str) -> RecordKey {
    RecordKey {
        collection: UNFINISHED.to_owned(),
        ..key(project, id)
    }
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
    use stead_testkit::{ManualClock, MemoryRecords};

    use super::*;

    #[tokio::test]
    async fn what_a_killed_process_left_unfinished_has_failed_at_the_next_start() {
        let clock = Arc::new(ManualClock::default());
        let responses = Responses::new(Arc::new(MemoryRecords::new(clock)));
        let turn = Turn {
            response: json!({"id": "resp_1", "status": "queued", "error": null}),
            input: Vec::new(),
            previous: None,
        };
        responses.begin("p", "resp_1", &turn).await.unwrap();
        assert!(
            responses
                .get("p", "resp_1")
                .await
                .unwrap()
                .unwrap()
                .is_unfinished()
        );
        responses.recover().await.unwrap();
        let found = responses.get("p", "resp_1").await.unwrap().unwrap();
        assert_eq!(found.response["status"], "failed");
        assert_eq!(
            found.response["error"],
            json!({"code": "server_error", "message": STOPPED})
        );
        responses.recover().await.unwrap();
    }

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
        let keep = async |project, id| {
            responses
                .commit(vec![Responses::put(project, id, &turn, None).unwrap()])
                .await
        };
        keep("a", "resp_old").await.unwrap();
        clock.advance(day);
        keep("b", "resp_new").await.unwrap();
        clock.advance(Duration::from_secs(1));
        responses.prune(&*clock, day).await.unwrap();
        assert_eq!(responses.get("a", "resp_old").await.unwrap(), None);
        assert_eq!(responses.get("b", "resp_new").await.unwrap(), Some(turn));
    }
}
