//! What a dialect has to do, on either side.

use std::{sync::Arc, time::Duration};

use super::{Answer, ErrorBody, Event, Request, TranslateError};

/// A chat API as it looks on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Wire {
    /// OpenAI's chat completions.
    OpenAi,
    /// OpenAI's responses.
    Responses,
    /// Anthropic's messages.
    Anthropic,
    /// Gemini's `generateContent`.
    Gemini,
    /// Ollama's `/api/chat`.
    Ollama,
    /// Ollama's `/api/generate`.
    OllamaGenerate,
    /// Amazon Bedrock's Converse.
    Bedrock,
    /// Cohere's chat, version 2.
    Cohere,
    /// Mistral's chat completions.
    Mistral,
}

impl Wire {
    /// The dialect in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Responses => "openai-responses",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Ollama => "ollama",
            Self::OllamaGenerate => "ollama-generate",
            Self::Bedrock => "bedrock",
            Self::Cohere => "cohere",
            Self::Mistral => "mistral",
        }
    }
}

/// What of a request is not in its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Head<'a> {
    /// The model, where the path names it (Gemini).
    pub model: Option<&'a str>,
    /// Whether a stream was asked for, where the path says so (Gemini's `:streamGenerateContent`).
    pub stream: bool,
}

/// What an answer's writer knows of the request.
#[derive(Debug, Clone)]
pub struct View {
    /// The gateway's id of the request, a UUID; ids of answers are made from it when the provider gave none.
    pub id: String,
    /// The model's name as the client knows it.
    pub model: String,
    /// When, in seconds since 1970.
    pub created: i64,
    /// The request.
    pub request: Arc<Request>,
}

/// How the pieces of a client's stream are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events: `text/event-stream`.
    Events,
    /// One JSON document a line: `application/x-ndjson`.
    Lines,
    /// One JSON array over the whole body: `application/json` (Gemini without `alt=sse`).
    Array,
}

/// A dialect that clients speak. Pure; one instance serves all requests.
pub trait ClientDialect: Send + Sync {
    /// Which one.
    fn wire(&self) -> Wire;

    /// Reads a request.
    ///
    /// # Errors
    /// Names the field that is malformed or that this form cannot hold.
    fn request(&self, body: &[u8], head: Head<'_>) -> Result<Request, TranslateError>;

    /// Writes a whole answer: the body of a 200.
    fn answer(&self, answer: &Answer, view: &View) -> Vec<u8>;

    /// A writer for a streamed answer.
    fn stream(&self, view: View) -> Box<dyn Encoder>;

    /// Writes an error: the body of an answer with its status.
    fn error(&self, error: &ErrorBody) -> Vec<u8>;

    /// How streams are framed.
    fn framing(&self) -> Framing {
        Framing::Events
    }
}

/// Writes the pieces of one streamed answer, frames included. Every method appends to `out`.
pub trait Encoder: Send {
    /// Writes an event. `Event::Error` and `Event::End` are not given to it: see the other two methods.
    fn event(&mut self, event: &Event, out: &mut Vec<u8>);

    /// Ends a stream that is complete. What it writes (`[DONE]`, `message_stop`, the usage) is sent only after the
    /// request is settled.
    fn end(&mut self, out: &mut Vec<u8>);

    /// Ends a stream that failed, with a proper error event of this dialect.
    fn fail(&mut self, error: &ErrorBody, out: &mut Vec<u8>);
}

/// For which target a request is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Target<'a> {
    /// The model as the provider names it.
    pub model: &'a str,
    /// The limit of answers' tokens for dialects that require one, when the request sets none.
    pub default_max_tokens: u64,
    /// The provider's flavour of the dialect: the name of its type or catalogue entry (`vllm`, `groq`), whose known
    /// limits apply; empty for none.
    pub flavor: &'a str,
}

/// A request as it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// The path after the provider's base address, without a slash at the front: `messages`,
    /// `models/gemini-2.5-flash:streamGenerateContent?alt=sse`. Names are percent-encoded in it.
    pub path: String,
    /// The body, JSON.
    pub body: Vec<u8>,
    /// Headers that this request needs besides the provider's own (`anthropic-beta`).
    pub headers: Vec<(&'static str, String)>,
    /// What could not be said and was left out or changed, one sentence each.
    pub notes: Vec<String>,
}

/// A dialect that providers speak. Pure; one instance serves all requests.
pub trait ProviderDialect: Send + Sync {
    /// Which one.
    fn wire(&self) -> Wire;

    /// Writes a request.
    ///
    /// # Errors
    /// Names the field that this dialect cannot say and without which the answer would not be what was asked for.
    fn request(&self, request: &Request, target: Target<'_>) -> Result<Sent, TranslateError>;

    /// Reads a whole answer.
    ///
    /// # Errors
    /// When it is none.
    fn answer(&self, body: &[u8]) -> Result<Answer, TranslateError>;

    /// A reader for a streamed answer, frames included.
    fn stream(&self) -> Box<dyn Decoder>;

    /// Reads the body of an answer with a failure status. Bodies that are no error of this dialect (a proxy's page)
    /// give an error of the status without their text.
    fn error(&self, status: u16, body: &[u8]) -> ErrorBody;

    /// How long the body of a failure says to wait, in dialects that tell it there and not in `Retry-After`.
    fn wait(&self, _body: &[u8]) -> Option<Duration> {
        None
    }
}

/// Reads one streamed answer, however its bytes are split.
pub trait Decoder: Send {
    /// Takes the next bytes and appends the events that they complete. After `Event::Error` or `Event::End` nothing
    /// more is read.
    ///
    /// # Errors
    /// When the bytes are no answer of this dialect, or one event is larger than 8 MiB.
    fn push(&mut self, bytes: &[u8], events: &mut Vec<Event>) -> Result<(), StreamError>;

    /// The provider closed the connection: appends what is still missing of a complete answer (`Event::End`).
    ///
    /// # Errors
    /// [`StreamError::Cut`] when the answer is not complete.
    fn close(&mut self, events: &mut Vec<Event>) -> Result<(), StreamError>;
}

/// Why a stream could not be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// It ended before the answer did.
    #[error("the answer broke off before its end")]
    Cut,
    /// It is no answer of the dialect.
    #[error("{0}")]
    Malformed(String),
}
