//! A try at a provider that speaks the client's own dialect over HTTP.

use std::{borrow::Cow, sync::Arc, time::Duration};

use ::http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use serde::Deserialize;
use serde_json::value::RawValue;
use stead_dialects::flavors;
use stead_kernel::{
    Body,
    ports::{SendOptions, TokenUsage},
};
use tokio::time::Instant;

use super::{Answer, JSON, prime};
use crate::{
    dispatch::{Call, ERROR_LIMIT, Failure},
    ledger::Ledger,
    operation::{Makes, Operation},
    provider::ProviderType,
    signin::Signer,
    snapshot::{HttpApi, Provider, Target},
    stream::OpenAiStream,
    tally::{Tally, WireUsage},
    trace,
};

/// The largest whole answer, in bytes.
pub(super) const ANSWER_LIMIT: usize = 64 << 20;

/// Asks the provider and checks its answer.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let since = Instant::now();
    let uri = address(call, target, api)?;
    let body = call
        .request
        .body_for(&target.model, target.provider.kind, call.operation);
    let body = adapted(call, target, body, ledger)?;
    let response = send(call, target, Outgoing::plain(api, uri, body)).await?;
    if !response.status().is_success() {
        return Err(refusal(call, &target.provider, response).await);
    }
    if streams(call) {
        return stream(call, target, response, since, ledger).await;
    }
    let status = response.status();
    let body = collect(call, &target.provider, response.into_body(), ANSWER_LIMIT).await?;
    let tally = read_whole(call, &target.provider, &body, ledger.keeps_output())?;
    Ok(Answer::Whole {
        status,
        sort: JSON,
        body,
        tally,
    })
}

/// The body without what this flavour of `OpenAI`'s dialect does not take. `OpenAI` itself takes all of it, and of a
/// server that is not known more closely nothing can be said.
fn adapted(call: &Call<'_>, target: &Target, body: Bytes, ledger: &mut Ledger) -> Result<Bytes, Failure> {
    let kind = target.provider.kind;
    let is_plain = matches!(
        kind,
        ProviderType::OpenAi | ProviderType::OpenAiCompatible | ProviderType::Ollama
    );
    let operation = match call.operation {
        Operation::Chat => flavors::Operation::Chat,
        Operation::Embeddings => flavors::Operation::Embeddings,
        _ => return Ok(body),
    };
    let Some(flavor) = flavors::find(kind.as_str()).filter(|_| !is_plain) else {
        return Ok(body);
    };
    let adapted = flavors::adapt(flavor, operation, &body);
    let adapted = adapted.map_err(|error| Failure::inexpressible(&error))?;
    if !adapted.notes.is_empty() {
        ledger.warn(adapted.notes);
    }
    Ok(adapted.body)
}

/// Where an operation of `OpenAI`'s dialect is asked for.
pub(super) fn address(call: &Call<'_>, target: &Target, api: &HttpApi) -> Result<Uri, Failure> {
    let ready = match call.operation {
        Operation::Chat => Some(&api.chat),
        Operation::Completions => Some(&api.completions),
        Operation::Embeddings => Some(&api.embeddings),
        _ => None,
    };
    if let Some(ready) = ready.filter(|_| api.deployments.is_none()) {
        return Ok(ready.clone());
    }
    let found = api.at(call.operation.facts().path, &target.model);
    found.ok_or_else(|| Failure::unusable(&target.provider, "its address is none for this model"))
}

/// Whether the client wants a stream and the operation has one.
pub(super) fn streams(call: &Call<'_>) -> bool {
    call.request.fields.stream && call.operation.facts().streams
}

/// What is sent to a provider.
pub(super) struct Outgoing<'a> {
    pub(super) api: &'a HttpApi,
    pub(super) uri: Uri,
    pub(super) body: Bytes,
    /// Headers of this request besides the provider's own.
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl<'a> Outgoing<'a> {
    /// Without headers of its own.
    pub(super) fn plain(api: &'a HttpApi, uri: Uri, body: Bytes) -> Self {
        Self {
            api,
            uri,
            body,
            headers: Vec::new(),
        }
    }
}

/// Sends a body to the provider and returns the head of its answer.
pub(super) async fn send(
    call: &Call<'_>,
    target: &Target,
    outgoing: Outgoing<'_>,
) -> Result<Response<Body>, Failure> {
    let provider = &target.provider;
    let mut request = Request::new(Body::from(outgoing.body.clone()));
    *request.method_mut() = ::http::Method::POST;
    *request.uri_mut() = outgoing.uri;
    *request.headers_mut() = headers(call, outgoing.api);
    for (name, value) in outgoing.headers {
        if matches!(name, header::CONTENT_TYPE | header::ACCEPT) {
            request.headers_mut().insert(name, value);
        } else {
            request.headers_mut().append(name, value);
        }
    }
    let options = SendOptions {
        reach: provider.reach,
        connect_timeout: call.limits.connect,
    };
    let signer = Signer {
        outbound: &*call.gateway.outbound,
        clock: &*call.gateway.clock,
        options,
    };
    let signed = outgoing.api.sign_in.sign(&mut request, &outgoing.body, &signer);
    signed.await.map_err(|why| Failure::unusable(provider, &why))?;
    let sent = call.gateway.outbound.send(request, options);
    // Without a stream the head comes with the whole answer, which only the deadline bounds, and that is watched by
    // who asked for the try.
    let response = if streams(call) {
        let limit = call.limits.first_token;
        tokio::time::timeout(limit, sent)
            .await
            .map_err(|_| Failure::timeout(provider, "did not answer", limit))?
    } else {
        sent.await
    };
    response.map_err(|error| Failure::unsent(provider, &error))
}

