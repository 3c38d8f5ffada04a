//! `stead doctor`: looks at this machine and the data folder, and says what is wrong.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use clap::ArgMatches;
use futures::{FutureExt, future::BoxFuture};
use rusqlite::{Connection, OpenFlags};
use serde_json::json;
use stead_cli::{Local, LocalCommand};
use stead_kernel::{
    DataDir, Error, Result,
    command::{Column, View},
};

use crate::server::folder;

/// Free space below which fetching models and keeping events gets risky, in bytes.
const LOW_DISK: u64 = 2_000_000_000;

/// `doctor`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("doctor")
            .about("Checks this machine and the data folder, and says what is wrong"),
        run,
    }
}

/// One thing that was looked at.
struct Check {
    name: String,
    verdict: Verdict,
    detail: String,
}

#[derive(PartialEq, Eq, Clone, Copy)]
enum Verdict {
    Good,
    Warning,
    Bad,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

fn run(_matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let root = local.data.clone();
        let checks = tokio::task::spawn_blocking(move || all(&root))
            .await
            .map_err(|error| Error::internal("a check broke off").because(error))?;
        local.terminal.print(&view(&checks))?;
        match checks
            .iter()
            .filter(|check| check.verdict == Verdict::Bad)
            .count()
        {
            0 => Ok(()),
            bad => Err(Error::unavailable(format!(
                "{bad} of {} checks found something wrong",
                checks.len()
            ))),
        }
    }
    .boxed()
}

fn all(root: &Path) -> Vec<Check> {
    let data = DataDir::new(root);
    let mut checks = vec![processor(), disk(root), folder_check(root)];
    if root.exists() {
        checks.push(server_check(root));
        checks.extend(key_files(&data));
        let folders = [data.events(), data.traces()].into_iter().flat_map(fs::read_dir);
        let events = folders.flatten().flatten().map(|entry| entry.path());
        let events = events.filter(|path| path.extension().is_some_and(|end| end == "db"));
        checks.extend(
            [data.state(), data.records()]
                .into_iter()
                .chain(events)
                .map(|path| database(&path)),
        );
    }
    checks
}

fn check(name: impl Into<String>, verdict: Verdict, detail: impl Into<String>) -> Check {
    Check {
        name: name.into(),
        verdict,
        detail: detail.into(),
    }
}

fn processor() -> Check {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    #[cfg(target_arch = "x86_64")]
    if !std::arch::is_x86_feature_detected!("avx2") {
        return check(
            "processor",
            Verdict::Warning,
            format!("{cores} cores without AVX2: the embedded engine is slow"),
        );
    }
    check("processor", Verdict::Good, format!("{cores} cores"))
}

fn disk(root: &Path) -> Check {
    let existing = root.ancestors().find(|folder| folder.exists()).unwrap_or(root);
    match free_bytes(existing) {
        Some(free) if free < LOW_DISK => check(
            "disk",
            Verdict::Warning,
            format!("{} free, less than {}", free_text(free), free_text(LOW_DISK)),
        ),
        Some(free) => check("disk", Verdict::Good, format!("{} free", free_text(free))),
        None => check("disk", Verdict::Warning, "cannot tell how much is free"),
    }
}

/// Bytes that this user may still write there; `None` when nobody can tell.
fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

/// Bytes as disks are sold.
fn free_text(bytes: u64) -> String {
    format!("{}.{} GB", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
}

fn folder_check(root: &Path) -> Check {
    let name = "data folder";
    let Ok(metadata) = fs::metadata(root) else {
        return check(
            name,
            Verdict::Good,
            format!("{} does not exist yet; stead up makes it", root.display()),
        );
    };
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() != me {
        let detail = format!(
            "{} belongs to user {}, you are {me}",
            root.display(),
            metadata.uid()
        );
        return check(name, Verdict::Bad, detail);
    }
    match fs::read_to_string(root.join("VERSION")) {
        Ok(text)
            if text
                .trim()
                .parse::<u32>()
                .is_ok_and(|layout| layout <= folder::LAYOUT) =>
        {
            check(name, Verdict::Good, root.display().to_string())
        }
        Ok(text) => check(
            name,
            Verdict::Bad,
            format!("layout {} is not known to this version", text.trim()),
        ),
        Err(_) => check(
            name,
            Verdict::Warning,
            format!("{} holds no layout number: never started?", root.display()),
        ),
    }
}

fn server_check(root: &Path) -> Check {
    match folder::holder(root) {
        Some(process) => check("server", Verdict::Good, format!("runs as process {process}")),
        None => check(
            "server",
            Verdict::Warning,
            "does not run; start it with: stead up",
        ),
    }
}

/// Files that only their owner may read.
fn key_files(data: &DataDir) -> Vec<Check> {
    let mut checks = Vec::new();
    for entry in fs::read_dir(data.keys()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else { continue };
        let open = metadata.mode() & 0o077 != 0;
        if open && entry.path().extension().is_none_or(|end| end != "crt") {
            let detail = format!(
                "others may read it (mode {:o}); run: chmod 600 {}",
                metadata.mode() & 0o777,
                entry.path().display()
            );
            checks.push(check(format!("keys/{name}"), Verdict::Bad, detail));
        }
    }
    if checks.is_empty() {
        checks.push(check("keys", Verdict::Good, "readable by their owner only"));
    }
    checks
}

fn database(path: &Path) -> Check {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !path.exists() {
        return check(name, Verdict::Warning, "is not there yet");
    }
    let verdict = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|database| database.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0)));
    match verdict {
        Ok(text) if text == "ok" => check(name, Verdict::Good, "intact"),
        Ok(text) => check(
            name,
            Verdict::Bad,
            format!("{text}; restore a backup into another folder"),
        ),
        Err(error) => check(
            name,
            Verdict::Bad,
            format!("{error}; restore a backup into another folder"),
        ),
    }
}

fn view(checks: &[Check]) -> View {
    let mut view = View {
        columns: vec![Column::new("CHECK"), Column::new("STATUS"), Column::new("DETAIL")],
        list: true,
        ..View::default()
    };
    for check in checks {
        view.rows.push(vec![
            check.name.clone(),
            check.verdict.as_str().into(),
            check.detail.clone(),
        ]);
        view.items
            .push(json!({"check": check.name, "status": check.verdict.as_str(), "detail": check.detail}));
        view.names.push(check.name.clone());
    }
    view
}
