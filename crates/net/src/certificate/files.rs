//! Files of keys: written whole or not at all, and read only when nobody else could have.

use std::{
    fs::{self, File, OpenOptions},
    io::{ErrorKind, Read, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use stead_kernel::{Error, Result};

/// The mode of a file that everyone may read.
pub(super) const PUBLIC: u32 = 0o644;
/// The mode of a file for its owner alone.
pub(super) const PRIVATE: u32 = 0o600;
/// No key or certificate is larger.
const LIMIT: u64 = 64 << 10;

/// Makes the folder, for its owner alone, if there is none.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed("make the folder", folder, error))
}

/// The text of a file; `None` when there is no such file.
pub(super) fn read(path: &Path) -> Result<Option<String>> {
    match File::open(path) {
        Ok(file) => read_open(path, file).map(Some),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed("read", path, error)),
    }
}

/// As [`read`], but refuses a file that others may read.
pub(super) fn read_private(path: &Path) -> Result<Option<String>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed("read", path, error)),
    };
    let mode = file
        .metadata()
        .map_err(|error| failed("read", path, error))?
        .mode();
    if mode & 0o077 != 0 {
        return Err(Error::forbidden(format!(
            "the key file {} can be read by others (mode {:03o})",
            path.display(),
            mode & 0o777
        ))
        .hint(format!("make it private: chmod 600 {}", path.display())));
    }
    read_open(path, file).map(Some)
}

fn read_open(path: &Path, file: File) -> Result<String> {
    let mut text = String::new();
    file.take(LIMIT)
        .read_to_string(&mut text)
        .map_err(|error| failed("read", path, error))?;
    Ok(text)
}

/// Writes a file so that after a crash it is there whole or as it was before.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let partial = path.with_extension("partial");
    let written = write_partial(&partial, bytes, mode).and_then(|()| fs::rename(&partial, path));
    written.map_err(|error| {
        drop(fs::remove_file(&partial));
        failed("write", path, error)
    })?;
    if let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(|error| failed("write", path, error))?;
    }
    Ok(())
}

fn write_partial(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    // What an earlier crash left may have another mode.
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn failed(what: &str, path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot {what} {}", path.display())).because(error)
}
