//! From a request to a job: rendered, tokenised, checked.

use std::{borrow::Cow, sync::Arc};

use stead_kernel::ports::{Generated, Generation, Sampling};
use tokio::sync::mpsc;

use super::{
    model::{Defaults, Model},
    sequence::{Job, Receiver},
};
use crate::{
    error::{Error, Result},
    model::Cache,
    sampling::{Choice, Sampler, any_seed},
    text::TextStream,
};

/// The most stop texts of a request, and the longest, in bytes.
const MAX_STOPS: usize = 16;
const MAX_STOP_LENGTH: usize = 1024;

/// Makes a job of a request; the receiver gets what it generates.
pub(super) fn prepare(model: &Arc<Model>, request: &Generation) -> Result<(Job, Receiver)> {
    check(&request.sampling)?;
    let tokens = tokens(model, request)?;
    if tokens.is_empty() {
        return Err(Error::Request("the prompt is empty".to_owned()));
    }
    let room = model.context.saturating_sub(tokens.len());
    if room == 0 {
        return Err(Error::Request(format!(
            "the prompt has {} tokens, and the context holds {} with the answer",
            tokens.len(),
            model.context
        )));
    }
    let limit = request.sampling.max_tokens.unwrap_or(room).min(room);
    // No more can come than the start, the prompt's likelihoods, a text for each token and its likelihood, a rest and the
    // end: the worker never waits for a reader.
    let texts = if request.likelihoods.is_some() {
        2 * limit
    } else {
        limit
    };
    let (sender, receiver) = mpsc::channel(texts + 4);
    let prompt_tokens = tokens.len() as u64;
    sender
        .try_send(Ok(Generated::Started { prompt_tokens }))
        .map_err(|error| Error::Defect(error.to_string()))?;
    let job = Job {
        cache_bytes: Cache::bytes_for(&model.network.config, tokens.len() + limit),
        model: model.clone(),
        scope: request.scope.clone(),
        tokens,
        limit,
        likelihoods: request.likelihoods,
        sampler: Sampler::new(choice(&request.sampling, model.defaults)),
        text: TextStream::new(&request.sampling.stop),
        sender,
    };
    Ok((job, receiver))
}

/// The tokens of the prompt.
fn tokens(model: &Model, request: &Generation) -> Result<Vec<u32>> {
    if let Some(tokens) = &request.tokens {
        let vocabulary = model.tokenizer.len();
        if let Some(unknown) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            let message = format!("the prompt has the token {unknown}, and the model has {vocabulary}");
            return Err(Error::Request(message));
        }
        return Ok(tokens.clone());
    }
    let text = match &request.prompt {
        Some(prompt) => Cow::Borrowed(prompt.as_str()),
        None => Cow::Owned(model.template.render(&request.messages, request.tools.as_ref())?),
    };
    model.tokenizer.encode(&text)
}

fn choice(sampling: &Sampling, defaults: Defaults) -> Choice {
    Choice {
        temperature: sampling.temperature.unwrap_or(defaults.temperature),
        top_p: sampling.top_p.unwrap_or(defaults.top_p),
        top_k: sampling.top_k.unwrap_or(defaults.top_k),
        seed: sampling.seed.unwrap_or_else(any_seed),
    }
}

fn check(sampling: &Sampling) -> Result<()> {
    let complaint = if sampling
        .temperature
        .is_some_and(|value| !(0.0..=100.0).contains(&value))
    {
        "the temperature must be between 0 and 100"
    } else if sampling.top_p.is_some_and(|value| !(0.0..=1.0).contains(&value)) {
        "top_p must be between 0 and 1"
    } else if sampling.max_tokens == Some(0) {
        "max_tokens must be at least 1"
    } else if sampling.stop.len() > MAX_STOPS {
        "there are more than 16 stop texts"
    } else if sampling.stop.iter().any(|stop| stop.len() > MAX_STOP_LENGTH) {
        "a stop text is longer than 1024 bytes"
    } else {
        return Ok(());
    };
    Err(Error::Request(complaint.to_owned()))
}
