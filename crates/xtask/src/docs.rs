//! The reference manual, written by the program itself (`stead reference FOLDER`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Writes `docs/reference`.
pub(crate) fn write(root: &Path) -> Result<Vec<String>, Vec<String>> {
    let folder = root.join("docs/reference");
    generate(root, &folder)?;
    Ok(vec![format!("wrote {}", folder.display())])
}

/// Generates into a scratch folder and compares.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Vec<String>> {
    let scratch = std::env::temp_dir().join(format!("stead-reference-{}", std::process::id()));
    let result = generate(root, &scratch).and_then(|()| compare(&root.join("docs/reference"), &scratch));
    fs::remove_dir_all(&scratch).ok();
    result
}

#[expect(clippy::disallowed_methods, reason = "a developer's tool")]
fn generate(root: &Path, folder: &Path) -> Result<(), Vec<String>> {
    let status = Command::new("cargo")
        .args([
            "run",
            "--quiet",
            "--locked",
            "--package",
            "stead",
            "--",
            "reference",
        ])
        .arg(folder)
        .current_dir(root)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(vec![format!("stead reference ended with {status}")]),
        Err(error) => Err(vec![format!("cargo did not start: {error}")]),
    }
}

fn compare(committed: &Path, fresh: &Path) -> Result<Vec<String>, Vec<String>> {
    let (old, new) = (names(committed), names(fresh));
    let mut stale: Vec<String> = old
        .iter()
        .filter(|name| !new.contains(name))
        .map(|n| show(n))
        .collect();
    for name in &new {
        if fs::read(committed.join(name)).ok() != fs::read(fresh.join(name)).ok() {
            stale.push(show(name));
        }
    }
    if stale.is_empty() {
        return Ok(vec![format!("{} pages of reference, all fresh", new.len())]);
    }
    Err(stale
        .into_iter()
        .map(|name| format!("docs/reference/{name} is stale: run cargo xtask docs"))
        .collect())
}

fn show(name: &Path) -> String {
    name.display().to_string()
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.map(|entry| PathBuf::from(entry.file_name())).collect();
    names.sort();
    names
}
