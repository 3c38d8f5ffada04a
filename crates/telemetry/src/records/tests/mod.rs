//! The stores of records, over a real file and a real database.

mod contract;
mod postgres;
mod sqlite;

use std::{collections::BTreeSet, fs, path::PathBuf, sync::Arc};

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_kernel::{
    Collection, Reason,
    ports::{RecordKey, RecordQuery, RecordWrite},
};
use stead_testkit::{ManualClock, Postgres};
use tempfile::TempDir;

use super::*;

const THREADS: Collection = Collection {
    name: "chat.threads",
    indexes: &["owner", "rank"],
};
const NOTES: Collection = Collection {
    name: "notes",
    indexes: &[],
};

/// A store with one engine or the other.
struct Bench {
    place: Place,
    clock: Arc<ManualClock>,
    store: Arc<dyn RecordEngine>,
}

enum Place {
    File(TempDir),
    Database(String),
}

impl Bench {
    /// A store over a new file.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::default());
        let store = RecordStore::open(&folder.path().join("r.db"), &[THREADS, NOTES], clock.clone()).unwrap();
        Self {
            place: Place::File(folder),
            clock,
            store: Arc::new(store),
        }
    }

    /// A store in a new schema of a database.
    async fn over(server: &Postgres, schema: &str) -> Self {
        let admin = postgres::client(&server.url("")).await;
        admin
            .batch_execute(&format!("CREATE SCHEMA {schema}"))
            .await
            .unwrap();
        let url = server.url(&format!("search_path={schema}"));
        let clock = Arc::new(ManualClock::default());
        let store = postgres::open(&url, &[THREADS, NOTES], &clock).await.unwrap();
        Self {
            place: Place::Database(url),
            clock,
            store: Arc::new(store),
        }
    }

    fn folder(&self) -> &Path {
        match &self.place {
            Place::File(folder) => folder.path(),
            Place::Database(_) => panic!("a database has no folder"),
        }
    }

    fn path(&self) -> PathBuf {
        self.folder().join("r.db")
    }

    async fn reopen(&mut self, collections: &[Collection]) {
        self.store = match &self.place {
            Place::File(folder) => {
                let path = folder.path().join("r.db");
                Arc::new(RecordStore::open(&path, collections, self.clock.clone()).unwrap())
            }
            Place::Database(url) => Arc::new(postgres::open(url, collections, &self.clock).await.unwrap()),
        };
    }

    async fn ids(&self, query: RecordQuery) -> Vec<String> {
        let page = self.store.list(query).await.unwrap();
        page.items.into_iter().map(|record| record.key.id).collect()
    }
}

fn key(id: &str) -> RecordKey {
    RecordKey {
        collection: "chat.threads".into(),
        project: "p".into(),
        id: id.into(),
    }
}

fn put(id: &str, expected: Option<u64>, body: Value) -> RecordWrite {
    RecordWrite::Put {
        key: key(id),
        expected,
        body,
    }
}

fn delete(id: &str, expected: Option<u64>) -> RecordWrite {
    RecordWrite::Delete {
        key: key(id),
        expected,
    }
}

fn threads() -> RecordQuery {
    RecordQuery {
        collection: "chat.threads".into(),
        ..RecordQuery::default()
    }
}
