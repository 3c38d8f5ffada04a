//! Clients that speak Anthropic's messages.

mod answer;
mod message;
mod request;
mod stream;

use crate::{
    chat::{Answer, ClientDialect, Encoder, ErrorBody, Head, Request, TranslateError, View, Wire},
    json::{Object, read},
};

/// Messages, as clients speak them. The body of `count_tokens` is read as a request too: it is one without a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Anthropic;

impl ClientDialect for Anthropic {
    fn wire(&self) -> Wire {
        Wire::Anthropic
    }

    fn request(&self, body: &[u8], _: Head<'_>) -> Result<Request, TranslateError> {
        read(body, request::read)
    }

    fn answer(&self, answer: &Answer, view: &View) -> Vec<u8> {
        let mut out = Vec::with_capacity(1024);
        answer::write(answer, view, &mut out);
        out
    }

    fn stream(&self, view: View) -> Box<dyn Encoder> {
        Box::new(stream::Events::new(view))
    }

    fn error(&self, error: &ErrorBody) -> Vec<u8> {
        let mut out = Vec::new();
        super::error::body(error, &mut out);
        out
    }
}

/// The answer of `POST /v1/messages/count_tokens`.
pub fn token_count(tokens: u64) -> Vec<u8> {
    let mut out = Vec::new();
    Object::new(&mut out).count("input_tokens", tokens);
    out
}

/// The answer's id for Anthropic clients.
fn answer_id(given: &str, view: &View) -> String {
    let id = if given.is_empty() { &view.id } else { given };
    if id.starts_with("msg_") {
        id.to_owned()
    } else {
        format!("msg_{id}")
    }
}
