//! A try at an operation whose answer passes as it is: pictures, sound, transcripts, moderation, ranking.

use std::sync::Arc;

use ::http::{HeaderValue, Response, header};
use bytes::Bytes;
use serde_json::Value;
use stead_kernel::{Body, ports::TokenUsage};
use tokio::time::Instant;

use super::{
    Answer,
    http::{ANSWER_LIMIT, Outgoing, address, collect, is_event_stream, refusal, send, streams},
    prime,
    raw::{Bytewise, RawStream},
};
use crate::{
    dispatch::{Call, Failure},
    ledger::Ledger,
    operation::{Makes, Operation},
    snapshot::{HttpApi, Provider, Target},
    tally::Tally,
};

/// Asks the provider and checks its answer.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let since = Instant::now();
    let provider = &target.provider;
    let uri = address(call, target, api)?;
    let body = call
        .request
        .body_for(&target.model, target.provider.kind, call.operation);
    let mut outgoing = Outgoing::plain(api, uri, body);
    if let Some(form) = &call.request.form {
        outgoing.headers.push((header::CONTENT_TYPE, form.clone()));
    }
    outgoing
        .headers
        .push((header::ACCEPT, HeaderValue::from_static("*/*")));
    let response = send(call, target, outgoing).await?;
    if !response.status().is_success() {
        return Err(refusal(call, provider, response).await);
    }
    let sort = sort(&response);
    if is_event_stream(response.headers()) || (call.operation == Operation::Speech && !is_json(&sort)) {
        let understood = if is_event_stream(response.headers()) {
            Bytewise::Events
        } else {
            Bytewise::Opaque
        };
        let body = response.into_body();
        let source = RawStream::new(Arc::clone(provider), body, understood, call.operation);
        let answer = prime::prime(call, target, Box::new(source), since, ledger).await?;
        return Ok(with_sort(answer, sort));
    }
    if streams(call) && call.operation != Operation::Speech {
        return Err(Failure::garbage(
            provider,
            "a stream was asked for, and this is none",
        ));
    }
    let status = response.status();
    let body = collect(call, provider, response.into_body(), ANSWER_LIMIT).await?;
    let tally = tally(call, provider, &sort, &body, ledger.keeps_output())?;
    Ok(Answer::Whole {
        status,
        sort,
        body,
        tally,
    })
}

fn with_sort(answer: Answer, sort: HeaderValue) -> Answer {
    match answer {
        Answer::Stream {
            head, source, tally, ..
        } => Answer::Stream {
            sort: Some(sort),
            head,
            source,
            tally,
        },
        other @ (Answer::Whole { .. } | Answer::Joined(_)) => other,
    }
}

/// The content type of an answer.
fn sort(response: &Response<Body>) -> HeaderValue {
    let given = response.headers().get(header::CONTENT_TYPE).cloned();
    given.unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn is_json(sort: &HeaderValue) -> bool {
    sort.as_bytes().starts_with(b"application/json")
}

/// Checks a whole answer, and reads what it took.
fn tally(
    call: &Call<'_>,
    provider: &Provider,
    sort: &HeaderValue,
    body: &Bytes,
    keep: bool,
) -> Result<Tally, Failure> {
    let facts = call.operation.facts();
    let mut tally = Tally::new(keep && facts.makes != Makes::Images);
    tally.finished = true;
    tally.pieces = 1;
    tally.whole(body);
    if !is_json(sort) {
        // Transcripts may be plain text or subtitles.
        tally.usage = Some(TokenUsage::default());
        return Ok(tally);
    }
    let answer: Value = serde_json::from_slice(body)
        .map_err(|_| Failure::garbage(provider, "it is no JSON of the expected form"))?;
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Err(Failure::of_event(provider, body));
    }
    if !facts.member.is_empty() && answer.get(facts.member).is_none() {
        return Err(Failure::garbage(provider, "it has no content"));
    }
    tally.usage = Some(usage(call.operation, &answer));
    Ok(tally)
}

/// What an answer took, in the forms that operations tell it: tokens (`usage.input_tokens`, `usage.prompt_tokens`),
/// seconds of sound (`usage.seconds`, `duration`), pictures.
pub(super) fn usage(operation: Operation, answer: &Value) -> TokenUsage {
    let told = answer.get("usage").unwrap_or(&Value::Null);
    let count = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| told.get(*name)?.as_u64())
            .unwrap_or(0)
    };
    let detail = |part: &str, name: &str| {
        let found = told.get(part).and_then(|part| part.get(name)?.as_u64());
        found.unwrap_or(0)
    };
    let seconds = told.get("seconds").or_else(|| answer.get("duration"));
    let images = match operation.facts().makes {
        Makes::Images => answer.get("data").and_then(Value::as_array).map_or(0, Vec::len),
        Makes::Text | Makes::Numbers | Makes::Sound | Makes::Transcript | Makes::Talk => 0,
    };
    let output = count(&["output_tokens", "completion_tokens"]);
    TokenUsage {
        input: count(&["input_tokens", "prompt_tokens", "total_tokens"]),
        output,
        audio_input: detail("input_token_details", "audio_tokens"),
        image_input: detail("input_tokens_details", "image_tokens"),
        image_output: if images > 0 { output } else { 0 },
        images: u64::try_from(images).unwrap_or(u64::MAX),
        audio_ms: seconds.and_then(Value::as_f64).map_or(0, milliseconds),
        ..TokenUsage::default()
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to what fits"
)]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1_000.0).clamp(0.0, 1e12) as u64
}
