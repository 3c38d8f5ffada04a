//! Streams of answers: from a provider's bytes to the client's, an event at a time.

mod body;
mod chunk;
mod openai;
mod splitter;

use std::task::{Context, Poll};

use bytes::Bytes;

pub(crate) use body::{Clocks, StreamBody};
pub(crate) use openai::OpenAiStream;

use crate::{dispatch::Failure, tally::Tally};

/// Reads a chunk of our own into the tally.
pub(crate) fn read_chunk(payload: &[u8], tally: &mut Tally) {
    // What we built ourselves has the right form.
    let _ = chunk::read(payload, tally);
}

/// The last event of a stream that ended well.
pub(crate) const DONE: &[u8] = b"data: [DONE]\n\n";

/// An answer that comes in pieces, in the client's dialect but without the last event: whoever sends it settles
/// first. Dropped, it stops the provider.
pub(crate) trait Source: Send {
    /// The next bytes for the client; `None` after a complete answer. What they mean goes into the tally.
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>>;
}
