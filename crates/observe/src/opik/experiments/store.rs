//! Experiments and their items as records.

use std::{collections::BTreeSet, sync::Arc};

use stead_kernel::{
    Error, Reason, Result,
    ports::{RecordQuery, Records, Within},
};

use super::{
    EXPERIMENTS, ITEMS,
    shape::{Experiment, ExperimentUpdate, Item},
};
use crate::opik::shelf::{Shelf, Sweep, Sweeps, TRIES, Who, busy};

/// The experiments of all workspaces.
#[derive(Clone)]
pub(crate) struct Experiments {
    shelf: Shelf<Experiment>,
    items: Shelf<Item>,
    sweeps: Sweeps,
}

impl Experiments {
    /// Over a store.
    pub(crate) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            shelf: Shelf::new(Arc::clone(records), EXPERIMENTS, "Experiment"),
            items: Shelf::new(Arc::clone(records), ITEMS, "Experiment item"),
            sweeps: Sweeps::new(Arc::clone(records)),
        }
    }

    /// Makes an experiment.
    ///
    /// # Errors
    /// `Conflict` when the id is taken.
    pub(super) async fn create(&self, who: &Who, experiment: &Experiment) -> Result<()> {
        self.shelf.add(&who.project, &experiment.id, experiment).await
    }

    /// One experiment.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(crate) async fn get(&self, workspace: &str, id: &str) -> Result<Experiment> {
        Ok(self.shelf.need(workspace, id).await?.body)
    }

    /// Those of the experiments that are there.
    pub(crate) async fn get_many(&self, workspace: &str, ids: &[String]) -> Result<Vec<Experiment>> {
        let found = self.shelf.get_many(workspace, ids).await?;
        Ok(found.into_iter().map(|kept| kept.body).collect())
    }

    /// The experiments with a value in one of the indexed fields, or all; the newest first.
    pub(crate) async fn having(
        &self,
        workspace: &str,
        field: Option<(&str, &str)>,
    ) -> Result<Vec<Experiment>> {
        let found = if let Some((field, value)) = field {
            self.shelf.having(workspace, field, value).await?
        } else {
            let query = RecordQuery {
                descending: true,
                ..self.shelf.query(workspace)
            };
            self.shelf.all(query).await?
        };
        let mut all: Vec<Experiment> = found.into_iter().map(|kept| kept.body).collect();
        all.sort_by(|a, b| b.id.cmp(&a.id));
        Ok(all)
    }

    /// Changes an experiment.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Invalid` when a field breaks a rule.
    pub(super) async fn update(
        &self,
        who: &Who,
        id: &str,
        update: &ExperimentUpdate,
        merge_tags: Option<bool>,
    ) -> Result<()> {
        let change = |experiment: &mut Experiment| {
            apply(experiment, update, merge_tags);
            experiment.stamps.touch(who);
            check(experiment)
        };
        self.shelf.change(&who.project, id, change).await.map(drop)
    }

    /// Removes an experiment with its items, not with their traces; one that is not there is passed over.
    pub(super) async fn delete(&self, workspace: &str, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let Some(kept) = self.shelf.get(workspace, id).await? else {
                return Ok(());
            };
            let mut writes = vec![kept.delete()];
            writes.extend(self.sweeps.plan(workspace, &[Sweep::under(ITEMS, id)])?);
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                Err(error) => return Err(error),
                Ok(_) => return self.sweeps.run(Some(workspace)).await,
            }
        }
        Err(busy())
    }

    /// Stores items, those that are there already anew.
    ///
    /// # Errors
    /// `Conflict` when an item names an experiment that is not there.
    pub(super) async fn add_items(&self, who: &Who, items: &[Item]) -> Result<()> {
        let named: BTreeSet<&String> = items.iter().map(|item| &item.experiment_id).collect();
        let named: Vec<String> = named.into_iter().cloned().collect();
        if self.shelf.get_many(&who.project, &named).await?.len() < named.len() {
            return Err(Error::conflict(
                "upserting experiment item with 'experiment_id' not belonging to the workspace",
            ));
        }
        let writes = items
            .iter()
            .map(|item| self.items.put(&who.project, &item.id, item));
        let writes = writes.collect::<Result<_>>()?;
        self.shelf.records().commit(writes).await.map(drop)
    }

    /// One item.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(super) async fn item(&self, workspace: &str, id: &str) -> Result<Item> {
        Ok(self.items.need(workspace, id).await?.body)
    }

    /// Removes items; those that are not there are passed over.
    pub(super) async fn delete_items(&self, workspace: &str, ids: &[String]) -> Result<()> {
        self.items.delete_many(workspace, ids).await
    }

    /// All items of an experiment, those of one dataset item together, the newest dataset item first.
    pub(crate) async fn items(&self, workspace: &str, experiment: &str) -> Result<Vec<Item>> {
        let query = RecordQuery {
            within: vec![Within::prefix("place", &format!("{experiment}/"))],
            order_by: Some("place".into()),
            descending: true,
            ..self.items.query(workspace)
        };
        Ok(self
            .items
            .all(query)
            .await?
            .into_iter()
            .map(|kept| kept.body)
            .collect())
    }
}

