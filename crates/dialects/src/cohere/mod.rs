//! Cohere's chat API, version 2.
//!
//! After the Cohere API reference ("Chat", "Chat with streaming") and the guides "Streaming", "Tool use", "Reasoning" and
//! "Structured outputs", with the names that Cohere's own SDK (7.3) has.
//!
//! *Invariant:* tokens are those that Cohere bills.

mod answer;
pub mod embeddings;
mod error;
mod messages;
mod request;
mod stream;
mod tools;

pub(crate) use answer::{billed, number};

use crate::chat::{Answer, Decoder, ErrorBody, ProviderDialect, Request, Sent, Target, TranslateError, Wire};

/// How Cohere is called in notes and errors.
const NAME: &str = "Cohere's API";

/// The dialect.
pub(crate) struct Cohere;

impl ProviderDialect for Cohere {
    fn wire(&self) -> Wire {
        Wire::Cohere
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
