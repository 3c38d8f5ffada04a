//! Attention of some tokens of one sequence to all of its positions, page by page.
//!
//! The softmax is carried along from page to page (Milakov and Gimelshein 2018, <https://arxiv.org/abs/1805.02867>),
//! so that the scores of a page are all that is ever held.

use super::{
    Config,
    cache::{Cache, PAGE, Page},
};
use crate::kernels::{self, Level, SmallProduct, Softmax};

/// Buffers of an attention.
#[derive(Debug, Default)]
pub(super) struct Attention {
    queries: Vec<f32>,
    scores: Vec<f32>,
    outputs: Vec<f32>,
    states: Vec<Softmax>,
    keys: Vec<f32>,
    values: Vec<f32>,
}

/// What an attention is computed of.
pub(super) struct Inputs<'a> {
    pub(super) level: Level,
    pub(super) config: &'a Config,
    pub(super) cache: &'a Cache,
    pub(super) layer: usize,
    /// The position of the first token.
    pub(super) position: usize,
    /// The queries of the tokens, one row each.
    pub(super) queries: &'a [f32],
}

impl Attention {
    /// Writes each token's attention to `outputs`, one row each.
    pub(super) fn compute(&mut self, inputs: &Inputs<'_>, outputs: &mut [f32]) {
        for head in 0..inputs.config.kv_heads {
            self.gather(inputs, head);
            let pages = inputs.cache.pages(inputs.layer);
            for (index, page) in pages.iter().enumerate() {
                self.page(inputs, head, index * PAGE, page);
            }
            self.scatter(inputs.config, head, outputs);
        }
    }

    /// Collects the queries that one head of keys serves, scaled.
    #[expect(
        clippy::cast_precision_loss,
        reason = "heads have at most some hundred numbers"
    )]
    fn gather(&mut self, inputs: &Inputs<'_>, head: usize) {
        let config = inputs.config;
        let scale = 1.0 / (config.head_width as f32).sqrt();
        let group = config.query_width() / config.kv_heads;
        self.queries.clear();
        for row in inputs.queries.chunks_exact(config.query_width()) {
            let heads = row.iter().skip(head * group).take(group);
            self.queries.extend(heads.map(|query| query * scale));
        }
        let rows = self.queries.len() / config.head_width;
        self.outputs.clear();
        self.outputs.resize(self.queries.len(), 0.0);
        self.scores.resize(rows * PAGE, 0.0);
        self.states.clear();
        self.states.resize(rows, Softmax::START);
        self.keys.resize(PAGE * config.head_width, 0.0);
        self.values.resize(PAGE * config.head_width, 0.0);
    }

    /// Adds what one page contributes.
    fn page(&mut self, inputs: &Inputs<'_>, head: usize, start: usize, page: &Page) {
        let config = inputs.config;
        let width = config.head_width;
        let group = config.heads / config.kv_heads;
        let tokens = self.states.len() / group;
        let Some(used) = (inputs.position + tokens)
            .checked_sub(start)
            .map(|used| used.min(PAGE))
        else {
            return;
        };
        let of_head = |numbers: &[u16], output: &mut [f32]| {
            if let Some(numbers) = numbers.chunks_exact(PAGE * width).nth(head) {
                kernels::widen(inputs.level, numbers, output);
            }
        };
        of_head(&page.keys, &mut self.keys);
        of_head(&page.values, &mut self.values);
        self.scores.fill(0.0);
        kernels::multiply_add(
            inputs.level,
            SmallProduct {
                left: &self.queries,
                left_stride: width,
                depth: width,
                right: &self.keys,
                width: PAGE,
                used,
                outputs: &mut self.scores,
            },
        );
        let rows = self.scores.chunks_exact_mut(PAGE).zip(&mut self.states);
        for (row, ((scores, state), output)) in rows.zip(self.outputs.chunks_exact_mut(width)).enumerate() {
            let visible = (inputs.position + row / group + 1)
                .saturating_sub(start)
                .min(PAGE);
            kernels::softmax_page(inputs.level, scores, visible, state, output);
        }
        kernels::multiply_add(
            inputs.level,
            SmallProduct {
                left: &self.scores,
                left_stride: PAGE,
                depth: used,
                right: &self.values,
                width,
                used: width,
                outputs: &mut self.outputs,
            },
        );
    }

    /// Writes the results of one head of keys to the rows of their tokens.
    fn scatter(&self, config: &Config, head: usize, outputs: &mut [f32]) {
        let width = config.head_width;
        let group = config.heads / config.kv_heads;
        let results = self
            .outputs
            .chunks_exact(group * width)
            .zip(self.states.chunks_exact(group));
        for (row, (results, states)) in outputs.chunks_exact_mut(config.query_width()).zip(results) {
            let heads = row.chunks_exact_mut(width).skip(head * group);
            for ((target, result), state) in heads.zip(results.chunks_exact(width)).zip(states) {
                for (target, value) in target.iter_mut().zip(result) {
                    *target = value / state.total;
                }
            }
        }
    }
}
