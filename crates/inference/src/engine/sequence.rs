//! A request under way.

use std::sync::Arc;

use stead_kernel::{
    Error, Result,
    ports::{FinishReason, Generated, Likelihoods, LikelihoodsOf, LikelyToken, TokenUsage},
};
use tokio::sync::mpsc;

use super::{
    likelihood::{likely, text},
    model::Model,
};
use crate::{
    model::{Cache, Rows, Segment},
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
    /// Which likelihoods are told.
    pub(super) likelihoods: Option<Likelihoods>,
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

    /// Whether the likelihoods of the prompt's tokens are told.
    fn scores_prompt(&self) -> bool {
        self.likelihoods
            .is_some_and(|wanted| wanted.of == LikelihoodsOf::PromptAndAnswer)
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
    /// The likelihoods of the prompt's tokens so far.
    read: Vec<LikelyToken>,
}

impl Sequence {
    /// Starts a request, with what an earlier one left behind.
    pub(super) fn new(job: Job) -> Self {
        // What was computed before says nothing of the likelihoods on the way.
        let cache = if job.scores_prompt() {
            None
        } else {
            job.model.kept.take(&job.scope, &job.tokens)
        };
        let cache = cache.unwrap_or_else(|| Cache::new(&job.model.network.config));
        Self {
            prompt: job.tokens.len(),
            reused: cache.len(),
            cache,
            read: Vec::new(),
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
        let scored = if self.job.scores_prompt() {
            Rows::All
        } else if to == self.job.tokens.len() {
            Rows::Last
        } else {
            Rows::None
        };
        let tokens = self.job.tokens.get(from..to).unwrap_or_default();
        Segment {
            tokens,
            cache: &mut self.cache,
            scored,
        }
    }

    /// Takes the scores after the tokens that were computed: those of the prompt's tokens are told, by the last one the
    /// next token is chosen. Returns whether the answer goes on.
    pub(super) fn advance(&mut self, rows: &[&[f32]]) -> bool {
        if self.generated() == 0 && self.job.scores_prompt() {
            self.read_prompt(rows);
        }
        if self.pending() > 0 {
            return true;
        }
        match rows.last() {
            Some(scores) => self.choose(scores),
            None => true,
        }
    }

    /// Notes how likely the prompt's tokens are, and tells it once all are read.
    fn read_prompt(&mut self, rows: &[&[f32]]) {
        let tokenizer = &self.job.model.tokenizer;
        let top = self.job.likelihoods.map_or(0, |wanted| wanted.top);
        if let (true, Some(first)) = (self.read.is_empty(), self.job.tokens.first()) {
            self.read.push(LikelyToken {
                text: text(tokenizer, *first),
                ..LikelyToken::default()
            });
        }
        let next = self
            .job
            .tokens
            .get(self.cache.len() + 1 - rows.len()..)
            .unwrap_or_default();
        for (token, scores) in next.iter().zip(rows) {
            self.read.push(likely(tokenizer, *token, scores, top));
        }
        if self.pending() == 0 {
            let read = std::mem::take(&mut self.read);
            self.send(Ok(Generated::Likely(read)));
        }
    }

    /// Chooses the next token by its scores and sends its text. Returns whether the answer goes on.
    fn choose(&mut self, scores: &[f32]) -> bool {
        let vocabulary = self.job.model.tokenizer.len();
        let Some(token) = self
            .job
            .sampler
            .choose(scores.get(..vocabulary).unwrap_or(scores))
        else {
            self.fail("the model's scores are no numbers; its file may be damaged");
            return false;
        };
        if let Some(wanted) = self.job.likelihoods {
            let told = likely(&self.job.model.tokenizer, token, scores, wanted.top);
            self.send(Ok(Generated::Likely(vec![told])));
        }
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
