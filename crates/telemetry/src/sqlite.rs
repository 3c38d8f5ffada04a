//! What every SQLite file here has in common: how it is opened, versioned, migrated, checked, copied, and how its
//! errors are told.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};
use stead_kernel::Error as KernelError;

/// A result of work on a file.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// How long a connection waits for another one's lock (a backup by another process).
const BUSY: Duration = Duration::from_secs(10);

/// What went wrong with a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A later version of Stead wrote the file.
    #[error("{path} has format {found}, and this version of stead knows formats up to {known}")]
    Newer { path: String, found: i64, known: i64 },
    /// The file is a database, but not one of these.
    #[error("{path} is not {what} of stead")]
    Foreign { path: String, what: &'static str },
    /// The file cannot be read as it should.
    #[error("{path} is damaged: {detail}")]
    Damaged { path: String, detail: String },
    /// The target of a copy exists.
    #[error("{0} exists already")]
    Exists(String),
    /// The file system refused.
    #[error("{path} cannot be used")]
    Io { path: String, source: std::io::Error },
    /// `SQLite` refused.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl Error {
    /// An error of the file system.
    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            path: show(path),
            source,
        }
    }

    /// Stored data that cannot be understood.
    pub(crate) fn damaged(path: &Path, detail: impl Into<String>) -> Self {
        Self::Damaged {
            path: show(path),
            detail: detail.into(),
        }
    }

    /// Whether the file's content is at fault, and not the disk or the caller.
    pub(crate) fn is_damage(&self) -> bool {
        match self {
            Self::Damaged { .. } => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
            ),
            Self::Newer { .. } | Self::Foreign { .. } | Self::Exists(_) | Self::Io { .. } => false,
        }
    }
}

impl From<Error> for KernelError {
    fn from(error: Error) -> Self {
        match error {
            Error::Newer { .. } => Self::unsupported(error.to_string())
                .hint("start the newer stead that wrote it, or restore a backup made by this version"),
            Error::Foreign { .. } => Self::invalid(error.to_string())
                .hint("move the file away, or choose another data folder with --data"),
            Error::Damaged { .. } => Self::unavailable(error.to_string())
                .hint("restore a backup with `stead restore`, or save what can be saved with `stead doctor --repair`"),
            Error::Exists(_) => Self::conflict(error.to_string()).hint("name a new place"),
            Error::Io { ref source, .. } if source.kind() == std::io::ErrorKind::StorageFull => full(error),
            Error::Io { .. } => Self::unavailable(error.to_string()).because(take_source(error)),
            Error::Sqlite(error) => from_sqlite(error),
        }
    }
}

fn take_source(error: Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        Error::Io { source, .. } => source.into(),
        other => other.into(),
    }
}

fn full(error: impl std::error::Error + Send + Sync + 'static) -> KernelError {
    KernelError::unavailable("the disk of the data folder is full")
        .hint("free some space; nothing that was stored is lost")
        .because(error)
}

fn from_sqlite(error: rusqlite::Error) -> KernelError {
    match error.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => full(error),
        Some(ErrorCode::OperationInterrupted) => KernelError::timeout(
            "the answer took longer than it may, and was given up so that others get theirs",
        )
        .hint("ask for a shorter time or for one project, filter by narrower fields, or sort by nothing")
        .because(error),
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            KernelError::unavailable("a database file of the data folder is damaged")
                .hint("see the log for its name; `stead doctor` checks every file")
                .because(error)
        }
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            KernelError::unavailable("the data folder cannot be written")
                .hint("check who owns it, and that its disk is writable")
                .because(error)
        }
        Some(ErrorCode::SystemIoFailure | ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            KernelError::unavailable("the disk of the data folder does not answer as it should")
                .because(error)
        }
        _ => KernelError::internal("the store failed").because(error),
    }
}

/// A sort of file: how it is told apart, and how it came to be what it is.
pub(crate) struct Layout {
    /// `a day of events`, for messages.
    pub(crate) what: &'static str,
    /// `SQLite`'s application id.
    pub(crate) application_id: i32,
    /// Step `n` brings a file from format `n` to format `n + 1`.
    pub(crate) migrations: &'static [&'static str],
}

