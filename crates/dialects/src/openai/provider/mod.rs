//! Providers that speak chat completions.

mod answer;
mod message;
mod request;
mod stream;
mod tools;

pub(crate) use answer::{tokens, usage};
pub(crate) use request::effort;

use crate::{
    chat::{Answer, Decoder, ErrorBody, ProviderDialect, Request, Sent, Target, TranslateError, Wire},
    json::read,
};

/// Chat completions, as providers speak them; [`Target::flavor`] says which provider's limits apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenAi;

impl ProviderDialect for OpenAi {
    fn wire(&self) -> Wire {
        Wire::OpenAi
    }

    fn request(&self, request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
        request::write(request, target)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, TranslateError> {
        read(body, answer::read)
    }

    fn stream(&self) -> Box<dyn Decoder> {
        Box::new(stream::Chunks::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorBody {
        super::error::read(status, body)
    }
}
