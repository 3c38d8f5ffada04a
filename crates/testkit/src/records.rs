//! Records in memory.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use serde_json::Value;
use stead_kernel::{
    Clock, Error, Result,
    ports::{Page, Record, RecordKey, RecordQuery, RecordWrite, Records},
};

/// Records in memory, with the same rules as the real store except that any top-level field may be queried.
pub struct MemoryRecords {
    clock: Arc<dyn Clock>,
    rows: Mutex<BTreeMap<RecordKey, Record>>,
}

/// How many records a page holds when the query does not say.
const DEFAULT_LIMIT: usize = 100;
/// The most records of a page.
const MOST: usize = 1_000;

impl MemoryRecords {
    /// An empty store.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            rows: Mutex::default(),
        }
    }

    /// How many records there are, over all collections.
    pub fn len(&self) -> usize {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[async_trait]
impl Records for MemoryRecords {
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(rows.get(key).cloned())
    }

    async fn list(&self, query: RecordQuery) -> Result<Page<Record>> {
        let rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<Record> = rows
            .values()
            .filter(|row| matches(row, &query))
            .cloned()
            .collect();
        drop(rows);
        found.sort_by(|a, b| {
            let order = compare(&sort_value(a, &query), &sort_value(b, &query));
            let order = order.then_with(|| a.key.id.cmp(&b.key.id));
            if query.descending { order.reverse() } else { order }
        });
        let after: usize = match &query.after {
            None => 0,
            Some(after) => after.parse().map_err(|_| Error::invalid("unknown page"))?,
        };
        let skip = after + query.skip;
        let limit = match query.limit {
            0 => DEFAULT_LIMIT,
            limit => limit.min(MOST),
        };
        let next = (found.len() > skip + limit).then(|| (skip + limit).to_string());
        let items = found.into_iter().skip(skip).take(limit).collect();
        Ok(Page { items, next })
    }

    async fn commit(&self, writes: Vec<RecordWrite>) -> Result<Vec<u64>> {
        let now = self.clock.now();
        let mut rows = self.rows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut changed = rows.clone();
        let mut versions = Vec::with_capacity(writes.len());
        for write in writes {
            let (RecordWrite::Put { key, expected, .. } | RecordWrite::Delete { key, expected }) = &write;
            let old = changed.get(key);
            let version = old.map_or(0, |row| row.version);
            if expected.is_some_and(|expected| expected != version) {
                return Err(Error::conflict(format!("{} was changed meanwhile", key.id)));
            }
            match write {
                RecordWrite::Put { key, body, .. } => {
                    let record = Record {
                        key: key.clone(),
                        version: version + 1,
                        created: old.map_or(now, |row| row.created),
                        updated: now,
                        body,
                    };
                    changed.insert(key, record);
                    versions.push(version + 1);
                }
                RecordWrite::Delete { key, .. } => {
                    changed.remove(&key);
                    versions.push(0);
                }
            }
        }
        *rows = changed;
        Ok(versions)
    }
}

fn matches(row: &Record, query: &RecordQuery) -> bool {
    row.key.collection == query.collection
        && query
            .project
            .as_ref()
            .is_none_or(|project| *project == row.key.project)
        && query
            .equals
            .iter()
            .all(|(field, value)| row.body.get(field).unwrap_or(&Value::Null) == value)
        && query.within.iter().all(|within| {
            let text = row.body.get(&within.field).and_then(Value::as_str);
            text.is_some_and(|text| text > within.above.as_str() && text < within.below.as_str())
        })
}

fn sort_value(row: &Record, query: &RecordQuery) -> Value {
    match query.order_by.as_deref() {
        None | Some("created") => row.created.to_string().into(),
        Some("updated") => row.updated.to_string().into(),
        Some(field) => row.body.get(field).cloned().unwrap_or(Value::Null),
    }
}

fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            a.as_f64().partial_cmp(&b.as_f64()).unwrap_or(Ordering::Equal)
        }
        (Value::String(a), Value::String(b)) => a.cmp(b),
        (Value::Null, Value::Null) => Ordering::Equal,
        (Value::Null, _) => Ordering::Less,
        (_, Value::Null) => Ordering::Greater,
        (a, b) => a.to_string().cmp(&b.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::SystemClock;

    use super::*;

    fn put(id: &str, size: u32, expected: Option<u64>) -> RecordWrite {
        RecordWrite::Put {
            key: RecordKey {
                collection: "things".into(),
                project: "p".into(),
                id: id.into(),
            },
            expected,
            body: json!({"size": size}),
        }
    }

    #[tokio::test]
    async fn a_commit_is_whole_or_nothing_and_lists_are_in_order() {
        let records = MemoryRecords::new(Arc::new(SystemClock));
        records
            .commit(vec![put("a", 10, Some(0)), put("b", 9, None)])
            .await
            .unwrap();
        let clash = records
            .commit(vec![put("b", 1, None), put("a", 1, Some(7))])
            .await;
        assert!(clash.is_err());
        let query = RecordQuery {
            collection: "things".into(),
            order_by: Some("size".into()),
            limit: 1,
            ..RecordQuery::default()
        };
        let first = records.list(query.clone()).await.unwrap();
        assert_eq!(first.items[0].key.id, "b");
        let second = records
            .list(RecordQuery {
                after: first.next,
                ..query
            })
            .await
            .unwrap();
        assert_eq!((second.items[0].key.id.as_str(), second.next), ("a", None));
    }
}
