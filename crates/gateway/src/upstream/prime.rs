//! Waits for the first content of a stream, so that a failure before it can still be tried again.

use std::future::poll_fn;

use bytes::Bytes;
use tokio::time::Instant;

use super::Answer;
use crate::{
    dispatch::{Call, Failure},
    ledger::Ledger,
    snapshot::Target,
    stream::Source,
    tally::Tally,
};

/// How much may come before the first content; more is taken as content.
const HEAD_LIMIT: usize = 64 << 10;

/// Reads a stream up to its first content.
pub(super) async fn prime(
    call: &Call<'_>,
    target: &Target,
    mut source: Box<dyn Source>,
    since: Instant,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let mut tally = Tally::new(ledger.keeps_output());
    let mut head = Vec::new();
    let read = async {
        while tally.pieces == 0 && !tally.finished && head.len() < HEAD_LIMIT {
            let piece = poll_fn(|context| source.poll_piece(context, &mut tally)).await;
            if let Some(usage) = tally.usage {
                // In case it is not waited for any more: some tell at the beginning what the input took.
                ledger.produced(usage);
            }
            match piece {
                Some(Ok(bytes)) if head.is_empty() && tally.pieces > 0 => return Ok(bytes),
                Some(Ok(bytes)) => head.extend_from_slice(&bytes),
                Some(Err(failure)) => return Err(failure),
                None => break,
            }
        }
        Ok(Bytes::from(std::mem::take(&mut head)))
    };
    let limit = call.limits.first_token;
    let head = tokio::time::timeout_at(since + limit, read)
        .await
        .map_err(|_| Failure::timeout(&target.provider, "sent no content", limit))??;
    ledger.first_token();
    Ok(Answer::Stream {
        sort: None,
        head,
        source,
        tally,
    })
}
