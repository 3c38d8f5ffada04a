//! Records of one sort, typed: what datasets, experiments, prompts and the like are kept in.
//!
//! *Invariant:* a name that must be unique is claimed in the commit that uses it, so that two requests at once cannot
//! both have it.

pub(crate) mod listing;
mod names;
mod stamps;
mod sweep;
#[cfg(test)]
mod tests;
mod titles;

use std::{collections::HashSet, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use stead_kernel::{
    Error, Reason, Result,
    ports::{Record, RecordKey, RecordQuery, RecordWrite, Records},
};

pub(crate) use self::{
    names::{Claim, NAMES, digest},
    stamps::{Stamps, Who, micros, new_id},
    sweep::{SWEEPS, Sweep, Sweeps},
    titles::{Titled, Titles},
};

/// How often a change is tried again after somebody else was faster: each failed try is somebody else's success.
pub(crate) const TRIES: u32 = 64;
/// How many records are read at once.
pub(crate) const PART: usize = 1_000;

/// The records of one collection.
pub(crate) struct Shelf<T> {
    records: Arc<dyn Records>,
    collection: &'static str,
    /// What one is called in messages: `Dataset`.
    noun: &'static str,
    body: PhantomData<fn() -> T>,
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        Self {
            records: Arc::clone(&self.records),
            ..*self
        }
    }
}

/// A record as it was read.
#[derive(Debug, Clone)]
pub(crate) struct Kept<T> {
    key: RecordKey,
    version: u64,
    /// What it says.
    pub(crate) body: T,
}

impl<T> Kept<T> {
    /// Its id.
    pub(crate) fn id(&self) -> &str {
        &self.key.id
    }
}

impl<T: Serialize> Kept<T> {
    /// Stores it as it is now, if nobody changed it since it was read.
    pub(crate) fn put(&self) -> Result<RecordWrite> {
        Ok(RecordWrite::Put {
            key: self.key.clone(),
            expected: Some(self.version),
            body: encode(&self.body)?,
        })
    }

    /// Removes it, if nobody changed it since it was read.
    pub(crate) fn delete(&self) -> RecordWrite {
        RecordWrite::Delete {
            key: self.key.clone(),
            expected: Some(self.version),
        }
    }
}

impl<T: Serialize + DeserializeOwned> Shelf<T> {
    /// The records of a collection, which a module must have declared.
    pub(crate) fn new(records: Arc<dyn Records>, collection: &'static str, noun: &'static str) -> Self {
        Self {
            records,
            collection,
            noun,
            body: PhantomData,
        }
    }

    /// The store below.
    pub(crate) fn records(&self) -> &Arc<dyn Records> {
        &self.records
    }

    /// Where a record lies.
    pub(crate) fn key(&self, project: &str, id: &str) -> RecordKey {
        RecordKey {
            collection: self.collection.to_owned(),
            project: project.to_owned(),
            id: id.to_owned(),
        }
    }

    /// The error for one that is not there.
    pub(crate) fn missing(&self) -> Error {
        Error::not_found(format!("{} not found", self.noun))
    }

    /// The error for one that is there already.
    pub(crate) fn taken(&self) -> Error {
        Error::conflict(format!("{} already exists", self.noun))
    }

    /// One record, if it is there.
    pub(crate) async fn get(&self, project: &str, id: &str) -> Result<Option<Kept<T>>> {
        if id.is_empty() {
            return Ok(None);
        }
        let record = self.records.get(&self.key(project, id)).await?;
        record.map(kept).transpose()
    }

    /// One record.
    ///
    /// # Errors
    /// `NotFound` when it is not there.
    pub(crate) async fn need(&self, project: &str, id: &str) -> Result<Kept<T>> {
        self.get(project, id).await?.ok_or_else(|| self.missing())
    }

    /// Those of the ids that are there, in their order.
    pub(crate) async fn get_many(&self, project: &str, ids: &[String]) -> Result<Vec<Kept<T>>> {
        let mut seen = HashSet::new();
        let ids = ids.iter().filter(|id| !id.is_empty() && seen.insert(id.as_str()));
        let keys = ids.map(|id| self.key(project, id)).collect();
        let found = self.records.get_many(keys).await?;
        found.into_iter().map(kept).collect()
    }

