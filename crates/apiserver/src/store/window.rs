//! The latest changes, in memory, for watches.
//!
//! *Invariant:* the window has no gaps: it holds every change after its floor.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, OnceLock, PoisonError, RwLock},
};

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension, Row as SqlRow};
use tokio::sync::watch;

use super::{Key, StoreError};

/// How many changes are kept, here and in the file.
pub(super) const CHANGES: u64 = 10_000;
/// How many bytes of bodies are kept here.
const BYTES: usize = 16 << 20;
/// What a change costs beside its body, roughly.
const OVERHEAD: usize = 256;

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChangeKind {
    Added,
    Modified,
    Deleted,
}

impl ChangeKind {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Added => 0,
            Self::Modified => 1,
            Self::Deleted => 2,
        }
    }

    const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Added,
            1 => Self::Modified,
            _ => Self::Deleted,
        }
    }
}

/// One change of one object.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) version: u64,
    pub(crate) key: Key,
    pub(crate) kind: ChangeKind,
    /// The object after the change; the last it was, when it is deleted.
    pub(crate) body: Arc<[u8]>,
    /// What selectors saw before, if they see something else now.
    pub(crate) was: Option<Arc<str>>,
    /// The object before the change, if selectors saw something else in it.
    pub(crate) previous: Option<Arc<[u8]>>,
    /// The change as the first watch told it, for those that tell it in the same way.
    pub(crate) told: OnceLock<Told>,
}

/// A change as a line of a watch.
#[derive(Debug)]
pub(crate) struct Told {
    /// The version of the API in which the object stands there.
    pub(crate) api_version: String,
    pub(crate) line: Bytes,
}

impl Change {
    /// About how many bytes it holds.
    fn weight(&self) -> usize {
        self.body.len() + self.previous.as_ref().map_or(0, |previous| previous.len()) + OVERHEAD
    }
}

struct Held {
    /// The version of the newest change that is not held any more.
    floor: u64,
    bytes: usize,
    changes: VecDeque<Arc<Change>>,
}

/// The window.
pub(crate) struct Window {
    held: RwLock<Held>,
    latest: watch::Sender<u64>,
}

impl Window {
    fn new(floor: u64, latest: u64) -> Self {
        Self {
            held: RwLock::new(Held {
                floor,
                bytes: 0,
                changes: VecDeque::new(),
            }),
            latest: watch::Sender::new(latest),
        }
    }

    /// The version of the newest change, and how to wait for newer ones.
    pub(crate) fn subscribe(&self) -> watch::Receiver<u64> {
        self.latest.subscribe()
    }

    /// The version of the newest change.
    pub(crate) fn latest(&self) -> u64 {
        *self.latest.borrow()
    }

    /// The oldest version from which on every change is there.
    pub(crate) fn floor(&self) -> u64 {
        self.held.read().unwrap_or_else(PoisonError::into_inner).floor
    }

    /// At most `limit` changes after `cursor` that `wanted` takes, and the cursor behind the last one looked at.
    pub(crate) fn after(
        &self,
        cursor: u64,
        limit: usize,
        wanted: impl Fn(&Key) -> bool,
    ) -> Result<(Vec<Arc<Change>>, u64), StoreError> {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        if cursor < held.floor {
            return Err(StoreError::Expired);
        }
        let start = held.changes.partition_point(|change| change.version <= cursor);
        let (mut found, mut seen) = (Vec::new(), cursor);
        for change in held.changes.range(start..) {
            if found.len() == limit {
                break;
            }
            seen = change.version;
            if wanted(&change.key) {
                found.push(Arc::clone(change));
            }
        }
        Ok((found, seen))
    }

    /// Adds what a transaction changed, in order, and wakes the watches.
    pub(super) fn publish(&self, changes: impl IntoIterator<Item = Arc<Change>>) {
        let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
        let mut latest = None;
        for change in changes {
            latest = Some(change.version);
            held.push(change);
        }
        drop(held);
        if let Some(latest) = latest {
            self.latest.send_replace(latest);
        }
    }

    /// How many changes are held.
    pub(crate) fn len(&self) -> usize {
        let held = self.held.read().unwrap_or_else(PoisonError::into_inner);
        held.changes.len()
    }
}

impl Held {
    fn push(&mut self, change: Arc<Change>) {
        self.bytes += change.weight();
        self.changes.push_back(change);
        while self.changes.len() as u64 > CHANGES || self.bytes > BYTES && self.changes.len() > 1 {
            let Some(oldest) = self.changes.pop_front() else {
                return;
            };
            self.bytes -= oldest.weight();
            self.floor = oldest.version;
        }
    }
}

/// Reads the window from the file, newest change first: what an object became is what its next change found.
pub(super) fn refill(connection: &Connection) -> rusqlite::Result<Window> {
    let latest: u64 = connection.query_row("SELECT coalesce(max(version), 0) FROM changes", [], |row| {
        row.get(0)
    })?;
    let mut statement = connection.prepare(
        "SELECT version, resource, namespace, name, kind, previous, was FROM changes ORDER BY version DESC",
    )?;
    let (mut rows, mut later) = (statement.query([])?, HashMap::new());
    let (mut newest_first, mut bytes, mut resources) = (Vec::new(), 0, HashMap::new());
    let mut floor = latest;
    while let Some(row) = rows.next()? {
        let change = read_change(connection, row, &mut later, &mut resources)?;
        bytes += change.weight();
        if bytes > BYTES || newest_first.len() as u64 == CHANGES {
            break;
        }
        floor = change.version - 1;
        newest_first.push(Arc::new(change));
    }
    let window = Window::new(floor, latest);
    window.publish(newest_first.into_iter().rev());
    Ok(window)
}

fn read_change(
    connection: &Connection,
    row: &SqlRow<'_>,
    later: &mut HashMap<Key, Arc<[u8]>>,
    resources: &mut HashMap<String, Arc<str>>,
) -> rusqlite::Result<Change> {
    let resource: String = row.get(1)?;
    let resource = resources
        .entry(resource.clone())
        .or_insert_with(|| resource.into());
    let key = Key {
        resource: Arc::clone(resource),
        namespace: row.get(2)?,
        name: row.get(3)?,
    };
    let kind = ChangeKind::from_code(row.get(4)?);
    let previous: Option<Arc<[u8]>> = row.get::<_, Option<Vec<u8>>>(5)?.map(Arc::from);
    let body = match (kind, &previous) {
        (ChangeKind::Deleted, Some(previous)) => Arc::clone(previous),
        _ => match later.get(&key) {
            Some(body) => Arc::clone(body),
            None => current_body(connection, &key)?,
        },
    };
    let was: Option<Arc<str>> = row.get(6)?;
    let before = previous.clone().filter(|_| was.is_some());
    if let Some(previous) = previous {
        later.insert(key.clone(), previous);
    }
    Ok(Change {
        version: row.get(0)?,
        key,
        kind,
        body,
        was,
        previous: before,
        told: OnceLock::new(),
    })
}

fn current_body(connection: &Connection, key: &Key) -> rusqlite::Result<Arc<[u8]>> {
    let mut statement = connection
        .prepare_cached("SELECT body FROM objects WHERE resource = ?1 AND namespace = ?2 AND name = ?3")?;
    let body: Option<Vec<u8>> = statement
        .query_row((&*key.resource, &*key.namespace, &*key.name), |row| row.get(0))
        .optional()?;
    Ok(body.unwrap_or_default().into())
}
