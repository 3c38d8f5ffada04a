//! Amazon Bedrock's Converse API, which speaks to every chat model there in one form.
//!
//! After the Amazon Bedrock API Reference ("Converse" and its stream) and the service model `bedrock-runtime` of
//! version 2023-09-30. [`sigv4`] signs requests, [`event_stream`] frames streams.
//!
//! *Invariants:* signatures of reasoning are Anthropic's, and only its own are sent back; nothing is sent to a model
//! that its family is not known to take.

mod answer;
pub mod embeddings;
mod error;
pub mod event_stream;
mod media;
mod messages;
mod model;
mod request;
pub mod sigv4;
mod stream;
mod tools;

use crate::chat::{Answer, Decoder, ErrorBody, ProviderDialect, Request, Sent, Target, TranslateError, Wire};

pub use error::error_of;

/// Bedrock's name in signatures.
pub const SERVICE: &str = "bedrock";

/// How Bedrock is called in notes and errors.
const NAME: &str = "Bedrock's Converse API";

/// The dialect.
pub(crate) struct Bedrock;

impl ProviderDialect for Bedrock {
    fn wire(&self) -> Wire {
        Wire::Bedrock
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
        error_of(None, status, body)
    }
}