    /// A question to the collection.
    pub(crate) fn query(&self, project: &str) -> RecordQuery {
        RecordQuery {
            collection: self.collection.to_owned(),
            project: Some(project.to_owned()),
            ..RecordQuery::default()
        }
    }

    /// All that match, whatever number of records that is, but no more than the query's own limit when it has one.
    pub(crate) async fn all(&self, mut query: RecordQuery) -> Result<Vec<Kept<T>>> {
        let mut wanted = match query.limit {
            0 => usize::MAX,
            limit => limit,
        };
        let mut found = Vec::new();
        while wanted > 0 {
            query.limit = wanted.min(PART);
            let page = self.records.list(query.clone()).await?;
            wanted -= page.items.len().min(wanted);
            for record in page.items {
                found.push(kept(record)?);
            }
            (query.after, query.skip) = (page.next, 0);
            if query.after.is_none() {
                break;
            }
        }
        Ok(found)
    }

    /// All with a value in an indexed field, the newest first.
    pub(crate) async fn having(
        &self,
        project: &str,
        field: &str,
        value: impl Into<Value>,
    ) -> Result<Vec<Kept<T>>> {
        let mut query = self.query(project);
        query.equals.push((field.to_owned(), value.into()));
        query.descending = true;
        self.all(query).await
    }

    /// Stores a new one.
    pub(crate) fn create(&self, project: &str, id: &str, body: &T) -> Result<RecordWrite> {
        Ok(RecordWrite::Put {
            key: self.key(project, id),
            expected: Some(0),
            body: encode(body)?,
        })
    }

    /// Stores one, whether it was there or not.
    pub(crate) fn put(&self, project: &str, id: &str, body: &T) -> Result<RecordWrite> {
        Ok(RecordWrite::Put {
            key: self.key(project, id),
            expected: None,
            body: encode(body)?,
        })
    }

    /// Removes one, whether it was there or not.
    pub(crate) fn delete(&self, project: &str, id: &str) -> RecordWrite {
        RecordWrite::Delete {
            key: self.key(project, id),
            expected: None,
        }
    }

    /// Stores a new one, alone.
    ///
    /// # Errors
    /// `Conflict` when there is one with the id.
    pub(crate) async fn add(&self, project: &str, id: &str, body: &T) -> Result<()> {
        let write = self.create(project, id, body)?;
        self.commit(vec![write]).await
    }

    /// Makes all the changes, or none.
    ///
    /// # Errors
    /// `Conflict`, in the words of this sort, when something is there already or was changed meanwhile.
    pub(crate) async fn commit(&self, writes: Vec<RecordWrite>) -> Result<()> {
        match self.records.commit(writes).await {
            Err(error) if error.reason() == Reason::Conflict => Err(self.taken()),
            result => result.map(drop),
        }
    }

    /// Changes one, again on what it is then if somebody else was faster. Returns it as it is then.
    pub(crate) async fn change(
        &self,
        project: &str,
        id: &str,
        mut change: impl FnMut(&mut T) -> Result<()>,
    ) -> Result<T> {
        for _ in 0..TRIES {
            let mut kept = self.need(project, id).await?;
            change(&mut kept.body)?;
            match self.records.commit(vec![kept.put()?]).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(|_| kept.body),
            }
        }
        Err(busy())
    }

    /// Removes several; what is not there is passed over.
    pub(crate) async fn delete_many(&self, project: &str, ids: &[String]) -> Result<()> {
        let ids = ids.iter().filter(|id| !id.is_empty());
        let writes = ids.map(|id| self.delete(project, id)).collect();
        self.records.commit(writes).await.map(drop)
    }
}

/// The error for something that others change all the time.
pub(crate) fn busy() -> Error {
    Error::unavailable("this is being changed by others; try again")
}

/// The record of a store as one that is typed.
pub(crate) fn kept<T: DeserializeOwned>(record: Record) -> Result<Kept<T>> {
    let body = serde_json::from_value(record.body).map_err(|error| {
        let RecordKey { collection, id, .. } = &record.key;
        Error::internal(format!("the stored record {id} of {collection} is damaged")).because(error)
    })?;
    Ok(Kept {
        key: record.key,
        version: record.version,
        body,
    })
}

fn encode(body: &impl Serialize) -> Result<Value> {
    serde_json::to_value(body).map_err(|error| Error::internal("a record is JSON").because(error))
}
