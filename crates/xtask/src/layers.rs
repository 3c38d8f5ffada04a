//! Which crate may depend on which.

use std::{collections::BTreeSet, fs, path::Path};

/// Each crate, its layer, and the crates of the workspace it may use besides `kernel`.
const CRATES: &[(&str, u8, &[&str])] = &[
    ("kernel", 0, &[]),
    ("cel", 1, &[]),
    ("resource", 1, &["cel"]),
    ("dialects", 1, &[]),
    ("net", 1, &[]),
    ("apiserver", 1, &["resource"]),
    ("telemetry", 1, &[]),
    ("inference", 1, &[]),
    ("catalog", 1, &[]),
    ("metering", 1, &[]),
    ("guard", 1, &[]),
    ("routing", 1, &[]),
    ("scoring", 1, &["guard"]),
    ("gateway", 2, &["dialects", "guard", "metering", "routing"]),
    ("observe", 2, &["scoring"]),
    ("access", 2, &[]),
    ("secrets", 2, &[]),
    ("models", 2, &[]),
    ("chat", 2, &["dialects"]),
    ("batches", 2, &["dialects"]),
    ("cli", 3, &[]),
    ("console", 3, &[]),
    ("stead", 4, &["*"]),
    ("testkit", 5, &[]),
    ("xtask", 5, &[]),
];

/// Compares every crate's `[dependencies]` with the table; development dependencies are free.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Vec<String>> {
    let mut wrong = Vec::new();
    let found = crate_folders(root).map_err(|error| vec![error])?;
    for name in &found {
        let Some((_, _, allowed)) = CRATES.iter().find(|(known, ..)| known == name) else {
            wrong.push(format!("crates/{name} is not in the table: give it a layer"));
            continue;
        };
        for used in dependencies(root, name).map_err(|error| vec![error])? {
            if used != "kernel" && !allowed.contains(&"*") && !allowed.contains(&used.as_str()) {
                wrong.push(format!("crates/{name} must not depend on crates/{used}"));
            }
        }
    }
    for (name, ..) in CRATES.iter().filter(|(name, ..)| !found.contains(*name)) {
        wrong.push(format!("the table names crates/{name}, which does not exist"));
    }
    if wrong.is_empty() {
        Ok(vec![format!("{} crates, all in their layers", found.len())])
    } else {
        Err(wrong)
    }
}

fn crate_folders(root: &Path) -> Result<BTreeSet<String>, String> {
    let folder = root.join("crates");
    let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect())
}

/// Names of the workspace's crates in `[dependencies]`, without their prefix.
fn dependencies(root: &Path, name: &str) -> Result<Vec<String>, String> {
    let path = root.join("crates").join(name).join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    let manifest: toml::Table = text
        .parse()
        .map_err(|error| format!("{}: {error}", path.display()))?;
    let table = manifest.get("dependencies").and_then(toml::Value::as_table);
    let names = table.into_iter().flat_map(toml::Table::keys);
    Ok(names
        .filter_map(|name| name.strip_prefix("stead-"))
        .map(str::to_owned)
        .collect())
}
