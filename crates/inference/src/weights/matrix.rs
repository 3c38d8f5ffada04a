//! A quantised matrix in tiles.

use half::f16;

use super::Activations;
use crate::kernels::{self, BLOCK, FourBit, Halves, Level, Line, Packed, TILE_ROWS};

/// A quantised matrix; `crate::kernels` says how its tiles are laid out.
#[derive(Debug)]
pub(crate) struct Matrix {
    rows: usize,
    columns: usize,
    tiles: Tiles,
}

/// All tiles, block after block.
#[derive(Debug)]
pub(super) enum Tiles {
    /// Four bits a weight, and for each 32 a scale and an offset: 5 bits a weight.
    Four {
        quants: Vec<[Line; 4]>,
        scales: Vec<Halves>,
        minima: Vec<Halves>,
    },
    /// Eight bits a weight, and for each 32 a scale: 8.5 bits a weight.
    Eight {
        quants: Vec<[Line; 8]>,
        scales: Vec<Halves>,
    },
}

impl Matrix {
    /// A matrix of its tiles.
    pub(super) fn new(rows: usize, columns: usize, tiles: Tiles) -> Self {
        Self { rows, columns, tiles }
    }

    /// How many rows it has: the length of a product's rows.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Computes the products of all rows of `activations` with the matrix, one row of `outputs` for each.
    pub(crate) fn multiply(&self, level: Level, activations: &Activations, outputs: &mut [f32]) {
        let packed = match &self.tiles {
            Tiles::Four {
                quants,
                scales,
                minima,
            } => Packed::Four(FourBit {
                quants,
                scales,
                minima,
            }),
            Tiles::Eight { quants, scales } => Packed::eight(quants, scales),
        };
        kernels::multiply(
            level,
            packed,
            activations.blocks(),
            self.rows,
            &activations.rows(),
            outputs,
        );
    }

    /// Writes one row as plain numbers.
    pub(crate) fn copy_row(&self, row: usize, output: &mut [f32]) {
        let blocks = self.columns / BLOCK;
        let first = row / TILE_ROWS * blocks;
        let lane = row % TILE_ROWS;
        let (outputs, _) = output.as_chunks_mut::<BLOCK>();
        for (block, output) in (first..first + blocks).zip(outputs) {
            match &self.tiles {
                Tiles::Four {
                    quants,
                    scales,
                    minima,
                } => {
                    let Some(((lines, scales), minima)) =
                        quants.get(block).zip(scales.get(block)).zip(minima.get(block))
                    else {
                        return;
                    };
                    let (low, high) = output.split_at_mut(BLOCK / 2);
                    copy_lane(lines, lane, low, |byte| f32::from(byte & 15));
                    copy_lane(lines, lane, high, |byte| f32::from(byte >> 4));
                    let (scale, minimum) = (half(scales, lane), half(minima, lane));
                    for value in output.iter_mut() {
                        *value = *value * scale + minimum;
                    }
                }
                Tiles::Eight { quants, scales } => {
                    let Some((lines, scales)) = quants.get(block).zip(scales.get(block)) else {
                        return;
                    };
                    copy_lane(lines, lane, output, |byte| f32::from(byte) - 128.0);
                    let scale = half(scales, lane);
                    for value in output.iter_mut() {
                        *value *= scale;
                    }
                }
            }
        }
    }
}

fn copy_lane(lines: &[Line], lane: usize, output: &mut [f32], value: impl Fn(u8) -> f32) {
    for (line, output) in lines.iter().zip(output.chunks_exact_mut(4)) {
        let (lanes, _) = line.0.as_chunks::<4>();
        for (output, byte) in output.iter_mut().zip(lanes.get(lane).into_iter().flatten()) {
            *output = value(*byte);
        }
    }
}

fn half(halves: &Halves, lane: usize) -> f32 {
    halves
        .get(lane)
        .map_or(0.0, |bits| f16::from_bits(*bits).to_f32())
}
