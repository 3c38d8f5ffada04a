//! A try at ranking documents: forwarded where the provider speaks the common form, translated for Cohere and for text
//! embeddings inference.

use ::http::Uri;
use bytes::Bytes;
use stead_dialects::rerank::{Dialect, Request};

use super::{
    Answer, JSON,
    http::{ANSWER_LIMIT, Outgoing, collect, refusal, send},
    other, speaks_openai,
};
use crate::{
    dispatch::{Call, Failure},
    ledger::Ledger,
    snapshot::{HttpApi, Target},
    tally::{Tally, from_wire},
};

/// Asks the provider, translating where its form is another one.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let provider = &target.provider;
    let dialect = Dialect::of(provider.kind.as_str());
    if dialect == Dialect::Jina {
        if !speaks_openai(api) {
            return Err(Failure::unsupported(provider, call.operation.describe()));
        }
        return other::ask(call, target, api, ledger).await;
    }
    let read = Request::read(&call.request.body);
    let (request, mut notes) = read.map_err(|error| Failure::inexpressible(&error))?;
    let sent = dialect.request(&request, &target.model);
    notes.extend(sent.notes);
    ledger.warn(notes);
    let base = if dialect.is_at_root() {
        api.base.strip_suffix("/v1").unwrap_or(&api.base)
    } else {
        &api.base
    };
    let uri = Uri::try_from(format!("{base}/{}", sent.path))
        .map_err(|_| Failure::unusable(provider, "its address is none for this model"))?;
    let response = send(call, target, Outgoing::plain(api, uri, sent.body.into())).await?;
    if !response.status().is_success() {
        return Err(refusal(call, provider, response).await);
    }
    let status = response.status();
    let body = collect(call, provider, response.into_body(), ANSWER_LIMIT).await?;
    let answer = dialect
        .answer(&request, &body)
        .map_err(|error| Failure::garbage(provider, &error.message))?;
    let mut tally = Tally::new(ledger.keeps_output());
    tally.usage = Some(answer.usage.map(from_wire).unwrap_or_default());
    tally.finished = true;
    let id = call.id.to_string();
    let body = answer.write(&request, &call.request.fields.model, &id);
    let body = Bytes::from(body.to_string());
    tally.whole(&body);
    Ok(Answer::Whole {
        status,
        sort: JSON,
        body,
        tally,
    })
}
