//! Rows of activations, quantised for the product with a matrix.

use crate::kernels::{self, BLOCK, Level, Row};

/// Quantised rows of equal length.
#[derive(Debug, Default)]
pub(crate) struct Activations {
    rows: usize,
    blocks: usize,
    quants: Vec<[i32; BLOCK / 4]>,
    scales: Vec<f32>,
    sums: Vec<f32>,
}

impl Activations {
    /// Replaces what is there by `input`, whose rows have `columns` numbers, a multiple of 32.
    pub(crate) fn quantise(&mut self, level: Level, input: &[f32], columns: usize) {
        self.blocks = columns / BLOCK;
        self.rows = input.len() / columns;
        let blocks = self.rows * self.blocks;
        self.quants.resize(blocks, [0; BLOCK / 4]);
        self.scales.resize(blocks, 0.0);
        self.sums.resize(blocks, 0.0);
        kernels::quantise(level, input, &mut self.quants, &mut self.scales, &mut self.sums);
    }

    /// How many blocks a row has.
    pub(crate) fn blocks(&self) -> usize {
        self.blocks
    }

    /// The rows.
    pub(crate) fn rows(&self) -> Vec<Row<'_>> {
        let quants = self.quants.chunks_exact(self.blocks);
        let scales = self.scales.chunks_exact(self.blocks);
        let sums = self.sums.chunks_exact(self.blocks);
        quants
            .zip(scales)
            .zip(sums)
            .take(self.rows)
            .map(|((quants, scales), sums)| Row { quants, scales, sums })
            .collect()
    }
}
