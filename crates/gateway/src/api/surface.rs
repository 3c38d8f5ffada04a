//! By which API a request came: what is asked for, and in which dialect.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use stead_dialects::chat::{ClientDialect, Framing, View, Wire};

use super::error::ApiError;
use crate::{operation::Operation, scan::Scanned};

/// By which API a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Surface {
    pub(crate) operation: Operation,
    /// The dialect of the request, and of what its client is told.
    pub(crate) wire: Wire,
    pub(crate) form: Form,
}

/// Which of several forms that a dialect has for one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The usual one.
    Usual,
    /// Streams are one JSON array (Gemini without `alt=sse`).
    Array,
    /// Several texts are embedded at once (Gemini's `batchEmbedContents`).
    Batch,
    /// One text is embedded (Ollama's older `/api/embeddings`).
    Single,
}

/// The headers of clients that go on to a provider of the same dialect.
const PASSED: [(Wire, &str); 1] = [(Wire::Anthropic, "anthropic-beta")];

impl Surface {
    /// Of `OpenAI`'s API.
    pub(crate) const fn openai(operation: Operation) -> Self {
        Self {
            operation,
            wire: Wire::OpenAi,
            form: Form::Usual,
        }
    }

    /// Of a chat API.
    pub(crate) const fn chat(wire: Wire) -> Self {
        Self {
            operation: Operation::Chat,
            wire,
            form: Form::Usual,
        }
    }

    /// Another operation of the same dialect.
    pub(crate) const fn with(self, operation: Operation, form: Form) -> Self {
        Self {
            operation,
            form,
            ..self
        }
    }

    /// The translation of its dialect.
    pub(crate) fn dialect(self) -> Option<&'static dyn ClientDialect> {
        if self.form == Form::Array {
            Some(stead_dialects::gemini::client_of_arrays())
        } else {
            stead_dialects::client(self.wire)
        }
    }

    /// An error in the client's dialect.
    pub(crate) fn refuse(self, error: ApiError) -> Response {
        error.respond(self.wire)
    }

    /// What of the client's headers goes on to a provider of the same dialect.
    pub(crate) fn passed(self, headers: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
        let names = PASSED.iter().filter(|(wire, _)| *wire == self.wire);
        names
            .flat_map(|(_, name)| {
                let values = headers.get_all(*name).iter();
                values.map(|value| (HeaderName::from_static(name), value.clone()))
            })
            .collect()
    }

    /// How streams are framed.
    pub(crate) fn framing(self) -> Framing {
        self.dialect().map_or(Framing::Events, ClientDialect::framing)
    }

    /// The content type of streams.
    pub(crate) fn stream_type(self) -> &'static str {
        match self.framing() {
            Framing::Events => "text/event-stream; charset=utf-8",
            Framing::Lines => "application/x-ndjson",
            Framing::Array => "application/json",
        }
    }

    /// Whether comments may be sent while the answer is waited for. Google's SDK takes a comment for broken JSON.
    pub(crate) fn takes_comments(self) -> bool {
        self.wire != Wire::Gemini && self.framing() == Framing::Events
    }

    /// The whole of a stream that failed before anything of the answer came.
    pub(crate) fn failed_stream(
        self,
        error: &ApiError,
        request: &Scanned,
        view: impl FnOnce() -> View,
    ) -> Bytes {
        let dialect = self.dialect().filter(|_| self.operation == Operation::Chat);
        match dialect {
            Some(dialect) if self.wire != Wire::OpenAi && request.request().is_ok() => {
                let mut out = Vec::new();
                dialect.stream(view()).fail(&error.neutral(), &mut out);
                out.into()
            }
            Some(_) | None => error.event(),
        }
    }
}
