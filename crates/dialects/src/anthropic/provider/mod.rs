//! Providers that speak Anthropic's messages.

mod answer;
mod block;
mod models;
mod request;
mod stream;
mod tools;
mod turns;

use crate::{
    chat::{Answer, Decoder, ErrorBody, ProviderDialect, Request, Sent, Target, TranslateError, Wire},
    json::read,
};

/// How notes and refusals call the vendor.
const VENDOR: &str = "Anthropic's API";

/// Messages, as providers speak them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anthropic;

impl ProviderDialect for Anthropic {
    fn wire(&self) -> Wire {
        Wire::Anthropic
    }

    fn request(&self, request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
        request::write(request, target)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, TranslateError> {
        read(body, answer::read)
    }

    fn stream(&self) -> Box<dyn Decoder> {
        Box::new(stream::Events::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorBody {
        super::error::read(status, body)
    }
}
