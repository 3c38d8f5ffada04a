//! `stead backup FOLDER`: a consistent copy of everything that cannot be fetched again.
//!
//! The databases are copied while the server runs: SQLite gives each copy one point in time.

use std::{
    fmt::Write as _,
    fs,
    io::Read,
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::{Arg, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use rusqlite::{Connection, OpenFlags};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stead_cli::{Local, LocalCommand};
use stead_kernel::{Clock, DataDir, Error, Result, StoreUrl, SystemClock};
use stead_telemetry::RecordEngine;

use crate::{
    config, modules,
    server::{VERSION, folder::LAYOUT, records},
};

/// The name of the list of files in a backup.
pub(super) const MANIFEST: &str = "backup.json";

/// What a backup holds.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    /// The program's version.
    pub(super) version: String,
    /// The data folder's layout.
    pub(super) layout: u32,
    /// When it was made (RFC 3339).
    pub(super) made: String,
    /// Paths below the folder with their SHA-256.
    pub(super) files: Vec<(PathBuf, String)>,
}

/// `backup`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("backup")
            .about("Copies all data into a new folder, also while the server runs")
            .long_about(
                "Copies all data into a new folder, also while the server runs. Model files are left out, since \
                 they are fetched again. The copy holds the keys that open its secrets: keep it as safe as them.",
            )
            .arg(Arg::new("folder").value_name("FOLDER").required(true).help("A folder that does not exist yet")),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let target = PathBuf::from(matches.get_one::<String>("folder").cloned().unwrap_or_default());
        let data = DataDir::new(local.data.clone());
        let settings = config::stored(data.root())?;
        let count = backup(data, &target, &settings.records_url).await?;
        local
            .terminal
            .note(&format!("{count} files copied to {}", target.display()));
        if !settings.events_url.is_empty() {
            let place = format!("{:?}", settings.events_url);
            local.terminal.note(&format!(
                "traces lie in ClickHouse, {place}, and are not in the copy: back up the table stead_facts there (BACKUP TABLE)"
            ));
        }
        Ok(())
    }
    .boxed()
}

/// Copies into a draft folder that takes its name only when it is whole.
async fn backup(data: DataDir, target: &Path, records: &StoreUrl) -> Result<usize> {
    if !data.root().join("VERSION").exists() {
        return Err(
            Error::not_found(format!("{} is no data folder of stead", data.root().display()))
                .hint("name it with --data"),
        );
    }
    if target.exists() {
        return Err(Error::conflict(format!("{} exists already", target.display())).hint("name a new folder"));
    }
    let draft = target.with_extension("part");
    fs::remove_dir_all(&draft).ok();
    create(&draft)?;
    let result = async {
        copy_records(&data, &draft, records).await?;
        let (from, to) = (data.clone(), draft.clone());
        let count = tokio::task::spawn_blocking(move || fill(&from, &to))
            .await
            .map_err(|error| Error::internal("the copy broke off").because(error))??;
        fs::rename(&draft, target).map_err(|error| failed(target, error))?;
        Ok(count)
    };
    let result = result.await;
    if result.is_err() {
        fs::remove_dir_all(&draft).ok();
    }
    result
}

/// The records as one file, wherever they lie.
async fn copy_records(data: &DataDir, draft: &Path, url: &StoreUrl) -> Result<()> {
    let to = draft.join(relative(data.root(), &data.records()));
    if url.is_empty() {
        return copy_database(&data.records(), &to);
    }
    let collections = modules::collections();
    let database = records::database(url, &collections, Arc::new(SystemClock)).await?;
    database.backup(&to).await?;
    restrict(&to)
}

/// The events are copied before the journal from which they come: what lies in both is stored once by its id,
/// and nothing falls between them.
fn fill(data: &DataDir, draft: &Path) -> Result<usize> {
    let root = data.root();
    let mut files = vec![relative(root, &data.records())];
    for database in [data.state()]
        .into_iter()
        .chain(databases(&data.events()))
        .chain(databases(&data.traces()))
        .chain(databases(&data.signals()))
    {
        let relative = relative(root, &database);
        copy_database(&database, &draft.join(&relative))?;
        files.push(relative);
    }
    for folder in [
        data.journal(),
        data.keys(),
        data.blobs().join("files"),
        data.blobs().join("attachments"),
    ] {
        for file in plain_files(&folder) {
            let relative = relative(root, &file);
            copy_file(&file, &draft.join(&relative))?;
            files.push(relative);
        }
    }
    for name in ["VERSION", "config.yaml"] {
        if root.join(name).exists() {
            copy_file(&root.join(name), &draft.join(name))?;
            files.push(name.into());
        }
    }
    let count = files.len();
    write_manifest(draft, files)?;
    Ok(count)
}

fn write_manifest(draft: &Path, files: Vec<PathBuf>) -> Result<()> {
    let files = files
        .into_iter()
        .map(|file| Ok((file.clone(), digest(&draft.join(&file))?)))
        .collect::<Result<_>>()?;
    let manifest = Manifest {
        version: VERSION.into(),
        layout: LAYOUT,
        made: SystemClock.now().to_string(),
        files,
    };
    let text = serde_json::to_string_pretty(&manifest)
        .map_err(|error| Error::internal("the manifest has no JSON form").because(error))?;
    let path = draft.join(MANIFEST);
    fs::write(&path, text).map_err(|error| failed(&path, error))
}

/// One point in time of a database that others may be writing.
fn copy_database(from: &Path, to: &Path) -> Result<()> {
    create(to.parent().unwrap_or(to))?;
    let broken =
        |error| Error::unavailable(format!("cannot copy the database {}", from.display())).because(error);
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(broken)?;
    source
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(broken)?;
    let mut copy = Connection::open(to).map_err(broken)?;
    let backup = rusqlite::backup::Backup::new(&source, &mut copy).map_err(broken)?;
    backup
        .run_to_completion(1_000, std::time::Duration::ZERO, None)
        .map_err(broken)?;
    drop(backup);
    restrict(to)
}

fn copy_file(from: &Path, to: &Path) -> Result<()> {
    create(to.parent().unwrap_or(to))?;
    fs::copy(from, to).map_err(|error| failed(from, error))?;
    restrict(to)
}

fn restrict(path: &Path) -> Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).map_err(|error| failed(path, error))
}

pub(super) fn create(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed(folder, error))
}

fn databases(folder: &Path) -> Vec<PathBuf> {
    plain_files(folder)
        .into_iter()
        .filter(|file| file.extension().is_some_and(|end| end == "db"))
        .collect()
}

fn plain_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn relative(root: &Path, path: &Path) -> PathBuf {
    path.strip_prefix(root).unwrap_or(path).to_owned()
}

/// The SHA-256 of a file, in hex.
pub(super) fn digest(path: &Path) -> Result<String> {
    let mut file = fs::File::open(path).map_err(|error| failed(path, error))?;
    let (mut hash, mut buffer) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer).map_err(|error| failed(path, error))?;
        let Some(part) = buffer.get(..count).filter(|part| !part.is_empty()) else {
            break;
        };
        hash.update(part);
    }
    let mut hex = String::with_capacity(64);
    for byte in hash.finalize() {
        let _ = write!(hex, "{byte:02x}");
    }
    Ok(hex)
}

pub(super) fn failed(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot copy {}", path.display())).because(error)
}
