//! A try at a provider's chat over HTTP: forwarded where it speaks the client's dialect, translated where not.

use std::{
    borrow::Cow,
    sync::{Arc, LazyLock},
};

use ::http::{HeaderName, HeaderValue, Response, StatusCode, Uri};
use bytes::Bytes;
use memchr::memmem::Finder;
use stead_dialects::{
    chat::{Choice, ProviderDialect, Sent, Target as Wanted, View, Wire, holds_foreign_tokens},
    gemini, ollama, responses,
};
use stead_kernel::{Body, ports::TokenUsage};
use tokio::time::Instant;

use super::{
    Answer, JSON,
    http::{self, ANSWER_LIMIT, Outgoing, collect, refusal, send, streams},
    prime,
};
use crate::{
    api::surface::Form,
    dispatch::{Call, Failure},
    ledger::Ledger,
    operation::Operation,
    scan::Scanned,
    snapshot::{HttpApi, Provider, Spoken, Target},
    stream::{ForwardedStream, ProviderEvents, Source, TranslatedStream, is_filter},
    tally::{Tally, from_wire},
};

/// The limit of an answer's tokens for dialects that require one, when the client sets none.
const DEFAULT_MAX_TOKENS: u64 = 4_096;

/// What an answer is read by.
struct Plan {
    dialect: &'static dyn ProviderDialect,
    /// Whether the answer is in the client's own dialect and passes as it is.
    forwards: bool,
}

/// Asks the provider and checks its answer.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let provider = &target.provider;
    let client = call.request.wire;
    let spoken = best(call, api).ok_or_else(|| Failure::unsupported(provider, call.operation.describe()))?;
    let forwards = spoken.wire == client
        && call.request.is_original()
        && call.surface.form != Form::Array
        && !holds_foreign_tokens(&call.request.body, client);
    if forwards && client == Wire::OpenAi {
        return http::ask(call, target, api, ledger).await;
    }
    let since = Instant::now();
    let dialect = stead_dialects::provider(spoken.wire)
        .ok_or_else(|| Failure::unsupported(provider, call.operation.describe()))?;
    let outgoing = if forwards {
        let path = path(call, target, spoken.wire);
        let body = call
            .request
            .body_for(&target.model, provider.kind, call.operation);
        let mut outgoing = Outgoing::plain(api, address(spoken, provider, &path)?, body);
        outgoing.headers.extend_from_slice(call.passed);
        outgoing
    } else {
        let sent = translated(call, target, dialect)?;
        ledger.warn(sent.notes);
        let address = match spoken.wire {
            // Azure may have an address for each of its models.
            Wire::OpenAi => http::address(call, target, api)?,
            _ => address(spoken, provider, &sent.path)?,
        };
        let mut outgoing = Outgoing::plain(api, address, sent.body.into());
        outgoing.headers.extend(headers(&sent.headers));
        outgoing
    };
    let plan = Plan { dialect, forwards };
    let response = send(call, target, outgoing).await?;
    if !response.status().is_success() {
        return Err(refusal(call, provider, response).await);
    }
    if streams(call) {
        let source = stream(call, provider, response, &plan)?;
        return prime::prime(call, target, source, since, ledger).await;
    }
    whole(call, provider, response, &plan, ledger).await
}

/// The dialect in which a request is best sent on: the client's own where the provider speaks it, but OpenAI's responses
/// for what its chat completions cannot say.
fn best<'a>(call: &Call<'_>, api: &'a HttpApi) -> Option<&'a Spoken> {
    let usual = api.chat_for(call.request.wire)?;
    if usual.wire != Wire::OpenAi {
        return Some(usual);
    }
    let mut others = api.chats.iter();
    let richer = others.find(|spoken| spoken.wire == Wire::Responses);
    Some(richer.filter(|_| needs_responses(call.request)).unwrap_or(usual))
}

/// Whether chat completions cannot say what is asked. A request in that dialect is read only when a word in it suggests
/// so.
fn needs_responses(request: &Scanned) -> bool {
    static SIGNS: LazyLock<Vec<Finder<'static>>> =
        LazyLock::new(|| responses::SIGNS.into_iter().map(Finder::new).collect());
    let may_need =
        request.wire != Wire::OpenAi || SIGNS.iter().any(|sign| sign.find(&request.body).is_some());
    may_need
        && request
            .request()
            .is_ok_and(|request| responses::is_needed(request))
}

/// Where a request goes that is in the provider's own dialect.
fn path(call: &Call<'_>, target: &Target, wire: Wire) -> Cow<'static, str> {
    match wire {
        Wire::Anthropic => "messages".into(),
        Wire::Responses => "responses".into(),
        Wire::Gemini => {
            let method = if call.request.fields.stream {
                "streamGenerateContent?alt=sse"
            } else {
                "generateContent"
            };
            format!("{}:{method}", gemini::model_path(wanted(target))).into()
        }
        Wire::OllamaGenerate => "generate".into(),
        Wire::OpenAi | Wire::Mistral => "chat/completions".into(),
        // No client speaks the last two.
        Wire::Ollama | Wire::Bedrock | Wire::Cohere => "chat".into(),
    }
}

/// For whom a request is written.
fn wanted(target: &Target) -> Wanted<'_> {
    Wanted {
        model: &target.model,
        default_max_tokens: DEFAULT_MAX_TOKENS,
        flavor: target.provider.kind.as_str(),
    }
}

