//! Embedding models, and requests for vectors: tokenised, checked, computed a batch at a time.

use std::{
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use stead_kernel::{Error as KernelError, ports::Embedded};
use tokio::sync::oneshot;

use super::model::{MAX_LOAD_THREADS, check_memory};
use crate::{
    encoder::{Batch, Config, Encoder},
    error::{Error, Result},
    gguf::Gguf,
    text::Words,
};

/// The most texts of a request, as the API that most clients are made for has it.
const MAX_TEXTS: usize = 2048;
/// Tokens that are computed together; texts are never parted, so a long one may be more.
const BATCH_TOKENS: usize = 256;

/// A loaded embedding model.
pub(super) struct Embedder {
    encoder: Encoder,
    words: Words,
}

impl Embedder {
    /// Loads a file.
    pub(super) fn load(file: &Gguf) -> Result<Self> {
        let config = Config::read(file)?;
        check_memory(Encoder::bytes(file, &config))?;
        let threads = thread::available_parallelism().map_or(1, NonZero::get);
        let words = Words::read(file, config.vocabulary)?;
        let encoder = Encoder::load(file, config, threads.min(MAX_LOAD_THREADS))?;
        Ok(Self { encoder, words })
    }

    /// Bytes that the states of a batch take at most.
    fn state_bytes(&self) -> usize {
        let config = &self.encoder.config;
        let rows = BATCH_TOKENS + config.context;
        // States, queries, keys, values, what is attended to, and the inner ones twice, as numbers and quantised.
        let numbers = rows * (6 * config.width + 2 * config.hidden) + config.context * config.context;
        numbers * size_of::<f32>()
    }
}

/// Where a job's vectors arrive.
type Receiver = oneshot::Receiver<stead_kernel::Result<Vec<Vec<f32>>>>;

/// Some texts of a request, which wait for a worker.
pub(super) struct Job {
    model: Arc<Embedder>,
    /// The tokens of each text.
    texts: Vec<Vec<u32>>,
    sender: oneshot::Sender<stead_kernel::Result<Vec<Vec<f32>>>>,
    /// Bytes that its states take at most.
    pub(super) cache_bytes: usize,
}

/// What becomes the answer; dropped, its jobs are cancelled.
pub(super) struct Pending {
    receivers: Vec<Receiver>,
    embedded: Embedded,
}

/// Makes jobs of a request, for several workers where there is enough for each.
pub(super) fn prepare(
    model: &Arc<Embedder>,
    texts: &[String],
    workers: usize,
) -> Result<(Vec<Job>, Pending)> {
    if texts.is_empty() || texts.len() > MAX_TEXTS {
        return Err(Error::Request(format!(
            "there must be 1 to {MAX_TEXTS} texts, and there are {}",
            texts.len()
        )));
    }
    let config = &model.encoder.config;
    let mut cut = 0;
    let mut encoded = Vec::with_capacity(texts.len());
    for text in texts {
        let text = model.words.encode(text, config.context)?;
        cut += usize::from(text.cut);
        encoded.push(text.tokens);
    }
    let tokens = encoded.iter().map(Vec::len).sum::<usize>();
    let embedded = Embedded {
        vectors: Vec::with_capacity(texts.len()),
        tokens: tokens as u64,
        cut,
        limit: config.context,
    };
    let (mut jobs, mut receivers) = (Vec::new(), Vec::new());
    let parts = tokens.div_ceil(BATCH_TOKENS).clamp(1, workers.max(1));
    for texts in parted(encoded, tokens.div_ceil(parts)) {
        let (sender, receiver) = oneshot::channel();
        receivers.push(receiver);
        jobs.push(Job {
            model: Arc::clone(model),
            texts,
            sender,
            cache_bytes: model.state_bytes(),
        });
    }
    Ok((jobs, Pending { receivers, embedded }))
}

/// Parts texts, in order, after each that reaches so many tokens.
fn parted(texts: Vec<Vec<u32>>, most: usize) -> Vec<Vec<Vec<u32>>> {
    let (mut parts, mut part, mut tokens) = (Vec::new(), Vec::new(), 0);
    for text in texts {
        tokens += text.len();
        part.push(text);
        if tokens >= most {
            parts.push(std::mem::take(&mut part));
            tokens = 0;
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}

impl Pending {
    /// Waits for all vectors.
    pub(super) async fn vectors(mut self) -> stead_kernel::Result<Embedded> {
        for receiver in self.receivers {
            let vectors = receiver.await;
            let vectors = vectors.map_err(|_| KernelError::unavailable("the embedded engine is stopping"))?;
            self.embedded.vectors.extend(vectors?);
        }
        Ok(self.embedded)
    }
}

impl Job {
    /// Whether nobody waits for it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.sender.is_closed()
    }
}

/// A job that a worker does.
pub(super) struct Encoding {
    job: Job,
    /// The texts under way, none before the first and after the last batch.
    batch: Option<Batch>,
    /// How many texts are under way or done.
    begun: usize,
    vectors: Vec<Vec<f32>>,
    failed: bool,
}

impl Encoding {
    /// Starts a job.
    pub(super) fn new(job: Job) -> Self {
        Self {
            vectors: Vec::with_capacity(job.texts.len()),
            job,
            batch: None,
            begun: 0,
            failed: false,
        }
    }

    /// Bytes that were set aside for it.
    pub(super) fn cache_bytes(&self) -> usize {
        self.job.cache_bytes
    }

    /// Computes a layer of a batch. Returns whether there is more to do; a panic ends the request, and the worker goes
    /// on.
    pub(super) fn contained_step(&mut self) -> bool {
        if self.job.is_cancelled() {
            return false;
        }
        if let Ok(goes_on) = catch_unwind(AssertUnwindSafe(|| self.step())) {
            return goes_on;
        }
        tracing::error!("a step of the embedded engine failed");
        self.failed = true;
        false
    }

    fn step(&mut self) -> bool {
        let encoder = &self.job.model.encoder;
        let Some(batch) = &mut self.batch else {
            let texts = self.job.texts.get(self.begun..).unwrap_or_default();
            let count = fitting(texts.iter().map(Vec::len));
            let mut batch = Batch::default();
            batch.begin(encoder, texts.iter().take(count).map(Vec::as_slice));
            self.begun += count;
            self.batch = Some(batch);
            return true;
        };
        if batch.advance(encoder) {
            return true;
        }
        self.vectors.extend(batch.vectors(encoder));
        self.batch = None;
        self.begun < self.job.texts.len()
    }

    /// Sends what came out.
    pub(super) fn finish(self) {
        let sound = self.vectors.iter().flatten().all(|number| number.is_finite());
        let result = if self.failed {
            Err(KernelError::internal("the embedded engine failed"))
        } else if sound {
            Ok(self.vectors)
        } else {
            Err(KernelError::internal(
                "the model's vectors are no numbers; its file may be damaged",
            ))
        };
        // It fails only when nobody listens any more.
        self.job.sender.send(result).ok();
    }
}

/// How many of the next texts are computed together: at least one.
fn fitting(lengths: impl Iterator<Item = usize>) -> usize {
    let mut tokens = 0;
    let fit = lengths.take_while(|length| {
        tokens += length;
        tokens <= BATCH_TOKENS
    });
    fit.count().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_parted_between_workers_in_order() {
        let texts =
            |lengths: &[usize]| -> Vec<Vec<u32>> { lengths.iter().map(|length| vec![0; *length]).collect() };
        for (lengths, most, parts) in [
            (&[10][..], 10, &[1][..]),
            (&[10, 10, 10, 10], 20, &[2, 2]),
            (&[30, 1, 1], 16, &[1, 2]),
            (&[1, 1, 30], 16, &[3]),
            (&[10, 10, 10], 15, &[2, 1]),
        ] {
            let counts: Vec<usize> = parted(texts(lengths), most).iter().map(Vec::len).collect();
            assert_eq!(counts, parts, "{lengths:?}");
        }
    }

    #[test]
    fn texts_are_computed_together_as_far_as_they_fit() {
        for (lengths, count) in [
            (&[3, 4][..], 2),
            (&[400, 3], 1),
            (&[200, 56, 1], 2),
            (&[200, 57], 1),
        ] {
            assert_eq!(fitting(lengths.iter().copied()), count, "{lengths:?}");
        }
    }
}
