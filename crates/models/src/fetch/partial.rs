//! A file that is still coming: what is on the disk, what it should become, and its running SHA-256.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use stead_kernel::{Error, steps::Progress};

use super::{Failure, Fetched};
use crate::{
    blobs::{disk_error, hex},
    source::Source,
};

/// The first bytes of every GGUF file.
const MAGIC: &[u8; 4] = b"GGUF";
/// So many of a file's first bytes are looked at.
const HEAD: usize = 9;
/// After so many bytes the file is synced, so that an unpinned file can be trusted so far after a power failure.
const SYNC_EVERY: u64 = 32 << 20;
/// What a download leaves free on the disk, so that the state, the journal and events can still be written.
const RESERVE: u64 = 256 << 20;
/// How much is read at once when what is there is hashed again.
const CHUNK: usize = 1 << 20;

/// What a file must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Gguf,
    /// The weights of an embedding model: the length of a header, and the header, an object.
    Safetensors,
}

impl Format {
    fn of(source: &Source) -> Self {
        match source.embedding_folder() {
            Some(_) => Self::Safetensors,
            None => Self::Gguf,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
        }
    }

    /// Whether a file of the format may begin so.
    fn may_begin(self, head: &[u8]) -> bool {
        match self {
            Self::Gguf => head.iter().zip(MAGIC).all(|(byte, expected)| byte == expected),
            Self::Safetensors => head.get(8).is_none_or(|byte| *byte == b'{'),
        }
    }

    /// The length of the shortest file of the format, in bytes.
    fn shortest(self) -> usize {
        match self {
            Self::Gguf => MAGIC.len(),
            Self::Safetensors => HEAD,
        }
    }
}

/// What the web said about the file, kept beside it so that a later process can go on.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Notes {
    /// A strong entity tag, or a modification date: what an `If-Range` compares.
    pub(super) validator: Option<String>,
    /// The size of the whole, in bytes.
    pub(super) total: Option<u64>,
    /// The SHA-256 that the host announced, in hex.
    pub(super) announced: Option<String>,
    /// So many bytes are surely on the disk.
    pub(super) synced: u64,
}

/// A file that is still coming. Dropped, it stays on the disk for the next try; it is locked while it is open.
pub(super) struct Partial {
    pub(super) notes: Notes,
    source: String,
    pin: Option<String>,
    folder: PathBuf,
    stem: String,
    file: File,
    hasher: Sha256,
    head: Vec<u8>,
    format: Format,
    length: u64,
}

/// The name of a source's files in a Model's folder.
fn stem(source: &Source) -> String {
    let hash = hex(&Sha256::digest(source.text.as_bytes()));
    hash.get(..16).unwrap_or(&hash).to_owned()
}

/// Removes everything that is unfinished below the folder.
pub(crate) fn clear(folder: &Path) -> stead_kernel::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(disk_error("cannot remove unfinished files", error))
        }
        _ => Ok(()),
    }
}

impl Partial {
    /// How much of this source's file is on the disk, in bytes.
    pub(super) fn length(folder: &Path, source: &Source) -> u64 {
        let path = folder.join(format!("{}.partial", stem(source)));
        fs::metadata(path).map_or(0, |metadata| metadata.len())
    }

    /// Opens what is there of the source's file, or begins it.
    pub(super) async fn open(folder: &Path, source: &Source, pin: Option<&str>) -> Result<Self, Failure> {
        let (folder, pin) = (folder.to_owned(), pin.map(str::to_owned));
        let source = source.clone();
        blocking(move || Self::open_now(folder, &source, pin)).await
    }

    fn open_now(folder: PathBuf, source: &Source, pin: Option<String>) -> Result<Self, Failure> {
        let stem = stem(source);
        fs::create_dir_all(&folder).map_err(here)?;
        let path = folder.join(format!("{stem}.partial"));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(here)?;
        if file.try_lock().is_err() {
            return Err(Failure::Source(Error::unavailable(
                "an earlier try has not quite ended yet",
            )));
        }
        let notes = fs::read(folder.join(format!("{stem}.json")))
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        let mut partial = Self {
            notes,
            source: source.text.clone(),
            pin,
            folder,
            stem,
            file,
            hasher: Sha256::new(),
            head: Vec::new(),
            format: Format::of(source),
            length: 0,
        };
        partial.take_up()?;
        Ok(partial)
    }

