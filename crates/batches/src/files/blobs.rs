//! The contents of files, by their digest: `blobs/files/<64 hex digits>`, a folder of their own, so that nobody who
//! removes model files or other blobs meets them.
//!
//! *Invariant:* a content appears by one rename, after it was synced to the disk; it is removed only while nobody is
//! about to refer to it.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use stead_kernel::{DataDir, Error, Result};
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

/// The folder of contents.
#[derive(Clone)]
pub(crate) struct Blobs {
    folder: PathBuf,
    scratch: PathBuf,
    ledger: Arc<Mutex<Ledger>>,
}

/// Which contents are about to be referred to, and which are about to be removed.
#[derive(Default)]
struct Ledger {
    claims: HashMap<String, usize>,
    condemned: HashSet<String>,
}

/// Keeps a content from being removed until a record refers to it.
pub(crate) struct Claim {
    digest: String,
    ledger: Arc<Mutex<Ledger>>,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut ledger = lock(&self.ledger);
        if let Some(count) = ledger.claims.get_mut(&self.digest) {
            *count -= 1;
            if *count == 0 {
                ledger.claims.remove(&self.digest);
            }
        }
    }
}

fn lock(ledger: &Mutex<Ledger>) -> MutexGuard<'_, Ledger> {
    ledger.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A content on the disk that a record is about to refer to.
pub(crate) struct Kept {
    /// 64 hex digits.
    pub(crate) digest: String,
    pub(crate) bytes: u64,
    /// To be dropped once the record is stored.
    pub(crate) claim: Claim,
}

impl Blobs {
    /// Makes the folders, and removes what an earlier process had not finished. Blocks.
    pub(crate) fn open(data: &DataDir) -> Result<Self> {
        let blobs = Self {
            folder: data.blobs().join("files"),
            scratch: data.scratch().join("files"),
            ledger: Arc::default(),
        };
        let made = || -> io::Result<()> {
            if blobs.scratch.exists() {
                fs::remove_dir_all(&blobs.scratch)?;
            }
            fs::create_dir_all(&blobs.scratch)?;
            fs::create_dir_all(&blobs.folder)
        };
        made().map_err(|error| disk_error("cannot make the folder of files", error))?;
        Ok(blobs)
    }

    /// Where a content lies.
    pub(crate) fn path(&self, digest: &str) -> PathBuf {
        self.folder.join(digest)
    }

    /// The digests of all contents. Blocks.
    pub(crate) fn all(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(&self.folder)
            .map_err(|error| disk_error("cannot read the folder of files", error))?;
        Ok(entries
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect())
    }

    /// A new content, to be written piece by piece.
    pub(crate) async fn draft(&self) -> Result<Draft> {
        let path = self.scratch.join(Uuid::now_v7().to_string());
        let file = tokio::fs::File::create_new(&path).await;
        let file = file.map_err(|error| disk_error("cannot store the file", error))?;
        Ok(Draft {
            path: Trash(path),
            file,
            hasher: Sha256::new(),
            bytes: 0,
        })
    }

    /// Puts a complete content in its place, synced.
    pub(crate) async fn keep(&self, draft: Draft) -> Result<Kept> {
        let Draft {
            path,
            mut file,
            hasher,
            bytes,
        } = draft;
        let flushed = file.flush().await;
        flushed.map_err(|error| disk_error("cannot store the file", error))?;
        let digest = hex(&hasher.finalize());
        let claim = self.claim(&digest);
        let (folder, target) = (self.folder.clone(), self.path(&digest));
        blocking(move || {
            let moved = || -> io::Result<()> {
                File::open(&path.0)?.sync_all()?;
                let mut permissions = fs::metadata(&path.0)?.permissions();
                permissions.set_readonly(true);
                fs::set_permissions(&path.0, permissions)?;
                fs::rename(&path.0, &target)?;
                File::open(&folder)?.sync_all()
            };
            moved().map_err(|error| disk_error("cannot store the file", error))
        })
        .await?;
        Ok(Kept { digest, bytes, claim })
    }

    fn claim(&self, digest: &str) -> Claim {
        let mut ledger = lock(&self.ledger);
        ledger.condemned.remove(digest);
        *ledger.claims.entry(digest.to_owned()).or_default() += 1;
        Claim {
            digest: digest.to_owned(),
            ledger: Arc::clone(&self.ledger),
        }
    }

    /// Announces the removal of a content; to be called before looking for records that refer to it.
    pub(crate) fn condemn(&self, digest: &str) {
        lock(&self.ledger).condemned.insert(digest.to_owned());
    }

    /// Removes a condemned content, unless somebody claimed it since.
    pub(crate) fn remove_condemned(&self, digest: &str) -> Result<()> {
        let mut ledger = lock(&self.ledger);
        if !ledger.condemned.remove(digest) || ledger.claims.contains_key(digest) {
            return Ok(());
        }
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(disk_error("cannot remove the file", error))
            }
            _ => Ok(()),
        }
    }
}

/// A file that goes when its owner does; a file that was moved away meanwhile is not touched.
struct Trash(PathBuf);

impl Drop for Trash {
    fn drop(&mut self) {
        fs::remove_file(&self.0).ok();
    }
}

/// A content that is being written.
pub(crate) struct Draft {
    path: Trash,
    file: tokio::fs::File,
    hasher: Sha256,
    bytes: u64,
}

impl Draft {
    /// Appends.
    pub(crate) async fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.hasher.update(bytes);
        self.bytes += bytes.len() as u64;
        let written = self.file.write_all(bytes).await;
        written.map_err(|error| disk_error("cannot store the file", error))
    }

    /// How many bytes were written.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Runs what blocks where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::internal("work on files broke off").because(error))?
}

/// Opens a content for reading.
pub(crate) async fn read(path: &Path) -> Result<tokio::fs::File> {
    let file = tokio::fs::File::open(path).await;
    file.map_err(|error| disk_error("the content of the file cannot be read", error))
}

/// An error of the local disk in words; a full disk is said plainly.
pub(crate) fn disk_error(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::exhausted(format!("{what}: the disk of the data folder is full")).hint("make space")
        }
        _ => Error::unavailable(what.to_owned()).because(error),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing into a string cannot fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_content_that_somebody_is_about_to_refer_to_stays() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&DataDir::new(folder.path())).unwrap();
        let mut draft = blobs.draft().await.unwrap();
        draft.write(b"abc").await.unwrap();
        let kept = blobs.keep(draft).await.unwrap();
        assert_eq!(
            kept.digest,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        let path = blobs.path(&kept.digest);
        blobs.condemn(&kept.digest);
        blobs.remove_condemned(&kept.digest).unwrap();
        assert!(path.exists(), "an earlier claim keeps it");
        blobs.condemn(&kept.digest);
        drop(blobs.claim(&kept.digest));
        drop(kept.claim);
        blobs.remove_condemned(&kept.digest).unwrap();
        assert!(path.exists(), "a later claim lifted its condemnation");
        blobs.condemn(&kept.digest);
        blobs.remove_condemned(&kept.digest).unwrap();
        assert!(!path.exists());
    }

    #[tokio::test]
    async fn what_was_not_finished_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&DataDir::new(folder.path())).unwrap();
        let mut draft = blobs.draft().await.unwrap();
        draft.write(b"abc").await.unwrap();
        let path = draft.path.0.clone();
        assert!(path.exists());
        drop(draft);
        assert!(!path.exists());
        fs::write(&path, b"left over by a process that was killed").unwrap();
        Blobs::open(&DataDir::new(folder.path())).unwrap();
        assert!(!path.exists());
    }
}
