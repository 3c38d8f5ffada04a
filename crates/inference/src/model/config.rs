//! The shape of a model, from its file's metadata.

use crate::{
    error::{Error, Result},
    gguf::Gguf,
    kernels::BLOCK,
};

/// How a rotary embedding pairs the numbers of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairing {
    /// Each number with its neighbour (Llama's files).
    Neighbours,
    /// Each number of the first half with its like in the second (Qwen's files).
    Halves,
}

/// The shape of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Config {
    /// Layers.
    pub(crate) layers: usize,
    /// Numbers of a token's state.
    pub(crate) width: usize,
    /// Numbers inside a feed-forward network.
    pub(crate) hidden: usize,
    /// Heads of queries.
    pub(crate) heads: usize,
    /// Heads of keys and values.
    pub(crate) kv_heads: usize,
    /// Numbers of a head.
    pub(crate) head_width: usize,
    /// Numbers of a head that are rotated.
    pub(crate) rotated: usize,
    /// How they are paired.
    pub(crate) pairing: Pairing,
    /// The base of the rotations' wavelengths.
    pub(crate) rope_base: f32,
    /// By what positions are divided.
    pub(crate) rope_factor: f32,
    /// Added to the mean square in norms.
    pub(crate) epsilon: f32,
    /// Tokens that the model was trained for.
    pub(crate) context: usize,
    /// Tokens that the model knows.
    pub(crate) vocabulary: usize,
}

/// The largest dimension that is believed; those of the largest models are far below.
const MAX_DIMENSION: usize = 1 << 20;

/// The most layers that are believed.
const MAX_LAYERS: usize = 1024;

impl Config {
    /// Reads and checks the shape.
    pub(crate) fn read(file: &Gguf) -> Result<Self> {
        let architecture = file.text("general.architecture").unwrap_or("none");
        let pairing = match architecture {
            "llama" => Pairing::Neighbours,
            "qwen2" | "qwen3" => Pairing::Halves,
            other => return Err(Error::unsupported(format!("its architecture is `{other}`"))),
        };
        let keys = Keys { file, architecture };
        keys.refuse_what_is_not_here()?;
        let width = keys.dimension("embedding_length")?;
        let heads = keys.dimension("attention.head_count")?;
        let head_width = keys.optional("attention.key_length")?.unwrap_or(width / heads);
        let config = Self {
            layers: keys.dimension("block_count")?,
            width,
            hidden: keys.dimension("feed_forward_length")?,
            heads,
            kv_heads: keys.optional("attention.head_count_kv")?.unwrap_or(heads),
            head_width,
            rotated: keys.optional("rope.dimension_count")?.unwrap_or(head_width),
            pairing,
            rope_base: keys.number("rope.freq_base")?.unwrap_or(10_000.0),
            rope_factor: keys.number("rope.scaling.factor")?.unwrap_or(1.0),
            epsilon: keys.number("attention.layer_norm_rms_epsilon")?.unwrap_or(1e-5),
            context: keys.dimension("context_length")?,
            vocabulary: keys.vocabulary()?,
        };
        config.check()?;
        Ok(config)
    }

    /// Numbers of all queries of a token.
    pub(crate) fn query_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Numbers of all keys, or values, of a token.
    pub(crate) fn kv_width(&self) -> usize {
        self.kv_heads * self.head_width
    }

    fn check(&self) -> Result<()> {
        let consistent = self.layers <= MAX_LAYERS
            && self.head_width > 0
            && self.heads.is_multiple_of(self.kv_heads)
            && self.rotated.is_multiple_of(2)
            && self.rotated <= self.head_width
            && self.rope_base > 0.0
            && self.rope_factor > 0.0;
        if !consistent {
            return Err(Error::damaged("its dimensions contradict each other"));
        }
        let whole = [self.width, self.hidden, self.query_width()]
            .into_iter()
            .all(|dimension| dimension.is_multiple_of(BLOCK));
        if !whole || !self.head_width.is_multiple_of(8) {
            return Err(Error::unsupported("its dimensions are no multiples of 32"));
        }
        Ok(())
    }
}

/// Metadata keys of an architecture.
struct Keys<'a> {
    file: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn key(&self, name: &str) -> String {
        format!("{}.{name}", self.architecture)
    }

    fn optional(&self, name: &str) -> Result<Option<usize>> {
        let key = self.key(name);
        match self.file.integer(&key)? {
            Some(0) => Err(Error::damaged(format!("its `{key}` is 0"))),
            Some(value) if value > MAX_DIMENSION => Err(Error::damaged(format!("its `{key}` is {value}"))),
            other => Ok(other),
        }
    }

    fn dimension(&self, name: &str) -> Result<usize> {
        let absent = || Error::damaged(format!("it has no `{}`", self.key(name)));
        if name == "context_length" {
            // Some models claim contexts of millions; the engine has a limit of its own.
            let value = self.file.integer(&self.key(name))?.ok_or_else(absent)?;
            return Ok(value.clamp(1, MAX_DIMENSION));
        }
        self.optional(name)?.ok_or_else(absent)
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "the file has them in single precision"
    )]
    fn number(&self, name: &str) -> Result<Option<f32>> {
        Ok(self.file.number(&self.key(name))?.map(|number| number as f32))
    }

    /// The number of rows of the embedding.
    fn vocabulary(&self) -> Result<usize> {
        let Some(embedding) = self.file.tensor("token_embd.weight") else {
            return Err(Error::damaged("it has no tensor `token_embd.weight`"));
        };
        Ok(embedding.rows)
    }

    fn refuse_what_is_not_here(&self) -> Result<()> {
        if self
            .file
            .integer(&self.key("expert_count"))?
            .is_some_and(|count| count > 0)
        {
            return Err(Error::unsupported("it is a mixture of experts"));
        }
        let lengths =
            ["attention.key_length", "attention.value_length"].map(|name| self.file.value(&self.key(name)));
        if let [Some(key), Some(value)] = lengths
            && key != value
        {
            return Err(Error::unsupported("its keys and values differ in length"));
        }
        match self.file.text(&self.key("rope.scaling.type")) {
            None | Some("none" | "linear") => Ok(()),
            Some(other) => Err(Error::unsupported(format!(
                "its positions are scaled by `{other}`"
            ))),
        }
    }
}
