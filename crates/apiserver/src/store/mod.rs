//! Objects in one SQLite file: one thread writes with group commit, many connections read.
//!
//! *Invariant:* a write is answered only after its transaction is on disk.
//! *Invariant:* nothing here parses an object; bodies are bytes.

mod error;
mod history;
mod list;
mod readers;
mod schema;
mod window;
mod writer;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use rusqlite::OptionalExtension;
use stead_kernel::ports::events::AuditRow;
use tokio::sync::Notify;

pub(crate) use error::StoreError;
pub(crate) use list::{ListQuery, Listing, Position};
use readers::Readers;
pub(crate) use schema::describe;
pub(crate) use window::{Change, ChangeKind, Told, Window};
use writer::Writer;

/// Where an object lies. Cluster-scoped objects have an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key {
    /// `plural` for the core group, else `group/plural`.
    pub(crate) resource: Arc<str>,
    pub(crate) namespace: Arc<str>,
    pub(crate) name: Arc<str>,
}

impl Key {
    pub(crate) fn new(resource: &Arc<str>, namespace: &str, name: &str) -> Self {
        Self {
            resource: Arc::clone(resource),
            namespace: namespace.into(),
            name: name.into(),
        }
    }
}

/// An object as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    pub(crate) key: Key,
    pub(crate) version: u64,
    pub(crate) body: Arc<[u8]>,
}

/// What a body says about itself that the store needs to know.
#[derive(Debug, Clone)]
pub(crate) struct Content {
    pub(crate) body: Arc<[u8]>,
    /// The uids of its owners.
    pub(crate) owners: Vec<String>,
    /// Whether it has a deletion timestamp.
    pub(crate) deleting: bool,
}

/// One change that is to be made.
#[derive(Debug, Clone)]
pub(crate) struct Write {
    pub(crate) key: Key,
    pub(crate) action: Action,
    /// The record of it; the resource version is filled in. `None` for what is not recorded.
    pub(crate) audit: Option<AuditRow>,
    /// What selectors saw before the change, if they see something else now (a reduced object as JSON).
    pub(crate) was: Option<Arc<str>>,
}

/// What a write does.
#[derive(Debug, Clone)]
pub(crate) enum Action {
    Create {
        uid: String,
        content: Content,
        /// The definition that must exist and stay, for objects of a defined kind.
        definition: Option<String>,
    },
    Replace {
        expected: u64,
        content: Content,
    },
    Remove {
        expected: u64,
    },
    /// Removes a namespace if nothing is in it.
    RemoveEmpty {
        expected: u64,
    },
}

/// The store. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Store {
    path: Arc<Path>,
    writer: Writer,
    readers: Arc<Readers>,
    window: Arc<Window>,
    signals: Arc<Signals>,
}

/// What others wait for.
#[derive(Debug, Default)]
pub(crate) struct Signals {
    /// Something was removed, began to be deleted, or got owners.
    pub(crate) cleanup: Notify,
    /// There are audit rows to deliver.
    pub(crate) outbox: Notify,
}

impl Store {
    /// Opens or creates the file, migrates it if it is older, and refills the watch window.
    pub(crate) async fn open(path: PathBuf) -> stead_kernel::Result<Self> {
        let opened = tokio::task::spawn_blocking(move || Self::open_blocking(&path)).await;
        opened.unwrap_or_else(|error| {
            Err(stead_kernel::Error::internal("opening the state file broke off").because(error))
        })
    }

    fn open_blocking(path: &Path) -> stead_kernel::Result<Self> {
        let connection = schema::open(path)?;
        let unreadable = |error| schema::describe(path, error);
        let window = window::refill(&connection).map_err(unreadable)?;
        let history = history::History::read(&connection).map_err(unreadable)?;
        let (window, signals) = (Arc::new(window), Arc::new(Signals::default()));
        Ok(Self {
            path: path.into(),
            writer: Writer::start(connection, history, Arc::clone(&window), Arc::clone(&signals))?,
            readers: Arc::new(Readers::new(path)),
            window,
            signals,
        })
    }

    /// One object. A point read of the page cache: short enough for an async thread.
    pub(crate) fn get(&self, key: &Key) -> Result<Option<Row>, StoreError> {
        self.readers.with(|connection| Ok(read_one(connection, key)?))
    }

    /// One object, and the newest version of the state in which it is so.
    pub(crate) fn get_at(&self, key: &Key) -> Result<(Option<Row>, u64), StoreError> {
        self.readers.with(|connection| {
            let snapshot = connection.unchecked_transaction()?;
            Ok((read_one(&snapshot, key)?, list::latest(&snapshot)?))
        })
    }

    /// The objects that match, from one snapshot; `accept` sees every candidate, and keeps it by returning true.
    pub(crate) async fn list<F>(&self, query: ListQuery, accept: F) -> Result<Listing, StoreError>
    where
        F: FnMut(&Row) -> bool + Send + 'static,
    {
        self.read(move |connection| list::list(connection, &query, accept))
            .await
    }

    /// The objects that are owned by the object with this uid, which is in this namespace: one of a namespace owns
    /// nothing in others, whatever is written there.
    pub(crate) async fn dependents(&self, owner: String, namespace: &str) -> Result<Vec<Key>, StoreError> {
        self.keys(
            "SELECT resource, namespace, name FROM owners JOIN objects ON id = object
             WHERE owner = ?1 AND ?2 IN ('', namespace)",
            vec![owner, namespace.into()],
        )
        .await
    }

