//! A try at the engine in this process.

mod completion;

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use ::http::StatusCode;
use bytes::Bytes;
use futures::{Stream, StreamExt};
use serde::Deserialize;
use serde_json::Value;
use stead_dialects::{
    chat::{self as neutral, Part, Target as Asked, Wire},
    openai, sse,
};
use stead_kernel::ports::{
    FinishReason, Generated, Generation, GenerationStream, LikelyToken, ModelFile, Sampling, TokenUsage,
};
use tokio::time::Instant;

use self::completion::{Prompt, Repeats, prompt};
use super::{Answer, JSON, chat, http::streams, prime};
use crate::{
    api::error::ApiError,
    dispatch::{Call, Failure, Retry},
    ledger::Ledger,
    operation::{Makes, Operation},
    snapshot::{Provider, Target},
    stream::{EngineEvents, Source, TranslatedStream, openai_end, stop},
    tally::{Tally, to_wire},
};

/// Asks the engine.
pub(super) async fn ask(
    call: &Call<'_>,
    target: &Target,
    files: &HashMap<Box<str>, ModelFile>,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let since = Instant::now();
    let provider = &target.provider;
    if call.operation.facts().makes != Makes::Text {
        return Err(Failure::unsupported(provider, call.operation.describe()));
    }
    let file = files
        .get(&*target.model)
        .ok_or_else(|| Failure::unusable(provider, &format!("there is no ready Model `{}`", target.model)))?;
    let refused = |error| Failure {
        error,
        retry: Retry::Never,
        status: 0,
    };
    let (generation, completed) = generation(call, &body(call)?).map_err(refused)?;
    let first = call.limits.first_token;
    let stream = tokio::time::timeout(first, call.gateway.chat.generate(file, generation))
        .await
        .map_err(|_| Failure::timeout(provider, "did not begin", first))?
        .map_err(|error| Failure::of_engine(provider, error))?;
    if call.operation == Operation::Chat {
        return translated(call, target, stream, since, ledger).await;
    }
    let (prompt, repeats) = completed.unwrap_or((Prompt::Text(String::new()), Repeats::default()));
    let shape = Shape {
        prompt,
        repeats,
        answer: openai::Answer {
            id: format!("cmpl-{}", call.id),
            created: call.gateway.clock.now().as_second(),
            model: call.request.fields.model.clone(),
        },
    };
    if !streams(call) {
        return whole(call, provider, &shape, stream, ledger).await;
    }
    let source = EngineStream {
        provider: Arc::clone(provider),
        shape,
        stream,
        include_usage: call.request.includes_usage(),
        ended: false,
    };
    prime::prime(call, target, Box::new(source), since, ledger).await
}