impl Layout {
    fn format(&self) -> i64 {
        i64::try_from(self.migrations.len()).unwrap_or(i64::MAX)
    }
}

/// Opens a file for writing; creates it when there is none, and brings it to the present format.
pub(crate) fn open(path: &Path, layout: &Layout) -> Result<Connection> {
    create_private(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    let found = format_of(&connection, path, layout)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 2_000)?;
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    connection.set_prepared_statement_cache_capacity(32);
    if found < layout.format() {
        migrate(&mut connection, path, layout, found)?;
    }
    Ok(connection)
}

/// Opens an existing file of the present format for reading.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    // Reading a file in WAL mode needs its shared memory, hence the writable flag; `query_only` forbids the rest.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.pragma_update(None, "query_only", true)?;
    connection.set_prepared_statement_cache_capacity(16);
    Ok(connection)
}

/// Makes a folder that only its owner may read.
pub(crate) fn create_folder(folder: &Path) -> Result<()> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(|error| Error::io(folder, error))
}

fn create_private(path: &Path) -> Result<()> {
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match made {
        Ok(_) => sync_folder(path),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(Error::io(path, error)),
    }
}

/// Makes the names in a file's folder survive a power loss.
pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) else {
        return Ok(());
    };
    let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
    synced.map_err(|error| Error::io(folder, error))
}

/// The file's format; 0 for an empty file. Refuses what this version must not touch, before anything is changed.
fn format_of(connection: &Connection, path: &Path, layout: &Layout) -> Result<i64> {
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let tables: i64 = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let empty = found == 0 && application == 0 && tables == 0;
    if !empty && application != layout.application_id {
        return Err(Error::Foreign {
            path: show(path),
            what: layout.what,
        });
    }
    if found > layout.format() {
        return Err(Error::Newer {
            path: show(path),
            found,
            known: layout.format(),
        });
    }
    Ok(found)
}

/// Takes every missing step in one transaction; a file that holds something is copied first.
fn migrate(connection: &mut Connection, path: &Path, layout: &Layout, found: i64) -> Result<()> {
    if found > 0 {
        let copy_path = beside(path, &format!(".v{found}.bak"));
        if !copy_path.exists() {
            let draft = beside(path, &format!(".v{found}.bak.part"));
            fs::remove_file(&draft).ok();
            copy(connection, &draft)?;
            fs::rename(&draft, &copy_path).map_err(|error| Error::io(&copy_path, error))?;
            sync_folder(path)?;
        }
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for step in layout.migrations.iter().skip(usize::try_from(found).unwrap_or(0)) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "application_id", layout.application_id)?;
    transaction.pragma_update(None, "user_version", layout.format())?;
    transaction.commit()?;
    Ok(())
}

/// Copies one point in time of a file to a new one, while others go on writing.
pub(crate) fn copy_file(path: &Path, to: &Path) -> Result<()> {
    let connection = open_reader(path)?;
    // The copy is made by a statement that the flag would forbid.
    connection.pragma_update(None, "query_only", false)?;
    copy(&connection, to)
}

fn copy(connection: &Connection, to: &Path) -> Result<()> {
    if to.exists() {
        return Err(Error::Exists(show(to)));
    }
    create_private(to)?;
    let copied = connection.execute("VACUUM INTO ?1", [show(to)]);
    if copied.is_err() {
        // What is left is half a file; the error that matters is the first one.
        fs::remove_file(to).ok();
    }
    copied?;
    let synced = fs::File::open(to).and_then(|file| file.sync_all());
    synced.map_err(|error| Error::io(to, error))?;
    sync_folder(to)
}

/// Reads every page and index of a file.
pub(crate) fn check(connection: &Connection, path: &Path) -> Result<()> {
    let verdict: String = connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if verdict == "ok" {
        return Ok(());
    }
    Err(Error::damaged(path, verdict))
}