/// The headers that every request to a provider has.
pub(super) fn headers(call: &Call<'_>, api: &HttpApi) -> HeaderMap {
    let mut headers = api.headers.clone();
    let accept = if streams(call) {
        "text/event-stream"
    } else {
        "application/json"
    };
    headers.insert(header::ACCEPT, HeaderValue::from_static(accept));
    if let Some(trace) = call.trace.header() {
        headers.insert(trace::HEADER, trace);
    }
    if let Some(state) = call.trace.state() {
        headers.insert(trace::STATE, state);
    }
    headers
}

/// Turns an answer with a failure status into a failure.
pub(super) async fn refusal(call: &Call<'_>, provider: &Provider, response: Response<Body>) -> Failure {
    let (parts, body) = response.into_parts();
    if parts.status.is_redirection() {
        return Failure::garbage(
            provider,
            "it redirects to another address; set spec.baseUrl to that address",
        );
    }
    // What it says is welcome, but not necessary.
    let body = collect(call, provider, body, ERROR_LIMIT)
        .await
        .unwrap_or_default();
    let now = call.gateway.clock.now();
    Failure::of_answer(provider, parts.status, &parts.headers, &body, now)
}

async fn stream(
    call: &Call<'_>,
    target: &Target,
    response: Response<Body>,
    since: Instant,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let provider = &target.provider;
    if !is_event_stream(response.headers()) {
        let body = collect(call, provider, response.into_body(), ERROR_LIMIT).await?;
        return Err(match serde_json::from_slice::<Whole<'_>>(&body) {
            Ok(Whole { error: Some(_), .. }) => Failure::of_event(provider, &body),
            Ok(_) | Err(_) => Failure::garbage(provider, "a stream was asked for, and this is none"),
        });
    }
    let strips_usage = call.request.hides_usage(call.operation);
    let source = OpenAiStream::new(Arc::clone(provider), response.into_body(), strips_usage);
    prime::prime(call, target, Box::new(source), since, ledger).await
}

pub(super) fn is_event_stream(headers: &HeaderMap) -> bool {
    let sort = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    sort.is_some_and(|sort| sort.trim_ascii_start().starts_with(b"text/event-stream"))
}

/// Reads a body to its end, not beyond the limit and not slower than the idle limit.
pub(super) async fn collect(
    call: &Call<'_>,
    provider: &Provider,
    mut body: Body,
    limit: usize,
) -> Result<Bytes, Failure> {
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = next(call.limits.idle, provider, &mut body).await? {
        if first.len() + all.len() + frame.len() > limit {
            return Err(Failure::garbage(provider, "it is too long"));
        }
        if first.is_empty() {
            first = frame;
        } else {
            all.extend_from_slice(&frame);
        }
    }
    // Most answers come in one frame, which is passed on as it is.
    if all.is_empty() {
        return Ok(first);
    }
    let mut joined = BytesMut::with_capacity(first.len() + all.len());
    joined.extend_from_slice(&first);
    joined.extend_from_slice(&all);
    Ok(joined.freeze())
}

async fn next(idle: Duration, provider: &Provider, body: &mut Body) -> Result<Option<Bytes>, Failure> {
    loop {
        let frame = tokio::time::timeout(idle, body.frame())
            .await
            .map_err(|_| Failure::timeout(provider, "did not go on with its answer", idle))?;
        match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Failure::broken(provider)),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Whole<'a> {
    #[serde(borrow, default)]
    model: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    choices: Option<&'a RawValue>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Checks that a whole answer is one, and reads its usage.
fn read_whole(call: &Call<'_>, provider: &Provider, body: &Bytes, keep: bool) -> Result<Tally, Failure> {
    let whole: Whole<'_> = serde_json::from_slice(body)
        .map_err(|_| Failure::garbage(provider, "it is no JSON of the expected form"))?;
    if whole.error.is_some_and(|error| error.get() != "null") {
        return Err(Failure::of_event(provider, body));
    }
    let generates = call.operation.facts().makes == Makes::Text;
    let content = if generates { whole.choices } else { whole.data };
    let Some(content) = content else {
        return Err(Failure::garbage(provider, "it has no content"));
    };
    let mut tally = Tally::new(keep);
    if generates {
        // In case the provider does not count: about four bytes a token.
        tally.pieces = u64::try_from(content.get().len().div_ceil(4)).unwrap_or(u64::MAX);
    }
    tally.model(whole.model.as_deref().unwrap_or_default());
    tally.usage = whole.usage.map(TokenUsage::from);
    tally.finished = true;
    tally.filtered = generates && call.filter_fails && left_nothing(content);
    tally.whole(body);
    Ok(tally)
}

#[derive(Deserialize)]
struct Ended<'a> {
    #[serde(borrow, default)]
    finish_reason: Option<&'a str>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<Said<'a>>,
}

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

/// Whether the provider's filter left nothing of any choice: `finish_reason` is `content_filter`
/// (<https://platform.openai.com/docs/api-reference/chat/object>).
fn left_nothing(choices: &RawValue) -> bool {
    let choices: Vec<Ended<'_>> = serde_json::from_str(choices.get()).unwrap_or_default();
    let empty = |text: Option<&RawValue>| text.is_none_or(|text| matches!(text.get(), "null" | "\"\""));
    let filtered = |choice: &Ended<'_>| {
        let content = choice.message.as_ref().and_then(|message| message.content);
        choice.finish_reason == Some("content_filter") && empty(choice.text) && empty(content)
    };
    !choices.is_empty() && choices.iter().all(filtered)
}
