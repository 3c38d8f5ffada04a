//! Anthropic's messages.
//!
//! Wire formats after Anthropic's API reference ("Messages", "Streaming messages", "Count message tokens", "Prompt
//! caching", "Extended thinking", "Citations", "Structured outputs", "Errors"; API version 2023-06-01).

mod client;
mod error;
mod provider;

pub use client::{Anthropic as Client, token_count};
pub use provider::Anthropic as Provider;
