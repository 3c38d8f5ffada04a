//! From rows in a file's format to tiles.
//!
//! Formats of four bits keep them; `Q8_0` is only rearranged; everything else goes through single precision to eight
//! bits with a scale for each 32 weights.

use candle_core::{
    Device,
    quantized::{GgmlDType, ggml_file::qtensor_from_ggml},
};
use half::f16;

use super::matrix::Tiles;
use crate::{
    error::{Error, Result},
    gguf::Format,
    kernels::{BLOCK, Halves, Line, TILE_ROWS},
};

/// Whether a format's weights keep their four bits.
pub(super) fn keeps_four_bits(kind: GgmlDType) -> bool {
    matches!(kind, GgmlDType::Q4_0 | GgmlDType::Q4_1 | GgmlDType::Q4K)
}

/// Empty tiles for a matrix.
pub(super) fn empty(kind: GgmlDType, rows: usize, columns: usize) -> Tiles {
    let blocks = rows.div_ceil(TILE_ROWS) * (columns / BLOCK);
    let zero = [0; TILE_ROWS];
    if keeps_four_bits(kind) {
        Tiles::Four {
            quants: vec![[Line([0; 64]); 4]; blocks],
            scales: vec![zero; blocks],
            minima: vec![zero; blocks],
        }
    } else {
        Tiles::Eight {
            quants: vec![[Line([128; 64]); 8]; blocks],
            scales: vec![zero; blocks],
        }
    }
}

/// Writes one row of a file into the tiles.
pub(super) fn row(tiles: &mut Tiles, format: Format, columns: usize, row: usize, bytes: &[u8]) -> Result<()> {
    let blocks = columns / BLOCK;
    let first = row / TILE_ROWS * blocks;
    let lane = row % TILE_ROWS;
    match tiles {
        Tiles::Four {
            quants,
            scales,
            minima,
        } => {
            let quants = quants.iter_mut().skip(first).take(blocks);
            let halves = scales.iter_mut().zip(minima).skip(first).take(blocks);
            for ((lines, (scales, minima)), source) in
                quants.zip(halves).zip(four_bit_blocks(format.kind, bytes))
            {
                put(lines, lane, &source.quants);
                set(scales, lane, source.scale);
                set(minima, lane, source.minimum);
            }
        }
        Tiles::Eight { quants, scales } => {
            let targets = quants.iter_mut().zip(scales).skip(first).take(blocks);
            if format.kind == GgmlDType::Q8_0 {
                for ((lines, scales), source) in targets.zip(bytes.as_chunks::<34>().0) {
                    let [low, high, quants @ ..] = source;
                    put(lines, lane, &quants.map(|byte| byte ^ 128));
                    set(scales, lane, f16::from_le_bytes([*low, *high]));
                }
            } else {
                let numbers = plain(format, columns, bytes)?;
                for ((lines, scales), numbers) in targets.zip(numbers.as_chunks::<BLOCK>().0) {
                    let (quants, scale) = eight_bits(numbers);
                    put(lines, lane, &quants);
                    set(scales, lane, scale);
                }
            }
        }
    }
    Ok(())
}

/// A row of a file as plain numbers.
pub(super) fn plain(format: Format, columns: usize, bytes: &[u8]) -> Result<Vec<f32>> {
    // Candle casts the bytes to its blocks, some of which hold numbers of four bytes and want to be aligned.
    let mut buffer = vec![0; bytes.len() + 64];
    let start = buffer.as_ptr().align_offset(64);
    let Some(aligned) = buffer.get_mut(start..start + bytes.len()) else {
        return Err(Error::Defect("a buffer could not be aligned".to_owned()));
    };
    aligned.copy_from_slice(bytes);
    qtensor_from_ggml(format.kind, aligned, vec![columns], &Device::Cpu)
        .and_then(|tensor| tensor.dequantize(&Device::Cpu))
        .and_then(|tensor| tensor.to_vec1::<f32>())
        .map_err(|error| Error::damaged(format!("a tensor cannot be read: {error}")))
}

fn put<const LINES: usize>(lines: &mut [Line; LINES], lane: usize, bytes: &[u8]) {
    let (fours, _) = bytes.as_chunks::<4>();
    for (line, four) in lines.iter_mut().zip(fours) {
        if let Some(target) = line.0.as_chunks_mut::<4>().0.get_mut(lane) {
            *target = *four;
        }
    }
}

