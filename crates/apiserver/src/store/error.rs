//! What can go wrong in the store.

use rusqlite::ErrorCode;

/// Why the store did not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("it exists already")]
    Exists,
    #[error("it does not exist")]
    Missing,
    #[error("it was changed meanwhile")]
    Conflict,
    #[error("the namespace does not exist")]
    NamespaceMissing,
    #[error("the namespace is being deleted")]
    NamespaceTerminating,
    #[error("its definition is being deleted")]
    DefinitionTerminating,
    #[error("the namespace is not empty")]
    NotEmpty,
    #[error("that resource version is older than what is kept")]
    Expired,
    #[error("the disk is full; free some space and try again")]
    Full,
    #[error("too many writes are waiting; try again")]
    Busy,
    #[error("the server is shutting down")]
    Closed,
    #[error("the state file is damaged: {0}")]
    Damaged(String),
    #[error("the state file could not be read or written: {0}")]
    Io(String),
    #[error("the store broke off: {0}")]
    Broken(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        Self::from_sql(&error)
    }
}

impl StoreError {
    /// What an error of SQLite means.
    pub(super) fn from_sql(error: &rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full,
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Damaged(error.to_string()),
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy,
            Some(_) => Self::Io(error.to_string()),
            None => Self::Broken(error.to_string()),
        }
    }
}
