//! The GGUF file format, versions 2 and 3, little-endian, read with distrust.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.
//!
//! *Invariants:* no count or length from the file is believed before it was held against the file's own size, so a
//! damaged header costs an error and never memory; nothing is mapped, so a file that shrinks is an error, not a signal.

mod cursor;
mod tensor;
#[cfg(test)]
mod tests;
mod value;

use std::{collections::HashMap, fs::File, os::unix::fs::FileExt, path::Path};

pub(crate) use tensor::{Entry, Format, Sort};
pub(crate) use value::{List, Value};

use crate::error::{Error, Result};
use cursor::Cursor;

const MAGIC: [u8; 4] = *b"GGUF";
/// The most metadata keys, and the most tensors, that a file may have.
const MAX_ENTRIES: u64 = 1 << 16;
/// The longest name of a key or tensor, in bytes.
const MAX_NAME: u64 = 1 << 12;

/// An open model file: what it says of itself, and where its tensors lie.
#[derive(Debug)]
pub(crate) struct Gguf {
    file: File,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, Entry>,
    data: u64,
}

impl Gguf {
    /// Opens a file and reads its header.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut cursor = Cursor::new(&file, length);
        if length < 24 || cursor.bytes::<4>()? != MAGIC {
            return Err(Error::damaged("it is not a GGUF file"));
        }
        let version = cursor.u32()?;
        match version {
            2 | 3 => {}
            1 => return Err(Error::unsupported("it is a GGUF file of version 1")),
            _ if version.swap_bytes() <= 3 => return Err(Error::unsupported("it is a big-endian GGUF file")),
            4..100 => {
                return Err(Error::unsupported(format!(
                    "it is a GGUF file of version {version}"
                )));
            }
            _ => return Err(Error::damaged("its version makes no sense")),
        }
        let tensors = cursor.count("tensors", MAX_ENTRIES, 24)?;
        let keys = cursor.count("metadata keys", MAX_ENTRIES, 13)?;
        let metadata = read_metadata(&mut cursor, keys)?;
        let tensors = read_tensors(&mut cursor, tensors)?;
        let alignment = alignment(&metadata)?;
        let data = cursor.position().next_multiple_of(alignment);
        check_extents(&tensors, alignment, length.saturating_sub(data))?;
        Ok(Self {
            file,
            metadata,
            tensors,
            data,
        })
    }

    /// The same of a file in another format, whose header was read elsewhere; offsets count from `data`.
    pub(crate) fn assemble(
        file: File,
        metadata: HashMap<String, Value>,
        tensors: HashMap<String, Entry>,
        data: u64,
    ) -> Result<Self> {
        let length = file.metadata()?.len();
        check_extents(&tensors, 1, length.saturating_sub(data))?;
        Ok(Self {
            file,
            metadata,
            tensors,
            data,
        })
    }

    /// The value of a metadata key.
    pub(crate) fn value(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    /// The text of a metadata key; `None` when it is absent or no text.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        self.value(key).and_then(Value::as_text)
    }

    /// The integer of a metadata key; `None` when it is absent.
    pub(crate) fn integer(&self, key: &str) -> Result<Option<usize>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match value.as_integer() {
            Some(integer) => Ok(Some(integer)),
            None => Err(Error::damaged(format!("its `{key}` is no sensible number"))),
        }
    }

    /// The number of a metadata key; `None` when it is absent.
    pub(crate) fn number(&self, key: &str) -> Result<Option<f64>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match value.as_number() {
            Some(number) if number.is_finite() => Ok(Some(number)),
            _ => Err(Error::damaged(format!("its `{key}` is no sensible number"))),
        }
    }

    /// A tensor's place and shape.
    pub(crate) fn tensor(&self, name: &str) -> Option<&Entry> {
        self.tensors.get(name)
    }

    /// Reads a part of a tensor's bytes.
    pub(crate) fn read(&self, entry: &Entry, from: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(buffer, self.data + entry.offset + from)?)
    }
}

fn read_metadata(cursor: &mut Cursor<'_>, count: u64) -> Result<HashMap<String, Value>> {
    let mut metadata = HashMap::new();
    for _ in 0..count {
        let key = cursor.text(MAX_NAME)?;
        let value = value::read(cursor)?;
        metadata.insert(key, value);
    }
    Ok(metadata)
}

fn read_tensors(cursor: &mut Cursor<'_>, count: u64) -> Result<HashMap<String, Entry>> {
    let mut tensors = HashMap::new();
    for _ in 0..count {
        let name = cursor.text(MAX_NAME)?;
        let entry = tensor::read(cursor, &name)?;
        if tensors.insert(name.clone(), entry).is_some() {
            return Err(Error::damaged(format!("it has two tensors `{name}`")));
        }
    }
    Ok(tensors)
}

fn alignment(metadata: &HashMap<String, Value>) -> Result<u64> {
    let Some(value) = metadata.get("general.alignment") else {
        return Ok(32);
    };
    match value.as_integer() {
        Some(alignment) if alignment.is_power_of_two() && (8..=1 << 20).contains(&alignment) => {
            Ok(alignment as u64)
        }
        _ => Err(Error::damaged("its alignment is no sensible number")),
    }
}

fn check_extents(tensors: &HashMap<String, Entry>, alignment: u64, length: u64) -> Result<()> {
    for (name, entry) in tensors {
        if !entry.offset.is_multiple_of(alignment) {
            return Err(Error::damaged(format!("its tensor `{name}` is not aligned")));
        }
        if entry
            .offset
            .checked_add(entry.bytes)
            .is_none_or(|end| end > length)
        {
            return Err(Error::damaged(format!("it ends before its tensor `{name}` does")));
        }
    }
    Ok(())
}
