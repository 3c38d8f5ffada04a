//! Tensors from a file into memory.

use super::{Matrix, pack};
use crate::{
    error::{Error, Result},
    gguf::{Entry, Gguf},
    kernels::BLOCK,
};

/// How many bytes are read at once.
const PORTION: usize = 1 << 19;

/// Reads a matrix of this shape.
pub(crate) fn read_matrix(file: &Gguf, name: &str, rows: usize, columns: usize) -> Result<Matrix> {
    let entry = find(file, name, rows, columns)?;
    if !columns.is_multiple_of(BLOCK) {
        return Err(Error::unsupported(format!(
            "its tensor `{name}` has rows of {columns} numbers"
        )));
    }
    let mut tiles = pack::empty(entry.format.kind, rows, columns);
    let row_bytes = entry.row_bytes();
    let rows_at_once = (PORTION / row_bytes).clamp(1, rows);
    let mut buffer = vec![0; rows_at_once * row_bytes];
    let mut row = 0;
    while row < rows {
        let count = rows_at_once.min(rows - row);
        buffer.truncate(count * row_bytes);
        file.read(entry, (row * row_bytes) as u64, &mut buffer)?;
        for bytes in buffer.chunks_exact(row_bytes) {
            pack::row(&mut tiles, entry.format, columns, row, bytes)?;
            row += 1;
        }
    }
    Ok(Matrix::new(rows, columns, tiles))
}

/// Reads a vector of this length.
pub(crate) fn read_vector(file: &Gguf, name: &str, length: usize) -> Result<Vec<f32>> {
    let entry = find(file, name, 1, length)?;
    let mut buffer = vec![0; entry.row_bytes()];
    file.read(entry, 0, &mut buffer)?;
    pack::plain(entry.format, length, &buffer)
}

/// How many bytes a matrix of the file takes in memory; none when there is no such tensor.
pub(crate) fn stored_bytes(file: &Gguf, name: &str) -> u64 {
    let Some(entry) = file.tensor(name) else { return 0 };
    let bytes = if pack::keeps_four_bits(entry.format.kind) {
        20
    } else {
        34
    };
    entry.rows as u64 * (entry.columns / BLOCK) as u64 * bytes
}

fn find<'a>(file: &'a Gguf, name: &str, rows: usize, columns: usize) -> Result<&'a Entry> {
    let Some(entry) = file.tensor(name) else {
        return Err(Error::damaged(format!("it has no tensor `{name}`")));
    };
    if (entry.rows, entry.columns) != (rows, columns) {
        return Err(Error::damaged(format!(
            "its tensor `{name}` is {} × {} instead of {rows} × {columns}",
            entry.rows, entry.columns
        )));
    }
    Ok(entry)
}
