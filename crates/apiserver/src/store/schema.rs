//! The file's tables, their versions, and whole-file work: opening, migrating, copying, checking.

use std::{path::Path, time::Duration};

use rusqlite::{Connection, ErrorCode, TransactionBehavior, backup::Backup};
use stead_kernel::Error;

use super::StoreError;

/// Marks the file as ours (`Stea`).
const APPLICATION_ID: i64 = 0x5374_6561;
/// Each step brings a file from its index to the next version.
const MIGRATIONS: &[&str] = &["
CREATE TABLE objects (
    id INTEGER PRIMARY KEY,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    uid TEXT NOT NULL UNIQUE,
    version INTEGER NOT NULL,
    deleting INTEGER NOT NULL,
    body BLOB NOT NULL,
    UNIQUE (resource, namespace, name)
) STRICT;
CREATE INDEX objects_deleting ON objects (resource) WHERE deleting = 1;
CREATE TABLE owners (
    owner TEXT NOT NULL,
    object INTEGER NOT NULL REFERENCES objects (id) ON DELETE CASCADE,
    PRIMARY KEY (owner, object)
) STRICT, WITHOUT ROWID;
CREATE INDEX owners_object ON owners (object);
-- What an object was before each change; what it became is in the key's next change or in `objects`.
CREATE TABLE changes (
    version INTEGER PRIMARY KEY,
    resource TEXT NOT NULL,
    namespace TEXT NOT NULL,
    name TEXT NOT NULL,
    kind INTEGER NOT NULL,
    previous BLOB,
    previous_version INTEGER,
    was TEXT
) STRICT;
CREATE TABLE outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL) STRICT;
"];
/// After how many pages of 4 KB the write-ahead log is brought into the file: a page that changes often is written once
/// for all its changes until then.
const LOG_PAGES: i64 = 4_000;
/// To how many bytes the write-ahead log shrinks after it grew.
const LOG_LIMIT: i64 = 16 << 20;
/// Files up to this size are checked whole when they are opened.
const CHECK_LIMIT: u64 = 64 << 20;

/// Opens the file for writing; creates, checks and migrates it.
pub(super) fn open(path: &Path) -> stead_kernel::Result<Connection> {
    let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    create_private(path).map_err(|error| cannot_write(path, error))?;
    let mut connection = Connection::open(path).map_err(|error| describe(path, error))?;
    if connection
        .is_readonly("main")
        .map_err(|error| describe(path, error))?
    {
        return Err(cannot_write(path, "it may only be read"));
    }
    let version = prepare(&connection).map_err(|error| describe(path, error))?;
    let newest = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > newest {
        return Err(Error::invalid(format!(
            "the state file {} has version {version}, and this Stead knows versions up to {newest}",
            path.display()
        ))
        .hint("start the newer Stead that wrote it, or restore a backup made by this version"));
    }
    if version > 0 && size <= CHECK_LIMIT {
        check(&connection, path).map_err(|error| refuse(path, &error))?;
    }
    if version < newest {
        migrate(&mut connection, path, version)?;
    }
    Ok(connection)
}

/// Makes the file, for its owner only; `SQLite` gives the files beside it the same mode.
fn create_private(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true).mode(0o600).open(path)?;
    Ok(())
}

/// Sets the connection up and returns the file's version.
fn prepare(connection: &Connection) -> rusqlite::Result<i64> {
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(32);
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    connection.pragma_update(None, "journal_size_limit", LOG_LIMIT)?;
    Ok(version)
}

fn migrate(connection: &mut Connection, path: &Path, version: i64) -> stead_kernel::Result<()> {
    let foreign = |error| describe(path, error);
    if version == 0 {
        let tables: i64 = connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(foreign)?;
        if tables > 0 {
            return Err(
                Error::invalid(format!("{} is no state file of Stead", path.display()))
                    .hint("move it away, or choose another data folder with --data"),
            );
        }
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".v{version}.backup"));
        let copy_path = Path::new(&name);
        if !copy_path.exists() {
            copy(connection, copy_path).map_err(|error| refuse(path, &error))?;
        }
    }
    run_migrations(connection, usize::try_from(version).unwrap_or_default()).map_err(foreign)
}

fn run_migrations(connection: &mut Connection, from: usize) -> rusqlite::Result<()> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for migration in MIGRATIONS.iter().skip(from) {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
    transaction.pragma_update(None, "user_version", MIGRATIONS.len())?;
    transaction.commit()
}

/// Copies the file, consistently, and syncs the copy; leaves nothing behind when that fails.
pub(super) fn copy(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let copied = create_private(to)
        .map_err(|error| StoreError::Io(error.to_string()))
        .and_then(|()| fill(connection, to));
    if copied.is_err() {
        // What is wrong is told already.
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn fill(connection: &Connection, to: &Path) -> Result<(), StoreError> {
    let mut target = Connection::open(to)?;
    Backup::new(connection, &mut target)?.run_to_completion(i32::MAX, Duration::ZERO, None)?;
    target.close().map_err(|(_, error)| error)?;
    std::fs::File::open(to)
        .and_then(|file| file.sync_all())
        .map_err(|error| StoreError::Io(error.to_string()))
}

/// Checks that every page and index is sound.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(StoreError::Damaged(format!("{}: {verdict}", path.display())))
    }
}

fn refuse(path: &Path, error: &StoreError) -> Error {
    match error {
        StoreError::Damaged(_) => damaged(path),
        other => Error::unavailable(format!("the state file {}: {other}", path.display())),
    }
}

/// Says what opening the file ran into.
pub(crate) fn describe(path: &Path, error: rusqlite::Error) -> Error {
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => damaged(path),
        Some(ErrorCode::DiskFull) => Error::unavailable(format!("the disk of {shown} is full")),
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            cannot_write(path, error)
        }
        _ => Error::unavailable(format!("the state file {shown} cannot be used")).because(error),
    }
}

fn cannot_write(path: &Path, why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    let message = format!("the state file {} cannot be opened for writing", path.display());
    Error::unavailable(message)
        .hint("check who owns the data folder, and that it is on a disk that can be written")
        .because(why)
}

fn damaged(path: &Path) -> Error {
    Error::unavailable(format!("the state file {} is damaged", path.display()))
        .hint("restore a backup with `stead restore`, or save what can be saved with `stead doctor --repair`")
}
