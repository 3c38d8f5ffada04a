//! Quantised weights laid out in tiles, and their product with quantised activations.
//!
//! A tile is 16 rows of a matrix. Its columns go in blocks of 32, which share a scale per row (and, with four bits,
//! an offset). Inside a block the bytes of four neighbouring columns of one row lie together, row after row, so that
//! one 64-byte line holds 16 rows × 4 columns: a vector instruction multiplies it with four activations that are
//! broadcast, and each lane sums for its own row. No sum across lanes is ever needed.
//!
//! Eight-bit weights are kept with 128 added, as unsigned bytes, which is what `vpdpbusd` multiplies. Four-bit ones
//! keep columns 0–15 of a block in the low and columns 16–31 in the high halves of their bytes.

use super::{Level, Set, portable};

/// Columns that share a scale.
pub(crate) const BLOCK: usize = 32;
/// Rows of a tile.
pub(crate) const TILE_ROWS: usize = 16;
/// Lanes of the sums, one per row of a tile.
pub(crate) const LANES: usize = TILE_ROWS;

/// Sixteen rows × four columns, aligned to a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// Half-precision numbers by their bits, one per row of a tile.
pub(crate) type Halves = [u16; TILE_ROWS];

/// What a tile of four-bit weights consists of, block after block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FourBit<'a> {
    /// The weights, 0–15.
    pub(crate) quants: &'a [[Line; 4]],
    /// What a unit is worth.
    pub(crate) scales: &'a [Halves],
    /// What zero is worth.
    pub(crate) minima: &'a [Halves],
}

/// What a tile of eight-bit weights consists of, block after block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EightBit<'a> {
    /// The weights plus 128.
    pub(crate) quants: &'a [[Line; 8]],
    /// What a unit is worth.
    pub(crate) scales: &'a [Halves],
}

/// One row of quantised activations, block after block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Four signed bytes each, the first in the lowest bits.
    pub(crate) quants: &'a [[i32; BLOCK / 4]],
    /// What a unit is worth.
    pub(crate) scales: &'a [f32],
    /// The sum of a block's activations.
    pub(crate) sums: &'a [f32],
}

/// All tiles of a matrix.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Packed<'a> {
    /// Four-bit weights with offsets.
    Four(FourBit<'a>),
    /// Eight-bit weights.
    Eight(EightBit<'a>),
}

impl<'a> Packed<'a> {
    /// Eight-bit tiles from their parts.
    pub(crate) fn eight(quants: &'a [[Line; 8]], scales: &'a [Halves]) -> Self {
        Self::Eight(EightBit { quants, scales })
    }
}

/// Computes `outputs[r][i] = Σ_k weights[i][k] · rows[r][k]` for the first `height` rows of the matrix.
///
/// `blocks` is the number of blocks in a row; `outputs` has `height` numbers for each of `rows`, one row after the other.
pub(crate) fn multiply(
    level: Level,
    weights: Packed<'_>,
    blocks: usize,
    height: usize,
    rows: &[Row<'_>],
    outputs: &mut [f32],
) {
    match weights {
        Packed::Four(matrix) => {
            let quants = matrix.quants.chunks_exact(blocks);
            let scales = matrix.scales.chunks_exact(blocks);
            let minima = matrix.minima.chunks_exact(blocks);
            for (tile, ((quants, scales), minima)) in quants.zip(scales).zip(minima).enumerate() {
                let part = FourBit {
                    quants,
                    scales,
                    minima,
                };
                for_each_group(rows, tile, height, outputs, |group| four(level, part, group));
            }
        }
        Packed::Eight(matrix) => {
            let quants = matrix.quants.chunks_exact(blocks);
            let scales = matrix.scales.chunks_exact(blocks);
            for (tile, (quants, scales)) in quants.zip(scales).enumerate() {
                let part = EightBit { quants, scales };
                for_each_group(rows, tile, height, outputs, |group| eight(level, part, group));
            }
        }
    }
}

/// The most rows of activations that one pass over a tile serves.
const GROUP: usize = 4;

/// The sums of one tile for up to four rows of activations; those beyond the group's size are not looked at.
type Sums = [[f32; LANES]; GROUP];

fn for_each_group<'r>(
    rows: &'r [Row<'r>],
    tile: usize,
    height: usize,
    outputs: &mut [f32],
    product: impl Fn(&'r [Row<'r>]) -> Sums,
) {
    let from = tile * TILE_ROWS;
    let to = (from + TILE_ROWS).min(height);
    let groups = rows.chunks(GROUP).zip(outputs.chunks_mut(height * GROUP));
    for (group, outputs) in groups {
        let sums = product(group);
        for (sums, output) in sums.iter().zip(outputs.chunks_exact_mut(height)) {
            if let Some(target) = output.get_mut(from..to) {
                for (target, sum) in target.iter_mut().zip(sums) {
                    *target = *sum;
                }
            }
        }
    }
}

/// Widens the result of a kernel for fewer rows to that for a whole group.
fn grouped<const ROWS: usize>(sums: [[f32; LANES]; ROWS]) -> Sums {
    let mut all = [[0.0; LANES]; GROUP];
    for (to, from) in all.iter_mut().zip(sums) {
        *to = from;
    }
    all
}

/// Calls `$kernel` for one to four rows.
macro_rules! by_rows {
    ($kernel:expr, $tile:expr, $rows:expr) => {
        match $rows {
            [a] => grouped($kernel($tile, &[*a])),
            [a, b] => grouped($kernel($tile, &[*a, *b])),
            [a, b, c] => grouped($kernel($tile, &[*a, *b, *c])),
            [a, b, c, d, ..] => grouped($kernel($tile, &[*a, *b, *c, *d])),
            [] => [[0.0; LANES]; GROUP],
        }
    };
}

#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a level exists only where the processor has its instructions"
    )
)]
fn four(level: Level, tile: FourBit<'_>, rows: &[Row<'_>]) -> Sums {
    match level.0 {
        Set::Portable => by_rows!(portable::four, tile, rows),
        // SAFETY: `Level::available` looked for the instructions that the kernel is compiled for.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { by_rows!(super::avx2::four, tile, rows) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { by_rows!(super::avx512::four, tile, rows) },
    }
}

#[cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "a level exists only where the processor has its instructions"
    )
)]
fn eight(level: Level, tile: EightBit<'_>, rows: &[Row<'_>]) -> Sums {
    match level.0 {
        Set::Portable => by_rows!(portable::eight, tile, rows),
        // SAFETY: `Level::available` looked for the instructions that the kernel is compiled for.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { by_rows!(super::avx2::eight, tile, rows) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { by_rows!(super::avx512::eight, tile, rows) },
    }
}
