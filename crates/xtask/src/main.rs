//! Checks and generators of the workspace: `cargo xtask layers | sizes | docs | budget`.

mod budget;
mod docs;
mod layers;
mod sizes;

use std::{path::PathBuf, process::ExitCode};

/// A task: gets the workspace's root, returns lines to print, or what is wrong.
type Task = fn(&std::path::Path) -> Result<Vec<String>, Vec<String>>;

/// Every task with what it is for.
const TASKS: [(&str, &str, Task); 5] = [
    (
        "layers",
        "crates depend only downwards, domains never on each other",
        layers::check,
    ),
    (
        "sizes",
        "no file has outgrown its subject, the kernel stays small",
        sizes::check,
    ),
    ("docs", "writes the reference from the code", docs::write),
    (
        "docs-check",
        "the committed reference is what the code says",
        docs::check,
    ),
    (
        "budget",
        "builds from nothing in a scratch folder and prints what it cost",
        budget::measure,
    ),
];

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line program")]
fn main() -> ExitCode {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    let name = std::env::args().nth(1).unwrap_or_default();
    let Some((_, _, task)) = TASKS.iter().find(|(task, ..)| *task == name) else {
        eprintln!("usage: cargo xtask TASK\n");
        for (task, purpose, _) in TASKS {
            eprintln!("  {task:<12} {purpose}");
        }
        return ExitCode::from(2);
    };
    match task(&root) {
        Ok(lines) => {
            for line in lines {
                println!("{line}");
            }
            ExitCode::SUCCESS
        }
        Err(lines) => {
            for line in lines {
                eprintln!("{name}: {line}");
            }
            ExitCode::FAILURE
        }
    }
}
