//! The shape of an encoder, from its file's metadata.

use crate::{
    error::{Error, Result},
    gguf::{Gguf, Value},
    kernels::BLOCK,
};

/// The largest dimension that is believed.
const MAX_DIMENSION: usize = 1 << 20;
/// The most layers that are believed.
const MAX_LAYERS: usize = 1024;
/// The longest text, in tokens, whatever the file says: the attention of one takes the square of it.
const MAX_CONTEXT: usize = 8192;

/// How states of tokens become one vector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pooling {
    /// Their mean.
    Mean,
    /// The state of the first token.
    First,
}

/// The shape of an encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Layers.
    pub(crate) layers: usize,
    /// Numbers of a token's state, and of a vector.
    pub(crate) width: usize,
    /// Numbers inside a feed-forward network.
    pub(crate) hidden: usize,
    /// Heads of an attention.
    pub(crate) heads: usize,
    /// Added to the variance in norms.
    pub(crate) epsilon: f32,
    /// Tokens of the longest text.
    pub(crate) context: usize,
    /// Rows of the embedding of positions.
    pub(crate) positions: usize,
    /// Rows of the embedding of the sorts of texts.
    pub(crate) sorts: usize,
    /// Tokens that the model knows.
    pub(crate) vocabulary: usize,
    /// How states become a vector.
    pub(crate) pooling: Pooling,
    /// Whether vectors are made to have length one.
    pub(crate) unit: bool,
}

impl Config {
    /// Whether a file is an encoder's.
    pub(crate) fn is_of(file: &Gguf) -> bool {
        file.text("general.architecture") == Some("bert")
    }

    /// Reads and checks the shape.
    pub(crate) fn read(file: &Gguf) -> Result<Self> {
        if file.value("bert.attention.causal").and_then(Value::as_bool) == Some(true) {
            return Err(Error::unsupported("its attention looks back only"));
        }
        let positions = rows(file, "position_embd.weight")?;
        let limit = file.integer("stead.limit")?.unwrap_or(MAX_CONTEXT);
        let config = Self {
            layers: dimension(file, "bert.block_count")?,
            width: dimension(file, "bert.embedding_length")?,
            hidden: dimension(file, "bert.feed_forward_length")?,
            heads: dimension(file, "bert.attention.head_count")?,
            epsilon: epsilon(file)?,
            context: dimension(file, "bert.context_length")?
                .min(positions)
                .min(limit)
                .min(MAX_CONTEXT),
            positions,
            sorts: rows(file, "token_types.weight")?,
            vocabulary: rows(file, "token_embd.weight")?,
            pooling: match file.integer("bert.pooling_type")? {
                None | Some(1) => Pooling::Mean,
                Some(2) => Pooling::First,
                Some(other) => {
                    return Err(Error::unsupported(format!(
                        "its states are pooled in way {other}"
                    )));
                }
            },
            // llama.cpp, for which such files are made, does so unless it is told otherwise.
            unit: file.value("stead.unit").and_then(Value::as_bool).unwrap_or(true),
        };
        if let Some(tokens) = file.integer("stead.vocabulary")?
            && tokens != config.vocabulary
        {
            return Err(Error::damaged(format!(
                "its config.json has {tokens} tokens, and its embedding {}",
                config.vocabulary
            )));
        }
        config.check()?;
        Ok(config)
    }

    /// Numbers of a head.
    pub(crate) fn head_width(&self) -> usize {
        self.width / self.heads
    }

    fn check(&self) -> Result<()> {
        if self.layers > MAX_LAYERS || !self.width.is_multiple_of(self.heads) || self.context < 3 {
            return Err(Error::damaged("its dimensions contradict each other"));
        }
        if !self.width.is_multiple_of(BLOCK)
            || !self.hidden.is_multiple_of(BLOCK)
            || !self.head_width().is_multiple_of(8)
        {
            return Err(Error::unsupported("its dimensions are no multiples of 32"));
        }
        Ok(())
    }
}

fn dimension(file: &Gguf, key: &str) -> Result<usize> {
    match file.integer(key)? {
        None => Err(Error::damaged(format!("it has no `{key}`"))),
        Some(value @ 1..=MAX_DIMENSION) => Ok(value),
        Some(value) => Err(Error::damaged(format!("its `{key}` is {value}"))),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "far within single precision")]
fn epsilon(file: &Gguf) -> Result<f32> {
    let epsilon = file.number("bert.attention.layer_norm_epsilon")?.unwrap_or(1e-12);
    if (0.0..1.0).contains(&epsilon) {
        Ok(epsilon as f32)
    } else {
        Err(Error::damaged("the epsilon of its norms makes no sense"))
    }
}

fn rows(file: &Gguf, name: &str) -> Result<usize> {
    let entry = file.tensor(name);
    entry
        .map(|entry| entry.rows)
        .ok_or_else(|| Error::damaged(format!("it has no tensor `{name}`")))
}
