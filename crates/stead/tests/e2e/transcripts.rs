//! What a user of kubectl sees: whole sessions with their whole output, played to the real binary.
//!
//! A transcript (`transcripts/*.txt`) is a list of `$ command` lines, each with what it prints, both streams, and with
//! its exit code in brackets when that is not 0. `…` stands for any text in a line; a line that is only `…`, for any
//! lines. Commands are run by bash in a folder that holds a copy of `transcripts/files`, one after the other.
//!
//! `TRANSCRIPT_KUBECONFIG` names another cluster to play to: what stands there was seen so from Kubernetes 1.36 first.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Installation, run, told};

/// What the commands may call: waiting for a line, or for so many, of a file that something in the background writes.
const PRELUDE: &str = r#"
exec 2>&1
until_line() { for ((i = 0; i < 1200; i++)); do grep -qsF -- "$2" "$1" && return; sleep 0.05; done; echo "no $2"; return 1; }
until_lines() { for ((i = 0; i < 1200; i++)); do [ "$(wc -l <"$1")" -ge "$2" ] && return; sleep 0.05; done; echo "not $2 lines"; return 1; }
"#;

/// A command with what it prints.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    command: String,
    lines: Vec<String>,
}

fn parse(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if let Some(command) = line.strip_prefix("$ ") {
            steps.push(Step {
                command: command.into(),
                lines: Vec::new(),
            });
        } else if let Some(step) = steps.last_mut() {
            step.lines.push(line.trim_end().into());
        }
    }
    for step in &mut steps {
        without_blanks(&mut step.lines);
    }
    steps
}

/// Blank lines at the end are none of a command's own.
fn without_blanks(lines: &mut Vec<String>) {
    while lines.last().is_some_and(String::is_empty) {
        lines.pop();
    }
}

/// Whether a line is as a pattern says, in which `…` is any text.
fn line_fits(pattern: &str, line: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('…') else {
        return pattern == line;
    };
    let Some(line) = line.strip_prefix(start) else {
        return false;
    };
    let ends = line.char_indices().map(|(at, _)| at).chain([line.len()]);
    ends.into_iter()
        .any(|at| line.get(at..).is_some_and(|line| line_fits(rest, line)))
}

fn fits(pattern: &[String], lines: &[String]) -> bool {
    match pattern.split_first() {
        None => lines.is_empty(),
        Some((first, rest)) if first == "…" => (0..=lines.len()).any(|at| fits(rest, &lines[at..])),
        Some((first, rest)) => lines
            .split_first()
            .is_some_and(|(line, lines)| line_fits(first, line) && fits(rest, lines)),
    }
}

/// A folder in which transcripts are played, and the cluster that they are played to.
struct Session {
    folder: PathBuf,
    kubeconfig: String,
}

impl Session {
    async fn of(installation: &Installation, name: &str) -> Self {
        let folder = installation.path(name);
        copy(&transcripts().join("files"), &folder);
        let kubeconfig = match other_cluster() {
            Some(path) => std::fs::read_to_string(path).expect("a kubeconfig"),
            None => installation.stead(&["kubeconfig"]).await.ok(),
        };
        let config: serde_json::Value = serde_saphyr::from_str(&kubeconfig).expect("YAML");
        let mut nobody = config.clone();
        nobody["users"][0]["user"] = json!({});
        std::fs::write(folder.join("nobody"), nobody.to_string()).expect("writable");
        std::fs::write(folder.join("kubeconfig"), config.to_string()).expect("writable");
        Self {
            kubeconfig: folder.join("kubeconfig").to_string_lossy().into_owned(),
            folder,
        }
    }

    /// What a command prints, with its exit code.
    async fn print(&self, command: &str) -> Vec<String> {
        let kubectl = PathBuf::from(told("KUBECTL"));
        let programs = kubectl
            .parent()
            .expect("in a folder")
            .to_string_lossy()
            .into_owned();
        let folder = self.folder.to_string_lossy();
        let script = format!("PATH={programs}:$PATH\ncd '{folder}'\n{PRELUDE}{command}\n");
        let environment = [
            ("KUBECONFIG", self.kubeconfig.as_str()),
            ("HOME", &folder),
            ("TZ", "UTC"),
        ];
        let ended = run(Path::new("bash"), &["-c", &script], &environment, "").await;
        let mut lines: Vec<String> = ended
            .stdout
            .lines()
            .map(|line| line.trim_end().to_owned())
            .collect();
        without_blanks(&mut lines);
        if ended.code != 0 {
            lines.push(format!("[{}]", ended.code));
        }
        lines
    }
}

fn transcripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e/transcripts")
}

#[expect(
    clippy::disallowed_methods,
    reason = "whoever compares with Kubernetes says where it is"
)]
fn other_cluster() -> Option<PathBuf> {
    std::env::var_os("TRANSCRIPT_KUBECONFIG").map(PathBuf::from)
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a new folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("readable");
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("writable");
        }
    }
}

/// Plays a transcript to the end; tells every command that printed something else.
async fn play(installation: &Installation, name: &str) {
    let path = transcripts().join(format!("{name}.txt"));
    let steps = parse(&std::fs::read_to_string(path).expect("a transcript"));
    let session = Session::of(installation, name).await;
    let mut wrong = Vec::new();
    for step in &steps {
        let printed = session.print(&step.command).await;
        if !fits(&step.lines, &printed) {
            wrong.push(format!(
                "$ {}\nexpected:\n{}\nprinted:\n{}\n",
                step.command,
                step.lines.join("\n"),
                printed.join("\n")
            ));
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {} commands of {name}:\n\n{}",
        wrong.len(),
        steps.len(),
        wrong.join("\n")
    );
}

#[test]
fn a_pattern_stands_for_what_it_leaves_out_and_nothing_else() {
    for (pattern, line, is_fitting) in [
        ("a b", "a b", true),
        ("a b", "a  b", false),
        ("a …", "a b c", true),
        ("a … c", "a b c", true),
        ("a … d", "a b c", false),
        ("…", "", true),
    ] {
        assert_eq!(line_fits(pattern, line), is_fitting, "{pattern} and {line}");
    }
    let lines = |text: &str| -> Vec<String> { text.split(' ').map(str::to_owned).collect() };
    assert!(fits(&lines("a … d"), &lines("a b c d")));
    assert!(fits(&lines("a … b"), &lines("a b")));
    assert!(!fits(&lines("a … c"), &lines("a b c d")));
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_what_kinds_there_are_and_explains_them() {
    play(&Installation::started().await, "discovery").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_reads_in_every_form_and_follows_changes() {
    play(&Installation::started().await, "reading").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_creates_applies_compares_patches_edits_scales_and_replaces() {
    play(&Installation::started().await, "writing").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_waits_and_deletes_with_every_propagation() {
    play(&Installation::started().await, "deleting").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_makes_roles_bindings_and_tokens_and_asks_who_may() {
    play(&Installation::started().await, "access").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_events_of_both_groups() {
    play(&Installation::started().await, "events").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_builds_applies_and_prunes_sets_of_files() {
    play(&Installation::started().await, "kustomize").await;
}
