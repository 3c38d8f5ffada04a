//! A worker thread: takes requests, computes a step for all that it has, sends what came out.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use tokio::sync::mpsc;

use super::{
    embedding::Encoding,
    model::Model,
    scheduler::{Scheduler, Work},
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
        encodings: Vec::new(),
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
    encodings: Vec<Encoding>,
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
            for work in jobs {
                match work {
                    Work::Generate(job) => self.admit(*job),
                    Work::Embed(job) => self.encodings.push(Encoding::new(job)),
                }
            }
            for lane in &mut self.lanes {
                let ended = lane.contained_step();
                for sequence in ended {
                    self.scheduler.release(self.index, sequence.cache_bytes());
                    sequence.leave();
                }
            }
            self.lanes.retain(|lane| !lane.sequences.is_empty());
            let done = self
                .encodings
                .extract_if(.., |encoding| !encoding.contained_step());
            for encoding in done {
                self.scheduler.release(self.index, encoding.cache_bytes());
                encoding.finish();
            }
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
            let rows: Vec<&[f32]> = scores.by_ref().take(scored.next().unwrap_or(0)).collect();
            !rows.is_empty() && !sequence.advance(&rows)
        }));
        ended
    }
}

/// One token of each answer under way, and a portion of the prompts, first come first served. Says of each sequence
/// how many rows of scores are computed.
fn plan(sequences: &mut [Sequence]) -> (Vec<crate::model::Segment<'_>>, Vec<usize>) {
    let mut left = PROMPT_TOKENS;
    let mut segments = Vec::with_capacity(sequences.len());
    let mut scored = Vec::with_capacity(sequences.len());
    for sequence in sequences {
        let most = if sequence.pending() == 1 { 1 } else { left };
        if most == 0 {
            scored.push(0);
            continue;
        }
        let segment = sequence.segment(most);
        if segment.tokens.len() > 1 {
            left -= segment.tokens.len();
        }
        scored.push(segment.scored.count(segment.tokens.len()));
        segments.push(segment);
    }
    (segments, scored)
}

#[cfg(test)]
mod tests {
    use stead_kernel::{
        Reason, SystemClock, Tasks,
        ports::{Generation, Sampling},
    };

    use super::*;
    use crate::{
        engine::{EngineOptions, model::Loaded, request},
        testing::{self, LLAMA},
    };

    #[tokio::test]
    async fn a_panic_ends_the_requests_of_the_step_with_an_error_and_nothing_else() {
        let file = testing::model(LLAMA).write();
        let options = EngineOptions::new(Tasks::new(), Arc::new(SystemClock));
        let model = Loaded::load(file.path(), &options).unwrap().chat("m").unwrap();
        let mut model = Arc::into_inner(model).unwrap();
        // A vocabulary of no tokens divides the scores into rows of no length, which panics.
        model.network.config.vocabulary = 0;
        let model = Arc::new(model);
        let sampling = Sampling {
            max_tokens: Some(3),
            ..Sampling::default()
        };
        let wanted = Generation {
            prompt: Some("the".to_owned()),
            sampling,
            ..Generation::default()
        };
        let (job, mut receiver) = request::prepare(&model, &wanted).unwrap();
        let mut lane = Lane {
            pass: Pass::new(model.level),
            model,
            sequences: vec![Sequence::new(job)],
        };
        let ended = lane.contained_step();
        assert_eq!((ended.len(), lane.sequences.len()), (1, 0));
        drop(ended);
        assert!(receiver.recv().await.unwrap().is_ok());
        assert_eq!(
            receiver.recv().await.unwrap().unwrap_err().reason(),
            Reason::Internal
        );
        assert!(receiver.recv().await.is_none());
    }
}
