//! The data folder: whose it is, which version wrote it, and that one process uses it at a time.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::Path,
};

use rustix::fs::FlockOperation;
use stead_kernel::{DataDir, Error, Result};

/// The version of the folder's layout that this program reads and writes.
pub(crate) const LAYOUT: u32 = 1;

/// A data folder that this process holds; dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Folder {
    /// Where things lie in it.
    pub(crate) data: DataDir,
    _lock: File,
}

impl Folder {
    /// Creates the folder if it is not there, checks it, and locks it.
    ///
    /// # Errors
    /// `Forbidden` when it is somebody else's, `Unsupported` when a newer version wrote it, `Conflict` when
    /// another process uses it, `Unavailable` when it cannot be written.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        create(root)?;
        check_owner(root)?;
        let lock = lock(root)?;
        check_layout(root)?;
        let data = DataDir::new(root);
        for folder in [
            data.events(),
            data.journal(),
            data.blobs(),
            data.scratch(),
            data.keys(),
            root.join("run"),
        ] {
            create(&folder)?;
        }
        Ok(Self { data, _lock: lock })
    }
}

/// The id of the process that holds the folder, if one does.
pub(crate) fn holder(root: &Path) -> Option<u32> {
    let mut file = File::open(root.join("lock")).ok()?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared).is_ok() {
        return None;
    }
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn create(folder: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| {
            Error::unavailable(format!("cannot create the folder {}", folder.display()))
                .hint("choose another one with --data, or make it writable")
                .because(error)
        })
}

fn check_owner(root: &Path) -> Result<()> {
    let metadata = fs::metadata(root).map_err(|error| unreadable(root, error))?;
    let me = rustix::process::geteuid().as_raw();
    if metadata.uid() == me {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "the data folder {} belongs to user {}, and this process runs as user {me}",
        root.display(),
        metadata.uid()
    ))
    .hint("run as that user, or choose another folder with --data"))
}

fn lock(root: &Path) -> Result<File> {
    let path = root.join("lock");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(&path)
        .map_err(|error| unreadable(&path, error))?;
    if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        let mut holder = String::new();
        file.read_to_string(&mut holder).ok();
        return Err(Error::conflict(format!(
            "another stead (process {}) already uses the data folder {}",
            holder.trim(),
            root.display()
        ))
        .hint("use it as it is (stead status), stop it first, or choose another folder with --data"));
    }
    let written = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| file.write_all(std::process::id().to_string().as_bytes()));
    written.map_err(|error| unreadable(&path, error))?;
    Ok(file)
}

fn check_layout(root: &Path) -> Result<()> {
    let path = root.join("VERSION");
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return fs::write(&path, format!("{LAYOUT}\n")).map_err(|error| unreadable(&path, error));
        }
        Err(error) => return Err(unreadable(&path, error)),
    };
    match text.trim().parse::<u32>() {
        Ok(version) if version <= LAYOUT => Ok(()),
        Ok(version) => Err(Error::unsupported(format!(
            "the data folder {} has layout {version}, and this program knows layouts up to {LAYOUT}",
            root.display()
        ))
        .hint("a newer stead wrote it: use that one, or restore a backup into another folder")),
        Err(error) => {
            Err(Error::invalid(format!("{} does not hold a layout number", path.display())).because(error))
        }
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::unavailable(format!("cannot use {}", path.display())).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use stead_kernel::Reason;

    #[test]
    fn a_folder_is_held_by_one_process_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let held = Folder::open(root.path()).unwrap();
        assert_eq!(Folder::open(root.path()).unwrap_err().reason(), Reason::Conflict);
        assert_eq!(holder(root.path()), Some(std::process::id()));
        drop(held);
        assert_eq!(holder(root.path()), None);
        Folder::open(root.path()).unwrap();
    }

    #[test]
    fn a_newer_layout_and_garbage_are_refused_and_left_alone() {
        let root = tempfile::tempdir().unwrap();
        for (text, reason) in [("99\n", Reason::Unsupported), ("x", Reason::Invalid)] {
            fs::write(root.path().join("VERSION"), text).unwrap();
            assert_eq!(Folder::open(root.path()).unwrap_err().reason(), reason);
            assert_eq!(fs::read_to_string(root.path().join("VERSION")).unwrap(), text);
        }
    }
}
