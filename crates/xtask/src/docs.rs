//! The reference manual and the console's types of the kinds, written by the program itself (`stead reference FOLDER`).

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Where a generated file is kept, from the root of the repository.
fn place(name: &Path) -> PathBuf {
    let folder = match name.extension() {
        Some(extension) if extension == "ts" => "console/src/lib/api/generated",
        _ => "docs/reference",
    };
    Path::new(folder).join(name)
}

/// Writes `docs/reference` and the console's types.
pub(crate) fn write(root: &Path) -> Result<Vec<String>, Vec<String>> {
    in_scratch(root, |scratch| {
        for name in names(scratch) {
            let target = root.join(place(&name));
            fs::create_dir_all(target.parent().unwrap_or(root))
                .and_then(|()| fs::copy(scratch.join(&name), &target))
                .map_err(|error| vec![format!("cannot write {}: {error}", target.display())])?;
        }
        Ok(vec![
            "wrote docs/reference and console/src/lib/api/generated".to_owned(),
        ])
    })
}

/// Generates into a scratch folder and compares.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Vec<String>> {
    in_scratch(root, |scratch| compare(root, scratch))
}

fn in_scratch(
    root: &Path,
    then: impl FnOnce(&Path) -> Result<Vec<String>, Vec<String>>,
) -> Result<Vec<String>, Vec<String>> {
    let scratch = std::env::temp_dir().join(format!("stead-reference-{}", std::process::id()));
    let result = generate(root, &scratch).and_then(|()| then(&scratch));
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

fn compare(root: &Path, fresh: &Path) -> Result<Vec<String>, Vec<String>> {
    let new = names(fresh);
    let kept = ["docs/reference", "console/src/lib/api/generated"];
    let left_over = kept
        .iter()
        .flat_map(|folder| names(&root.join(folder)))
        .filter(|name| !new.contains(name));
    let stale: Vec<String> = new
        .iter()
        .filter(|name| fs::read(root.join(place(name))).ok() != fs::read(fresh.join(name)).ok())
        .cloned()
        .chain(left_over)
        .map(|name| format!("{} is stale: run cargo xtask docs", place(&name).display()))
        .collect();
    if stale.is_empty() {
        return Ok(vec![format!("{} generated files, all fresh", new.len())]);
    }
    Err(stale)
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<PathBuf> = entries.map(|entry| PathBuf::from(entry.file_name())).collect();
    names.sort();
    names
}
