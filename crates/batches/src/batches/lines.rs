//! The lines of a batch's file.

use std::path::Path;

use stead_kernel::{Error, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};

use crate::files;

/// The longest line, in bytes.
pub(super) const LONGEST_LINE: u64 = 32 << 20;

/// The lines of a file, read one at a time.
pub(super) struct Lines {
    reader: BufReader<tokio::fs::File>,
    number: u64,
}

impl Lines {
    pub(super) async fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            reader: BufReader::with_capacity(64 << 10, files::read(path).await?),
            number: 0,
        })
    }

    /// The next line that is not empty, and its number from 1.
    pub(super) async fn next(&mut self) -> Result<Option<(u64, Vec<u8>)>> {
        loop {
            let mut line = Vec::new();
            let mut reader = (&mut self.reader).take(LONGEST_LINE + 1);
            let read = reader.read_until(b'\n', &mut line).await;
            if read.map_err(|error| files::disk_error("the batch's file cannot be read", error))? == 0 {
                return Ok(None);
            }
            self.number += 1;
            if line.len() as u64 > LONGEST_LINE {
                return Err(Error::invalid(format!(
                    "line {} has more than {LONGEST_LINE} bytes",
                    self.number
                )));
            }
            let text = line.trim_ascii();
            // Some editors write a mark at the beginning of a file.
            let text = text
                .strip_prefix(b"\xef\xbb\xbf")
                .filter(|_| self.number == 1)
                .unwrap_or(text);
            if !text.is_empty() {
                return Ok(Some((self.number, text.to_vec())));
            }
        }
    }
}
