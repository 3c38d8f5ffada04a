//! OpenAI's responses.
//!
//! Wire formats after OpenAI's API reference ("Create a model response", "The response object", "Streaming events").
//! State is the gateway's: [`state`] says what a request refers to, [`merge`] puts what was stored into it, and
//! [`input_items`] and [`output_items`] make what is stored.

mod answer;
mod input;
mod items;
mod provider;
mod request;
mod state;
mod stream;
mod tools;

use crate::{
    chat::{Answer, ClientDialect, Encoder, ErrorBody, Head, Request, TranslateError, View, Wire},
    json::read,
    openai,
};

pub use answer::queued;
pub use provider::{Provider, SIGNS, is_needed};
pub use state::{State, final_response, input_items, merge, output_items, own_input, state};

/// Responses, as clients speak them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Client;

impl ClientDialect for Client {
    fn wire(&self) -> Wire {
        Wire::Responses
    }

    fn request(&self, body: &[u8], _: Head<'_>) -> Result<Request, TranslateError> {
        read(body, request::read)
    }

    fn answer(&self, answer: &Answer, view: &View) -> Vec<u8> {
        let mut out = Vec::with_capacity(2048);
        answer::write(answer, view, &mut out);
        out
    }

    fn stream(&self, view: View) -> Box<dyn Encoder> {
        Box::new(stream::Events::new(view))
    }

    fn error(&self, error: &ErrorBody) -> Vec<u8> {
        openai::Client.error(error)
    }
}
