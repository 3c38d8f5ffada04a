//! One try at one target, in whatever way its provider is reached.

mod chat;
mod count;
mod embedded;
mod embeddings;
mod http;
mod other;
mod prime;
mod raw;
mod realtime;
mod rerank;
mod vectors;

use ::http::{HeaderValue, StatusCode};
use bytes::Bytes;

use stead_dialects::chat::Wire;

use crate::{
    dispatch::{Call, Failure},
    ledger::Ledger,
    operation::Operation,
    realtime::Joined,
    snapshot::{Api, HttpApi, Target},
    stream::Source,
    tally::Tally,
};

/// What a provider answered, in the client's dialect.
pub(crate) enum Answer {
    /// All of it.
    Whole {
        status: StatusCode,
        /// The content type.
        sort: HeaderValue,
        body: Bytes,
        tally: Tally,
    },
    /// Its beginning, up to the first content, and where the rest comes from.
    Stream {
        /// The content type, where it is not that of the client's dialect.
        sort: Option<HeaderValue>,
        head: Bytes,
        source: Box<dyn Source>,
        tally: Tally,
    },
    /// A WebSocket, on which nothing was said yet.
    Joined(Box<Joined>),
}

impl Answer {
    /// Whether a filter of the provider left nothing of it.
    pub(crate) fn is_filtered(&self) -> bool {
        match self {
            Self::Whole { tally, .. } => tally.filtered,
            Self::Stream { tally, .. } => tally.filtered && tally.pieces == 0,
            Self::Joined(_) => false,
        }
    }
}

/// The content type of most answers.
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Asks a target. What an attempt sends is built here anew, so nothing of an earlier one can leak into it.
pub(crate) async fn ask(call: &Call<'_>, target: &Target, ledger: &mut Ledger) -> Result<Answer, Failure> {
    let provider = &target.provider;
    if let Some(answer) = chat::loaded(call, ledger) {
        return Ok(answer);
    }
    match &provider.api {
        Api::Broken(why) => Err(Failure::unusable(provider, why)),
        Api::Embedded(_) if call.operation == Operation::CountTokens => count::estimate(call, ledger),
        Api::Embedded(files) if call.operation == Operation::Embeddings => {
            Box::pin(vectors::ask(call, target, files, ledger)).await
        }
        Api::Embedded(files) => Box::pin(embedded::ask(call, target, files, ledger)).await,
        Api::Http(api) => over_http(call, target, api, ledger).await,
    }
}

async fn over_http(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    match call.operation {
        Operation::Chat => chat::ask(call, target, api, ledger).await,
        Operation::CountTokens => Box::pin(count::ask(call, target, api, ledger)).await,
        Operation::Embeddings => Box::pin(embeddings::ask(call, target, api, ledger)).await,
        Operation::Rerank => Box::pin(rerank::ask(call, target, api, ledger)).await,
        _ if !speaks_openai(api) => Err(Failure::unsupported(&target.provider, call.operation.describe())),
        Operation::Completions => http::ask(call, target, api, ledger).await,
        Operation::Realtime => Box::pin(realtime::ask(call, target, api)).await,
        _ => Box::pin(other::ask(call, target, api, ledger)).await,
    }
}

/// Whether operations other than chat are there as `OpenAI` has them.
fn speaks_openai(api: &HttpApi) -> bool {
    let mut wires = api.chats.iter().map(|spoken| spoken.wire);
    wires.any(|wire| matches!(wire, Wire::OpenAi | Wire::Mistral))
}
