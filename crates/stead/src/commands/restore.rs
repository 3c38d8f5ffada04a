//! `stead restore FOLDER`: makes a data folder from a backup.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

use clap::{Arg, ArgMatches};
use futures::{FutureExt, future::BoxFuture};
use stead_cli::{Local, LocalCommand};
use stead_kernel::{Error, Result};

use super::backup::{MANIFEST, Manifest, create, digest, failed};
use crate::server::folder::LAYOUT;

/// `restore`.
pub(super) fn command() -> LocalCommand {
    LocalCommand {
        spec: clap::Command::new("restore")
            .about("Makes a new data folder (--data) from a backup")
            .arg(
                Arg::new("folder")
                    .value_name("FOLDER")
                    .required(true)
                    .help("What `stead backup` wrote"),
            ),
        run,
    }
}

fn run(matches: ArgMatches, local: Local) -> BoxFuture<'static, Result<()>> {
    async move {
        let source = PathBuf::from(matches.get_one::<String>("folder").cloned().unwrap_or_default());
        let target = local.data.clone();
        let job = tokio::task::spawn_blocking(move || restore(&source, &target).map(|count| (count, target)));
        let (count, target) = job
            .await
            .map_err(|error| Error::internal("the copy broke off").because(error))??;
        local
            .terminal
            .note(&format!("{count} files restored to {}", target.display()));
        Ok(())
    }
    .boxed()
}

fn restore(source: &Path, target: &Path) -> Result<usize> {
    let manifest = read(source)?;
    if fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::conflict(format!(
            "{} is not empty, and nothing in it is overwritten",
            target.display()
        ))
        .hint("name another folder with --data, or move the old one away"));
    }
    for (file, expected) in &manifest.files {
        let path = source.join(file);
        if digest(&path)? != *expected {
            return Err(
                Error::invalid(format!("{} is not what was backed up", path.display()))
                    .hint("nothing was restored; use another backup"),
            );
        }
    }
    // The layout's number comes last: without it, a folder is not taken for whole.
    let (last, first): (Vec<_>, Vec<_>) = manifest
        .files
        .iter()
        .partition(|(file, _)| file == Path::new("VERSION"));
    for (file, _) in first.into_iter().chain(last) {
        let to = target.join(file);
        create(to.parent().unwrap_or(&to))?;
        fs::copy(source.join(file), &to).map_err(|error| failed(&to, error))?;
    }
    Ok(manifest.files.len())
}

fn read(source: &Path) -> Result<Manifest> {
    let path = source.join(MANIFEST);
    let text = fs::read_to_string(&path)
        .map_err(|error| Error::not_found(format!("{} is no backup", source.display())).because(error))?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| Error::invalid(format!("{} is damaged", path.display())).because(error))?;
    if manifest.layout > LAYOUT {
        return Err(Error::unsupported(format!(
            "the backup has layout {}, made by stead {}",
            manifest.layout, manifest.version
        ))
        .hint("restore it with that version or a newer one"));
    }
    let inside = |path: &Path| path.components().all(|part| matches!(part, Component::Normal(_)));
    match manifest.files.iter().find(|(file, _)| !inside(file)) {
        Some((file, _)) => Err(Error::invalid(format!(
            "the backup names {}, outside of itself",
            file.display()
        ))),
        None => Ok(manifest),
    }
}
