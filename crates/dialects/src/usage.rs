//! Tokens that a request took.

use serde_json::Value;

/// Tokens that a request took, as the OpenAI API counts: cached tokens are part of the input, reasoning of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Tokens of the input, cached ones included.
    pub input: u64,
    /// Tokens of the output, reasoning included.
    pub output: u64,
    /// Input tokens that were read from a cache.
    pub cached_input: u64,
    /// Input tokens that were written to a cache, part of the input.
    pub cache_write: u64,
    /// Of them, those that the cache keeps for an hour.
    pub cache_write_hour: u64,
    /// Output tokens that were reasoning.
    pub reasoning: u64,
    /// Input tokens that were sound, part of the input.
    pub audio_input: u64,
    /// Output tokens that were sound, part of the output.
    pub audio_output: u64,
}

impl Usage {
    /// Reads an OpenAI `usage` object (chat, completions, embeddings or responses); `None` when it counts nothing.
    pub fn from_openai(usage: &Value) -> Option<Self> {
        let count = |names: [&str; 2]| names.iter().find_map(|name| usage.get(name)?.as_u64());
        let detail = |names: [&str; 2], field: &str| {
            names
                .iter()
                .find_map(|name| usage.get(name)?.get(field)?.as_u64())
                .unwrap_or(0)
        };
        let (input, output) = (
            count(["prompt_tokens", "input_tokens"]),
            count(["completion_tokens", "output_tokens"]),
        );
        if input.is_none() && output.is_none() {
            return None;
        }
        Some(Self {
            input: input.unwrap_or(0),
            output: output.unwrap_or(0),
            cached_input: detail(["prompt_tokens_details", "input_tokens_details"], "cached_tokens"),
            cache_write: detail(
                ["prompt_tokens_details", "input_tokens_details"],
                "cache_write_tokens",
            ),
            cache_write_hour: 0,
            reasoning: detail(
                ["completion_tokens_details", "output_tokens_details"],
                "reasoning_tokens",
            ),
            audio_input: detail(["prompt_tokens_details", "input_tokens_details"], "audio_tokens"),
            audio_output: detail(
                ["completion_tokens_details", "output_tokens_details"],
                "audio_tokens",
            ),
        })
    }
}
