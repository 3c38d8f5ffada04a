//! Ollama's own API: `/api/chat` for clients and providers, `/api/generate` for clients.
//!
//! Streams are one JSON document a line, and are the default. Answers carry no durations: nobody but Ollama measures
//! them. Ollama has no place for signatures of reasoning and for sources, so its clients do not see them.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md>

mod answer_reader;
mod answer_writer;
mod decoder;
pub mod embeddings;
mod encoder;
mod error;
mod listing;
mod message_writer;
mod options;
mod reader;
mod time;
mod writer;

use serde_json::Value;

use crate::chat::{
    Answer, ClientDialect, Decoder, Encoder, ErrorBody, Framing, Head, ProviderDialect, Request, Sent,
    Target, TranslateError, View, Wire,
};

pub use answer_writer::loaded;
pub use listing::{Listed, Loaded, ps, show, tags, version};

/// What a client called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Endpoint {
    Chat,
    Generate,
}

/// The dialect; it differs by endpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ollama {
    endpoint: Endpoint,
}

/// `/api/chat`.
pub(crate) static CHAT: Ollama = Ollama {
    endpoint: Endpoint::Chat,
};

/// `/api/generate`.
pub(crate) static GENERATE: Ollama = Ollama {
    endpoint: Endpoint::Generate,
};

impl ClientDialect for Ollama {
    fn wire(&self) -> Wire {
        match self.endpoint {
            Endpoint::Chat => Wire::Ollama,
            Endpoint::Generate => Wire::OllamaGenerate,
        }
    }

    fn request(&self, body: &[u8], _head: Head<'_>) -> Result<Request, TranslateError> {
        match self.endpoint {
            Endpoint::Chat => reader::chat(body),
            Endpoint::Generate => reader::generate(body),
        }
    }

    fn answer(&self, answer: &Answer, view: &View) -> Vec<u8> {
        answer_writer::write(answer, view, self.endpoint)
            .to_string()
            .into_bytes()
    }

    fn stream(&self, view: View) -> Box<dyn Encoder> {
        Box::new(encoder::StreamWriter::new(view, self.endpoint))
    }

    fn error(&self, error: &ErrorBody) -> Vec<u8> {
        error::write(error).to_string().into_bytes()
    }

    fn framing(&self) -> Framing {
        Framing::Lines
    }
}

impl ProviderDialect for Ollama {
    fn wire(&self) -> Wire {
        Wire::Ollama
    }

    fn request(&self, request: &Request, target: Target<'_>) -> Result<Sent, TranslateError> {
        writer::request(request, target)
    }

    fn answer(&self, body: &[u8]) -> Result<Answer, TranslateError> {
        answer_reader::read(body)
    }

    fn stream(&self) -> Box<dyn Decoder> {
        Box::new(decoder::StreamReader::default())
    }

    fn error(&self, status: u16, body: &[u8]) -> ErrorBody {
        error::read(status, body)
    }
}

/// Sets a member of an object.
fn insert(object: &mut Value, key: &str, value: Value) {
    if let Value::Object(members) = object {
        members.insert(key.to_owned(), value);
    }
}

/// Adds a note once.
fn note(notes: &mut Vec<String>, text: &str) {
    if !notes.iter().any(|note| note == text) {
        notes.push(text.to_owned());
    }
}