fn apply(experiment: &mut Experiment, update: &ExperimentUpdate, merge_tags: Option<bool>) {
    for (new, old) in [
        (&update.name, &mut experiment.name),
        (&update.sort, &mut experiment.sort),
        (&update.status, &mut experiment.status),
    ] {
        if let Some(new) = new {
            old.clone_from(new);
        }
    }
    for (new, old) in [
        (&update.metadata, &mut experiment.metadata),
        (&update.experiment_scores, &mut experiment.own_scores),
    ] {
        if new.is_some() {
            old.clone_from(new);
        }
    }
    let mut tags = experiment.tags.take();
    if let Some(new) = &update.tags {
        let kept = tags.filter(|_| merge_tags == Some(true)).unwrap_or_default();
        tags = Some(kept.into_iter().chain(new.iter().cloned()).collect());
    }
    if let Some(more) = &update.tags_to_add {
        tags.get_or_insert_default().extend(more.iter().cloned());
    }
    let mut seen = BTreeSet::new();
    if let Some(tags) = &mut tags {
        let gone = |tag: &String| update.tags_to_remove.iter().flatten().any(|less| less == tag);
        tags.retain(|tag| !gone(tag) && seen.insert(tag.clone()));
    }
    experiment.tags = tags;
}

/// The rules of `Experiment_Write`.
pub(super) fn check(experiment: &Experiment) -> Result<()> {
    let words = [
        (
            &experiment.sort,
            "type",
            &["regular", "trial", "mini-batch", "mutation"][..],
        ),
        (
            &experiment.evaluation_method,
            "evaluation_method",
            &["dataset", "evaluation_suite", "test_suite"],
        ),
        (
            &experiment.status,
            "status",
            &["running", "completed", "cancelled"],
        ),
    ];
    if experiment.name.trim().is_empty() {
        return Err(Error::invalid("name must not be blank"));
    }
    for (word, field, known) in words {
        if !known.contains(&word.as_str()) {
            return Err(Error::invalid(format!(
                "{field} must be one of: {}",
                known.join(", ")
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::opik::shelf::Stamps;

    #[test]
    fn labels_are_replaced_merged_added_and_removed() {
        let who = Who::new(
            "default".into(),
            "ada".into(),
            stead_kernel::Timestamp::UNIX_EPOCH,
        );
        let tags = |update: serde_json::Value, merge: Option<bool>| {
            let mut experiment = Experiment {
                id: String::new(),
                name: "e".into(),
                dataset_id: String::new(),
                dataset_name: String::new(),
                project_id: None,
                metadata: None,
                tags: Some(vec!["a".into(), "b".into()]),
                sort: "regular".into(),
                evaluation_method: "dataset".into(),
                optimization_id: None,
                status: "running".into(),
                own_scores: None,
                prompt_versions: Vec::new(),
                dataset_version_id: None,
                stamps: Stamps::new(&who),
            };
            apply(&mut experiment, &serde_json::from_value(update).unwrap(), merge);
            experiment.tags.unwrap().join(" ")
        };
        for (update, merge, expected) in [
            (json!({}), None, "a b"),
            (json!({"tags": ["c"]}), None, "c"),
            (json!({"tags": ["c", "a"]}), Some(true), "a b c"),
            (
                json!({"tags_to_add": ["c"], "tags_to_remove": ["a"]}),
                None,
                "b c",
            ),
            (json!({"tags": []}), None, ""),
        ] {
            assert_eq!(tags(update.clone(), merge), expected, "{update}");
        }
    }
}
