//! The weights of an encoder.

use std::collections::HashMap;

use super::Config;
use crate::{
    error::Result,
    gguf::Gguf,
    kernels::Level,
    model::{Wanted, read_all, take},
    weights::{Matrix, read_vector, stored_bytes},
};

/// An encoder's weights.
#[derive(Debug)]
pub(crate) struct Encoder {
    /// Its shape.
    pub(crate) config: Config,
    pub(super) level: Level,
    pub(super) words: Matrix,
    pub(super) positions: Matrix,
    /// What the first sort of texts adds to every token.
    pub(super) sort: Vec<f32>,
    pub(super) norm: Norm,
    pub(super) layers: Vec<Layer>,
}

/// The weights of a layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) query: Dense,
    pub(super) key: Dense,
    pub(super) value: Dense,
    pub(super) output: Dense,
    pub(super) output_norm: Norm,
    pub(super) up: Dense,
    pub(super) down: Dense,
    pub(super) norm: Norm,
}

/// A matrix, and what is added to its products.
#[derive(Debug)]
pub(super) struct Dense {
    pub(super) matrix: Matrix,
    pub(super) bias: Vec<f32>,
}

/// A layer norm.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) weights: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

impl Encoder {
    /// Reads all weights with up to `threads` threads.
    pub(crate) fn load(file: &Gguf, config: Config, threads: usize) -> Result<Self> {
        let mut matrices = read_all(file, &wanted(&config), threads)?;
        let mut sort = vec![0.0; config.width];
        take(&mut matrices, "token_types.weight")?.copy_row(0, &mut sort);
        let layers = (0..config.layers).map(|layer| Layer::assemble(file, &config, layer, &mut matrices));
        Ok(Self {
            level: Level::best(),
            layers: layers.collect::<Result<_>>()?,
            words: take(&mut matrices, "token_embd.weight")?,
            positions: take(&mut matrices, "position_embd.weight")?,
            sort,
            norm: Norm::read(file, "token_embd_norm", config.width)?,
            config,
        })
    }

    /// How many bytes the weights of a file will take in memory.
    pub(crate) fn bytes(file: &Gguf, config: &Config) -> u64 {
        let matrices = wanted(config);
        matrices
            .iter()
            .map(|wanted| stored_bytes(file, &wanted.name))
            .sum()
    }
}

impl Layer {
    fn assemble(
        file: &Gguf,
        config: &Config,
        layer: usize,
        matrices: &mut HashMap<String, Matrix>,
    ) -> Result<Self> {
        let mut dense = |name: &str| -> Result<Dense> {
            let matrix = take(matrices, &format!("blk.{layer}.{name}.weight"))?;
            let bias = read_vector(file, &format!("blk.{layer}.{name}.bias"), matrix.rows())?;
            Ok(Dense { matrix, bias })
        };
        let norm = |name: &str| Norm::read(file, &format!("blk.{layer}.{name}"), config.width);
        Ok(Self {
            query: dense("attn_q")?,
            key: dense("attn_k")?,
            value: dense("attn_v")?,
            output: dense("attn_output")?,
            output_norm: norm("attn_output_norm")?,
            up: dense("ffn_up")?,
            down: dense("ffn_down")?,
            norm: norm("layer_output_norm")?,
        })
    }
}

impl Norm {
    fn read(file: &Gguf, name: &str, width: usize) -> Result<Self> {
        Ok(Self {
            weights: read_vector(file, &format!("{name}.weight"), width)?,
            bias: read_vector(file, &format!("{name}.bias"), width)?,
        })
    }
}

/// All matrices of an encoder, the largest first.
fn wanted(config: &Config) -> Vec<Wanted> {
    let mut list = Vec::new();
    let mut want = |name: String, rows: usize, columns: usize| list.push(Wanted { name, rows, columns });
    want("token_embd.weight".to_owned(), config.vocabulary, config.width);
    want("position_embd.weight".to_owned(), config.positions, config.width);
    want("token_types.weight".to_owned(), config.sorts, config.width);
    for layer in 0..config.layers {
        for (name, rows, columns) in [
            ("attn_q", config.width, config.width),
            ("attn_k", config.width, config.width),
            ("attn_v", config.width, config.width),
            ("attn_output", config.width, config.width),
            ("ffn_up", config.hidden, config.width),
            ("ffn_down", config.width, config.hidden),
        ] {
            want(format!("blk.{layer}.{name}.weight"), rows, columns);
        }
    }
    list.sort_by_key(|wanted| std::cmp::Reverse(wanted.rows.saturating_mul(wanted.columns)));
    list
}