/// The fields of a request that the engine knows.
#[derive(Deserialize)]
struct Wanted {
    #[serde(default)]
    messages: Option<Vec<Value>>,
    #[serde(default)]
    prompt: Option<Value>,
    #[serde(default)]
    tools: Option<Value>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    top_p: Option<f64>,
    #[serde(default)]
    top_k: Option<usize>,
    #[serde(default)]
    seed: Option<i64>,
    #[serde(default)]
    stop: Option<Stop>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    echo: Option<bool>,
    /// A number in completions, yes or no in chats.
    #[serde(default)]
    logprobs: Option<Value>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// The request in `OpenAI`'s dialect, which the models' chat templates are written for.
fn body(call: &Call<'_>) -> Result<Bytes, Failure> {
    if call.request.wire == Wire::OpenAi && call.request.is_original() {
        return Ok(call.request.body.clone());
    }
    let request = call.request.request().map_err(Failure::inexpressible)?;
    let dialect = stead_dialects::provider(Wire::OpenAi).map(|dialect| {
        dialect.request(
            request,
            Asked {
                model: &request.model,
                default_max_tokens: u64::MAX,
                flavor: "embedded",
            },
        )
    });
    match dialect {
        Some(sent) => Ok(sent.map_err(|error| Failure::inexpressible(&error))?.body.into()),
        None => Ok(call.request.body.clone()),
    }
}

/// The answer to a chat, in the client's dialect.
async fn translated(
    call: &Call<'_>,
    target: &Target,
    stream: GenerationStream,
    since: Instant,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let provider = &target.provider;
    let (client, view) = (chat::client(call, provider)?, chat::view(call)?);
    if streams(call) {
        let events = EngineEvents::new(Arc::clone(provider), stream);
        let source = TranslatedStream::new(Arc::clone(provider), events, client.stream(view));
        return prime::prime(call, target, Box::new(source), since, ledger).await;
    }
    let (text, reason, mut tally, _) = collect(call, provider, stream, ledger).await?;
    let answer = neutral::Answer {
        choices: vec![neutral::Choice {
            parts: vec![Part::text(text)],
            stop: Some(stop(reason)),
            logprobs: Vec::new(),
        }],
        usage: tally.usage.as_ref().map(to_wire),
        ..neutral::Answer::default()
    };
    let body = Bytes::from(client.answer(&answer, &view));
    tally.whole(&body);
    Ok(Answer::Whole {
        status: StatusCode::OK,
        sort: JSON,
        body,
        tally,
    })
}

/// What the engine is asked; of a raw prompt also the prompt, and what the answer repeats of it.
fn generation(call: &Call<'_>, body: &[u8]) -> Result<(Generation, Option<(Prompt, Repeats)>), ApiError> {
    let mut wanted: Wanted = serde_json::from_slice(body).map_err(|error| {
        ApiError::invalid(
            "invalid_request",
            format!("the body does not have the expected form: {error}"),
        )
    })?;
    if wanted.n.is_some_and(|n| n != 1) {
        return Err(ApiError::invalid(
            "unsupported_value",
            "the embedded engine gives one answer a request",
        )
        .param("n"));
    }
    let max_tokens = call
        .request
        .fields
        .max_tokens
        .map(|max| usize::try_from(max).unwrap_or(usize::MAX));
    let sampling = Sampling {
        temperature: wanted.temperature,
        top_p: wanted.top_p,
        top_k: wanted.top_k,
        seed: wanted.seed.map(i64::cast_unsigned),
        stop: match wanted.stop.take() {
            None => Vec::new(),
            Some(Stop::One(text)) => vec![text],
            Some(Stop::Many(texts)) => texts,
        },
        // The completions API stops after 16 tokens unless told otherwise.
        max_tokens: max_tokens.or((call.operation == Operation::Completions).then_some(16)),
    };
    if call.operation != Operation::Chat {
        return completion(call, wanted, sampling);
    }
    let messages = wanted.messages.unwrap_or_default();
    if messages.is_empty() {
        return Err(ApiError::invalid("missing_messages", "the request has no messages").param("messages"));
    }
    let generation = Generation {
        messages,
        tools: wanted.tools.filter(|tools| !tools.is_null()),
        sampling,
        scope: call.project.to_owned(),
        ..Generation::default()
    };
    Ok((generation, None))
}

/// The same of a raw prompt.
fn completion(
    call: &Call<'_>,
    wanted: Wanted,
    sampling: Sampling,
) -> Result<(Generation, Option<(Prompt, Repeats)>), ApiError> {
    let logprobs = match wanted.logprobs {
        None | Some(Value::Null | Value::Bool(false)) => None,
        Some(given) => {
            let number = given.as_u64().and_then(|number| u32::try_from(number).ok());
            let refused =
                || ApiError::invalid("invalid_value", "logprobs is a whole number").param("logprobs");
            Some(number.ok_or_else(refused)?)
        }
    };
    let repeats = Repeats::of(wanted.echo, logprobs)?;
    if !repeats.is_plain() && streams(call) {
        let message = "the embedded engine streams neither the prompt nor likelihoods";
        return Err(ApiError::invalid("unsupported_value", message).param("stream"));
    }
    let prompt = prompt(wanted.prompt)?;
    let (text, tokens) = match &prompt {
        Prompt::Text(text) => (Some(text.clone()), None),
        Prompt::Tokens(tokens) => (None, Some(tokens.clone())),
    };
    let generation = Generation {
        prompt: text,
        tokens,
        likelihoods: repeats.likelihoods(&prompt),
        sampling,
        scope: call.project.to_owned(),
        ..Generation::default()
    };
    Ok((generation, Some((prompt, repeats))))
}

/// What all pieces of a completed raw prompt have in common.
struct Shape {
    answer: openai::Answer,
    prompt: Prompt,
    repeats: Repeats,
}

const fn finish(reason: FinishReason) -> &'static str {
    match reason {
        FinishReason::Stop => "stop",
        FinishReason::Length => "length",
    }
}

impl Shape {
    fn whole(&self, text: &str, reason: FinishReason, usage: &TokenUsage, read: &[LikelyToken]) -> Bytes {
        let mut answer = self.answer.text_completion(text, finish(reason), &to_wire(usage));
        self.repeats.apply(&mut answer, &self.prompt, read);
        answer.to_string().into()
    }

