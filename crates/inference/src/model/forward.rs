//! A forward pass over tokens of many sequences at once: the weights are read once for all of them.

use super::{
    Cache, Network,
    attention::{Attention, Inputs},
    load::{Layer, Projection},
};
use crate::{
    kernels::{self, Level},
    weights::Activations,
};

/// Some further tokens of one sequence.
pub(crate) struct Segment<'a> {
    /// The tokens.
    pub(crate) tokens: &'a [u32],
    /// The keys and values of all tokens before them.
    pub(crate) cache: &'a mut Cache,
    /// After which of the tokens the scores of the next one are wanted.
    pub(crate) scored: Rows,
}

/// After which of a segment's tokens the scores of the next one are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rows {
    /// After none.
    None,
    /// After the last.
    Last,
    /// After each.
    All,
}

impl Rows {
    /// How many rows those are of so many tokens.
    pub(crate) fn count(self, tokens: usize) -> usize {
        match self {
            Self::None => 0,
            Self::Last => tokens.min(1),
            Self::All => tokens,
        }
    }
}

/// The buffers of forward passes, kept from pass to pass.
#[derive(Debug)]
pub(crate) struct Pass {
    level: Level,
    states: Vec<f32>,
    normed: Vec<f32>,
    quantised: Activations,
    queries: Vec<f32>,
    keys: Vec<f32>,
    values: Vec<f32>,
    attended: Vec<f32>,
    change: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
    turns: Vec<(f32, f32)>,
    scores: Vec<f32>,
    attention: Attention,
}

impl Pass {
    /// Buffers without content.
    pub(crate) fn new(level: Level) -> Self {
        Self {
            level,
            states: Vec::new(),
            normed: Vec::new(),
            quantised: Activations::default(),
            queries: Vec::new(),
            keys: Vec::new(),
            values: Vec::new(),
            attended: Vec::new(),
            change: Vec::new(),
            gate: Vec::new(),
            up: Vec::new(),
            turns: Vec::new(),
            scores: Vec::new(),
            attention: Attention::default(),
        }
    }

