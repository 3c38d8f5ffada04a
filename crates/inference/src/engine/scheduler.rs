//! The queue between requests and workers.

use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use stead_kernel::{Error, Result};

use super::{embedding, sequence};

/// Requests that a worker serves at once.
pub(super) const SLOTS: usize = 8;

/// What workers do.
pub(super) enum Work {
    /// Answers.
    Generate(Box<sequence::Job>),
    /// Vectors.
    Embed(embedding::Job),
}

impl Work {
    fn is_cancelled(&self) -> bool {
        match self {
            Self::Generate(job) => job.is_cancelled(),
            Self::Embed(job) => job.is_cancelled(),
        }
    }

    fn cache_bytes(&self) -> usize {
        match self {
            Self::Generate(job) => job.cache_bytes,
            Self::Embed(job) => job.cache_bytes,
        }
    }
}

/// Hands jobs to workers, in their order, to the one that has least to do.
pub(super) struct Scheduler {
    state: Mutex<State>,
    changed: Condvar,
    queue: usize,
    cache_bytes: usize,
}

struct State {
    waiting: VecDeque<Work>,
    /// For each worker, how many requests it serves.
    loads: Vec<usize>,
    /// Bytes set aside for keys, values and states of requests under way.
    reserved: usize,
    closed: bool,
}

impl Scheduler {
    /// An empty queue for so many workers, of this length, with this many bytes for keys and values.
    pub(super) fn new(workers: usize, queue: usize, cache_bytes: usize) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            loads: vec![0; workers],
            reserved: 0,
            closed: false,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            queue,
            cache_bytes,
        }
    }

    /// Queues a job.
    pub(super) fn submit(&self, job: Work) -> Result<()> {
        let mut state = self.state();
        if state.closed {
            return Err(Error::unavailable("the embedded engine is stopping"));
        }
        state.waiting.retain(|job| !job.is_cancelled());
        let free: usize = state.loads.iter().map(|load| SLOTS - load).sum();
        if state.waiting.len() >= self.queue + free {
            let rounds = state.waiting.len() / (state.loads.len() * SLOTS) + 1;
            return Err(Error::exhausted("too many requests wait for the embedded engine")
                .hint("try again later, or raise the length of its queue")
                .retry_after(Duration::from_secs(rounds.min(30) as u64)));
        }
        state.waiting.push_back(job);
        drop(state);
        self.changed.notify_all();
        Ok(())
    }

    /// Jobs for a worker to start now. A worker with nothing under way waits for one; `None` means the end.
    pub(super) fn next(&self, worker: usize) -> Option<Vec<Work>> {
        let mut state = self.state();
        loop {
            let jobs = state.take(worker, self.cache_bytes);
            let busy = state.loads.get(worker).is_some_and(|load| *load > 0);
            if busy {
                return Some(jobs);
            }
            if state.closed && state.waiting.is_empty() {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Counts a request of a worker as ended.
    pub(super) fn release(&self, worker: usize, cache_bytes: usize) {
        let mut state = self.state();
        if let Some(load) = state.loads.get_mut(worker) {
            *load -= 1;
        }
        state.reserved -= cache_bytes;
        drop(state);
        self.changed.notify_all();
    }

    /// Takes no more jobs; workers end when the ones that are there are done.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Takes jobs off the queue as long as no other worker has less to do than this one.
    fn take(&mut self, worker: usize, cache_bytes: usize) -> Vec<Work> {
        let mut jobs = Vec::new();
        loop {
            let least = self.loads.iter().copied().min().unwrap_or(0);
            let Some(load) = self.loads.get_mut(worker) else {
                return jobs;
            };
            if *load > least || *load >= SLOTS {
                return jobs;
            }
            let Some(job) = self.waiting.pop_front() else {
                return jobs;
            };
            if job.is_cancelled() {
                continue;
            }
            // One request may always run, however much it wants.
            if self.reserved > 0 && self.reserved + job.cache_bytes() > cache_bytes {
                self.waiting.push_front(job);
                return jobs;
            }
            *load += 1;
            self.reserved += job.cache_bytes();
            jobs.push(job);
        }
    }
}
