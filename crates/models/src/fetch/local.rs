//! Files of this machine.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    os::{fd::AsRawFd, unix::fs::OpenOptionsExt},
    path::{Path, PathBuf},
};

use stead_kernel::{Error, Result, ports::PACKED_FILES, steps::Progress};

use super::{Failure, Files, packed, partial::Partial};
use crate::source::Source;

/// Copies a file. Where it really lies, symbolic links resolved, must be allowed.
pub(super) async fn copy(
    source: &Source,
    path: &Path,
    files: &Files,
    partial: Partial,
    progress: &Progress,
) -> Result<Partial, Failure> {
    let (path, files, progress) = (path.to_owned(), files.clone(), progress.clone());
    let is_embedding = source.embedding_folder().is_some();
    partial
        .with(move |partial| {
            let mut file = open(&path, &files)?;
            let metadata = file.metadata().map_err(unreadable)?;
            if !is_embedding {
                partial.begin_now(metadata.len())?;
                return partial.append_all(&mut file, &progress);
            }
            let mut packed = packed::pack(file, metadata.len(), beside(&path, &files)?)?;
            partial.begin_now(packed.size)?;
            partial.append_all(&mut packed.content, &progress)
        })
        .await
}

/// What lies beside an embedding model's weights. What may not be read is as good as not there.
fn beside(path: &Path, files: &Files) -> Result<BTreeMap<&'static str, String>> {
    let mut texts = BTreeMap::new();
    for name in PACKED_FILES {
        if let Ok(mut file) = open(&path.with_file_name(name), files) {
            texts.insert(name, packed::text(name, &mut file)?);
        }
    }
    Ok(texts)
}

/// Opens first and looks then where the open file is, so that nobody can exchange it in between.
fn open(path: &Path, files: &Files) -> Result<File> {
    let not_blocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or_default();
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(not_blocking)
        .open(path);
    let opened = file
        .map_err(unreadable)
        .and_then(|file| allowed(&file, path, files).map(|()| file));
    let file = match (opened, files) {
        (Ok(file), _) => file,
        (Err(error), Files::Anywhere) => return Err(error),
        // Whether a file elsewhere exists is nobody's business.
        (Err(_), Files::Below(_)) => return Err(not_allowed()),
    };
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(Error::invalid("it is not a regular file"));
    }
    Ok(file)
}

fn allowed(file: &File, path: &Path, files: &Files) -> Result<()> {
    let Files::Below(folders) = files else {
        return Ok(());
    };
    let real = real_path(file, path).ok_or_else(not_allowed)?;
    let inside = folders
        .iter()
        .filter_map(|folder| folder.canonicalize().ok())
        .any(|folder| real.starts_with(folder));
    if inside { Ok(()) } else { Err(not_allowed()) }
}

/// Where an open file lies.
fn real_path(file: &File, path: &Path) -> Option<PathBuf> {
    if cfg!(target_os = "linux") {
        return std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok();
    }
    path.canonicalize().ok()
}

fn not_allowed() -> Error {
    Error::forbidden("it lies in none of the folders from which files may be taken")
        .hint("ask an admin to write this Model, or to add the folder to allowFolders in the configuration")
}

fn unreadable(error: std::io::Error) -> Error {
    if error.kind() == std::io::ErrorKind::NotFound {
        return Error::not_found("there is no such file");
    }
    Error::invalid("it cannot be read").because(error)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn only_what_really_lies_in_an_allowed_folder_is_opened() {
        let root = tempfile::tempdir().unwrap();
        let (inside, outside) = (root.path().join("in"), root.path().join("out"));
        fs::create_dir_all(inside.join("sub")).unwrap();
        fs::create_dir_all(&outside).unwrap();
        fs::write(inside.join("sub/a"), b"x").unwrap();
        fs::write(outside.join("secret"), b"x").unwrap();
        symlink(outside.join("secret"), inside.join("link")).unwrap();
        symlink(&outside, inside.join("folder")).unwrap();
        let below = Files::Below(vec![inside.clone()]);
        assert!(open(&inside.join("sub/a"), &below).is_ok());
        for path in [
            "in/link",
            "in/folder/secret",
            "out/secret",
            "out/none",
            "in/none",
            "in",
        ] {
            let error = open(&root.path().join(path), &below).unwrap_err();
            assert!(
                matches!(
                    error.reason(),
                    stead_kernel::Reason::Forbidden | stead_kernel::Reason::Invalid
                ),
                "{path}"
            );
        }
        assert!(open(&inside.join("link"), &Files::Anywhere).is_ok());
        assert!(open(&outside, &Files::Anywhere).is_err(), "a folder is no model");
    }
}
