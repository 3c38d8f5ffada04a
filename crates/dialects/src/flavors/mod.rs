//! Flavours of OpenAI's dialect: what the servers that speak it differ in.
//!
//! A flavour is a row of a table: where the server is, how it is signed in to, which operations it has, and what of a
//! request it does not take. [`adapt`] makes a request fit, byte by byte: bodies are forwarded as they are otherwise.
//!
//! *Invariants:* each row cites the document it comes from; what a row does not name is taken as OpenAI takes it; a
//! body that needs no change is not copied.

mod adapt;
mod table;

pub use adapt::{Adapted, adapt};

/// A server that speaks OpenAI's dialect.
#[derive(Debug, Clone, Copy)]
pub struct Flavor {
    /// Its name in resources and in `Target::flavor`: `vllm`, `groq`.
    pub name: &'static str,
    /// How it is called in notes and errors.
    pub vendor: &'static str,
    /// The address that paths such as `chat/completions` are appended to; `None` where each has its own.
    pub base: Option<&'static str>,
    /// How it is signed in to.
    pub credential: Credential,
    /// The environment variable that its own SDKs and documents use for the key.
    pub variable: Option<&'static str>,
    /// What it can do.
    pub operations: &'static [Operation],
    /// What it has beyond what every server has.
    pub features: &'static [Feature],
    /// The name of the limit of the answer's tokens, reasoning included.
    pub limit: &'static str,
    /// How a stream is made to tell its usage.
    pub stream_usage: StreamUsage,
    /// The members of messages and deltas that hold reasoning, the newest name first; none where there is none.
    pub reasoning: &'static [&'static str],
    /// How the reasoning of earlier turns goes back.
    pub thoughts: Thoughts,
    /// What of a chat request it does not take.
    pub rules: &'static [Rule],
    /// What of a request for embeddings it does not take.
    pub embedding_rules: &'static [Rule],
    /// The document that all this comes from.
    pub source: &'static str,
}

/// How a server is signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credential {
    /// `Authorization: Bearer …`.
    Bearer,
    /// This header, with the key as it is.
    Header(&'static str),
    /// A bearer token if the server was started with one.
    Optional,
}

/// What a server can do, by OpenAI's paths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// `chat/completions`.
    Chat,
    /// `responses`.
    Responses,
    /// `completions`.
    Completions,
    /// `embeddings`.
    Embeddings,
    /// `rerank`, in the form of Cohere and Jina.
    Rerank,
    /// `images/generations`.
    Images,
    /// `audio/speech`.
    Speech,
    /// `audio/transcriptions`.
    Transcription,
    /// `moderations`.
    Moderations,
    /// `models`.
    Models,
}

/// What only some servers have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// The role `developer`.
    Developer,
    /// `top_k`, `min_p` and `repetition_penalty`.
    Samplers,
    /// `tool_choice` of the type `allowed_tools`.
    AllowedTools,
    /// `cache_control` on parts and tools.
    CacheMarks,
    /// `video_url`, and documents by address.
    MoreMedia,
    /// Pictures by address, which the server fetches.
    ImageUrls,
    /// Pictures as `data:` addresses.
    ImageData,
}

/// How a stream is made to tell its usage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamUsage {
    /// By `stream_options.include_usage`.
    Asked,
    /// It always does, and does not take `stream_options`.
    Always,
}

/// How the reasoning of earlier turns goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thoughts {
    /// Not at all.
    Omitted,
    /// As `reasoning_content`.
    Content,
    /// As OpenRouter's `reasoning_details`, signatures included.
    Details,
}

/// What a server does with a member of a chat request that OpenAI takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// It refuses it: it is left out, with a note.
    Without(&'static str),
    /// It refuses it, and the answer would not be what was asked for without it: the request is refused.
    Cannot(&'static str),
    /// It has no effect there that a document tells of: it is sent, with a note.
    Ignores(&'static str),
    /// It has another name there.
    Renamed(&'static str, &'static str),
    /// It takes these of OpenAI's words for how much to think only; others become the nearest.
    Efforts(&'static [&'static str]),
    /// It enforces no schemas: `json_schema` becomes `json_object`, with a note.
    NoSchemas,
    /// It refuses `name` in messages: it is left out, with a note.
    NoNames,
}

impl Flavor {
    /// Whether the server has a feature.
    pub fn has(&self, feature: Feature) -> bool {
        self.features.contains(&feature)
    }

    /// Whether the server can do it.
    pub fn can(&self, operation: Operation) -> bool {
        self.operations.contains(&operation)
    }
}

/// The flavour of a name; `None` for names that are not known.
pub fn find(name: &str) -> Option<&'static Flavor> {
    table::ALL.iter().find(|flavor| flavor.name == name)
}

/// The flavour that a target's name means: OpenAI itself without one, what every server takes when it is not known.
pub fn of(name: &str) -> &'static Flavor {
    let name = if name.is_empty() { "openai" } else { name };
    find(name).unwrap_or(&table::COMPATIBLE)
}

/// Every flavour.
pub fn all() -> &'static [Flavor] {
    table::ALL
}
