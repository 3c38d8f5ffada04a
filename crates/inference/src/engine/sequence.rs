//! A request under way.

use std::sync::Arc;

use stead_kernel::{
    Error, Result,
    ports::{FinishReason, Generated, TokenUsage},
};
use tokio::sync::mpsc;

use super::model::Model;
use crate::{
    model::{Cache, Segment},
    sampling::Sampler,
    text::TextStream,
};

/// Where a request's pieces arrive.
pub(super) type Receiver = mpsc::Receiver<Result<Generated>>;

/// A request that waits for a worker.
pub(super) struct Job {
    pub(super) model: Arc<Model>,
    /// Who may use what is computed for it.
    pub(super) scope: String,
    /// The prompt.
    pub(super) tokens: Vec<u32>,
    /// The most tokens to generate.
    pub(super) limit: usize,
    pub(super) sampler: Sampler,
    pub(super) text: TextStream,
    /// Has room for all that can come.
    pub(super) sender: mpsc::Sender<Result<Generated>>,
    /// Bytes that its keys and values take at most.
    pub(super) cache_bytes: usize,
}

impl Job {
    /// Whether nobody waits for it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A request that a worker serves.
pub(super) struct Sequence {
    job: Job,
    cache: Cache,
    /// Tokens of the prompt.
    prompt: usize,
    /// Tokens of the prompt that were computed for an earlier answer.
    reused: usize,
}

impl Sequence {
    /// Starts a request, with what an earlier one left behind.
    pub(super) fn new(job: Job) -> Self {
        let cache = job.model.kept.take(&job.scope, &job.tokens);
        let cache = cache.unwrap_or_else(|| Cache::new(&job.model.network.config));
        Self {
            prompt: job.tokens.len(),
            reused: cache.len(),
            cache,
            job,
        }
    }

    /// Bytes that were set aside for it.
    pub(super) fn cache_bytes(&self) -> usize {
        self.job.cache_bytes
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.job.is_cancelled()
    }

    /// How many tokens wait to be computed.
    pub(super) fn pending(&self) -> usize {
        self.job.tokens.len() - self.cache.len()
    }

    /// The next tokens to compute, at most `most`.
    pub(super) fn segment(&mut self, most: usize) -> Segment<'_> {
        let from = self.cache.len();
        let to = (from + most).min(self.job.tokens.len());
        let scored = to == self.job.tokens.len();
        let tokens = self.job.tokens.get(from..to).unwrap_or_default();
        Segment {
            tokens,
            cache: &mut self.cache,
            scored,
        }
    }

    /// Chooses the next token by its scores and sends its text. Returns whether the answer goes on.
    pub(super) fn advance(&mut self, scores: &[f32]) -> bool {
        let vocabulary = self.job.model.tokenizer.len();
        let Some(token) = self
            .job
            .sampler
            .choose(scores.get(..vocabulary).unwrap_or(scores))
        else {
            self.fail("the model's scores are no numbers; its file may be damaged");
            return false;
        };
        if self.job.model.tokenizer.is_end(token) {
            self.finish(FinishReason::Stop);
            return false;
        }
        self.job.tokens.push(token);
        let text = self.job.text.push(self.job.model.tokenizer.bytes(token));
        self.send_text(text);
        if self.job.text.stopped() {
            self.finish(FinishReason::Stop);
            return false;
        }
        if self.generated() == self.job.limit {
            self.finish(FinishReason::Length);
            return false;
        }
        true
    }

    /// Ends the request with a defect.
    pub(super) fn fail(&mut self, message: &str) {
        self.send(Err(Error::internal(message)));
    }

    /// Drops its keys and values, which may be half written.
    pub(super) fn forget(&mut self) {
        self.cache.truncate(0);
    }

    /// Leaves its keys and values to a later request of its scope.
    pub(super) fn leave(self) {
        let Job {
            model, scope, tokens, ..
        } = self.job;
        model.kept.put(scope, tokens, self.cache);
    }

    fn generated(&self) -> usize {
        self.job.tokens.len() - self.prompt
    }

    fn finish(&mut self, reason: FinishReason) {
        let rest = self.job.text.finish();
        self.send_text(rest);
        let usage = TokenUsage {
            input: self.prompt as u64,
            output: self.generated() as u64,
            cached_input: self.reused as u64,
            ..TokenUsage::default()
        };
        self.send(Ok(Generated::Finished { reason, usage }));
    }

    fn send_text(&mut self, text: String) {
        if !text.is_empty() {
            self.send(Ok(Generated::Text(text)));
        }
    }

    fn send(&mut self, item: Result<Generated>) {
        // It fails only when nobody listens any more, which the worker notices before its next step.
        self.job.sender.try_send(item).ok();
    }
}
