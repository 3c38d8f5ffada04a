//! Batches and the answers to their lines, as records.

use std::{collections::HashSet, sync::Arc};

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    Error, Reason, Result,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};

use super::{BATCHES, Batch, Form, RESULTS};
use crate::page;

/// How often a change is tried again after somebody else was faster.
const TRIES: u32 = 8;
/// How many answers are read at once.
const PAGE: usize = 100;

/// Which batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) project: String,
    pub(super) id: String,
}

impl Place {
    /// Whether a batch of this API can be there.
    ///
    /// # Errors
    /// `NotFound`.
    pub(super) fn check(&self, form: Form) -> Result<()> {
        if self.id.starts_with(form.prefix()) {
            return Ok(());
        }
        Err(unknown(self))
    }
}

fn unknown(place: &Place) -> Error {
    let id: String = place.id.chars().take(200).collect();
    Error::not_found(format!("no such batch: {id}"))
}

/// In which order batches are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

/// The answer to a line, as it is kept until the batch is over.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) batch: String,
    pub(super) line: u64,
    pub(super) ok: bool,
    pub(super) result: Value,
}

/// All batches.
#[derive(Clone)]
pub(super) struct Store(pub(super) Arc<dyn Records>);

impl Store {
    pub(super) async fn get(&self, place: &Place) -> Result<Batch> {
        decode(self.record(place).await?.body)
    }

    async fn record(&self, place: &Place) -> Result<Record> {
        let record = self.0.get(&batch_key(place)).await?;
        record.ok_or_else(|| unknown(place))
    }

    /// Makes a batch, and other changes with it.
    pub(super) async fn create(&self, place: &Place, batch: &Batch, more: Vec<RecordWrite>) -> Result<()> {
        let mut writes = vec![put(batch_key(place), Some(0), batch)?];
        writes.extend(more);
        self.0.commit(writes).await.map(drop)
    }

    /// Removes a batch that is over, with other changes.
    pub(super) async fn remove(&self, place: &Place, more: Vec<RecordWrite>) -> Result<()> {
        let mut writes = vec![RecordWrite::Delete {
            key: batch_key(place),
            expected: None,
        }];
        writes.extend(more);
        self.0.commit(writes).await.map(drop)
    }

    /// Changes a batch and makes other changes with it. Returns the batch as it is then.
    pub(super) async fn change(
        &self,
        place: &Place,
        more: Vec<RecordWrite>,
        mut change: impl FnMut(&mut Batch) -> Result<()>,
    ) -> Result<Batch> {
        for _ in 0..TRIES {
            let record = self.record(place).await?;
            let old: Batch = decode(record.body)?;
            let mut batch = old.clone();
            change(&mut batch)?;
            if batch == old && more.is_empty() {
                return Ok(batch);
            }
            let mut writes = vec![put(record.key, Some(record.version), &batch)?];
            writes.extend(more.iter().cloned());
            match self.0.commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(|_| batch),
            }
        }
        Err(Error::unavailable("the batch is being changed by others"))
    }

    /// Some of a project's batches of one API, the newest first unless `order` says otherwise, after the one that
    /// `after` names; and whether there are more.
    pub(super) async fn list(
        &self,
        project: &str,
        form: Form,
        after: Option<&str>,
        order: Order,
        limit: usize,
    ) -> Result<(Vec<(String, Batch)>, bool)> {
        let query = RecordQuery {
            collection: BATCHES.into(),
            project: Some(project.to_owned()),
            descending: order == Order::NewestFirst,
            ..RecordQuery::default()
        };
        let of_form = |record: &Record| record.key.id.starts_with(form.prefix());
        let (records, more) = page::read(&*self.0, query, after, limit, of_form).await?;
        let batches = records.into_iter().map(|record| {
            let id = record.key.id;
            decode(record.body).map(|batch| (id, batch))
        });
        Ok((batches.collect::<Result<_>>()?, more))
    }

    /// The batches that are not over, of one project or of all.
    pub(super) async fn active(&self, project: Option<&str>) -> Result<Vec<(Place, Batch)>> {
        let mut query = RecordQuery {
            collection: BATCHES.into(),
            project: project.map(str::to_owned),
            equals: vec![("active".into(), true.into())],
            ..RecordQuery::default()
        };
        let mut found = Vec::new();
        loop {
            let page = self.0.list(query.clone()).await?;
            for record in page.items {
                let RecordKey { project, id, .. } = record.key;
                found.push((Place { project, id }, decode(record.body)?));
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Keeps the answer to a line; durable when it returns.
    pub(super) async fn keep(&self, place: &Place, kept: &Kept) -> Result<()> {
        let key = RecordKey {
            collection: RESULTS.to_owned(),
            project: place.project.clone(),
            id: format!("{}-{}", place.id, kept.line),
        };
        self.0.commit(vec![put(key, None, kept)?]).await.map(drop)
    }

    /// Some of the answers in the order of their lines, and where the next ones begin.
    pub(super) async fn results(
        &self,
        place: &Place,
        after: Option<String>,
    ) -> Result<(Vec<Kept>, Option<String>)> {
        let page = self.0.list(results_query(place, after)).await?;
        let kept = page.items.into_iter().map(|record| decode(record.body));
        Ok((kept.collect::<Result<_>>()?, page.next))
    }

    /// The lines that have an answer; how many of those went well.
    pub(super) async fn answered(&self, place: &Place) -> Result<(HashSet<u64>, u64)> {
        let (mut lines, mut good, mut after) = (HashSet::new(), 0, None);
        loop {
            let (kept, next) = self.results(place, after).await?;
            for kept in kept {
                good += u64::from(kept.ok);
                lines.insert(kept.line);
            }
            after = next;
            if after.is_none() {
                return Ok((lines, good));
            }
        }
    }

    /// Forgets the answers: they are in the files.
    pub(super) async fn forget(&self, place: &Place) -> Result<()> {
        loop {
            let page = self.0.list(results_query(place, None)).await?;
            if page.items.is_empty() {
                return Ok(());
            }
            let writes = page.items.into_iter().map(|record| RecordWrite::Delete {
                key: record.key,
                expected: None,
            });
            self.0.commit(writes.collect()).await?;
        }
    }
}

/// Whether a batch that is not over reads this file.
pub(crate) async fn reads(records: &Arc<dyn Records>, project: &str, file: &str) -> Result<bool> {
    let active = Store(Arc::clone(records)).active(Some(project)).await?;
    Ok(active.iter().any(|(_, batch)| batch.input_file_id == file))
}

fn results_query(place: &Place, after: Option<String>) -> RecordQuery {
    RecordQuery {
        collection: RESULTS.into(),
        project: Some(place.project.clone()),
        equals: vec![("batch".into(), place.id.clone().into())],
        order_by: Some("line".into()),
        after,
        limit: PAGE,
        ..RecordQuery::default()
    }
}

fn batch_key(place: &Place) -> RecordKey {
    RecordKey {
        collection: BATCHES.to_owned(),
        project: place.project.clone(),
        id: place.id.clone(),
    }
}

fn put(key: RecordKey, expected: Option<u64>, body: &impl Serialize) -> Result<RecordWrite> {
    let body = serde_json::to_value(body);
    Ok(RecordWrite::Put {
        key,
        expected,
        body: body.map_err(|error| Error::internal("a record is JSON").because(error))?,
    })
}

fn decode<T: DeserializeOwned>(body: Value) -> Result<T> {
    serde_json::from_value(body).map_err(|error| Error::internal("a stored batch is damaged").because(error))
}
