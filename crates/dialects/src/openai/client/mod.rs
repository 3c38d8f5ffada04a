//! Clients that speak chat completions.

mod answer;
mod message;
mod request;
mod stream;
mod tools;

use crate::{
    chat::{Answer, ClientDialect, Encoder, ErrorBody, Head, Request, TranslateError, View, Wire},
    json::read,
};

pub(crate) use answer::{extra_content, token_list};
pub(super) use message::citation;
pub(crate) use message::signature;

/// Chat completions, as clients speak them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct OpenAi;

impl ClientDialect for OpenAi {
    fn wire(&self) -> Wire {
        Wire::OpenAi
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
        Box::new(stream::Chunks::new(view))
    }

    fn error(&self, error: &ErrorBody) -> Vec<u8> {
        let mut out = Vec::new();
        super::error::body(error, &mut out);
        out
    }
}

/// The answer's id for OpenAI clients.
fn answer_id(given: &str, view: &View) -> String {
    let id = if given.is_empty() { &view.id } else { given };
    if id.starts_with("chatcmpl-") {
        id.to_owned()
    } else {
        format!("chatcmpl-{id}")
    }
}
