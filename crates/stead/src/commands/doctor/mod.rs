//! `stead doctor`: looks at this machine and the data folder, says what is wrong, and puts right what can be.

mod repair;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::Path,
    sync::Arc,
};

use clap::ArgMatches;
use futures::{FutureExt, future::BoxFuture};
use serde_json::json;
use stead_cli::{Local, LocalCommand};
use stead_kernel::{
    Clock as _, DataDir, Error, Result, StoreUrl, SystemClock,
    command::{Column, View},
};
use stead_net::{OutboundClient, OutboundOptions};
use stead_telemetry::ClickHouseTraces;

use crate::{
    config,
    environment::Environment,
    modules,
    server::{folder, records},
};

/// Free space below which fetching models and keeping events gets risky, in bytes.
const LOW_DISK: u64 = 2_000_000_000;

/// `doctor`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("doctor")
            .about("Checks this machine and the data folder, and says what is wrong")
            .after_help(
                "--repair needs a server that does not run. Of every file that it changes, the bytes of before stay \
                 beside it (NAME.damaged-TIME); what could not be saved is told.",
            )
            .arg(
                clap::Arg::new("repair")
                    .long("repair")
                    .action(clap::ArgAction::SetTrue)
                    .help("Puts right what can be"),
            ),
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
    Repaired,
    Warning,
    Bad,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::Repaired => "repaired",
            Self::Warning => "warning",
            Self::Bad => "bad",
        }
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let root = local.data.clone();
        // Nobody else may use the files while they are repaired.
        let held = if matches.get_flag("repair") {
            Some(folder::Folder::open(&root)?)
        } else {
            None
        };
        let repairs = held.is_some();
        let settings = config::stored(&root)?;
        let url = settings.records_url;
        let has_database = !url.is_empty();
        let mut checks = tokio::task::spawn_blocking(move || all(&root, has_database, repairs))
            .await
            .map_err(|error| Error::internal("a check broke off").because(error))?;
        if has_database {
            checks.push(records_check(&url).await);
        }
        if !settings.events_url.is_empty() {
            checks.push(traces_check(&settings.events_url).await);
        }
        drop(held);
        local.terminal.print(&view(&checks))?;
        match checks
            .iter()
            .filter(|check| check.verdict == Verdict::Bad)
            .count()
        {
            0 => Ok(()),
            bad => {
                let message = format!("{bad} of {} checks found something wrong", checks.len());
                let hint = if repairs {
                    "what the table tells has to be done by hand"
                } else {
                    "stop the server and run: stead doctor --repair"
                };
                Err(Error::unavailable(message).hint(hint))
            }
        }
    }
    .boxed()
}

/// The database that keeps the records.
async fn records_check(url: &StoreUrl) -> Check {
    let collections = modules::collections();
    match records::database(url, &collections, Arc::new(SystemClock)).await {
        Ok(_) => check("records", Verdict::Good, format!("in {url:?}")),
        Err(error) => check("records", Verdict::Bad, error.to_string()),
    }
}

/// The ClickHouse that keeps the traces.
async fn traces_check(url: &StoreUrl) -> Check {
    let looked = async {
        let outbound = OutboundClient::new(OutboundOptions {
            proxy: Environment::read().proxy(),
            ..OutboundOptions::default()
        })?;
        ClickHouseTraces::check(url.expose(), Arc::new(outbound)).await
    };
    match looked.await {
        Ok(()) => check("traces", Verdict::Good, format!("in ClickHouse, {url:?}")),
        Err(error) => check("traces", Verdict::Bad, error.to_string()),
    }
}

fn all(root: &Path, has_database: bool, repairs: bool) -> Vec<Check> {
    let data = DataDir::new(root);
    let mut checks = vec![processor(), disk(root), folder_check(root)];
    if root.exists() {
        if !repairs {
            checks.push(server_check(root));
        }
        checks.extend(key_files(&data, repairs));
        let folders = [data.events(), data.traces(), data.signals()]
            .into_iter()
            .flat_map(fs::read_dir);
        let events = folders.flatten().flatten().map(|entry| entry.path());
        let events = events.filter(|path| path.extension().is_some_and(|end| end == "db"));
        let records = (!has_database).then(|| data.records());
        checks.extend(
            [data.state()]
                .into_iter()
                .chain(records)
                .chain(events)
                .map(|path| {
                    let content = (path == data.state()).then_some(&STATE);
                    database(&path, content, repairs)
                }),
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
fn key_files(data: &DataDir, repairs: bool) -> Vec<Check> {
    let mut checks = Vec::new();
    for entry in fs::read_dir(data.keys()).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let Ok(metadata) = entry.metadata() else { continue };
        let open = metadata.mode() & 0o077 != 0;
        if open && entry.path().extension().is_none_or(|end| end != "crt") {
            let private = fs::Permissions::from_mode(metadata.mode() & 0o700);
            if repairs && fs::set_permissions(entry.path(), private).is_ok() {
                let detail = "others could read it; think about replacing it";
                checks.push(check(format!("keys/{name}"), Verdict::Repaired, detail));
                continue;
            }
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

/// What a file's content has to be, beyond what SQLite knows.
struct Content {
    /// What is wrong, a line each.
    faults: fn(&Path) -> Result<Vec<String>>,
    /// Puts it right, and says how; rows may be missing when the second is true.
    mend: fn(&Path, bool) -> Result<Vec<String>>,
}

const STATE: Content = Content {
    faults: stead_apiserver::state_faults,
    mend: stead_apiserver::mend_state,
};

fn database(path: &Path, content: Option<&Content>, repairs: bool) -> Check {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    if !path.exists() {
        return check(name, Verdict::Warning, "is not there yet");
    }
    let fault = match repair::sound(path, "quick_check") {
        Err(fault) => fault,
        Ok(()) => match content.map_or(Ok(Vec::new()), |content| (content.faults)(path)) {
            Ok(faults) if faults.is_empty() => return check(name, Verdict::Good, "intact"),
            Ok(faults) => faults.join("; "),
            Err(error) => error.to_string(),
        },
    };
    if !repairs {
        return check(name, Verdict::Bad, fault);
    }
    match mend(path, content) {
        Ok(did) => check(name, Verdict::Repaired, did),
        Err(error) => check(name, Verdict::Bad, format!("{fault}; {}", error.full_message())),
    }
}

/// Repairs a file, and says how.
fn mend(path: &Path, content: Option<&Content>) -> Result<String> {
    let mut repaired = repair::database(path, SystemClock.now())?;
    if let Some(content) = content {
        let kept = format!("what it was is kept as {}", repaired.aside.display());
        let mended = (content.mend)(path, repaired.cut).map_err(|error| error.hint(kept))?;
        repaired.did.extend(mended);
    }
    repaired
        .did
        .push(format!("what it was is kept as {}", repaired.aside.display()));
    Ok(repaired.did.join("; "))
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
