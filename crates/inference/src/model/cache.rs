//! The keys and values of a sequence, in half precision, grown page by page.

use half::f16;

use super::Config;

/// Positions of a page.
pub(super) const PAGE: usize = 64;

/// One layer's keys and values for some positions.
#[derive(Debug, Clone)]
pub(super) struct Page {
    /// For each head, for each of its numbers, all positions: scores of all positions come at once.
    pub(super) keys: Box<[u16]>,
    /// For each head, for each position, all numbers.
    pub(super) values: Box<[u16]>,
}

/// The keys and values of a sequence.
#[derive(Debug)]
pub(crate) struct Cache {
    /// For each layer its pages.
    layers: Vec<Vec<Page>>,
    head_width: usize,
    kv_width: usize,
    length: usize,
}

impl Cache {
    /// An empty cache for a model.
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            layers: (0..config.layers).map(|_| Vec::new()).collect(),
            head_width: config.head_width,
            kv_width: config.kv_width(),
            length: 0,
        }
    }

    /// How many positions a page set for this model and `positions` takes, in bytes.
    pub(crate) fn bytes_for(config: &Config, positions: usize) -> usize {
        positions.next_multiple_of(PAGE) * config.layers * config.kv_width() * 2 * size_of::<u16>()
    }

    /// How many positions it holds.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// How many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        let pages: usize = self.layers.iter().map(Vec::len).sum();
        pages * PAGE * self.kv_width * 2 * size_of::<u16>()
    }

    /// Forgets all positions from `length` on; pages that held only those are freed.
    pub(crate) fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
        let pages = self.length.div_ceil(PAGE);
        for layer in &mut self.layers {
            layer.truncate(pages);
        }
    }

    /// A copy of its first `length` positions.
    pub(crate) fn copy_start(&self, length: usize) -> Self {
        let length = length.min(self.length);
        let pages = length.div_ceil(PAGE);
        let layers = self
            .layers
            .iter()
            .map(|layer| layer.iter().take(pages).cloned().collect());
        Self {
            layers: layers.collect(),
            length,
            ..*self
        }
    }

    /// Makes room for `more` positions.
    pub(super) fn reserve(&mut self, more: usize) {
        let pages = (self.length + more).div_ceil(PAGE);
        let numbers = PAGE * self.kv_width;
        let empty = || Page {
            keys: vec![0; numbers].into(),
            values: vec![0; numbers].into(),
        };
        for layer in &mut self.layers {
            layer.resize_with(pages.max(layer.len()), empty);
        }
    }

    /// Counts positions whose keys and values every layer now has.
    pub(super) fn advance(&mut self, positions: usize) {
        self.length += positions;
    }

    /// Writes a position's keys and values of a layer.
    pub(super) fn put(&mut self, layer: usize, position: usize, keys: &[f32], values: &[f32]) {
        let page = self
            .layers
            .get_mut(layer)
            .and_then(|pages| pages.get_mut(position / PAGE));
        let Some(page) = page else { return };
        let slot = position % PAGE;
        let columns = page.keys.chunks_exact_mut(PAGE);
        for (column, key) in columns.zip(keys) {
            if let Some(target) = column.get_mut(slot) {
                *target = f16::from_f32(*key).to_bits();
            }
        }
        let heads = page.values.chunks_exact_mut(PAGE * self.head_width);
        for (head, values) in heads.zip(values.chunks_exact(self.head_width)) {
            let target = head.chunks_exact_mut(self.head_width).nth(slot);
            for (target, value) in target.into_iter().flatten().zip(values) {
                *target = f16::from_f32(*value).to_bits();
            }
        }
    }

    /// A layer's pages.
    pub(super) fn pages(&self, layer: usize) -> &[Page] {
        self.layers.get(layer).map_or(&[], Vec::as_slice)
    }
}
