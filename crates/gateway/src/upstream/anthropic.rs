//! A try at a provider that speaks Anthropic's Messages API.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::http::{Response, StatusCode};
use bytes::Bytes;
use http_body::Body as _;
use serde_json::Value;
use stead_dialects::{
    anthropic::{StreamToOpenai, request_from_openai, response_to_openai},
    sse::{self, Decoder},
};
use stead_kernel::Body;
use tokio::time::Instant;

use super::{
    Answer,
    http::{ANSWER_LIMIT, collect, is_event_stream, refusal, send, streams},
    prime,
};
use crate::{
    api::error::ApiError,
    dispatch::{Call, ERROR_LIMIT, Failure, Retry},
    ledger::Ledger,
    scan::Operation,
    snapshot::{HttpApi, Provider, Target},
    stream::{Source, read_chunk},
    tally::{Tally, from_wire},
};

/// Anthropic requires a limit; this is what a request without one gets.
const DEFAULT_MAX_TOKENS: u32 = 4_096;

/// Asks the provider, translating both ways.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    api: &HttpApi,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let since = Instant::now();
    let provider = &target.provider;
    if call.operation != Operation::Chat {
        return Err(Failure::unsupported(provider, call.operation.describe()));
    }
    let body = translate(call, &target.model, ledger)?;
    let response = send(call, target, api, &api.chat, body).await?;
    if !response.status().is_success() {
        return Err(refusal(call, provider, response).await);
    }
    if streams(call) {
        return stream(call, target, response, since, ledger).await;
    }
    let status = response.status();
    let body = collect(call, provider, response.into_body(), ANSWER_LIMIT).await?;
    whole(call, provider, status, &body, ledger)
}

fn translate(call: &Call<'_>, model: &str, ledger: &mut Ledger) -> Result<Bytes, Failure> {
    let never = |message: String| Failure {
        error: ApiError::invalid("unsupported_value", message),
        retry: Retry::Elsewhere,
        status: 0,
    };
    let mut body: Value = serde_json::from_slice(&call.request.body)
        .map_err(|error| never(format!("the body does not have the expected form: {error}")))?;
    if let Some(body) = body.as_object_mut() {
        body.insert("model".into(), model.into());
    }
    let translated = request_from_openai(&body, DEFAULT_MAX_TOKENS).map_err(|error| never(error.message))?;
    ledger.warn(translated.warnings);
    Ok(translated.body.to_string().into())
}

fn whole(
    call: &Call<'_>,
    provider: &Provider,
    status: StatusCode,
    body: &Bytes,
    ledger: &Ledger,
) -> Result<Answer, Failure> {
    let garbage = || Failure::garbage(provider, "it is no message of Anthropic's API");
    let answer: Value = serde_json::from_slice(body).map_err(|_| garbage())?;
    if answer.get("error").is_some_and(|error| !error.is_null()) {
        return Err(Failure::of_event(provider, body));
    }
    let created = call.gateway.clock.now().as_second();
    let translated =
        response_to_openai(&answer, &call.request.fields.model, created).map_err(|_| garbage())?;
    let mut tally = Tally::new(ledger.keeps_output());
    let usage = answer.get("usage").map(stead_dialects::anthropic::usage);
    tally.usage = usage.map(from_wire);
    tally.finished = true;
    let body = Bytes::from(translated.to_string());
    tally.whole(&body);
    Ok(Answer::Whole { status, body, tally })
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
        collect(call, provider, response.into_body(), ERROR_LIMIT).await?;
        return Err(Failure::garbage(
            provider,
            "a stream was asked for, and this is none",
        ));
    }
    let created = call.gateway.clock.now().as_second();
    let source = AnthropicStream {
        provider: Arc::clone(provider),
        body: response.into_body(),
        decoder: Decoder::default(),
        translator: StreamToOpenai::new(&call.request.fields.model, created, call.request.includes_usage()),
        waiting: VecDeque::new(),
        ended: false,
    };
    prime::prime(call, target, Box::new(source), since, ledger).await
}

/// Anthropic's events as chunks of `OpenAI`'s streams.
struct AnthropicStream {
    provider: Arc<Provider>,
    body: Body,
    decoder: Decoder,
    translator: StreamToOpenai,
    waiting: VecDeque<Result<Bytes, Failure>>,
    ended: bool,
}

impl AnthropicStream {
    fn take(&mut self, data: &[u8], tally: &mut Tally) {
        let Ok(events) = self.decoder.push(data) else {
            self.fail(Failure::garbage(&self.provider, "an event without end"));
            return;
        };
        let mut out = Vec::new();
        for event in events {
            let chunks = self.translator.event(&event);
            tally.usage = Some(from_wire(self.translator.usage()));
            if !self.translate(chunks, &mut out, tally) {
                return;
            }
        }
        if !out.is_empty() {
            self.waiting.push_back(Ok(out.into()));
        }
        self.ended |= self.translator.is_complete();
    }

    /// Adds chunks to the piece; `false` after an error.
    fn translate(&mut self, chunks: Vec<Value>, out: &mut Vec<u8>, tally: &mut Tally) -> bool {
        for chunk in chunks {
            let text = chunk.to_string();
            if chunk.get("error").is_some() {
                if !out.is_empty() {
                    self.waiting.push_back(Ok(std::mem::take(out).into()));
                }
                self.fail(Failure::of_event(&self.provider, text.as_bytes()));
                return false;
            }
            read_chunk(text.as_bytes(), tally);
            out.extend_from_slice(&sse::encode(None, &text));
        }
        true
    }

    fn fail(&mut self, failure: Failure) {
        self.waiting.push_back(Err(failure));
        self.ended = true;
    }

    /// The provider closed: that is the end only after a complete message.
    fn close(&mut self, tally: &mut Tally) {
        let missing = if self.translator.finish_reason().is_some() {
            self.translator.finish()
        } else {
            Vec::new()
        };
        let mut out = Vec::new();
        if self.translate(missing, &mut out, tally) && self.translator.is_complete() {
            self.waiting.push_back(Ok(out.into()));
            self.ended = true;
        } else if !self.ended {
            self.fail(Failure::broken(&self.provider));
        }
    }
}

impl Source for AnthropicStream {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            if let Some(piece) = self.waiting.pop_front() {
                return Poll::Ready(Some(piece));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.body).poll_frame(context)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.take(&data, tally);
                    }
                }
                Some(Err(_)) => self.fail(Failure::broken(&self.provider)),
                None => self.close(tally),
            }
        }
    }
}
