//! The thread that writes: it takes all the writes that wait, makes them in one transaction, and answers them
//! after the commit.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};
use stead_kernel::{Error, ports::events::AuditRow};
use tokio::sync::{mpsc, oneshot};

use super::{
    Action, Change, ChangeKind, Content, Key, Signals, StoreError, Window, Write,
    history::{self, History},
};
use crate::kinds::{DEFINITIONS, NAMESPACES};

/// How many writes may wait; more wait for a place, and at most `PATIENCE`.
const QUEUE: usize = 1024;
/// How many writes one transaction holds at most.
const BATCH: usize = 256;
/// How long a write waits for a place in the queue.
const PATIENCE: Duration = Duration::from_secs(10);

type Reply = oneshot::Sender<Result<u64, StoreError>>;

enum Job {
    Write(Box<Write>),
    Note(Box<AuditRow>),
    Forget(i64),
    #[cfg(test)]
    LimitPages(u32),
}

enum Command {
    Do(Job, Reply),
    Stop(oneshot::Sender<()>),
}

/// The way to the writer.
#[derive(Clone)]
pub(super) struct Writer {
    commands: mpsc::Sender<Command>,
}

impl Writer {
    /// Starts the thread; it ends when it is told to, or when nobody can reach it any more.
    pub(super) fn start(
        connection: Connection,
        history: History,
        window: Arc<Window>,
        signals: Arc<Signals>,
    ) -> stead_kernel::Result<Self> {
        let (commands, queue) = mpsc::channel(QUEUE);
        let state = State {
            version: window.latest(),
            history,
            connection,
            window,
            signals,
        };
        std::thread::Builder::new()
            .name("state-writer".into())
            .spawn(move || state.run(queue))
            .map_err(|error| Error::internal("no thread for the state's writer").because(error))?;
        Ok(Self { commands })
    }

    pub(super) async fn write(&self, write: Write) -> Result<u64, StoreError> {
        self.send(Job::Write(Box::new(write))).await
    }

    pub(super) async fn note(&self, row: AuditRow) -> Result<(), StoreError> {
        self.send(Job::Note(Box::new(row))).await.map(|_| ())
    }

    pub(super) async fn forget(&self, through: i64) -> Result<(), StoreError> {
        self.send(Job::Forget(through)).await.map(|_| ())
    }

    async fn send(&self, job: Job) -> Result<u64, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self
            .commands
            .send_timeout(Command::Do(job, reply), PATIENCE)
            .await;
        match sent {
            Ok(()) => answer.await.unwrap_or(Err(StoreError::Closed)),
            Err(mpsc::error::SendTimeoutError::Timeout(_)) => Err(StoreError::Busy),
            Err(mpsc::error::SendTimeoutError::Closed(_)) => Err(StoreError::Closed),
        }
    }

    pub(super) fn ready(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Ends the thread after everything that waits, and waits for that.
    pub(super) async fn stop(&self) {
        let (done, ended) = oneshot::channel();
        if self.commands.send(Command::Stop(done)).await.is_ok() {
            // An error means that the thread has ended, which is what was asked for.
            let _ = ended.await;
        }
    }

    #[cfg(test)]
    pub(super) async fn limit_pages(&self, pages: u32) {
        self.send(Job::LimitPages(pages)).await.expect("the writer runs");
    }
}

/// What applying a job did.
enum Outcome {
    Refused(StoreError),
    Changed(Arc<Change>, bool),
    Noted,
    Done,
}

impl Outcome {
    fn change(&self) -> Option<&Arc<Change>> {
        match self {
            Self::Changed(change, _) => Some(change),
            Self::Refused(_) | Self::Noted | Self::Done => None,
        }
    }
}

struct State {
    connection: Connection,
    /// The version of the newest change on disk.
    version: u64,
    history: History,
    window: Arc<Window>,
    signals: Arc<Signals>,
}

impl State {
    fn run(mut self, mut queue: mpsc::Receiver<Command>) {
        let mut stop = None;
        while stop.is_none() {
            let Some(first) = queue.blocking_recv() else { break };
            let mut batch = Vec::new();
            let mut next = Some(first);
            while let Some(command) = next {
                match command {
                    Command::Do(job, reply) => batch.push((job, reply)),
                    Command::Stop(done) => {
                        stop = Some(done);
                        break;
                    }
                }
                next = if batch.len() < BATCH {
                    queue.try_recv().ok()
                } else {
                    None
                };
            }
            self.commit(batch);
        }
        queue.close();
        // So that the file alone is whole; with readers left over the log stays beside it, which loses nothing.
        let _ = self
            .connection
            .pragma_update_and_check(None, "wal_checkpoint", "TRUNCATE", |_| Ok(()));
        if let Err((_, error)) = self.connection.close() {
            tracing::warn!(%error, "the state file was not closed cleanly; nothing is lost");
        }
        drop(queue);
        if let Some(done) = stop {
            // Nobody waiting any more is fine.
            let _ = done.send(());
        }
    }