    fn text(&self, text: &str, out: &mut Vec<u8>) {
        push(out, &self.answer.text_completion_chunk(text, None));
    }

    fn finish(&self, reason: FinishReason, out: &mut Vec<u8>) {
        push(out, &self.answer.text_completion_chunk("", Some(finish(reason))));
    }

    fn usage(&self, usage: &TokenUsage, out: &mut Vec<u8>) {
        push(out, &self.answer.text_completion_usage_chunk(&to_wire(usage)));
    }
}

/// Adds an event.
fn push(out: &mut Vec<u8>, chunk: &Value) {
    out.extend_from_slice(&sse::encode(None, &chunk.to_string()));
}

async fn whole(
    call: &Call<'_>,
    provider: &Provider,
    shape: &Shape,
    stream: GenerationStream,
    ledger: &mut Ledger,
) -> Result<Answer, Failure> {
    let (text, reason, mut tally, read) = collect(call, provider, stream, ledger).await?;
    let body = shape.whole(&text, reason, &tally.usage.unwrap_or_default(), &read);
    tally.whole(&body);
    Ok(Answer::Whole {
        status: StatusCode::OK,
        sort: JSON,
        body,
        tally,
    })
}

/// Reads a generation to its end: its text, and the tokens whose likelihoods were told.
async fn collect(
    call: &Call<'_>,
    provider: &Provider,
    mut stream: GenerationStream,
    ledger: &mut Ledger,
) -> Result<(String, FinishReason, Tally, Vec<LikelyToken>), Failure> {
    let idle = call.limits.idle;
    let mut text = String::new();
    let mut read = Vec::new();
    let mut tally = Tally::new(ledger.keeps_output());
    let mut produced = TokenUsage::default();
    loop {
        // How long it reads the prompt, only the whole request's limit bounds.
        let next = if tally.pieces == 0 {
            stream.next().await
        } else {
            let next = tokio::time::timeout(idle, stream.next()).await;
            next.map_err(|_| Failure::timeout(provider, "did not go on with its answer", idle))?
        };
        let Some(generated) = next else {
            return Err(Failure::broken(provider));
        };
        match generated.map_err(|error| Failure::of_engine(provider, error))? {
            Generated::Started { prompt_tokens } => produced.input = prompt_tokens,
            Generated::Likely(tokens) => read.extend(tokens),
            Generated::Text(piece) => {
                if tally.pieces == 0 {
                    ledger.first_token();
                }
                tally.text(&piece);
                text.push_str(&piece);
                produced.output = tally.pieces;
                ledger.produced(produced);
            }
            Generated::Finished { reason, usage } => {
                tally.usage = Some(usage);
                tally.finished = true;
                return Ok((text, reason, tally, read));
            }
        }
    }
}

/// What the engine generates for a raw prompt, as chunks of `OpenAI`'s streams.
struct EngineStream {
    provider: Arc<Provider>,
    shape: Shape,
    stream: GenerationStream,
    include_usage: bool,
    ended: bool,
}

impl EngineStream {
    fn take(&mut self, generated: Generated, tally: &mut Tally) -> Option<Bytes> {
        match generated {
            Generated::Started { prompt_tokens } => {
                tally.usage = Some(TokenUsage {
                    input: prompt_tokens,
                    ..TokenUsage::default()
                });
                None
            }
            // Refused in streams.
            Generated::Likely(_) => None,
            Generated::Text(text) => {
                tally.text(&text);
                let mut out = Vec::new();
                self.shape.text(&text, &mut out);
                Some(out.into())
            }
            Generated::Finished { reason, usage } => {
                tally.usage = Some(usage);
                tally.finished = true;
                self.ended = true;
                let mut out = Vec::new();
                self.shape.finish(reason, &mut out);
                if self.include_usage {
                    self.shape.usage(&usage, &mut out);
                }
                Some(out.into())
            }
        }
    }
}

impl Source for EngineStream {
    fn poll_piece(
        &mut self,
        context: &mut Context<'_>,
        tally: &mut Tally,
    ) -> Poll<Option<Result<Bytes, Failure>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut self.stream).poll_next(context)) {
                Some(Ok(generated)) => {
                    if let Some(bytes) = self.take(generated, tally) {
                        return Poll::Ready(Some(Ok(bytes)));
                    }
                }
                Some(Err(error)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(Failure::of_engine(&self.provider, error))));
                }
                None => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(Failure::broken(&self.provider))));
                }
            }
        }
    }

    fn end(&mut self, failure: Option<&ApiError>) -> Bytes {
        openai_end(failure)
    }
}
