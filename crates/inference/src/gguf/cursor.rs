//! Reading a header from the front, never past the file's end.

use std::{
    fs::File,
    io::{BufReader, Read},
};

use crate::error::{Error, Result};

/// The longest header, in bytes; vocabularies of the largest models take about 10 MB.
const MAX_HEADER: u64 = 256 << 20;

/// A position in a header.
pub(super) struct Cursor<'a> {
    reader: BufReader<&'a File>,
    position: u64,
    length: u64,
}

impl<'a> Cursor<'a> {
    /// The start of a file of `length` bytes.
    pub(super) fn new(file: &'a File, length: u64) -> Self {
        Self {
            reader: BufReader::with_capacity(1 << 18, file),
            position: 0,
            length: length.min(MAX_HEADER),
        }
    }

    /// How far it has come, in bytes.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// A count of things of at least `size` bytes each, held against what is left of the file.
    pub(super) fn count(&mut self, of: &str, most: u64, size: u64) -> Result<u64> {
        let count = self.u64()?;
        self.check(of, count, most, size)?;
        Ok(count)
    }

    fn check(&self, of: &str, count: u64, most: u64, size: u64) -> Result<()> {
        let left = self.length - self.position;
        if count > most || count.saturating_mul(size) > left {
            return Err(Error::damaged(format!(
                "it claims {count} {of}, which do not fit it"
            )));
        }
        Ok(())
    }

    /// A text of at most `most` bytes. Bytes that are no UTF-8 become replacement characters.
    pub(super) fn text(&mut self, most: u64) -> Result<String> {
        let length = self.count("bytes of text", most, 1)?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| Error::damaged("a text is too long"))?];
        self.fill(&mut bytes)?;
        Ok(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        })
    }

    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    /// The next four bytes as an unsigned number.
    pub(super) fn u32(&mut self) -> Result<u32> {
        self.bytes().map(u32::from_le_bytes)
    }

    /// The next eight bytes as an unsigned number.
    pub(super) fn u64(&mut self) -> Result<u64> {
        self.bytes().map(u64::from_le_bytes)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        if bytes.len() as u64 > self.length - self.position {
            return Err(Error::damaged("it ends within its header"));
        }
        self.reader.read_exact(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }
}
