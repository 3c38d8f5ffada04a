//! The attention of all tokens of a text to all of them.

use super::Config;
use crate::kernels::{self, Level, SmallProduct, Softmax};

/// Positions are filled up to a multiple of this, for the products' columns.
const COLUMNS: usize = 16;

/// Buffers of an attention.
#[derive(Debug, Default)]
pub(super) struct Attention {
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    scores: Vec<f32>,
    results: Vec<f32>,
}

/// What the attention of one text is computed of: one row for each token.
#[derive(Debug, Clone, Copy)]
pub(super) struct Inputs<'a> {
    pub(super) level: Level,
    pub(super) config: &'a Config,
    pub(super) queries: &'a [f32],
    pub(super) keys: &'a [f32],
    pub(super) values: &'a [f32],
}

impl Attention {
    /// Writes each token's attention to `outputs`, one row each.
    pub(super) fn compute(&mut self, inputs: Inputs<'_>, outputs: &mut [f32]) {
        for head in 0..inputs.config.heads {
            self.head(inputs, head, outputs);
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "heads have at most some hundred numbers"
    )]
    fn head(&mut self, inputs: Inputs<'_>, head: usize, outputs: &mut [f32]) {
        let Inputs { level, config, .. } = inputs;
        let width = config.head_width();
        let tokens = inputs.queries.len() / config.width;
        let columns = tokens.next_multiple_of(COLUMNS);
        let scale = 1.0 / (width as f32).sqrt();
        gather(inputs.queries, config, head, &mut self.queries);
        for query in &mut self.queries {
            *query *= scale;
        }
        gather(inputs.values, config, head, &mut self.values);
        self.turn(inputs.keys, config, head, columns);
        self.scores.clear();
        self.scores.resize(tokens * columns, 0.0);
        kernels::multiply_add(
            level,
            SmallProduct {
                left: &self.queries,
                left_stride: width,
                depth: width,
                right: &self.keys,
                width: columns,
                used: columns,
                outputs: &mut self.scores,
            },
        );
        let mut totals = Vec::with_capacity(tokens);
        for scores in self.scores.chunks_exact_mut(columns) {
            let mut state = Softmax::START;
            kernels::softmax_page(level, scores, tokens, &mut state, &mut []);
            totals.push(state.total);
        }
        self.results.clear();
        self.results.resize(tokens * width, 0.0);
        kernels::multiply_add(
            level,
            SmallProduct {
                left: &self.scores,
                left_stride: columns,
                depth: tokens,
                right: &self.values,
                width,
                used: width,
                outputs: &mut self.results,
            },
        );
        let results = self.results.chunks_exact(width).zip(totals);
        for (row, (result, total)) in outputs.chunks_exact_mut(config.width).zip(results) {
            for (target, value) in row.iter_mut().skip(head * width).zip(result) {
                *target = value / total;
            }
        }
    }

    /// The keys of a head with one row for each of their numbers.
    fn turn(&mut self, keys: &[f32], config: &Config, head: usize, columns: usize) {
        let width = config.head_width();
        self.keys.clear();
        self.keys.resize(width * columns, 0.0);
        for (token, row) in keys.chunks_exact(config.width).enumerate() {
            let numbers = row.iter().skip(head * width).take(width);
            for (number, target) in numbers.zip(self.keys.chunks_exact_mut(columns)) {
                if let Some(target) = target.get_mut(token) {
                    *target = *number;
                }
            }
        }
    }
}

fn gather(rows: &[f32], config: &Config, head: usize, target: &mut Vec<f32>) {
    let width = config.head_width();
    target.clear();
    for row in rows.chunks_exact(config.width) {
        target.extend(row.iter().skip(head * width).take(width));
    }
}
