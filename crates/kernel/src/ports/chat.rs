//! The embedded engine.

use std::path::PathBuf;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Result;

/// What sentence-transformers publishes beside `model.safetensors` and an embedding model cannot do without. A file
/// of this machine that holds such a model carries each of them as a text in the `__metadata__` of its safetensors
/// header, under this name, so that one file is the whole model.
pub const PACKED_FILES: [&str; 5] = [
    "config.json",
    "tokenizer.json",
    "modules.json",
    "sentence_bert_config.json",
    "1_Pooling/config.json",
];

/// Models in the process itself: for chats, and for embeddings.
#[async_trait]
pub trait Chat: Send + Sync {
    /// Starts a generation. The model is loaded when it is not; dropping the stream cancels the generation.
    ///
    /// # Errors
    /// `Exhausted` with a retry-after when the queue is full; `Invalid` when the request does not fit the
    /// model (context length, bad template input) or the file is corrupt; `NotFound` when there is no such file.
    async fn generate(&self, model: &ModelFile, request: Generation) -> Result<GenerationStream>;

    /// Computes a vector for each text, in order, with an embedding model. Texts beyond the model's limit are cut, and
    /// the count of tokens is of what was read; dropping the future cancels the work.
    ///
    /// # Errors
    /// `Exhausted` with a retry-after when the queue is full; `Invalid` when the model makes no embeddings, there are
    /// no texts or too many, or the file is corrupt; `NotFound` when there is no such file.
    async fn embed(&self, model: &ModelFile, texts: Vec<String>) -> Result<Embedded>;

    /// Loads the model ahead of its first request.
    async fn load(&self, model: &ModelFile) -> Result<()>;

    /// Forgets the model once nothing uses it.
    async fn unload(&self, model: &ModelFile);

    /// Why this process has no engine at all; `None` where it has one.
    fn absent(&self) -> Option<&str> {
        None
    }
}

/// A model file on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ModelFile {
    /// The name that clients use.
    pub name: String,
    /// Where the file lies, GGUF or safetensors with its [`PACKED_FILES`]; content-addressed, so the path changes
    /// with the content.
    pub path: PathBuf,
}

/// Vectors of texts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Embedded {
    /// One for each text, in order.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens that were read for all of them, those that begin and end each text among them.
    pub tokens: u64,
    /// How many texts were longer than the model reads, and lost their end.
    pub cut: usize,
    /// The most tokens of a text that the model reads.
    pub limit: usize,
}

/// What to generate.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Generation {
    /// Messages as the OpenAI chat API has them; rendered with the model's own chat template.
    pub messages: Vec<Value>,
    /// A raw prompt instead of messages (the completions API).
    pub prompt: Option<String>,
    /// A raw prompt as the model's own tokens, instead of a text.
    pub tokens: Option<Vec<u32>>,
    /// Which likelihoods of tokens are told; none without it.
    pub likelihoods: Option<Likelihoods>,
    /// Tool definitions as the OpenAI chat API has them, for the chat template.
    pub tools: Option<Value>,
    /// How tokens are chosen and when to stop.
    pub sampling: Sampling,
    /// For whom: work that was done for one scope (a prompt's keys and values) is used again only within it, so
    /// that neither times nor usage tell one project what another one asks.
    pub scope: String,
}

/// Which likelihoods of tokens are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Likelihoods {
    /// How many of the likeliest tokens are told at each place, besides the one that is there.
    pub top: usize,
    /// Of which tokens.
    pub of: LikelihoodsOf,
}

/// Of which tokens likelihoods are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LikelihoodsOf {
    /// Those that are generated.
    #[default]
    Answer,
    /// Those of the prompt too, which is then read anew.
    PromptAndAnswer,
}

/// A token with its likelihood.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LikelyToken {
    /// What it says; bytes that are no whole character are U+FFFD.
    pub text: String,
    /// The natural logarithm of its probability; the first one of a prompt has none.
    pub log_probability: Option<f64>,
    /// The likeliest tokens at its place, the likeliest first, and itself.
    pub top: Vec<(String, f64)>,
}

