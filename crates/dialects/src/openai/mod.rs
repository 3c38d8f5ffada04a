//! OpenAI's chat completions.
//!
//! Wire formats after OpenAI's API reference ("Create chat completion", "The chat completion object", "The chat
//! completion chunk object") and, for what others add to it: DeepSeek's and vLLM's `reasoning_content` (`reasoning` in
//! newer servers), OpenRouter's `reasoning_details`, `images` and `cache_control`, LiteLLM's `thinking_blocks`, and
//! `extra_content.google.thought_signature` of Google's OpenAI-compatible endpoint.

mod build;
mod client;
mod error;
mod provider;
mod reasoning;

pub use build::{Answer, Model, error, error_type, models, usage};
pub use client::OpenAi as Client;
pub use provider::OpenAi as Provider;

pub(crate) use client::{
    extra_content as tool_extra_content, signature as tool_signature, token_list as write_logprobs,
};
pub(crate) use error::of_object as read_error;
pub(crate) use provider::{effort, tokens as read_tokens, usage as read_usage};
