//! Tensors' shapes, formats and places.

use candle_core::quantized::GgmlDType;

use super::cursor::Cursor;
use crate::error::{Error, Result};

/// The largest dimension that is believed.
const MAX_DIMENSION: u64 = 1 << 32;

/// Where a tensor lies and what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Elements of a row; the fastest-running dimension.
    pub(crate) columns: usize,
    /// All other dimensions together.
    pub(crate) rows: usize,
    /// How its numbers are written.
    pub(crate) format: Format,
    /// From the start of the data, in bytes.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) bytes: u64,
}

/// Formats of plain numbers, in which other files than GGUF have their tensors too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    F32,
    F16,
    BF16,
}

impl Entry {
    /// A tensor of plain numbers; `None` when its shape makes no sense.
    pub(crate) fn plain(sort: Sort, shape: &[u64], offset: u64) -> Option<Self> {
        let (kind, bytes) = match sort {
            Sort::F32 => (GgmlDType::F32, 4),
            Sort::F16 => (GgmlDType::F16, 2),
            Sort::BF16 => (GgmlDType::BF16, 2),
        };
        let (columns, others) = shape.split_last()?;
        let rows = others
            .iter()
            .try_fold(1_u64, |rows, dimension| rows.checked_mul(*dimension))?;
        let sensible = |count: u64| (1..=MAX_DIMENSION).contains(&count);
        if !sensible(*columns) || !sensible(rows) {
            return None;
        }
        Some(Self {
            columns: usize::try_from(*columns).ok()?,
            rows: usize::try_from(rows).ok()?,
            format: Format {
                kind,
                block: 1,
                bytes,
            },
            offset,
            bytes: columns.checked_mul(bytes as u64)?.checked_mul(rows)?,
        })
    }

    /// Its length in bytes.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes of a row.
    pub(crate) fn row_bytes(&self) -> usize {
        self.columns / self.format.block * self.format.bytes
    }
}

/// How a tensor's numbers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Format {
    /// Its name in candle, which reads all of them.
    pub(crate) kind: GgmlDType,
    /// Numbers of a block.
    pub(crate) block: usize,
    /// Bytes of a block.
    pub(crate) bytes: usize,
}

/// Format numbers of GGUF that the engine reads: number, candle's name, numbers and bytes of a block.
const FORMATS: [(u32, GgmlDType, usize, usize); 13] = [
    (0, GgmlDType::F32, 1, 4),
    (1, GgmlDType::F16, 1, 2),
    (2, GgmlDType::Q4_0, 32, 18),
    (3, GgmlDType::Q4_1, 32, 20),
    (6, GgmlDType::Q5_0, 32, 22),
    (7, GgmlDType::Q5_1, 32, 24),
    (8, GgmlDType::Q8_0, 32, 34),
    (10, GgmlDType::Q2K, 256, 84),
    (11, GgmlDType::Q3K, 256, 110),
    (12, GgmlDType::Q4K, 256, 144),
    (13, GgmlDType::Q5K, 256, 176),
    (14, GgmlDType::Q6K, 256, 210),
    (30, GgmlDType::BF16, 1, 2),
];

/// Reads what follows a tensor's name.
pub(super) fn read(cursor: &mut Cursor<'_>, name: &str) -> Result<Entry> {
    let odd = || Error::damaged(format!("its tensor `{name}` has no sensible shape"));
    let dimensions = cursor.u32()?;
    if !(1..=4).contains(&dimensions) {
        return Err(odd());
    }
    let columns = cursor.u64()?;
    let mut rows = 1_u64;
    for _ in 1..dimensions {
        rows = rows.checked_mul(cursor.u64()?).ok_or_else(odd)?;
    }
    let number = cursor.u32()?;
    let offset = cursor.u64()?;
    let Some((_, kind, block, bytes)) = FORMATS.into_iter().find(|format| format.0 == number) else {
        return Err(Error::unsupported(format!(
            "its tensor `{name}` has format {number}"
        )));
    };
    let format = Format { kind, block, bytes };
    if columns == 0
        || rows == 0
        || columns > MAX_DIMENSION
        || rows > MAX_DIMENSION
        || columns % block as u64 != 0
    {
        return Err(odd());
    }
    let size = (columns / block as u64 * bytes as u64)
        .checked_mul(rows)
        .ok_or_else(odd)?;
    Ok(Entry {
        columns: usize::try_from(columns).map_err(|_| odd())?,
        rows: usize::try_from(rows).map_err(|_| odd())?,
        format,
        offset,
        bytes: size,
    })
}