    /// The objects that name an owner which does not exist, for them.
    pub(crate) async fn with_missing_owner(&self) -> Result<Vec<Key>, StoreError> {
        self.keys(
            "SELECT DISTINCT resource, namespace, name FROM owners JOIN objects AS owned ON id = object
             WHERE NOT EXISTS (
                SELECT 1 FROM objects AS o WHERE o.uid = owner AND o.namespace IN ('', owned.namespace)
             )",
            Vec::new(),
        )
        .await
    }

    /// Where the object with this uid lies, if it can own something in this namespace.
    pub(crate) fn key_of_owner(&self, uid: &str, namespace: &str) -> Result<Option<Key>, StoreError> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT resource, namespace, name FROM objects WHERE uid = ?1 AND namespace IN ('', ?2)",
            )?;
            let key = statement.query_row([uid, namespace], |row| {
                Ok(Key {
                    resource: row.get(0)?,
                    namespace: row.get(1)?,
                    name: row.get(2)?,
                })
            });
            Ok(key.optional()?)
        })
    }

    /// Whether an object with this uid exists that can own something in this namespace.
    pub(crate) fn exists_owner(&self, uid: &str, namespace: &str) -> Result<bool, StoreError> {
        Ok(self.key_of_owner(uid, namespace)?.is_some())
    }

    /// The objects with a deletion timestamp.
    pub(crate) async fn deleting(&self) -> Result<Vec<Key>, StoreError> {
        self.keys(
            "SELECT resource, namespace, name FROM objects WHERE deleting = 1",
            Vec::new(),
        )
        .await
    }

    /// The keys of a resource's objects, in one namespace or in all.
    pub(crate) async fn keys_of(
        &self,
        resource: &str,
        namespace: Option<&str>,
    ) -> Result<Vec<Key>, StoreError> {
        match namespace {
            Some(namespace) => {
                self.keys(
                    "SELECT resource, namespace, name FROM objects WHERE resource = ?1 AND namespace = ?2",
                    vec![resource.into(), namespace.into()],
                )
                .await
            }
            None => {
                self.keys(
                    "SELECT resource, namespace, name FROM objects WHERE resource = ?1",
                    vec![resource.into()],
                )
                .await
            }
        }
    }

    /// How many objects of each resource there are.
    pub(crate) fn counts(&self) -> Result<Vec<(String, u64)>, StoreError> {
        self.readers.with(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT resource, count(*) FROM objects GROUP BY resource ORDER BY resource",
            )?;
            let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
    }

    async fn keys(&self, sql: &'static str, parameters: Vec<String>) -> Result<Vec<Key>, StoreError> {
        self.read(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            let rows = statement.query_map(rusqlite::params_from_iter(parameters), |row| {
                Ok(Key {
                    resource: row.get(0)?,
                    namespace: row.get(1)?,
                    name: row.get(2)?,
                })
            })?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Makes one change and returns its resource version, after it is on disk.
    pub(crate) async fn write(&self, write: Write) -> Result<u64, StoreError> {
        self.writer.write(write).await
    }

    /// Records what is no write of an object.
    pub(crate) async fn note(&self, row: AuditRow) -> Result<(), StoreError> {
        self.writer.note(row).await
    }

    /// The oldest audit rows, with their places in the outbox.
    pub(crate) async fn outbox(&self, limit: usize) -> Result<Vec<(i64, String)>, StoreError> {
        self.read(move |connection| {
            let mut statement =
                connection.prepare_cached("SELECT id, event FROM outbox ORDER BY id LIMIT ?1")?;
            let rows = statement.query_map([limit], |row| Ok((row.get(0)?, row.get(1)?)))?;
            Ok(rows.collect::<Result<_, _>>()?)
        })
        .await
    }

    /// Removes the audit rows up to this place.
    pub(crate) async fn forget_outbox(&self, through: i64) -> Result<(), StoreError> {
        self.writer.forget(through).await
    }

    pub(crate) fn window(&self) -> &Arc<Window> {
        &self.window
    }

    pub(crate) fn signals(&self) -> &Arc<Signals> {
        &self.signals
    }

    /// Whether writes are accepted.
    pub(crate) fn ready(&self) -> bool {
        self.writer.ready()
    }

    /// Copies the whole file, consistently, to a path that must not exist.
    pub(crate) async fn backup(&self, to: PathBuf) -> Result<(), StoreError> {
        self.read(move |connection| schema::copy(connection, &to)).await
    }

    /// Reads the whole file and compares it with itself.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let path = Arc::clone(&self.path);
        self.read(move |connection| schema::check(connection, &path))
            .await
    }

    /// Ends the writer after the writes that it has; later ones are refused.
    pub(crate) async fn close(&self) {
        self.readers.clear();
        self.writer.stop().await;
    }

    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let _permit = self.readers.permit().await;
        match tokio::task::spawn_blocking(move || readers.with(work)).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Broken(error.to_string())),
        }
    }

    /// Limits the file's size, so that a test can fill the disk.
    #[cfg(test)]
    pub(crate) async fn limit_pages(&self, pages: u32) {
        self.writer.limit_pages(pages).await;
    }
}

fn read_one(connection: &rusqlite::Connection, key: &Key) -> rusqlite::Result<Option<Row>> {
    let mut statement = connection.prepare_cached(
        "SELECT version, body FROM objects WHERE resource = ?1 AND namespace = ?2 AND name = ?3",
    )?;
    let row = statement
        .query_row((&*key.resource, &*key.namespace, &*key.name), |row| {
            Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?))
        })
        .optional()?;
    Ok(row.map(|(version, body)| Row {
        key: key.clone(),
        version,
        body: body.into(),
    }))
}

#[cfg(test)]
mod tests;
