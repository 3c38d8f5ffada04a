//! What people make and change: a transactional store of JSON documents in collections.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{Result, Timestamp};

/// Stores records. Collections and their indexed fields are declared by modules.
#[async_trait]
pub trait Records: Send + Sync {
    /// One record.
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>>;

    /// Several records; those that are not there are left out. Their order is that of the keys.
    async fn get_many(&self, keys: Vec<RecordKey>) -> Result<Vec<Record>> {
        let mut found = Vec::with_capacity(keys.len());
        for key in keys {
            found.extend(self.get(&key).await?);
        }
        Ok(found)
    }

    /// The records that match, in order.
    async fn list(&self, query: RecordQuery) -> Result<Page<Record>>;

    /// How many records match; the order and the part that the query asks for do not matter.
    async fn count(&self, mut query: RecordQuery) -> Result<u64> {
        (query.after, query.skip, query.limit) = (None, 0, usize::MAX);
        let mut count = 0;
        loop {
            let page = self.list(query.clone()).await?;
            count += page.items.len() as u64;
            query.after = page.next;
            if query.after.is_none() {
                return Ok(count);
            }
        }
    }

    /// Makes all the changes, or none; durable when it returns. Returns the new version of each write, 0 for
    /// deletions.
    ///
    /// # Errors
    /// `Conflict` when a record's version is not the expected one.
    async fn commit(&self, writes: Vec<RecordWrite>) -> Result<Vec<u64>>;
}

/// Where a record lies.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RecordKey {
    /// The collection: `chat.threads`.
    pub collection: String,
    /// The project; empty for records of the whole installation.
    pub project: String,
    /// The id, unique in its collection and project.
    pub id: String,
}

/// A stored record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Where it lies.
    pub key: RecordKey,
    /// Counts its changes, from 1.
    pub version: u64,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last changed.
    pub updated: Timestamp,
    /// What it says: a JSON object.
    pub body: Value,
}

/// One change.
#[derive(Debug, Clone, PartialEq)]
pub enum RecordWrite {
    /// Creates or replaces.
    Put {
        /// Where.
        key: RecordKey,
        /// The version it must have: `Some(0)` for "must not exist", `None` for any.
        expected: Option<u64>,
        /// The new body, a JSON object.
        body: Value,
    },
    /// Removes; removing what is not there is no error unless a version is expected.
    Delete {
        /// Where.
        key: RecordKey,
        /// The version it must have, or `None` for any.
        expected: Option<u64>,
    },
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct RecordQuery {
    /// The collection.
    pub collection: String,
    /// The project; `None` for all.
    pub project: Option<String>,
    /// Indexed fields and the values they must have.
    pub equals: Vec<(String, Value)>,
    /// Indexed fields and the bounds that their text must be within.
    pub within: Vec<Within>,
    /// The indexed field to order by; `created` and `updated` are always there. Ties are broken by id.
    pub order_by: Option<String>,
    /// Newest or largest first.
    pub descending: bool,
    /// Where the last page ended.
    pub after: Option<String>,
    /// Leaves out so many that match, after those that `after` leaves out.
    pub skip: usize,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// A range of texts, byte by byte. What is no text is in none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Within {
    /// The indexed field.
    pub field: String,
    /// The text must be larger than this.
    pub above: String,
    /// The text must be smaller than this.
    pub below: String,
}

impl Within {
    /// The texts that begin with `prefix`, which must end with an ASCII character below DEL, and go on.
    pub fn prefix(field: &str, prefix: &str) -> Self {
        let mut below = prefix.to_owned();
        let next = below.pop().map_or('\u{7f}', |last| char::from(last as u8 + 1));
        below.push(next);
        Self {
            field: field.to_owned(),
            above: prefix.to_owned(),
            below,
        }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// What is on it.
    pub items: Vec<T>,
    /// Where the next page begins; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

impl<T> Default for Page<T> {
    fn default() -> Self {
        Self {
            items: Vec::new(),
            next: None,
        }
    }
}
