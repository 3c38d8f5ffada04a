//! Evaluations as records.

use std::{collections::HashMap, sync::Arc};

use stead_kernel::{
    Result,
    ports::{Page, RecordQuery, Records},
};

use super::{Counts, EVALUATIONS, Evaluation, Outcome, RESULTS, TOLD};
use crate::opik::shelf::{Kept, Shelf, kept};

/// The evaluations of all projects.
#[derive(Clone)]
pub(super) struct Store {
    evaluations: Shelf<Evaluation>,
    outcomes: Shelf<Outcome>,
}

impl Store {
    pub(super) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            evaluations: Shelf::new(Arc::clone(records), EVALUATIONS, "Evaluation"),
            outcomes: Shelf::new(Arc::clone(records), RESULTS, "Result"),
        }
    }

    pub(super) async fn create(&self, project: &str, evaluation: &Evaluation) -> Result<()> {
        self.evaluations.add(project, &evaluation.id, evaluation).await
    }

    pub(super) async fn get(&self, project: &str, id: &str) -> Result<Evaluation> {
        Ok(self.evaluations.need(project, id).await?.body)
    }

    /// A part of the evaluations of a project, the newest first.
    pub(super) async fn list(
        &self,
        project: &str,
        limit: usize,
        after: Option<String>,
    ) -> Result<Page<Evaluation>> {
        let query = RecordQuery {
            descending: true,
            limit,
            after,
            ..self.evaluations.query(project)
        };
        let page = self.evaluations.records().list(query).await?;
        let items = page
            .items
            .into_iter()
            .map(|record| kept(record).map(|kept| kept.body));
        Ok(Page {
            items: items.collect::<Result<_>>()?,
            next: page.next,
        })
    }

    /// The evaluations of all projects that are not over, with their projects.
    pub(super) async fn active(&self) -> Result<Vec<(String, Evaluation)>> {
        let query = RecordQuery {
            project: None,
            equals: vec![("active".to_owned(), true.into())],
            ..self.evaluations.query("")
        };
        let mut found = Vec::new();
        let mut query = query;
        loop {
            let page = self.evaluations.records().list(query.clone()).await?;
            for record in page.items {
                let project = record.key.project.clone();
                let evaluation: Kept<Evaluation> = kept(record)?;
                found.push((project, evaluation.body));
            }
            query.after = page.next;
            if query.after.is_none() {
                return Ok(found);
            }
        }
    }

    pub(super) async fn change(
        &self,
        project: &str,
        id: &str,
        change: impl FnMut(&mut Evaluation) -> Result<()>,
    ) -> Result<Evaluation> {
        self.evaluations.change(project, id, change).await
    }

    /// What became of the items so far, by id.
    pub(super) async fn outcomes(&self, project: &str, id: &str) -> Result<HashMap<String, Outcome>> {
        let found = self.outcomes.having(project, "evaluation", id).await?;
        Ok(found
            .into_iter()
            .map(|kept| (kept.id().to_owned(), kept.body))
            .collect())
    }

    /// Stores what became of an item.
    pub(super) async fn put(&self, project: &str, outcome: &Outcome) -> Result<()> {
        let id = Outcome::id(&outcome.evaluation, &outcome.item, outcome.turn);
        let write = self.outcomes.put(project, &id, outcome)?;
        self.outcomes.commit(vec![write]).await
    }
}

/// Counts of outcomes, and the first errors.
#[derive(Debug, Clone, Default)]
pub(super) struct Tally {
    pub(super) counts: Counts,
    pub(super) errors: Vec<String>,
    pub(super) scoring_usd: f64,
}

impl Tally {
    pub(super) fn add(&mut self, outcome: &Outcome) {
        self.counts.done += 1;
        self.scoring_usd += outcome.scoring_usd;
        if let Some(error) = &outcome.error {
            self.counts.failed += 1;
            if self.errors.len() < TOLD {
                self.errors.push(format!("item {}: {error}", outcome.item));
            }
        }
    }
}