/// Closes a connection and folds its write-ahead log into the file.
pub(crate) fn close(connection: Connection, path: &Path) {
    // A reader of another process may keep the log open; it is folded in at the next start.
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .ok();
    if let Err((_, error)) = connection.close() {
        tracing::warn!(path = %path.display(), %error, "a file was not closed cleanly; nothing is lost");
    }
}

/// The names of a file and of what `SQLite` keeps beside it.
pub(crate) fn family(path: &Path) -> [PathBuf; 3] {
    [beside(path, "-wal"), beside(path, "-shm"), path.to_owned()]
}

/// Renames a damaged file, and what lies beside it, so that a new one can be begun. Returns its new name.
pub(crate) fn set_aside(path: &Path, now: stead_kernel::Timestamp) -> Result<PathBuf> {
    let suffix = format!(".damaged-{}", now.as_millisecond());
    for file in family(path) {
        if file.exists() {
            let to = beside(&file, &suffix);
            fs::rename(&file, &to).map_err(|error| Error::io(&file, error))?;
        }
    }
    sync_folder(path)?;
    Ok(beside(path, &suffix))
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn show(path: &Path) -> String {
    path.display().to_string()
}

/// The bytes of a file and its write-ahead log; 0 when there is none.
pub(crate) fn size(path: &Path) -> u64 {
    family(path)
        .iter()
        .filter_map(|file| fs::metadata(file).ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Layout = Layout {
        what: "a test file",
        application_id: 77,
        migrations: &["CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1);"],
    };
    const SECOND: Layout = Layout {
        migrations: &[
            FIRST.migrations[0],
            "ALTER TABLE t ADD COLUMN b INTEGER; UPDATE t SET b = a + 1;",
        ],
        ..FIRST
    };
    const BROKEN: Layout = Layout {
        migrations: &[FIRST.migrations[0], "DROP TABLE t; CREATE TABLE nonsense ("],
        ..FIRST
    };

    #[test]
    fn a_migration_keeps_a_copy_of_the_old_format_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        close(open(&path, &FIRST).unwrap(), &path);
        assert!(open(&path, &BROKEN).is_err());
        close(open(&path, &FIRST).unwrap(), &path);
        let connection = open(&path, &SECOND).unwrap();
        let b: i64 = connection
            .query_row("SELECT b FROM t", [], |row| row.get(0))
            .unwrap();
        assert_eq!(b, 2);
        drop(connection);
        let copy = Connection::open(folder.path().join("x.db.v1.bak")).unwrap();
        assert!(
            copy.query_row("SELECT b FROM t", [], |row| row.get::<_, i64>(0))
                .is_err()
        );
        assert_eq!(
            copy.query_row("SELECT a FROM t", [], |row| row.get::<_, i64>(0))
                .unwrap(),
            1
        );
    }

    #[test]
    fn a_newer_or_foreign_file_is_refused_and_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        close(open(&path, &SECOND).unwrap(), &path);
        let before = fs::read(&path).unwrap();
        let error = KernelError::from(open(&path, &FIRST).unwrap_err());
        assert_eq!(error.reason(), stead_kernel::Reason::Unsupported);
        assert!(
            error
                .message()
                .contains("has format 2, and this version of stead knows formats up to 1")
        );
        let foreign = Layout {
            application_id: 78,
            ..SECOND
        };
        assert!(matches!(open(&path, &foreign), Err(Error::Foreign { .. })));
        assert_eq!(fs::read(&path).unwrap(), before);
    }

    #[test]
    fn garbage_is_damage_and_set_aside_under_a_name_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        fs::write(
            &path,
            b"this is no database, though it is long enough to look at".repeat(100),
        )
        .unwrap();
        assert!(open(&path, &FIRST).unwrap_err().is_damage());
        let aside = set_aside(&path, stead_kernel::Timestamp::UNIX_EPOCH).unwrap();
        assert!(aside.exists() && !path.exists());
    }

    #[test]
    fn a_file_is_private_to_its_owner() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.db");
        close(open(&path, &FIRST).unwrap(), &path);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
