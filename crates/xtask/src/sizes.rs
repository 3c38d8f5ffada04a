//! Sizes that show when something has outgrown its place.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of production code that one file may have.
const FILE_LINES: usize = 600;
/// Lines that the kernel may have, tests included.
const KERNEL_LINES: usize = 5_000;
/// Lines that ARCHITECTURE.md may have.
const ARCHITECTURE_LINES: usize = 250;

/// Measures every Rust file below `crates`.
pub(crate) fn check(root: &Path) -> Result<Vec<String>, Vec<String>> {
    let mut files = Vec::new();
    collect(&root.join("crates"), &mut files);
    let (mut wrong, mut total, mut kernel) = (Vec::new(), 0, 0);
    for file in files {
        let text = fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().count();
        let production = text
            .lines()
            .take_while(|line| !line.starts_with("#[cfg(test)]"))
            .count();
        total += lines;
        if file.starts_with(root.join("crates/kernel")) {
            kernel += lines;
        }
        if production > FILE_LINES && !file.components().any(|part| part.as_os_str() == "tests") {
            wrong.push(format!(
                "{}: {production} lines before its tests, at most {FILE_LINES}",
                file.display()
            ));
        }
    }
    if kernel > KERNEL_LINES {
        wrong.push(format!("crates/kernel: {kernel} lines, at most {KERNEL_LINES}"));
    }
    let architecture = fs::read_to_string(root.join("ARCHITECTURE.md"))
        .unwrap_or_default()
        .lines()
        .count();
    if architecture > ARCHITECTURE_LINES {
        wrong.push(format!(
            "ARCHITECTURE.md: {architecture} lines, at most {ARCHITECTURE_LINES}"
        ));
    }
    if wrong.is_empty() {
        Ok(vec![format!("{total} lines of Rust, {kernel} of them kernel")])
    } else {
        Err(wrong)
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
