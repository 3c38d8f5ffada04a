//! A worker thread: takes requests, computes a step for all that it has, sends what came out.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use tokio::sync::mpsc;

use super::{
    model::Model,
    scheduler::Scheduler,
    sequence::{Job, Sequence},
};
use crate::model::Pass;

/// Tokens of prompts that are computed in one step; answers under way wait for no more than these.
const PROMPT_TOKENS: usize = 64;

/// Starts a worker; `alive` is dropped when it ends.
pub(super) fn start(index: usize, scheduler: Arc<Scheduler>, alive: mpsc::Sender<()>) -> io::Result<()> {
    let name = format!("inference-{index}");
    let worker = Worker {
        index,
        scheduler,
        lanes: Vec::new(),
    };
    thread::Builder::new().name(name).spawn(move || {
        worker.run();
        drop(alive);
    })?;
    Ok(())
}

struct Worker {
    index: usize,
    scheduler: Arc<Scheduler>,
    lanes: Vec<Lane>,
}

/// The requests of one model.
struct Lane {
    model: Arc<Model>,
    pass: Pass,
    sequences: Vec<Sequence>,
}

impl Worker {
    fn run(mut self) {
        while let Some(jobs) = self.scheduler.next(self.index) {
            for job in jobs {
                self.admit(job);
            }
            for lane in &mut self.lanes {
                let ended = lane.contained_step();
                for sequence in ended {
                    self.scheduler.release(self.index, sequence.cache_bytes());
                    sequence.leave();
                }
            }
            self.lanes.retain(|lane| !lane.sequences.is_empty());
        }
    }

    fn admit(&mut self, job: Job) {
        let model = job.model.clone();
        let sequence = Sequence::new(job);
        if let Some(lane) = self
            .lanes
            .iter_mut()
            .find(|lane| Arc::ptr_eq(&lane.model, &model))
        {
            lane.sequences.push(sequence);
        } else {
            let pass = Pass::new(model.level);
            self.lanes.push(Lane {
                model,
                pass,
                sequences: vec![sequence],
            });
        }
    }
}

impl Lane {
    /// Computes a step and returns the sequences that ended. A panic ends all of them, and the worker goes on.
    fn contained_step(&mut self) -> Vec<Sequence> {
        if let Ok(ended) = catch_unwind(AssertUnwindSafe(|| self.step())) {
            return ended;
        }
        tracing::error!("a step of the embedded engine failed");
        let mut failed = std::mem::take(&mut self.sequences);
        for sequence in &mut failed {
            sequence.fail("the embedded engine failed");
            sequence.forget();
        }
        failed
    }

    fn step(&mut self) -> Vec<Sequence> {
        let mut ended: Vec<_> = self
            .sequences
            .extract_if(.., |sequence| sequence.is_cancelled())
            .collect();
        let (mut segments, scored) = plan(&mut self.sequences);
        let scores = self.pass.run(&self.model.network, &mut segments);
        let mut scores = scores.chunks_exact(self.model.network.config.vocabulary);
        let mut scored = scored.into_iter();
        ended.extend(self.sequences.extract_if(.., |sequence| {
            let row = scored.next().unwrap_or(false).then(|| scores.next()).flatten();
            row.is_some_and(|row| !sequence.advance(row))
        }));
        ended
    }
}

/// One token of each answer under way, and a portion of the prompts, first come first served. Says of each sequence
/// whether its next token's scores are computed.
fn plan(sequences: &mut [Sequence]) -> (Vec<crate::model::Segment<'_>>, Vec<bool>) {
    let mut left = PROMPT_TOKENS;
    let mut segments = Vec::with_capacity(sequences.len());
    let mut scored = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let most = if sequence.pending() == 1 { 1 } else { left };
        if most == 0 {
            scored.push(false);
            continue;
        }
        let segment = sequence.segment(most);
        if segment.tokens.len() > 1 {
            left -= segment.tokens.len();
        }
        scored.push(segment.scored);
        segments.push(segment);
    }
    (segments, scored)
}
