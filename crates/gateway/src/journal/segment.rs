//! Segments: numbered files of frames in the journal's folder.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::frame::{self, Decoded, Frame};

/// The first bytes of a segment: what it is, and the version of its form.
pub(super) const MAGIC: &[u8; 8] = b"STEADJ1\n";
/// Bytes of [`MAGIC`].
pub(super) const MAGIC_LENGTH: u64 = 8;
/// How names of segments end.
const SUFFIX: &str = ".journal";
/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// The file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

/// Makes the folder, for this user only: captured bodies lie in it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a new, empty segment, which only appends.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .append(true)
        .mode(0o600)
        .open(path)
}

/// The numbers of all segments in the folder, in order.
pub(super) fn list(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in folder.read_dir()? {
        let name = entry?.file_name();
        let number: Option<u64> = name
            .to_str()
            .and_then(|name| name.strip_suffix(SUFFIX))
            .and_then(|digits| digits.parse().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Reads a segment's frames one after the other.
pub(super) struct Reader {
    file: File,
    /// Where the next frame begins.
    offset: u64,
    /// What is not read beyond.
    end: u64,
    buffer: Vec<u8>,
    /// How much of the buffer is used up.
    used: usize,
}

impl Reader {
    /// Opens a segment to read from `offset` to `end` (both clamped to what is there). A file that does not
    /// begin as a segment does has no frames.
    pub(super) fn open(path: &Path, offset: u64, end: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 8];
        let whole = file.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        let end = if whole { end.min(file.metadata()?.len()) } else { 0 };
        let offset = offset.max(MAGIC_LENGTH);
        file.seek(SeekFrom::Start(offset))?;
        Ok(Self {
            file,
            offset,
            end,
            buffer: Vec::new(),
            used: 0,
        })
    }

    /// Where the next frame begins: everything before it was whole.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes the next frame on; `None` at the end, or at the first bytes that are no frame.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(Frame<'_>) -> T) -> io::Result<Option<T>> {
        loop {
            let rest = self.buffer.get(self.used..).unwrap_or_default();
            match frame::decode(rest) {
                Decoded::Frame(frame, length) => {
                    let taken = take(frame);
                    self.used += length;
                    self.offset += u64::try_from(length).unwrap_or(u64::MAX);
                    return Ok(Some(taken));
                }
                Decoded::Broken => return Ok(None),
                Decoded::Incomplete => {
                    if !self.fill()? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let have = u64::try_from(self.buffer.len()).unwrap_or(u64::MAX);
        let left = self.end.saturating_sub(self.offset + have);
        let want = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        if want == 0 {
            return Ok(false);
        }
        let read = (&mut self.file)
            .take(u64::try_from(want).unwrap_or(u64::MAX))
            .read_to_end(&mut self.buffer)?;
        Ok(read > 0)
    }
}
