//! Streams of answers: from a provider's bytes to the client's, an event at a time.

mod body;
mod chunk;
mod forwarded;
mod openai;
mod pump;
mod splitter;
mod translated;

use std::task::{Context, Poll};

use bytes::Bytes;

pub(crate) use body::{Clocks, StreamBody};
pub(crate) use forwarded::ForwardedStream;
pub(crate) use openai::OpenAiStream;
pub(crate) use pump::{Pump, Turn};
pub(crate) use translated::{EngineEvents, ProviderEvents, TranslatedStream, is_filter, stop, take_event};

use crate::{api::error::ApiError, dispatch::Failure, tally::Tally};

/// The last event of a stream of `OpenAI`'s dialect that ended well.
pub(crate) const DONE: &[u8] = b"data: [DONE]\n\n";

/// How a stream of `OpenAI`'s dialect ends.
pub(crate) fn openai_end(failure: Option<&ApiError>) -> Bytes {
    failure.map_or(Bytes::from_static(DONE), ApiError::event)
}

/// An answer that comes in pieces, in the client's dialect but without what ends it: whoever sends it settles
/// first. Dropped, it stops the provider.
pub(crate) trait Source: Send {
    /// The next bytes for the client; `None` after a complete answer. What they mean goes into the tally.
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>>;

    /// The last bytes for the client, which end a complete answer or say what went wrong.
    fn end(&mut self, failure: Option<&ApiError>) -> Bytes;
}
