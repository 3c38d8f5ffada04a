//! Tile products without vector instructions; also the reference that the others are tested against.

#![expect(clippy::inline_always, reason = "they are the innermost loops")]

use half::f16;

use super::tile::{EightBit, FourBit, Halves, LANES, Line, Row};

/// The product of a tile of four-bit weights with some rows.
pub(super) fn four<const ROWS: usize>(tile: FourBit<'_>, rows: &[Row<'_>; ROWS]) -> [[f32; LANES]; ROWS] {
    rows.map(|row| {
        let mut sums = [0.0; LANES];
        let blocks = tile.quants.iter().zip(tile.scales).zip(tile.minima);
        for (((lines, scales), minima), input) in blocks.zip(Inputs::of(row)) {
            let mut dots = [0; LANES];
            let (low, high) = input.quants.split_at(4);
            for ((line, low), high) in lines.iter().zip(low).zip(high) {
                accumulate(&mut dots, line, *low, |byte| i32::from(byte & 15));
                accumulate(&mut dots, line, *high, |byte| i32::from(byte >> 4));
            }
            scale(&mut sums, dots, scales, input.scale);
            for (sum, minimum) in sums.iter_mut().zip(minima) {
                *sum += f16::from_bits(*minimum).to_f32() * input.sum;
            }
        }
        sums
    })
}

/// The product of a tile of eight-bit weights with some rows.
pub(super) fn eight<const ROWS: usize>(tile: EightBit<'_>, rows: &[Row<'_>; ROWS]) -> [[f32; LANES]; ROWS] {
    rows.map(|row| {
        let mut sums = [0.0; LANES];
        for ((lines, scales), input) in tile.quants.iter().zip(tile.scales).zip(Inputs::of(row)) {
            let mut dots = [0; LANES];
            for (line, quants) in lines.iter().zip(input.quants) {
                accumulate(&mut dots, line, *quants, |byte| i32::from(byte) - 128);
            }
            scale(&mut sums, dots, scales, input.scale);
        }
        sums
    })
}

/// A block of activations.
struct Input<'a> {
    quants: &'a [i32; 8],
    scale: f32,
    sum: f32,
}

/// The blocks of a row.
struct Inputs;

impl Inputs {
    fn of(row: Row<'_>) -> impl Iterator<Item = Input<'_>> {
        let parts = row.quants.iter().zip(row.scales).zip(row.sums);
        parts.map(|((quants, scale), sum)| Input {
            quants,
            scale: *scale,
            sum: *sum,
        })
    }
}

#[inline(always)]
fn accumulate(dots: &mut [i32; LANES], line: &Line, quants: i32, value: impl Fn(u8) -> i32) {
    let inputs = quants.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
    let (weights, _) = line.0.as_chunks::<4>();
    for (dot, weights) in dots.iter_mut().zip(weights) {
        for (weight, input) in weights.iter().zip(inputs) {
            *dot += value(*weight) * input;
        }
    }
}

#[inline(always)]
#[expect(
    clippy::cast_precision_loss,
    reason = "sums of 32 products of bytes are exact in an f32"
)]
fn scale(sums: &mut [f32; LANES], dots: [i32; LANES], scales: &Halves, input: f32) {
    for ((sum, dot), scale) in sums.iter_mut().zip(dots).zip(scales) {
        *sum += dot as f32 * (f16::from_bits(*scale).to_f32() * input);
    }
}