/// How tokens are chosen and when to stop.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Sampling {
    /// 0 is greedy; the model's or engine's default when absent.
    pub temperature: Option<f64>,
    /// Nucleus: the smallest set of tokens whose probability exceeds this.
    pub top_p: Option<f64>,
    /// The number of likeliest tokens to choose among.
    pub top_k: Option<usize>,
    /// Makes the choice repeatable.
    pub seed: Option<u64>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// The most tokens to generate; to the end of the context when absent.
    pub max_tokens: Option<usize>,
}

/// What a generation yields; dropped, it cancels the generation.
pub type GenerationStream = BoxStream<'static, Result<Generated>>;

/// A piece of a generation. `Started` comes first, `Finished` last.
#[derive(Debug, Clone, PartialEq)]
pub enum Generated {
    /// The prompt is tokenised.
    Started {
        /// Tokens of the prompt.
        prompt_tokens: u64,
    },
    /// Tokens with their likelihoods, where those are told: the prompt's at once, then each token before its text.
    Likely(Vec<LikelyToken>),
    /// Some text, whole UTF-8 characters.
    Text(String),
    /// The end.
    Finished {
        /// Why.
        reason: FinishReason,
        /// What it took.
        usage: TokenUsage,
    },
}

/// Why a generation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// The model was done, or a stop text came.
    Stop,
    /// The limit of tokens or the end of the context.
    Length,
}

/// What a request took: tokens, and what is not counted in tokens. What a provider does not tell is 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TokenUsage {
    /// Tokens of the input, cached ones included.
    pub input: u64,
    /// Tokens of the output, reasoning included.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached_input: u64,
    /// Output tokens that were reasoning.
    pub reasoning: u64,
    /// Input tokens that were written to a cache.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write: u64,
    /// Of them, those that the cache keeps for an hour.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache_write_hour: u64,
    /// Input tokens that were sound.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_input: u64,
    /// Output tokens that were sound.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_output: u64,
    /// Input tokens that were images.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_input: u64,
    /// Output tokens that were images.
    #[serde(skip_serializing_if = "is_zero")]
    pub image_output: u64,
    /// Images that were made.
    #[serde(skip_serializing_if = "is_zero")]
    pub images: u64,
    /// Sound that was heard or spoken, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub audio_ms: u64,
    /// Characters that were spoken.
    #[serde(skip_serializing_if = "is_zero")]
    pub characters: u64,
    /// Time that own GPUs worked on it, in milliseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub gpu_ms: u64,
}

impl TokenUsage {
    /// How many counts there are.
    pub const COUNTS: usize = 14;

    /// All counts, in the order of the fields.
    pub const fn counts(&self) -> [u64; Self::COUNTS] {
        [
            self.input,
            self.output,
            self.cached_input,
            self.reasoning,
            self.cache_write,
            self.cache_write_hour,
            self.audio_input,
            self.audio_output,
            self.image_input,
            self.image_output,
            self.images,
            self.audio_ms,
            self.characters,
            self.gpu_ms,
        ]
    }

    /// The usage with these counts.
    pub const fn of_counts(counts: [u64; Self::COUNTS]) -> Self {
        let [
            input,
            output,
            cached_input,
            reasoning,
            cache_write,
            cache_write_hour,
            audio_input,
            audio_output,
            image_input,
            image_output,
            images,
            audio_ms,
            characters,
            gpu_ms,
        ] = counts;
        Self {
            input,
            output,
            cached_input,
            reasoning,
            cache_write,
            cache_write_hour,
            audio_input,
            audio_output,
            image_input,
            image_output,
            images,
            audio_ms,
            characters,
            gpu_ms,
        }
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        let mut sums = self.counts();
        for (sum, more) in sums.iter_mut().zip(other.counts()) {
            *sum = sum.saturating_add(more);
        }
        Self::of_counts(sums)
    }

    /// The same with no count above a limit.
    #[must_use]
    pub fn at_most(&self, limit: u64) -> Self {
        Self::of_counts(self.counts().map(|count| count.min(limit)))
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