    /// Runs the segments' tokens through the network, appends to their caches, and gives the scores of the next tokens
    /// that each segment wants, one row of the vocabulary's size after the other.
    pub(crate) fn run(&mut self, network: &Network, segments: &mut [Segment<'_>]) -> &[f32] {
        self.embed(network, segments);
        for (index, layer) in network.layers.iter().enumerate() {
            self.attend(network, index, layer, segments);
            self.feed(network, layer);
        }
        for segment in segments.iter_mut() {
            segment.cache.advance(segment.tokens.len());
        }
        self.score(network, segments)
    }

    fn embed(&mut self, network: &Network, segments: &mut [Segment<'_>]) {
        let config = &network.config;
        self.turns.clear();
        for segment in segments.iter_mut() {
            segment.cache.reserve(segment.tokens.len());
            for position in (segment.cache.len()..).take(segment.tokens.len()) {
                self.turns.extend(network.rope.turns(position));
            }
        }
        let tokens = segments.iter().flat_map(|segment| segment.tokens);
        let rows = tokens.clone().count();
        self.states.resize(rows * config.width, 0.0);
        for (token, state) in tokens.zip(self.states.chunks_exact_mut(config.width)) {
            network.embedding.copy_row(*token as usize, state);
        }
    }

    /// The first half of a layer: every token looks at the ones before it.
    fn attend(&mut self, network: &Network, index: usize, layer: &Layer, segments: &mut [Segment<'_>]) {
        let config = &network.config;
        self.norm(&layer.attention_norm, config.epsilon);
        self.quantised.quantise(self.level, &self.normed, config.width);
        let project = Project {
            level: self.level,
            network,
            input: &self.quantised,
            turns: &self.turns,
        };
        project.rotated(&layer.query, &mut self.queries);
        project.rotated(&layer.key, &mut self.keys);
        project.plain(&layer.value, &mut self.values);
        self.attended.resize(self.queries.len(), 0.0);
        let mut row = 0;
        for segment in segments.iter_mut() {
            let count = segment.tokens.len();
            let position = segment.cache.len();
            let rows = |width: usize| row * width..(row + count) * width;
            let keys = self.keys.get(rows(config.kv_width())).unwrap_or_default();
            let values = self.values.get(rows(config.kv_width())).unwrap_or_default();
            let pairs = keys
                .chunks_exact(config.kv_width())
                .zip(values.chunks_exact(config.kv_width()));
            for (position, (keys, values)) in (position..).zip(pairs) {
                segment.cache.put(index, position, keys, values);
            }
            let queries = self.queries.get(rows(config.query_width())).unwrap_or_default();
            let inputs = Inputs {
                level: self.level,
                config,
                cache: segment.cache,
                layer: index,
                position,
                queries,
            };
            let outputs = self
                .attended
                .get_mut(rows(config.query_width()))
                .unwrap_or_default();
            self.attention.compute(&inputs, outputs);
            row += count;
        }
        self.quantised
            .quantise(self.level, &self.attended, config.query_width());
        let project = Project {
            level: self.level,
            network,
            input: &self.quantised,
            turns: &self.turns,
        };
        project.plain(&layer.attention_output, &mut self.change);
        kernels::add(self.level, &mut self.states, &self.change);
    }

    /// The second half of a layer: every token for itself.
    fn feed(&mut self, network: &Network, layer: &Layer) {
        let config = &network.config;
        self.norm(&layer.feed_norm, config.epsilon);
        self.quantised.quantise(self.level, &self.normed, config.width);
        let rows = self.states.len() / config.width;
        self.gate.resize(rows * config.hidden, 0.0);
        self.up.resize(rows * config.hidden, 0.0);
        layer.gate.multiply(self.level, &self.quantised, &mut self.gate);
        layer.up.multiply(self.level, &self.quantised, &mut self.up);
        kernels::silu_multiply(self.level, &mut self.gate, &self.up);
        self.quantised.quantise(self.level, &self.gate, config.hidden);
        self.change.resize(self.states.len(), 0.0);
        layer.down.multiply(self.level, &self.quantised, &mut self.change);
        kernels::add(self.level, &mut self.states, &self.change);
    }

    /// Norms all states.
    fn norm(&mut self, weights: &[f32], epsilon: f32) {
        self.normed.resize(self.states.len(), 0.0);
        let width = weights.len();
        for (state, normed) in self
            .states
            .chunks_exact(width)
            .zip(self.normed.chunks_exact_mut(width))
        {
            kernels::normalise(self.level, state, weights, epsilon, normed);
        }
    }

    /// Scores of the tokens after those that each segment names.
    fn score(&mut self, network: &Network, segments: &[Segment<'_>]) -> &[f32] {
        let config = &network.config;
        self.normed.clear();
        let mut end = 0;
        for segment in segments {
            end += segment.tokens.len();
            let rows = segment.scored.count(segment.tokens.len());
            let states = self.states.chunks_exact(config.width);
            for state in states.skip(end - rows).take(rows) {
                let from = self.normed.len();
                self.normed.resize(from + config.width, 0.0);
                let normed = self.normed.get_mut(from..).unwrap_or_default();
                kernels::normalise(self.level, state, &network.norm, config.epsilon, normed);
            }
        }
        let rows = self.normed.len() / config.width;
        self.scores.resize(rows * config.vocabulary, 0.0);
        if rows > 0 {
            self.quantised.quantise(self.level, &self.normed, config.width);
            let output = network.output.as_ref().unwrap_or(&network.embedding);
            output.multiply(self.level, &self.quantised, &mut self.scores);
        }
        &self.scores
    }
}

/// Projections of one set of rows.
struct Project<'a> {
    level: Level,
    network: &'a Network,
    input: &'a Activations,
    /// Sines and cosines of all rows.
    turns: &'a [(f32, f32)],
}

impl Project<'_> {
    /// The products with a matrix, its bias added.
    fn plain(&self, projection: &Projection, output: &mut Vec<f32>) {
        let width = projection.matrix.rows();
        let rows = self.turns.len() / self.pairs();
        output.resize(rows * width, 0.0);
        projection.matrix.multiply(self.level, self.input, output);
        if let Some(bias) = &projection.bias {
            for row in output.chunks_exact_mut(width) {
                kernels::add(self.level, row, bias);
            }
        }
    }

    /// As [`plain`](Self::plain), then normed head by head and turned to their positions.
    fn rotated(&self, projection: &Projection, output: &mut Vec<f32>) {
        self.plain(projection, output);
        let config = &self.network.config;
        let mut copy = vec![0.0; config.head_width];
        let rows = output.chunks_exact_mut(projection.matrix.rows());
        for (row, turns) in rows.zip(self.turns.chunks_exact(self.pairs())) {
            for head in row.chunks_exact_mut(config.head_width) {
                if let Some(weights) = &projection.head_norm {
                    copy.copy_from_slice(head);
                    kernels::normalise(self.level, &copy, weights, config.epsilon, head);
                }
                self.network.rope.rotate(head, turns);
            }
        }
    }

    fn pairs(&self) -> usize {
        self.network.config.rotated / 2
    }
}