    /// Takes up what is on the disk. A pin (or an announced digest) proves the end result; without one, only what
    /// was synced before a power failure could strike is believed.
    fn take_up(&mut self) -> Result<(), Failure> {
        let there = self.file.metadata().map_err(here)?.len();
        let proven = self.pin.is_some() || self.notes.announced.is_some();
        let trusted = if proven {
            there
        } else {
            there.min(self.notes.synced)
        };
        if self.notes.total.is_some_and(|total| trusted > total) {
            return self.restart_now();
        }
        self.file.set_len(trusted).map_err(here)?;
        // The notes may be of a file that is gone: what is not there is not on the disk.
        self.notes.synced = self.notes.synced.min(trusted);
        self.file.seek(SeekFrom::Start(0)).map_err(here)?;
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = self.file.read(&mut buffer).map_err(here)?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
                return Ok(());
            };
            self.account(chunk);
        }
    }

    fn account(&mut self, chunk: &[u8]) {
        self.hasher.update(chunk);
        self.length += chunk.len() as u64;
        if let Some(missing) = HEAD.checked_sub(self.head.len()) {
            self.head.extend(chunk.iter().take(missing));
        }
    }

    /// How many bytes are there.
    pub(super) fn position(&self) -> u64 {
        self.length
    }

    /// Whether all bytes are there.
    pub(super) fn is_whole(&self) -> bool {
        self.notes.total == Some(self.length) && self.length > 0
    }

    /// Whether something other than the host's word proves the content.
    pub(super) fn is_pinned(&self) -> bool {
        self.pin.is_some()
    }

    /// Forgets what is there and begins anew.
    pub(super) async fn restart(mut self) -> Result<Self, Failure> {
        blocking(move || self.restart_now().map(|()| self)).await
    }

    fn restart_now(&mut self) -> Result<(), Failure> {
        self.file.set_len(0).map_err(here)?;
        self.file.seek(SeekFrom::Start(0)).map_err(here)?;
        (self.hasher, self.length, self.notes) = (Sha256::new(), 0, Notes::default());
        self.head.clear();
        self.save_notes()
    }

    /// Writes the notes beside the file, and looks whether the rest will fit on the disk.
    pub(super) async fn begin(mut self, notes: Notes) -> Result<Self, Failure> {
        self.notes = Notes {
            synced: self.notes.synced,
            ..notes
        };
        blocking(move || {
            self.save_notes()?;
            self.need_space()?;
            Ok(self)
        })
        .await
    }

    fn save_notes(&self) -> Result<(), Failure> {
        let text = serde_json::to_vec(&self.notes)
            .map_err(|error| Failure::Here(Error::internal("notes").because(error)))?;
        let fresh = self.folder.join(format!("{}.json.new", self.stem));
        fs::write(&fresh, text).map_err(here)?;
        fs::rename(&fresh, self.folder.join(format!("{}.json", self.stem))).map_err(here)
    }

    /// Whether the rest fits on the disk; of a file whose size nobody told, whether there is any room at all.
    fn need_space(&self) -> Result<(), Failure> {
        let Ok(disk) = rustix::fs::fstatvfs(&self.file) else {
            return Ok(());
        };
        let total = self.notes.total.unwrap_or(self.length);
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        fits(total.saturating_sub(self.length), free).map_err(Failure::Here)
    }

    /// Appends bytes; the first ones must be a model's.
    pub(super) async fn append(mut self, bytes: Vec<u8>) -> Result<Self, Failure> {
        blocking(move || self.append_now(&bytes).map(|()| self)).await
    }

    fn append_now(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        let after = self.length + bytes.len() as u64;
        if self.notes.total.is_some_and(|total| after > total) {
            self.restart_now()?;
            return Err(Error::invalid("more bytes came than were announced").into());
        }
        if self.head.len() < HEAD {
            let head: Vec<u8> = self.head.iter().chain(bytes).copied().take(HEAD).collect();
            if !self.format.may_begin(&head) {
                self.restart_now()?;
                return Err(not_a_model(bytes, self.format).into());
            }
        }
        self.file.write_all(bytes).map_err(here)?;
        self.account(bytes);
        if self.length - self.notes.synced >= SYNC_EVERY {
            self.sync()?;
        }
        Ok(())
    }

    /// Makes sure that what is there can be trusted by the next try.
    pub(super) async fn keep(mut self) -> Result<(), Failure> {
        blocking(move || self.sync()).await
    }

    fn sync(&mut self) -> Result<(), Failure> {
        self.file.sync_data().map_err(here)?;
        self.notes.synced = self.length;
        self.save_notes()?;
        self.need_space()
    }

    /// Appends all that a reader gives; blocks.
    pub(super) fn append_all(&mut self, reader: &mut dyn Read, progress: &Progress) -> Result<(), Failure> {
        let mut buffer = vec![0; CHUNK];
        loop {
            let count = reader
                .read(&mut buffer)
                .map_err(|error| Error::invalid("cannot be read").because(error))?;
            let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
                return Ok(());
            };
            self.append_now(chunk)?;
            progress.set(self.length, self.notes.total);
        }
    }

    /// Runs something that blocks with the file, on a thread that may.
    pub(super) async fn with<F>(mut self, work: F) -> Result<Self, Failure>
    where
        F: FnOnce(&mut Self) -> Result<(), Failure> + Send + 'static,
    {
        blocking(move || work(&mut self).map(|()| self)).await
    }

    /// Begins anew within blocking work, with a size that is known.
    pub(super) fn begin_now(&mut self, total: u64) -> Result<(), Failure> {
        self.restart_now()?;
        self.notes.total = Some(total);
        self.need_space()
    }

    /// Checks the whole, syncs it, and leaves a note that it is complete.
    pub(super) async fn finish(mut self) -> Result<Fetched, Failure> {
        blocking(move || self.finish_now()).await
    }

    fn mismatch(&self, sha256: &str) -> Option<String> {
        let wanted = [
            (&self.pin, "pinned"),
            (&self.notes.announced, "announced by the host"),
        ];
        wanted.into_iter().find_map(|(wanted, by)| {
            let wanted = wanted.as_ref().filter(|wanted| *wanted != sha256)?;
            Some(format!("its SHA-256 is {sha256}, but {wanted} is {by}"))
        })
    }

    fn finish_now(&mut self) -> Result<Fetched, Failure> {
        if let Some(total) = self.notes.total.filter(|total| *total != self.length) {
            self.sync()?;
            return Err(
                Error::unavailable(format!("it ended after {} of {total} bytes", self.length)).into(),
            );
        }
        if self.head.len() < self.format.shortest() {
            let (length, format) = (self.length, self.format.name());
            let message = format!("it has {length} bytes, which are no {format} file");
            self.restart_now()?;
            return Err(Error::invalid(message).into());
        }
        let sha256 = hex(&self.hasher.clone().finalize());
        if let Some(message) = self.mismatch(&sha256) {
            self.restart_now()?;
            return Err(Error::invalid(message).into());
        }
        self.file.sync_all().map_err(here)?;
        Ok(Fetched {
            source: self.source.clone(),
            sha256,
            size: self.length,
            file: format!("{}.partial", self.stem),
        })
    }
}