    /// Commits the batch in one transaction; if that fails, each job in one of its own, so that a job that
    /// cannot be stored does not take the others with it.
    fn commit(&mut self, batch: Vec<(Job, Reply)>) {
        if batch.is_empty() {
            return;
        }
        match self.attempt(batch.iter().map(|(job, _)| job)) {
            Ok(outcomes) => self.publish(batch, outcomes),
            Err(error) if batch.len() == 1 => {
                tracing::warn!(%error, "a write to the state file failed");
                for (_, reply) in batch {
                    // The caller may have left.
                    let _ = reply.send(Err(StoreError::from_sql(&error)));
                }
            }
            Err(_) => {
                for single in batch {
                    self.commit(vec![single]);
                }
            }
        }
    }

    fn attempt<'a>(&mut self, jobs: impl Iterator<Item = &'a Job>) -> rusqlite::Result<Vec<Outcome>> {
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)?;
        let mut version = self.version;
        let mut outcomes = Vec::new();
        for job in jobs {
            outcomes.push(match job {
                Job::Write(write) => apply(&transaction, write, &mut version)?,
                Job::Note(row) => {
                    put(&transaction, row)?;
                    Outcome::Noted
                }
                Job::Forget(through) => {
                    transaction
                        .prepare_cached("DELETE FROM outbox WHERE id <= ?1")?
                        .execute([through])?;
                    Outcome::Done
                }
                #[cfg(test)]
                Job::LimitPages(pages) => {
                    transaction.pragma_update_and_check(None, "max_page_count", pages, |_| Ok(()))?;
                    Outcome::Done
                }
            });
        }
        let added: Vec<_> = outcomes
            .iter()
            .filter_map(Outcome::change)
            .map(|change| history::weigh(change))
            .collect();
        let through = self.history.trim(&transaction, &added)?;
        transaction.commit()?;
        self.version = version;
        self.history.note(added, through);
        Ok(outcomes)
    }

    fn publish(&self, batch: Vec<(Job, Reply)>, outcomes: Vec<Outcome>) {
        self.window
            .publish(outcomes.iter().filter_map(Outcome::change).cloned());
        for ((_, reply), outcome) in batch.into_iter().zip(outcomes) {
            let answer = match outcome {
                Outcome::Refused(error) => Err(error),
                Outcome::Changed(change, cleanup) => {
                    self.signals.outbox.notify_one();
                    if cleanup {
                        self.signals.cleanup.notify_one();
                    }
                    Ok(change.version)
                }
                Outcome::Noted => {
                    self.signals.outbox.notify_one();
                    Ok(self.version)
                }
                Outcome::Done => Ok(self.version),
            };
            // The caller may have left; what it asked for is done all the same.
            let _ = reply.send(answer);
        }
    }
}

/// What is stored under a key now.
struct Current {
    id: i64,
    version: u64,
    body: Vec<u8>,
}

/// Checks first and changes then, so that a refusal leaves no trace in the transaction.
fn apply(transaction: &Transaction<'_>, write: &Write, version: &mut u64) -> rusqlite::Result<Outcome> {
    let current = current(transaction, &write.key)?;
    if let Some(refusal) = refusal(transaction, write, current.as_ref())? {
        return Ok(Outcome::Refused(refusal));
    }
    *version += 1;
    match (&write.action, &current) {
        (Action::Create { uid, content, .. }, _) => insert(transaction, &write.key, uid, content, *version)?,
        (Action::Replace { content, .. }, Some(current)) => {
            replace(transaction, current.id, content, *version)?;
        }
        (Action::Remove { .. } | Action::RemoveEmpty { .. }, Some(current)) => {
            transaction
                .prepare_cached("DELETE FROM objects WHERE id = ?1")?
                .execute([current.id])?;
        }
        (Action::Replace { .. } | Action::Remove { .. } | Action::RemoveEmpty { .. }, None) => {
            return Ok(Outcome::Refused(StoreError::Missing));
        }
    }
    let (kind, cleanup) = match &write.action {
        Action::Create { content, .. } => (ChangeKind::Added, !content.owners.is_empty()),
        Action::Replace { content, .. } => (
            ChangeKind::Modified,
            content.deleting || !content.owners.is_empty(),
        ),
        Action::Remove { .. } | Action::RemoveEmpty { .. } => (ChangeKind::Deleted, true),
    };
    record(transaction, write, kind, current.as_ref(), *version)?;
    let before = current.map(|current| current.body);
    let (body, previous) = match &write.action {
        Action::Create { content, .. } | Action::Replace { content, .. } => {
            let previous = before.filter(|_| write.was.is_some());
            (Arc::clone(&content.body), previous.map(Arc::from))
        }
        Action::Remove { .. } | Action::RemoveEmpty { .. } => (before.unwrap_or_default().into(), None),
    };
    Ok(Outcome::Changed(
        Arc::new(Change {
            version: *version,
            key: write.key.clone(),
            kind,
            body,
            was: write.was.clone(),
            previous,
            told: OnceLock::new(),
        }),
        cleanup,
    ))
}

