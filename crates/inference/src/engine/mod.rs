//! The engine: models by file, a queue, and worker threads that serve it.
//!
//! Each worker serves up to [`SLOTS`](scheduler::SLOTS) requests at once and reads the weights once a step for all of
//! them. Workers share weights and nothing else, so an answer never waits for the slowest of several threads, which on
//! a machine that is busy with other things costs more than it gains. Only texts to embed, which have nothing to do with
//! each other, are parted between workers.

mod embedding;
mod kept;
mod library;
mod likelihood;
mod model;
mod request;
mod scheduler;
mod sequence;
#[cfg(test)]
mod tests;
mod worker;

use std::{num::NonZero, sync::Arc, thread};

use async_trait::async_trait;
use futures::stream;
use stead_kernel::{
    Clock, Error, Result, Tasks,
    ports::{Chat, Embedded, Generated, Generation, GenerationStream, ModelFile},
};
use tokio::sync::mpsc;

use crate::kernels::Level;
use library::Library;
use scheduler::{Scheduler, Work};

/// What an engine is made with.
#[derive(Clone)]
pub struct EngineOptions {
    /// Worker threads; 0 means one per core, at most 4.
    pub threads: usize,
    /// How many requests may wait for a worker; more are refused with `Exhausted`.
    pub queue: usize,
    /// The longest context, in tokens, of prompt and answer together; a model's own may be shorter.
    pub context: usize,
    /// Bytes that the keys and values of all requests under way may take together; more wait.
    pub cache_bytes: usize,
    /// How many models are kept loaded; the one unused for longest goes first.
    pub models: usize,
    /// Shutdown waits for the answers under way through these.
    pub tasks: Tasks,
    /// For chat templates that name today's date.
    pub clock: Arc<dyn Clock>,
}

impl EngineOptions {
    /// The usual options.
    pub fn new(tasks: Tasks, clock: Arc<dyn Clock>) -> Self {
        Self {
            threads: 0,
            queue: 64,
            context: 8192,
            cache_bytes: 2 << 30,
            models: 4,
            tasks,
            clock,
        }
    }
}

/// Runs chat and embedding models in this process, on its processors.
pub struct Engine {
    library: Library,
    scheduler: Arc<Scheduler>,
    workers: usize,
}

impl Engine {
    /// Starts the workers. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `Unavailable` when the operating system gives no threads.
    pub fn new(options: EngineOptions) -> Result<Self> {
        let threads = match options.threads {
            0 => thread::available_parallelism().map_or(1, NonZero::get).min(4),
            threads => threads,
        };
        let scheduler = Arc::new(Scheduler::new(threads, options.queue, options.cache_bytes));
        let (alive, mut ended) = mpsc::channel::<()>(1);
        for index in 0..threads {
            worker::start(index, scheduler.clone(), alive.clone())
                .map_err(|error| Error::unavailable("the embedded engine got no thread").because(error))?;
        }
        drop(alive);
        let (tasks, closing) = (options.tasks.clone(), scheduler.clone());
        options.tasks.spawn("inference", async move {
            tasks.stopped().await;
            closing.close();
            // Nothing is ever sent: this ends when the last worker has.
            ended.recv().await;
        });
        tracing::debug!(
            threads,
            instructions = Level::best().name(),
            "the embedded engine is ready"
        );
        Ok(Self {
            library: Library::new(options),
            scheduler,
            workers: threads,
        })
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.scheduler.close();
    }
}

#[async_trait]
impl Chat for Engine {
    async fn generate(&self, model: &ModelFile, request: Generation) -> Result<GenerationStream> {
        let name = model.name.clone();
        let loaded = self.library.get(model).await?.chat(&name);
        let loaded = loaded.map_err(|error| error.of_model(&name))?;
        let prepared = tokio::task::spawn_blocking(move || request::prepare(&loaded, &request))
            .await
            .map_err(|error| Error::internal("reading the prompt failed").because(error))?;
        let (job, receiver) = prepared.map_err(|error| error.of_model(&name))?;
        self.scheduler.submit(Work::Generate(Box::new(job)))?;
        Ok(Box::pin(stream::unfold(receiver, async |mut receiver| {
            let item: Result<Generated> = receiver.recv().await?;
            Some((item, receiver))
        })))
    }

    async fn embed(&self, model: &ModelFile, texts: Vec<String>) -> Result<Embedded> {
        let loaded = self.library.get(model).await?.embedding(&model.name);
        let loaded = loaded.map_err(|error| error.of_model(&model.name))?;
        let workers = self.workers;
        let prepared = tokio::task::spawn_blocking(move || embedding::prepare(&loaded, &texts, workers))
            .await
            .map_err(|error| Error::internal("reading the texts failed").because(error))?;
        let (jobs, pending) = prepared.map_err(|error| error.of_model(&model.name))?;
        for job in jobs {
            self.scheduler.submit(Work::Embed(job))?;
        }
        pending.vectors().await
    }

    async fn load(&self, model: &ModelFile) -> Result<()> {
        self.library.get(model).await.map(|_| ())
    }

    async fn unload(&self, model: &ModelFile) {
        self.library.forget(model);
    }
}
