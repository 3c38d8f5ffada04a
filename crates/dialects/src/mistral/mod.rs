//! Mistral's chat completions: near to OpenAI's, with content chunks, thinking, prefixes and ids of its own.
//!
//! After Mistral's API reference ("Chat", `/v1/chat/completions`), its guides "Function calling", "Reasoning", "Vision"
//! and "Structured outputs", and the types of its own SDK (3.7).
//!
//! *Invariant:* ids of tool calls are nine letters and digits on the way out, and the same call has the same id wherever
//! it is spoken of.

mod answer;
mod error;
mod messages;
mod request;
mod stream;
mod tools;

use crate::chat::{Answer, Decoder, ErrorBody, ProviderDialect, Request, Sent, Target, TranslateError, Wire};

/// How Mistral is called in notes and errors.
const NAME: &str = "Mistral's API";

/// The dialect.
pub(crate) struct Mistral;

impl ProviderDialect for Mistral {
    fn wire(&self) -> Wire {
        Wire::Mistral
    }

    fn request(&self, request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
        request::write(request, target)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, TranslateError> {
        answer::read(body)
    }

    fn stream(&self) -> Box<dyn Decoder> {
        Box::new(stream::Reader::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorBody {
        error::read(status, body)
    }
}
