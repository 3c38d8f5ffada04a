//! Connections for reading, kept for the next reader; a file has as many as are used at once.

use std::{
    collections::VecDeque,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use rusqlite::Connection;
use stead_kernel::Error;
use tokio::sync::Semaphore;

use crate::sqlite::{self, Result};

/// How many idle connections are kept, over all files.
const IDLE: usize = 12;
/// How many reads go on at once; more wait.
const READS: usize = 8;

/// Idle connections by file.
pub(crate) struct Readers<K> {
    idle: Mutex<VecDeque<(K, Connection)>>,
    places: Arc<Semaphore>,
}

impl<K: PartialEq + Send + 'static> Readers<K> {
    /// No connections yet.
    pub(crate) fn new() -> Self {
        Self {
            idle: Mutex::default(),
            places: Arc::new(Semaphore::new(READS)),
        }
    }

    /// Runs `read` on a connection to the file; after a failure the connection is dropped.
    pub(crate) fn with<T>(
        &self,
        key: K,
        path: &Path,
        read: impl FnOnce(&Connection) -> Result<T>,
    ) -> Result<T> {
        let connection = match self.take(&key) {
            Some(connection) => connection,
            None => sqlite::open_reader(path)?,
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

    fn take(&self, key: &K) -> Option<Connection> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let position = idle.iter().rposition(|(of, _)| of == key)?;
        idle.remove(position).map(|(_, connection)| connection)
    }
}