fn current(transaction: &Transaction<'_>, key: &Key) -> rusqlite::Result<Option<Current>> {
    transaction
        .prepare_cached(
            "SELECT id, version, body FROM objects WHERE resource = ?1 AND namespace = ?2 AND name = ?3",
        )?
        .query_row((&*key.resource, &*key.namespace, &*key.name), |row| {
            Ok(Current {
                id: row.get(0)?,
                version: row.get(1)?,
                body: row.get(2)?,
            })
        })
        .optional()
}

fn refusal(
    transaction: &Transaction<'_>,
    write: &Write,
    current: Option<&Current>,
) -> rusqlite::Result<Option<StoreError>> {
    let expected = match &write.action {
        Action::Create { .. } if current.is_some() => return Ok(Some(StoreError::Exists)),
        Action::Create { definition, .. } => {
            if let Some(definition) = definition
                && deleting(transaction, DEFINITIONS, definition)? != Some(false)
            {
                return Ok(Some(StoreError::DefinitionTerminating));
            }
            return namespace_refusal(transaction, &write.key.namespace);
        }
        Action::Replace { expected, .. } | Action::Remove { expected } | Action::RemoveEmpty { expected } => {
            *expected
        }
    };
    let Some(current) = current else {
        return Ok(Some(StoreError::Missing));
    };
    if current.version != expected {
        return Ok(Some(StoreError::Conflict));
    }
    if matches!(write.action, Action::RemoveEmpty { .. }) {
        let filled = transaction
            .prepare_cached("SELECT 1 FROM objects WHERE namespace = ?1 LIMIT 1")?
            .exists([&*write.key.name])?;
        return Ok(filled.then_some(StoreError::NotEmpty));
    }
    Ok(None)
}

/// Nothing is created in a namespace that is missing or being deleted.
fn namespace_refusal(transaction: &Transaction<'_>, namespace: &str) -> rusqlite::Result<Option<StoreError>> {
    if namespace.is_empty() {
        return Ok(None);
    }
    Ok(match deleting(transaction, NAMESPACES, namespace)? {
        None => Some(StoreError::NamespaceMissing),
        Some(true) => Some(StoreError::NamespaceTerminating),
        Some(false) => None,
    })
}

/// Whether a cluster-scoped object is being deleted; `None` when it is not there.
fn deleting(transaction: &Transaction<'_>, resource: &str, name: &str) -> rusqlite::Result<Option<bool>> {
    transaction
        .prepare_cached("SELECT deleting FROM objects WHERE resource = ?1 AND namespace = '' AND name = ?2")?
        .query_row([resource, name], |row| row.get(0))
        .optional()
}

fn insert(
    transaction: &Transaction<'_>,
    key: &Key,
    uid: &str,
    content: &Content,
    version: u64,
) -> rusqlite::Result<()> {
    let id = transaction
        .prepare_cached(
            "INSERT INTO objects (resource, namespace, name, uid, version, deleting, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .insert((
            &*key.resource,
            &*key.namespace,
            &*key.name,
            uid,
            version,
            content.deleting,
            &*content.body,
        ))?;
    own(transaction, id, &content.owners)
}

fn replace(transaction: &Transaction<'_>, id: i64, content: &Content, version: u64) -> rusqlite::Result<()> {
    transaction
        .prepare_cached("UPDATE objects SET version = ?2, deleting = ?3, body = ?4 WHERE id = ?1")?
        .execute((id, version, content.deleting, &*content.body))?;
    transaction
        .prepare_cached("DELETE FROM owners WHERE object = ?1")?
        .execute([id])?;
    own(transaction, id, &content.owners)
}

fn own(transaction: &Transaction<'_>, id: i64, owners: &[String]) -> rusqlite::Result<()> {
    for owner in owners {
        transaction
            .prepare_cached("INSERT OR IGNORE INTO owners (owner, object) VALUES (?1, ?2)")?
            .execute((owner, id))?;
    }
    Ok(())
}

fn record(
    transaction: &Transaction<'_>,
    write: &Write,
    kind: ChangeKind,
    previous: Option<&Current>,
    version: u64,
) -> rusqlite::Result<()> {
    let key = &write.key;
    transaction
        .prepare_cached(
            "INSERT INTO changes (version, resource, namespace, name, kind, previous, previous_version, was)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        )?
        .execute((
            version,
            &*key.resource,
            &*key.namespace,
            &*key.name,
            kind.code(),
            previous.map(|previous| &*previous.body),
            previous.map(|previous| previous.version),
            write.was.as_deref(),
        ))?;
    let Some(mut audit) = write.audit.clone() else {
        return Ok(());
    };
    audit.resource_version = version.to_string();
    put(transaction, &audit)
}

/// Puts a record where it lies until it is delivered.
fn put(transaction: &Transaction<'_>, audit: &AuditRow) -> rusqlite::Result<()> {
    let event = serde_json::to_string(audit).unwrap_or_default();
    transaction
        .prepare_cached("INSERT INTO outbox (event) VALUES (?1)")?
        .execute([event])?;
    Ok(())
}
