//! Segments: numbered files of frames in the journal's folder.

use std::{
    fs::{DirBuilder, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
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
const CHUNK: usize = 256 << 10;

/// The file of a segment.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SUFFIX}"))
}

/// Makes the folder, for this user only: captured bodies lie in it.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes a new, empty segment, to which only is appended; it is opened for reading, too, as a mapping needs it.
pub(super) fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create_new(true)
        .read(true)
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
    /// What is not read beyond; nothing where the file is no segment.
    end: u64,
    whole: bool,
    buffer: Vec<u8>,
    /// Which part of the buffer was read and is not used up.
    unused: Range<usize>,
}

impl Reader {
    /// Opens a segment to read from `offset` to `end` (both clamped to what is there). A file that does not
    /// begin as a segment does has no frames.
    pub(super) fn open(path: &Path, offset: u64, end: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let mut magic = [0; 8];
        let whole = file.read_exact(&mut magic).is_ok() && magic == *MAGIC;
        let offset = offset.max(MAGIC_LENGTH);
        file.seek(SeekFrom::Start(offset))?;
        let mut reader = Self {
            file,
            offset,
            end: 0,
            whole,
            buffer: Vec::new(),
            unused: 0..0,
        };
        reader.extend(end)?;
        Ok(reader)
    }

    /// Lets it read to a later end, clamped to what is there.
    pub(super) fn extend(&mut self, end: u64) -> io::Result<()> {
        if self.whole && end > self.end {
            self.end = end.min(self.file.metadata()?.len());
        }
        Ok(())
    }

    /// Gives back the memory that it reads into, if nothing is in it.
    pub(super) fn rest(&mut self) {
        if self.unused.is_empty() {
            (self.buffer, self.unused) = (Vec::new(), 0..0);
        }
    }

    /// Where the next frame begins: everything before it was whole.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// Passes the next frame on; `None` at the end, or at the first bytes that are no frame.
    pub(super) fn next<T>(&mut self, take: impl FnOnce(Frame<'_>) -> T) -> io::Result<Option<T>> {
        loop {
            let unused = self.buffer.get(self.unused.clone()).unwrap_or_default();
            match frame::decode(unused) {
                Decoded::Frame(frame, length) => {
                    let taken = take(frame);
                    self.unused.start += length;
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

    /// Passes over what is left; says whether it is all zeros, as room is that was made and not used.
    pub(super) fn is_blank(&mut self) -> io::Result<bool> {
        loop {
            let unused = self.buffer.get(self.unused.clone()).unwrap_or_default();
            if unused.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            self.offset += u64::try_from(unused.len()).unwrap_or(u64::MAX);
            self.unused.start = self.unused.end;
            if !self.fill()? {
                return Ok(true);
            }
        }
    }

    /// Reads more; `false` at the end.
    fn fill(&mut self) -> io::Result<bool> {
        self.buffer.copy_within(self.unused.clone(), 0);
        self.unused = 0..self.unused.len();
        // A frame that is longer than the buffer has it grow.
        let want = (self.unused.len() * 2).max(CHUNK);
        if self.buffer.len() < want {
            self.buffer.resize(want, 0);
        }
        let have = u64::try_from(self.unused.len()).unwrap_or(u64::MAX);
        let left = self.end.saturating_sub(self.offset + have);
        let space = self.buffer.get_mut(self.unused.len()..).unwrap_or_default();
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(space.len());
        let read = self.file.read(space.get_mut(..most).unwrap_or_default())?;
        self.unused.end += read;
        Ok(read > 0)
    }
}
