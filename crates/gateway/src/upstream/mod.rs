//! One try at one target, in whatever way its provider is reached.

mod anthropic;
mod embedded;
mod http;
mod prime;

use ::http::StatusCode;
use bytes::Bytes;

use crate::{
    dispatch::{Call, Failure},
    ledger::Ledger,
    provider::ProviderType,
    snapshot::{Api, Target},
    stream::Source,
    tally::Tally,
};

/// What a provider answered, in the client's dialect.
pub(crate) enum Answer {
    /// All of it.
    Whole {
        status: StatusCode,
        body: Bytes,
        tally: Tally,
    },
    /// Its beginning, up to the first content, and where the rest comes from.
    Stream {
        head: Bytes,
        source: Box<dyn Source>,
        tally: Tally,
    },
}

/// Asks a target. What an attempt sends is built here anew, so nothing of an earlier one can leak into it.
pub(crate) async fn ask(call: &Call<'_>, target: &Target, ledger: &mut Ledger) -> Result<Answer, Failure> {
    let provider = &target.provider;
    match &provider.api {
        Api::Broken(why) => Err(Failure::unusable(provider, why)),
        Api::Embedded(files) => embedded::ask(call, target, files, ledger).await,
        Api::Http(api) => match provider.kind {
            ProviderType::Anthropic => anthropic::ask(call, target, api, ledger).await,
            ProviderType::Embedded
            | ProviderType::OpenAi
            | ProviderType::OpenAiCompatible
            | ProviderType::Ollama => http::ask(call, target, api, ledger).await,
        },
    }
}
