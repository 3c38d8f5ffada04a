//! The weights of a model, read by several threads.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use super::{Config, rope::Rope};
use crate::{
    error::{Error, Result},
    gguf::Gguf,
    weights::{Matrix, read_matrix, read_vector, stored_bytes},
};

/// A model's weights.
#[derive(Debug)]
pub(crate) struct Network {
    /// Its shape.
    pub(crate) config: Config,
    pub(super) rope: Rope,
    pub(super) embedding: Matrix,
    pub(super) layers: Vec<Layer>,
    pub(super) norm: Vec<f32>,
    /// Absent when the embedding serves for it.
    pub(super) output: Option<Matrix>,
}

/// The weights of a layer.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) attention_norm: Vec<f32>,
    pub(super) query: Projection,
    pub(super) key: Projection,
    pub(super) value: Projection,
    pub(super) attention_output: Projection,
    pub(super) feed_norm: Vec<f32>,
    pub(super) gate: Matrix,
    pub(super) up: Matrix,
    pub(super) down: Matrix,
}

/// A matrix, what is added to its products, and the weights of the norm of each head of the sum.
#[derive(Debug)]
pub(super) struct Projection {
    pub(super) matrix: Matrix,
    pub(super) bias: Option<Vec<f32>>,
    pub(super) head_norm: Option<Vec<f32>>,
}

/// A matrix to read.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) name: String,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
}

impl Network {
    /// Reads all weights with up to `threads` threads.
    pub(crate) fn load(file: &Gguf, config: Config, threads: usize) -> Result<Self> {
        let mut matrices = read_all(file, &wanted(file, &config), threads)?;
        let divisors = file.tensor("rope_freqs.weight");
        let divisors = divisors.map(|_| read_vector(file, "rope_freqs.weight", config.rotated / 2));
        let rope = Rope::new(&config, divisors.transpose()?.as_deref());
        let layers = (0..config.layers).map(|layer| Layer::assemble(file, &config, layer, &mut matrices));
        let layers = layers.collect::<Result<Vec<_>>>()?;
        Ok(Self {
            rope,
            embedding: take(&mut matrices, "token_embd.weight")?,
            layers,
            norm: read_vector(file, "output_norm.weight", config.width)?,
            output: matrices.remove("output.weight"),
            config,
        })
    }

    /// How many bytes the weights of a file will take in memory.
    pub(crate) fn bytes(file: &Gguf, config: &Config) -> u64 {
        wanted(file, config)
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
        let vector = |name: &str| read_vector(file, &format!("blk.{layer}.{name}.weight"), config.width);
        let mut projection = |name: &str, norm: &str| -> Result<Projection> {
            let matrix = take(matrices, &format!("blk.{layer}.{name}.weight"))?;
            let optional = |name: String, length| {
                file.tensor(&name)
                    .map(|_| read_vector(file, &name, length))
                    .transpose()
            };
            Ok(Projection {
                bias: optional(format!("blk.{layer}.{name}.bias"), matrix.rows())?,
                head_norm: optional(format!("blk.{layer}.{norm}.weight"), config.head_width)?,
                matrix,
            })
        };
        Ok(Self {
            attention_norm: vector("attn_norm")?,
            query: projection("attn_q", "attn_q_norm")?,
            key: projection("attn_k", "attn_k_norm")?,
            value: projection("attn_v", "attn_v_norm")?,
            attention_output: projection("attn_output", "attn_output_norm")?,
            feed_norm: vector("ffn_norm")?,
            gate: take(matrices, &format!("blk.{layer}.ffn_gate.weight"))?,
            up: take(matrices, &format!("blk.{layer}.ffn_up.weight"))?,
            down: take(matrices, &format!("blk.{layer}.ffn_down.weight"))?,
        })
    }
}

/// Takes a matrix that was read.
pub(crate) fn take(matrices: &mut HashMap<String, Matrix>, name: &str) -> Result<Matrix> {
    matrices
        .remove(name)
        .ok_or_else(|| Error::damaged(format!("it has no tensor `{name}`")))
}

/// All matrices of a model, the largest first.
fn wanted(file: &Gguf, config: &Config) -> Vec<Wanted> {
    let mut list = Vec::new();
    let mut want = |name: String, rows: usize, columns: usize| list.push(Wanted { name, rows, columns });
    want("token_embd.weight".to_owned(), config.vocabulary, config.width);
    if file.tensor("output.weight").is_some() {
        want("output.weight".to_owned(), config.vocabulary, config.width);
    }
    for layer in 0..config.layers {
        for (name, rows, columns) in [
            ("attn_q", config.query_width(), config.width),
            ("attn_k", config.kv_width(), config.width),
            ("attn_v", config.kv_width(), config.width),
            ("attn_output", config.width, config.query_width()),
            ("ffn_gate", config.hidden, config.width),
            ("ffn_up", config.hidden, config.width),
            ("ffn_down", config.width, config.hidden),
        ] {
            want(format!("blk.{layer}.{name}.weight"), rows, columns);
        }
    }
    list.sort_by_key(|wanted| std::cmp::Reverse(wanted.rows * wanted.columns));
    list
}

/// Reads matrices with up to `threads` threads.
pub(crate) fn read_all(file: &Gguf, wanted: &[Wanted], threads: usize) -> Result<HashMap<String, Matrix>> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Ok(HashMap::with_capacity(wanted.len())));
    let work = || {
        while let Some(wanted) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let matrix = read_matrix(file, &wanted.name, wanted.rows, wanted.columns);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            match (&mut *done, matrix) {
                (Ok(matrices), Ok(matrix)) => {
                    matrices.insert(wanted.name.clone(), matrix);
                }
                (Ok(_), Err(error)) => *done = Err(error),
                (Err(_), _) => return,
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads.max(1) {
            scope.spawn(work);
        }
        work();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}
