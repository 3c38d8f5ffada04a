//! Pure wire translation between model APIs.
//!
//! [`sse`] frames streams, [`scan`] reads the few fields that matter from bodies that are forwarded as they are,
//! [`flavors`] tells servers of OpenAI's dialect apart. [`chat`] is the form between the dialects, [`client`] and
//! [`provider`] give each dialect's translation into and out of it; [`embeddings`] and [`rerank`] are the same for those.
//!
//! *Invariants:* nothing here performs I/O, reads a clock or panics on any input. What a dialect cannot express is
//! refused or reported, never dropped silently.

pub mod anthropic;
pub mod bedrock;
mod calls;
pub mod chat;
pub mod cohere;
pub mod embeddings;
mod fields;
pub mod flavors;
pub mod gemini;
mod json;
mod lines;
mod mistral;
pub mod ollama;
pub mod openai;
pub mod rerank;
pub mod responses;
pub mod scan;
pub mod sse;
mod usage;

pub use usage::Usage;

use chat::{ClientDialect, ProviderDialect, Wire};

/// The dialect for clients that speak it; `None` for dialects that only providers speak.
pub fn client(wire: Wire) -> Option<&'static dyn ClientDialect> {
    match wire {
        Wire::OpenAi => Some(&openai::Client),
        Wire::Gemini => Some(&gemini::EVENTS),
        Wire::Responses => Some(&responses::Client),
        Wire::Anthropic => Some(&anthropic::Client),
        Wire::Ollama => Some(&ollama::CHAT),
        Wire::OllamaGenerate => Some(&ollama::GENERATE),
        Wire::Bedrock | Wire::Cohere | Wire::Mistral => None,
    }
}

/// The dialect for providers that speak it; `None` for dialects that only clients speak.
pub fn provider(wire: Wire) -> Option<&'static dyn ProviderDialect> {
    match wire {
        Wire::OpenAi => Some(&openai::Provider),
        Wire::Gemini => Some(&gemini::EVENTS),
        Wire::Anthropic => Some(&anthropic::Provider),
        Wire::Ollama => Some(&ollama::CHAT),
        Wire::Bedrock => Some(&bedrock::Bedrock),
        Wire::Cohere => Some(&cohere::Cohere),
        Wire::Mistral => Some(&mistral::Mistral),
        Wire::Responses => Some(&responses::Provider),
        Wire::OllamaGenerate => None,
    }
}
