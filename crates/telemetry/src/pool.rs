//! Connections for reading, kept for the next reader; a file has as many as are used at once.

use std::{
    cell::Cell,
    collections::{HashMap, VecDeque},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use rusqlite::Connection;
use stead_kernel::Error;
use tokio::{sync::Semaphore, time::Instant};

use crate::sqlite::{self, Result};

/// How many idle connections are kept, over all files.
const IDLE: usize = 12;
/// How many reads go on at once; more wait.
const READS: usize = 8;

/// How many of them may be such that read without a bound, so that there is always a place for the short ones, and how
/// many of those of one asker, so that there is one for others.
const LONG: usize = 4;
const OF_ONE: usize = 2;
/// How long an answer may take once it is worked on.
const PATIENCE: Duration = Duration::from_secs(30);
/// After so many steps of `SQLite`'s machine it is looked whether that time is over; a thousand rows take about as many.
const STEPS: i32 = 10_000;

thread_local! {
    /// Until when what this thread reads must be there.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The deadline of a thread, for as long as this lives.
struct Deadline;

impl Deadline {
    fn begin(patience: Duration) -> Self {
        DEADLINE.set(Instant::now().checked_add(patience));
        Self
    }

    fn is_over() -> bool {
        DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline)
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        DEADLINE.set(None);
    }
}

/// Idle connections by file.
pub(crate) struct Readers<K> {
    idle: Mutex<VecDeque<(K, Connection)>>,
    places: Arc<Semaphore>,
    long: Arc<Semaphore>,
    askers: Mutex<HashMap<String, Arc<Semaphore>>>,
    patience: Duration,
}

impl<K: PartialEq + Send + 'static> Readers<K> {
    /// No connections yet.
    pub(crate) fn new() -> Self {
        Self {
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(READS)),
            long: Arc::new(Semaphore::new(LONG)),
            askers: Mutex::default(),
            patience: PATIENCE,
        }
    }

    /// With another time that an answer may take.
    #[cfg(test)]
    pub(crate) fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Runs `read` on a connection to the file; after a failure the connection is dropped.
    pub(crate) fn with<T>(
        &self,
        key: K,
        path: &Path,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let connection = if let Some(connection) = self.take(&key) {
            connection
        } else {
            let mut opened = sqlite::open_reader(path)?;
            opened.progress_handler(STEPS, Some(Deadline::is_over))?;
            opened
        };
        let result = read(&connection)?;
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push_back((key, connection));
        if idle.len() > IDLE {
            idle.pop_front();
        }
        Ok(result)
    }

    /// Closes the idle connections to a file.
    pub(crate) fn forget(&self, key: &K) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|(of, _)| of != key);
    }

    /// Closes every idle connection.
    pub(crate) fn clear(&self) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Runs blocking work off the runtime, once fewer than the permitted reads go on.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> stead_kernel::Result<T> + Send + 'static,
    ) -> stead_kernel::Result<T> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work()
        });
        done.await
            .map_err(|error| Error::internal("a read of the store was cut off").because(error))?
    }

    /// As [`blocking`](Self::blocking), for what somebody waits for: it is stopped when it takes too long.
    ///
    /// # Errors
    /// `Timeout` when it was stopped.
    pub(crate) async fn timely<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> stead_kernel::Result<T> + Send + 'static,
    ) -> stead_kernel::Result<T> {
        let patience = self.patience;
        let timed = move || {
            let _deadline = Deadline::begin(patience);
            work()
        };
        self.blocking(timed).await
    }

    /// As [`timely`](Self::timely), for what reads without a bound: a few go on at once, and fewer of one asker.
    pub(crate) async fn long<T: Send + 'static>(
        &self,
        asker: &str,
        work: impl FnOnce() -> stead_kernel::Result<T> + Send + 'static,
    ) -> stead_kernel::Result<T> {
        let _own = self.of(asker).acquire_owned().await;
        let _place = Arc::clone(&self.long).acquire_owned().await;
        self.timely(work).await
    }

    /// The places of one asker.
    fn of(&self, asker: &str) -> Arc<Semaphore> {
        let mut askers = self.askers.lock().unwrap_or_else(PoisonError::into_inner);
        askers.retain(|_, places| Arc::strong_count(places) > 1);
        let places = askers
            .entry(asker.to_owned())
            .or_insert_with(|| Arc::new(Semaphore::new(OF_ONE)));
        Arc::clone(places)
    }

    fn take(&self, key: &K) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let position = idle.iter().rposition(|(of, _)| of == key)?;
        idle.remove(position).map(|(_, connection)| connection)
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::Reason;

    use super::*;

    const ENDLESS: &str =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n";

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        Connection::open(&path).unwrap();
        (folder, path)
    }

    fn ask(connection: &Connection, sql: &str) -> Result<i64> {
        Ok(connection.query_row(sql, [], |row| row.get(0))?)
    }

    #[tokio::test]
    async fn what_takes_too_long_is_stopped_and_says_so_and_the_next_is_answered() {
        let (_folder, path) = file();
        let readers: Arc<Readers<()>> = Arc::new(Readers::new().with_patience(Duration::from_millis(20)));
        let asked = |sql: &'static str| {
            let (readers, path) = (Arc::clone(&readers), path.clone());
            move || Ok(readers.with((), &path, |connection| ask(connection, sql))?)
        };
        let error = readers.timely(asked(ENDLESS)).await.unwrap_err();
        assert_eq!(error.reason(), Reason::Timeout);
        assert!(error.get_hint().is_some());
        assert_eq!(readers.timely(asked("SELECT 7")).await.unwrap(), 7);
    }

    #[tokio::test]
    async fn one_askers_long_reads_leave_places_for_others_and_for_short_ones() {
        let (_folder, path) = file();
        let readers: Arc<Readers<()>> = Arc::new(Readers::new().with_patience(Duration::from_millis(300)));
        let mut noisy = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (readers, path) = (Arc::clone(&readers), path.clone());
            noisy.spawn(async move {
                let own = Arc::clone(&readers);
                let work = move || Ok(own.with((), &path, |connection| ask(connection, ENDLESS))?);
                readers.long("noisy", work).await
            });
        }
        tokio::task::yield_now().await;
        // None of the noisy ones has ended when the others are answered.
        assert_eq!(readers.long("quiet", || Ok(1)).await.unwrap(), 1);
        assert_eq!(readers.timely(|| Ok(2)).await.unwrap(), 2);
        assert!(noisy.try_join_next().is_none());
        while let Some(answer) = noisy.join_next().await {
            assert_eq!(answer.unwrap().unwrap_err().reason(), Reason::Timeout);
        }
        assert_eq!(readers.of("quiet").available_permits(), OF_ONE);
    }
}
