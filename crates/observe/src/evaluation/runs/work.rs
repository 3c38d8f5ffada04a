//! The work of an evaluation: every item that has no good outcome yet is asked, scored and stored.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use futures::{TryStreamExt, stream};
use stead_kernel::{Error, Result};
use tokio_util::sync::CancellationToken;

use super::{
    Evaluation, Outcome,
    runner::{Runner, caller_of},
    store::{Store, Tally},
};
use crate::{
    evaluation::{asking::Asker, scorer::Scorer},
    opik::{
        Caller, Opik,
        datasets::{Datasets, Item, Part, View},
    },
};

/// How many items are read at once.
const READ: usize = 500;

/// What the items of an evaluation share.
pub(super) struct Work {
    pub(super) opik: Opik,
    pub(super) caller: Caller,
    pub(super) evaluation: Evaluation,
    pub(super) scorer: Scorer,
    pub(super) asker: Asker,
    store: Store,
    token: CancellationToken,
    tally: Mutex<Tally>,
}

impl Work {
    pub(super) fn new(
        runner: &Runner,
        project: &str,
        evaluation: Evaluation,
        token: CancellationToken,
    ) -> Result<Self> {
        let models = runner.opik.ports.models.clone();
        Ok(Self {
            opik: runner.opik.clone(),
            caller: caller_of(project, &evaluation),
            scorer: Scorer::new(&evaluation.suite.metrics)?,
            asker: Asker::new(models, evaluation.creator.identity(), project),
            store: runner.store.clone(),
            evaluation,
            token,
            tally: Mutex::default(),
        })
    }

    /// Asks what is left, so many at once.
    pub(super) async fn run(&self) -> Result<()> {
        let known = self
            .store
            .outcomes(&self.caller.workspace, &self.evaluation.id)
            .await?;
        let items = self.items().await?;
        let left = self.left(&items, &known);
        self.note(|tally| {
            tally.counts.total = (items.len() as u64) * u64::from(self.evaluation.suite.repeat);
        });
        self.tell().await?;
        stream::iter(left.into_iter().map(Ok::<_, Error>))
            .try_for_each_concurrent(self.evaluation.suite.concurrency, |(item, turn)| async move {
                if self.token.is_cancelled() {
                    return Ok(());
                }
                let outcome = tokio::select! {
                    outcome = self.one(item, turn) => outcome?,
                    () = self.token.cancelled() => return Ok(()),
                };
                self.store.put(&self.caller.workspace, &outcome).await?;
                self.note(|tally| tally.add(&outcome));
                self.tell().await
            })
            .await
    }

    /// The items that have no good outcome; the others are counted.
    fn left<'a>(&self, items: &'a [Item], known: &HashMap<String, Outcome>) -> Vec<(&'a Item, u32)> {
        let mut left = Vec::new();
        for item in items {
            for turn in 0..self.evaluation.suite.repeat {
                match known.get(&Outcome::id(&self.evaluation.id, &item.id, turn)) {
                    Some(outcome) if outcome.error.is_none() => self.note(|tally| tally.add(outcome)),
                    _ => left.push((item, turn)),
                }
            }
        }
        left
    }

    /// The items of the version, the newest first.
    async fn items(&self) -> Result<Vec<Item>> {
        let datasets = Datasets::new(&self.opik.ports.records);
        let limit = self.evaluation.suite.limit.unwrap_or(usize::MAX);
        let mut items: Vec<Item> = Vec::new();
        while items.len() < limit {
            let before = items.last().map(|item| item.id.clone());
            let part = Part {
                view: View::At(self.evaluation.version),
                before: before.as_deref(),
                skip: 0,
                limit: READ.min(limit - items.len()),
                filtered: false,
            };
            let workspace = &self.caller.workspace;
            let read = datasets
                .items
                .read(workspace, &self.evaluation.dataset_id, part, |_| true)
                .await?;
            if read.is_empty() {
                break;
            }
            items.extend(read);
        }
        Ok(items)
    }

    fn note(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Writes how far it is.
    async fn tell(&self) -> Result<()> {
        let change = |evaluation: &mut Evaluation| {
            // What is told last is the newest: it is read at each try.
            let tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
            evaluation.counts = tally.counts;
            evaluation.scoring_usd = tally.scoring_usd;
            evaluation.errors.clone_from(&tally.errors);
            Ok(())
        };
        self.store
            .change(&self.caller.workspace, &self.evaluation.id, change)
            .await
            .map(drop)
    }
}