/// Refuses what would take the disk's last bytes; both in bytes.
fn fits(needed: u64, free: u64) -> Result<(), Error> {
    let usable = free.saturating_sub(RESERVE);
    if needed <= usable && usable > 0 {
        return Ok(());
    }
    let megabytes = |bytes: u64| bytes.div_ceil(1_000_000);
    Err(Error::exhausted(format!(
        "the disk of the data folder has {} MB free, of which {} MB stay free, and {} MB are still needed",
        megabytes(free),
        megabytes(RESERVE),
        megabytes(needed)
    ))
    .hint("make space; what was fetched so far is kept and the rest is fetched then"))
}

fn not_a_model(bytes: &[u8], format: Format) -> Error {
    let text = String::from_utf8_lossy(bytes.get(..bytes.len().min(512)).unwrap_or_default()).to_lowercase();
    let page = text.trim_start().starts_with("<!doctype html") || text.trim_start().starts_with("<html");
    if page {
        return Error::invalid("it is a web page, not a model file")
            .hint("use the address of the file itself; a sign-in page looks like this too");
    }
    let error = Error::invalid(format!("it does not begin like a {} file", format.name()));
    match format {
        Format::Gguf => {
            error.hint("only models in the GGUF format, and embedding models in .safetensors, can be used")
        }
        Format::Safetensors => error,
    }
}

/// The local disk failed: no other source can help.
pub(super) fn here(error: io::Error) -> Failure {
    Failure::Here(disk_error("cannot write the model file", error))
}

/// Runs what blocks on a thread that may.
pub(super) async fn blocking<T, F>(work: F) -> Result<T, Failure>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Failure> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => Err(Failure::Here(
            Error::internal("a thread for files ended early").because(error),
        )),
    }
}

#[cfg(test)]
mod tests {
    use stead_kernel::Reason;

    use super::*;

    #[tokio::test]
    async fn notes_about_a_file_that_is_gone_count_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let source: Source = "https://models.example/a.gguf".parse().unwrap();
        let notes = Notes {
            total: Some(1_000),
            synced: 900,
            ..Notes::default()
        };
        let path = folder.path().join(format!("{}.json", stem(&source)));
        fs::write(path, serde_json::to_vec(&notes).unwrap()).unwrap();
        let partial = Partial::open(folder.path(), &source, Some("pin")).await;
        let Ok(partial) = partial else {
            panic!("not opened")
        };
        assert_eq!((partial.position(), partial.notes.synced), (0, 0));
        let Ok(partial) = partial.append(b"GGUF and more".to_vec()).await else {
            panic!("not appended")
        };
        assert_eq!(partial.position(), 13);
    }

    #[test]
    fn a_download_leaves_room_for_everything_else() {
        for (needed, free, enough) in [
            (0, RESERVE + 1, true),
            (1_000, RESERVE + 1_000, true),
            (1_001, RESERVE + 1_000, false),
            // Of a size that nobody told.
            (0, RESERVE, false),
            (0, 0, false),
            (u64::MAX, u64::MAX, false),
        ] {
            let refusal = fits(needed, free).err().map(|error| error.reason());
            assert_eq!(refusal.is_none(), enough, "{needed} {free}");
            assert!(refusal.is_none_or(|reason| reason == Reason::Exhausted));
        }
    }
}