/// The answer to a request by which a client of Ollama loads or unloads a model, which asks nobody.
pub(super) fn loaded(call: &Call<'_>, ledger: &Ledger) -> Option<Answer> {
    let wire = call.surface.wire;
    if call.operation != Operation::Chat || !matches!(wire, Wire::Ollama | Wire::OllamaGenerate) {
        return None;
    }
    let body = Bytes::from(ollama::loaded(&view(call).ok()?, wire)?);
    let mut tally = Tally::new(ledger.keeps_output());
    tally.usage = Some(TokenUsage::default());
    tally.finished = true;
    tally.whole(&body);
    Some(Answer::Whole {
        status: StatusCode::OK,
        sort: JSON,
        body,
        tally,
    })
}

fn translated(
    call: &Call<'_>,
    target: &Target,
    dialect: &'static dyn ProviderDialect,
) -> Result<Sent, Failure> {
    let request = call.request.request().map_err(Failure::inexpressible)?;
    let mut notes = Vec::new();
    let request = request.without_foreign_steps(dialect.wire(), &mut notes);
    let mut sent = dialect
        .request(&request, wanted(target))
        .map_err(|error| Failure::inexpressible(&error))?;
    sent.notes.extend(notes);
    Ok(sent)
}

fn address(spoken: &Spoken, provider: &Provider, path: &str) -> Result<Uri, Failure> {
    Uri::try_from(format!("{}/{path}", spoken.base))
        .map_err(|_| Failure::unusable(provider, "its address is none for this model"))
}

/// The headers that a translated request needs besides the provider's own.
fn headers(sent: &[(&'static str, String)]) -> impl Iterator<Item = (HeaderName, HeaderValue)> {
    sent.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_static(name);
        Some((name, HeaderValue::try_from(value).ok()?))
    })
}

/// What the writer of an answer knows of the request.
pub(super) fn view(call: &Call<'_>) -> Result<View, Failure> {
    let request = call.request.request().map_err(Failure::inexpressible)?;
    Ok(View {
        id: call.id.to_string(),
        model: call.request.fields.model.clone(),
        created: call.gateway.clock.now().as_second(),
        request: Arc::clone(request),
    })
}

async fn whole(
    call: &Call<'_>,
    provider: &Provider,
    response: Response<Body>,
    plan: &Plan,
    ledger: &Ledger,
) -> Result<Answer, Failure> {
    let status = response.status();
    let body = collect(call, provider, response.into_body(), ANSWER_LIMIT).await?;
    let mut answer = plan
        .dialect
        .answer(&body)
        .map_err(|error| Failure::garbage(provider, &error.message))?;
    if call.surface.wire == Wire::Responses {
        // It is kept under its id, so that it gets one of ours: nobody knows whether the provider's is unique.
        answer.id.clear();
    }
    let mut tally = Tally::new(ledger.keeps_output());
    tally.model(&answer.model);
    tally.usage = answer.usage.map(from_wire);
    // In case the provider does not count: about four bytes a token.
    tally.pieces = u64::try_from(body.len().div_ceil(4)).unwrap_or(u64::MAX);
    tally.finished = true;
    let nothing = |choice: &Choice| choice.parts.is_empty() && choice.stop.as_ref().is_some_and(is_filter);
    tally.filtered = !answer.choices.is_empty() && answer.choices.iter().all(nothing);
    let body = if plan.forwards {
        body
    } else {
        let client = client(call, provider)?;
        client.answer(&answer, &view(call)?).into()
    };
    tally.whole(&body);
    Ok(Answer::Whole {
        status,
        sort: JSON,
        body,
        tally,
    })
}

/// The dialect that the client gets its answer in.
pub(super) fn client(
    call: &Call<'_>,
    provider: &Provider,
) -> Result<&'static dyn stead_dialects::chat::ClientDialect, Failure> {
    call.surface
        .dialect()
        .ok_or_else(|| Failure::unsupported(provider, call.operation.describe()))
}

fn stream(
    call: &Call<'_>,
    provider: &Arc<Provider>,
    response: Response<Body>,
    plan: &Plan,
) -> Result<Box<dyn Source>, Failure> {
    let client = client(call, provider)?;
    let encoder = client.stream(view(call)?);
    let decoder = plan.dialect.stream();
    let body = response.into_body();
    let provider = Arc::clone(provider);
    Ok(if plan.forwards {
        let framing = client.framing();
        Box::new(ForwardedStream::new(provider, body, framing, decoder, encoder))
    } else {
        let events = ProviderEvents::new(Arc::clone(&provider), body, decoder);
        Box::new(TranslatedStream::new(provider, events, encoder).kept_as(call.surface.wire))
    })
}
