//! Gemini's `generateContent`, of the Gemini API and of Vertex AI.
//!
//! The bodies of both are the same; the path differs, and is chosen by the flavour `vertex`. Streams are server-sent
//! events (`alt=sse`); [`client_of_arrays`] writes them as one JSON array for clients that do not ask for events.
//! Where a body may be spelled in camel or in snake case, both are read, as Google's servers do.
//!
//! *Invariants:* thought signatures come back at the part that they came with. Schemas are written as JSON schema.
//! <https://ai.google.dev/api/generate-content>,
//! <https://cloud.google.com/vertex-ai/generative-ai/docs/model-reference/inference>

mod answer_reader;
mod answer_writer;
mod citations;
mod decoder;
pub mod embeddings;
mod encoder;
mod error;
mod generation;
mod listing;
mod logprobs;
mod media;
mod part_reader;
mod part_writer;
mod reader;
mod reader_config;
mod reader_tools;
mod schema;
mod signature;
mod stop;
mod usage;
mod writer;
mod writer_config;
mod writer_tools;

use std::time::Duration;

use serde_json::Value;

use crate::chat::{
    Answer, ClientDialect, Decoder, Encoder, ErrorBody, Framing, Head, ProviderDialect, Request, Sent,
    Target, TranslateError, View, Wire,
};

pub use listing::{Listed, count_tokens_answer, model, models};
pub use reader::count_tokens_request;
pub use signature::holds_foreign_signatures;
pub use writer::model_path;

/// The dialect; it differs by how streams are framed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Gemini {
    framing: Framing,
}

/// For clients that ask for `alt=sse`, and for providers.
pub(crate) static EVENTS: Gemini = Gemini {
    framing: Framing::Events,
};

static ARRAYS: Gemini = Gemini {
    framing: Framing::Array,
};

/// The dialect for clients that stream without `alt=sse`: the stream is one JSON array.
pub fn client_of_arrays() -> &'static dyn ClientDialect {
    &ARRAYS
}

impl ClientDialect for Gemini {
    fn wire(&self) -> Wire {
        Wire::Gemini
    }

    fn request(&self, body: &[u8], head: Head<'_>) -> Result<Request, TranslateError> {
        reader::request(body, head)
    }

    fn answer(&self, answer: &Answer, view: &View) -> Vec<u8> {
        answer_writer::write(answer, view).to_string().into_bytes()
    }

    fn stream(&self, view: View) -> Box<dyn Encoder> {
        Box::new(encoder::StreamWriter::new(view, self.framing))
    }

    fn error(&self, error: &ErrorBody) -> Vec<u8> {
        error::write(error).to_string().into_bytes()
    }

    fn framing(&self) -> Framing {
        self.framing
    }
}

impl ProviderDialect for Gemini {
    fn wire(&self) -> Wire {
        Wire::Gemini
    }

    fn wait(&self, body: &[u8]) -> Option<Duration> {
        error::retry_delay(body)
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
