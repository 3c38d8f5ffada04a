//! The way of some texts through an encoder, a layer at a time, so that a worker can do something else in between.

use super::{
    Encoder,
    attention::{Attention, Inputs},
    config::Pooling,
    load::{Dense, Norm},
};
use crate::{
    kernels::{self, Level},
    weights::Activations,
};

/// Texts on their way.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// Tokens of each text.
    lengths: Vec<usize>,
    /// One row for each token of each text.
    states: Vec<f32>,
    /// The next layer.
    layer: usize,
    attention: Attention,
    activations: Activations,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    attended: Vec<f32>,
    inner: Vec<f32>,
}

impl Batch {
    /// Begins with texts' tokens, each below the vocabulary's size and none longer than the context.
    pub(crate) fn begin<'a>(&mut self, encoder: &Encoder, texts: impl Iterator<Item = &'a [u32]>) {
        let width = encoder.config.width;
        self.layer = 0;
        self.lengths.clear();
        self.states.clear();
        let mut place = vec![0.0; width];
        for tokens in texts {
            self.lengths.push(tokens.len());
            for (position, token) in tokens.iter().enumerate() {
                let start = self.states.len();
                self.states.resize(start + width, 0.0);
                let (_, state) = self.states.split_at_mut(start);
                encoder.words.copy_row(*token as usize, state);
                encoder.positions.copy_row(position, &mut place);
                kernels::add(encoder.level, state, &place);
                kernels::add(encoder.level, state, &encoder.sort);
            }
        }
        normalise(encoder, &encoder.norm, &mut self.states);
    }

    /// Computes the next layer. Returns whether that was not the last one.
    pub(crate) fn advance(&mut self, encoder: &Encoder) -> bool {
        let (level, config) = (encoder.level, &encoder.config);
        let Some(layer) = encoder.layers.get(self.layer) else {
            return false;
        };
        self.activations.quantise(level, &self.states, config.width);
        dense(level, &layer.query, &self.activations, &mut self.queries);
        dense(level, &layer.key, &self.activations, &mut self.keys);
        dense(level, &layer.value, &self.activations, &mut self.values);
        self.attended.resize(self.states.len(), 0.0);
        let mut start = 0;
        for length in &self.lengths {
            let rows = start..start + length * config.width;
            start = rows.end;
            let inputs = Inputs {
                level,
                config,
                queries: self.queries.get(rows.clone()).unwrap_or_default(),
                keys: self.keys.get(rows.clone()).unwrap_or_default(),
                values: self.values.get(rows.clone()).unwrap_or_default(),
            };
            if let Some(outputs) = self.attended.get_mut(rows) {
                self.attention.compute(inputs, outputs);
            }
        }
        self.activations.quantise(level, &self.attended, config.width);
        dense(level, &layer.output, &self.activations, &mut self.inner);
        kernels::add(level, &mut self.states, &self.inner);
        normalise(encoder, &layer.output_norm, &mut self.states);
        self.activations.quantise(level, &self.states, config.width);
        dense(level, &layer.up, &self.activations, &mut self.inner);
        kernels::gelu(level, &mut self.inner);
        self.activations.quantise(level, &self.inner, config.hidden);
        dense(level, &layer.down, &self.activations, &mut self.inner);
        kernels::add(level, &mut self.states, &self.inner);
        normalise(encoder, &layer.norm, &mut self.states);
        self.layer += 1;
        self.layer < encoder.layers.len()
    }

    /// The vectors of the texts, in order.
    pub(crate) fn vectors(&self, encoder: &Encoder) -> Vec<Vec<f32>> {
        let config = &encoder.config;
        let mut rows = self.states.chunks_exact(config.width);
        let mut vectors = Vec::with_capacity(self.lengths.len());
        for length in &self.lengths {
            let mut vector = rows.next().map(<[f32]>::to_vec).unwrap_or_default();
            for row in rows.by_ref().take(length.saturating_sub(1)) {
                if config.pooling == Pooling::Mean {
                    kernels::add(encoder.level, &mut vector, row);
                }
            }
            let divisor = if config.unit {
                length_of(&vector)
            } else {
                mean_of(config.pooling, *length)
            };
            if divisor > 0.0 {
                for number in &mut vector {
                    *number /= divisor;
                }
            }
            vectors.push(vector);
        }
        vectors
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "texts are far shorter than 2^24 tokens"
)]
fn mean_of(pooling: Pooling, length: usize) -> f32 {
    match pooling {
        Pooling::Mean => length as f32,
        Pooling::First => 1.0,
    }
}

fn length_of(vector: &[f32]) -> f32 {
    vector.iter().map(|number| number * number).sum::<f32>().sqrt()
}

/// Replaces what is in `outputs` by the products of all rows, with the bias added.
fn dense(level: Level, dense: &Dense, activations: &Activations, outputs: &mut Vec<f32>) {
    let width = dense.matrix.rows();
    outputs.clear();
    outputs.resize(activations.rows().len() * width, 0.0);
    dense.matrix.multiply(level, activations, outputs);
    for row in outputs.chunks_exact_mut(width) {
        kernels::add(level, row, &dense.bias);
    }
}

fn normalise(encoder: &Encoder, norm: &Norm, states: &mut [f32]) {
    let config = &encoder.config;
    for row in states.chunks_exact_mut(config.width) {
        kernels::layer_norm(encoder.level, row, &norm.weights, &norm.bias, config.epsilon);
    }
}
