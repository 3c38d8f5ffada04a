//! What a build from nothing costs.

use std::{fs, path::Path, process::Command};

/// CPU seconds that a cold development build of all dependencies and crates may take.
const CPU_SECONDS: f64 = 400.0;
/// Clock ticks a second in `/proc/self/stat`, fixed by Linux's interface to programs.
const TICKS: f64 = 100.0;

/// Builds the workspace in a scratch folder and prints CPU seconds and packages.
#[expect(clippy::disallowed_methods, reason = "a developer's tool")]
pub(crate) fn measure(root: &Path) -> Result<Vec<String>, Vec<String>> {
    let scratch = std::env::temp_dir().join(format!("stead-budget-{}", std::process::id()));
    let before = children_seconds();
    let status = Command::new("cargo")
        .args(["build", "--workspace", "--locked", "--quiet", "--target-dir"])
        .arg(&scratch)
        .current_dir(root)
        .status();
    fs::remove_dir_all(&scratch).ok();
    match status {
        Ok(status) if status.success() => {}
        other => return Err(vec![format!("cargo build failed: {other:?}")]),
    }
    let spent = children_seconds() - before;
    let lock = fs::read_to_string(root.join("Cargo.lock")).unwrap_or_default();
    let packages = lock.lines().filter(|line| *line == "[[package]]").count();
    let line = format!(
        "{spent:.0} CPU s for a cold dev build (budget {CPU_SECONDS:.0}), {packages} packages in the lock file"
    );
    if spent <= CPU_SECONDS {
        Ok(vec![line])
    } else {
        Err(vec![line])
    }
}

/// CPU seconds of ended child processes: fields 16 and 17 of `/proc/self/stat` (proc(5)).
fn children_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: f64 = after_name
        .split_whitespace()
        .skip(13)
        .take(2)
        .filter_map(|field| field.parse::<f64>().ok())
        .sum();
    ticks / TICKS
}