fn set(halves: &mut Halves, lane: usize, value: f16) {
    if let Some(half) = halves.get_mut(lane) {
        *half = value.to_bits();
    }
}

/// Quantises 32 numbers to signed bytes, given plus 128, and their scale.
fn eight_bits(numbers: &[f32; BLOCK]) -> ([u8; BLOCK], f16) {
    let largest = numbers
        .iter()
        .fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = f16::from_f32(largest / 127.0);
    let inverse = if scale.to_f32() > 0.0 {
        1.0 / scale.to_f32()
    } else {
        0.0
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to what a byte holds; the cast of NaN is 0"
    )]
    let quants = numbers.map(|number| ((number * inverse).round().clamp(-127.0, 127.0) + 128.0) as u8);
    (quants, scale)
}

/// Thirty-two four-bit weights.
struct FourBitBlock {
    /// Weights 0–15 in the low halves, 16–31 in the high ones.
    quants: [u8; 16],
    scale: f16,
    minimum: f16,
}

fn four_bit_blocks(kind: GgmlDType, bytes: &[u8]) -> Box<dyn Iterator<Item = FourBitBlock> + '_> {
    match kind {
        GgmlDType::Q4_0 => Box::new(bytes.as_chunks::<18>().0.iter().map(q4_0)),
        GgmlDType::Q4_1 => Box::new(bytes.as_chunks::<20>().0.iter().map(q4_1)),
        _ => Box::new(bytes.as_chunks::<144>().0.iter().flat_map(q4_k)),
    }
}

/// `Q4_0`: a scale, 16 bytes; a weight is `scale · (quant - 8)`.
fn q4_0(source: &[u8; 18]) -> FourBitBlock {
    let [low, high, quants @ ..] = *source;
    let scale = f16::from_le_bytes([low, high]);
    FourBitBlock {
        quants,
        scale,
        minimum: f16::from_f32(-8.0 * scale.to_f32()),
    }
}

/// `Q4_1`: a scale, a minimum, 16 bytes; a weight is `scale · quant + minimum`.
fn q4_1(source: &[u8; 20]) -> FourBitBlock {
    let [a, b, c, d, quants @ ..] = *source;
    FourBitBlock {
        quants,
        scale: f16::from_le_bytes([a, b]),
        minimum: f16::from_le_bytes([c, d]),
    }
}

/// `Q4_K`: two factors, twelve bytes with eight scales and eight minima of six bits, and 128 bytes with 8 × 32 weights,
/// of which each 32 bytes hold one block in their low and the next in their high halves.
fn q4_k(source: &[u8; 144]) -> impl Iterator<Item = FourBitBlock> + use<> {
    let [a, b, c, d, rest @ ..] = *source;
    let scale = f16::from_le_bytes([a, b]).to_f32();
    let minimum = f16::from_le_bytes([c, d]).to_f32();
    let (packed, quants) = rest.split_at(12);
    let packed: [u8; 12] = std::array::from_fn(|index| packed.get(index).copied().unwrap_or_default());
    let quants: [u8; 128] = std::array::from_fn(|index| quants.get(index).copied().unwrap_or_default());
    (0..8).map(move |block| {
        let (six_scale, six_minimum) = six_bits(&packed, block);
        let pair = quants
            .as_chunks::<32>()
            .0
            .get(block / 2)
            .copied()
            .unwrap_or([0; 32]);
        let weights = pair.map(|byte| if block % 2 == 0 { byte & 15 } else { byte >> 4 });
        let (low, high) = weights.split_at(16);
        FourBitBlock {
            quants: std::array::from_fn(|index| {
                let (low, high) = (low.get(index), high.get(index));
                low.copied().unwrap_or_default() | high.copied().unwrap_or_default() << 4
            }),
            scale: f16::from_f32(scale * f32::from(six_scale)),
            minimum: f16::from_f32(-minimum * f32::from(six_minimum)),
        }
    })
}

/// The scale and the minimum of a block of `Q4_K`: the first four blocks' are whole, the others' upper two bits are
/// those that the first leave free.
fn six_bits(packed: &[u8; 12], block: usize) -> (u8, u8) {
    let byte = |index: usize| packed.get(index).copied().unwrap_or_default();
    if block < 4 {
        (byte(block) & 63, byte(block + 4) & 63)
    } else {
        let low = byte(block + 4);
        (
            low & 15 | byte(block - 4) >> 6 << 4,
            low >> 4 | byte(block) >> 6 << 4,
        )
    }
}
