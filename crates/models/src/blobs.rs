//! The folder of content-addressed files, and who needs which.
//!
//! *Invariant:* a file appears in it by one rename, after its content was synced to the disk.

use std::{
    collections::{HashMap, HashSet},
    fmt::Write as _,
    fs::{self, File},
    io::{self, Read},
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest, Sha256};
use stead_kernel::{DataDir, Error, Result, steps::Progress};

/// How much is read at once when a file is hashed.
const CHUNK: usize = 1 << 20;

/// The folder of blobs. Several Models may share one; the last one that goes takes it along.
#[derive(Clone)]
pub(crate) struct Blobs {
    data: DataDir,
    ledger: Arc<Mutex<Ledger>>,
}

/// Who is about to need a blob, and which blobs are about to be removed.
#[derive(Default)]
struct Ledger {
    claims: HashMap<String, usize>,
    condemned: HashSet<String>,
}

/// Keeps a blob from being removed until a status says that it is needed.
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

impl Blobs {
    pub(crate) fn new(data: DataDir) -> Self {
        Self {
            data,
            ledger: Arc::default(),
        }
    }

    /// The size of the blob in bytes; `None` when there is no such blob.
    pub(crate) fn size(&self, digest: &str) -> Option<u64> {
        let metadata = fs::metadata(self.data.blob(digest)?).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Says that the blob will be needed, whether it is there already or not.
    pub(crate) fn claim(&self, digest: &str) -> Claim {
        let mut ledger = lock(&self.ledger);
        ledger.condemned.remove(digest);
        *ledger.claims.entry(digest.to_owned()).or_default() += 1;
        Claim {
            digest: digest.to_owned(),
            ledger: Arc::clone(&self.ledger),
        }
    }

    /// Announces the removal of a blob; to be called before looking for Models that need it.
    pub(crate) fn condemn(&self, digest: &str) {
        lock(&self.ledger).condemned.insert(digest.to_owned());
    }

    /// Removes a condemned blob, unless somebody claimed it since. Returns whether it is gone.
    pub(crate) fn remove_condemned(&self, digest: &str) -> Result<bool> {
        let mut ledger = lock(&self.ledger);
        let condemned = ledger.condemned.remove(digest);
        if !condemned || ledger.claims.contains_key(digest) {
            return Ok(false);
        }
        let Some(path) = self.data.blob(digest) else {
            return Ok(false);
        };
        match fs::remove_file(path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
            Err(error) => Err(Error::unavailable("cannot remove a model file").because(error)),
        }
    }

    /// Moves a complete file to its place under its digest. The file must lie on the same file system.
    pub(crate) fn adopt(&self, file: &Path, digest: &str) -> Result<()> {
        let target = self
            .data
            .blob(digest)
            .ok_or_else(|| Error::internal("not a digest"))?;
        let folder = target
            .parent()
            .ok_or_else(|| Error::internal("a blob lies in a folder"))?;
        let moved = || -> io::Result<()> {
            fs::create_dir_all(folder)?;
            File::open(file)?.sync_all()?;
            make_read_only(file)?;
            fs::rename(file, &target)?;
            sync_folder(folder)
        };
        moved().map_err(|error| disk_error("cannot store the model file", error))
    }
}

/// Makes entries of a folder (a rename, a new file) survive a power failure.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Blobs never change; a stray write should fail rather than corrupt a model.
fn make_read_only(file: &Path) -> io::Result<()> {
    let mut permissions = fs::metadata(file)?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(file, permissions)
}

/// An error of the local disk in words; a full disk is said plainly.
pub(crate) fn disk_error(what: &str, error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Error::exhausted(format!("{what}: the disk of the data folder is full"))
                .hint("make space; what was fetched so far is kept and the rest is fetched then")
        }
        _ => Error::unavailable(what.to_owned()).because(error),
    }
}

/// The SHA-256 of a file in hex, read from the disk; blocks.
pub(crate) fn hash_file(file: &Path, progress: &Progress) -> io::Result<String> {
    let mut file = File::open(file)?;
    let total = file.metadata()?.len();
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut done = 0;
    loop {
        let count = file.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            return Ok(hex(&hasher.finalize()));
        };
        hasher.update(chunk);
        done += chunk.len() as u64;
        progress.set(done, Some(total));
    }
}

/// Bytes in hex, small letters.
pub(crate) fn hex(bytes: &[u8]) -> String {
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

    fn digest(byte: &str) -> String {
        format!("sha256:{}", byte.repeat(32))
    }

    fn with_blob() -> (tempfile::TempDir, Blobs, String) {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::new(DataDir::new(folder.path()));
        let digest = digest("0a");
        let file = folder.path().join("file");
        fs::write(&file, b"content").unwrap();
        blobs.adopt(&file, &digest).unwrap();
        (folder, blobs, digest)
    }

    #[test]
    fn a_file_is_moved_to_its_digest_and_cannot_be_written_there() {
        let (folder, blobs, digest) = with_blob();
        assert_eq!(blobs.size(&digest), Some(7));
        assert!(!folder.path().join("file").exists());
        let path = DataDir::new(folder.path()).blob(&digest).unwrap();
        assert!(fs::metadata(path).unwrap().permissions().readonly());
    }

    #[test]
    fn a_blob_that_was_claimed_after_its_condemnation_stays() {
        let (_folder, blobs, digest) = with_blob();
        blobs.condemn(&digest);
        let claim = blobs.claim(&digest);
        assert!(!blobs.remove_condemned(&digest).unwrap());
        drop(claim);
        assert!(
            !blobs.remove_condemned(&digest).unwrap(),
            "its condemnation was lifted"
        );
        blobs.condemn(&digest);
        assert!(blobs.remove_condemned(&digest).unwrap());
        assert_eq!(blobs.size(&digest), None);
    }

    #[test]
    fn an_earlier_claim_keeps_a_blob_from_being_removed() {
        let (_folder, blobs, digest) = with_blob();
        let claim = blobs.claim(&digest);
        blobs.condemn(&digest);
        assert!(!blobs.remove_condemned(&digest).unwrap());
        drop(claim);
        assert_eq!(blobs.size(&digest), Some(7));
    }

    #[test]
    fn a_file_is_hashed_as_everyone_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("abc");
        fs::write(&file, b"abc").unwrap();
        let hash = hash_file(&file, &Progress::default()).unwrap();
        assert_eq!(
            hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
