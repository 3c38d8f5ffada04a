//! Datasets themselves as records.

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::{
    Error, Reason, Result,
    ports::{RecordQuery, Records},
};

use super::{
    DATASETS, HISTORY, ITEMS, VERSIONS,
    items::Items,
    shape::{Dataset, DatasetUpdate, DatasetWrite},
};
use crate::opik::{
    experiments::EXPERIMENTS,
    optimizations::OPTIMIZATIONS,
    shelf::{Claim, Kept, Shelf, Stamps, Sweep, Sweeps, TRIES, Who, busy, new_id},
};

/// The datasets of all workspaces.
#[derive(Clone)]
pub(crate) struct Datasets {
    shelf: Shelf<Dataset>,
    sweeps: Sweeps,
    /// Their items.
    pub(crate) items: Items,
}

/// A name in the workspace, or in one of its Opik projects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named<'a> {
    /// The name.
    pub(crate) name: &'a str,
    /// The id of the Opik project.
    pub(crate) project: Option<&'a str>,
}

impl Datasets {
    /// Over a store.
    pub(crate) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            shelf: Shelf::new(Arc::clone(records), DATASETS, "Dataset"),
            sweeps: Sweeps::new(Arc::clone(records)),
            items: Items::new(records),
        }
    }

    /// All datasets of a workspace, the newest first.
    pub(super) async fn all(&self, workspace: &str) -> Result<Vec<Dataset>> {
        let query = RecordQuery {
            descending: true,
            ..self.shelf.query(workspace)
        };
        Ok(self
            .shelf
            .all(query)
            .await?
            .into_iter()
            .map(|kept| kept.body)
            .collect())
    }

    /// One dataset.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(crate) async fn get(&self, workspace: &str, id: &str) -> Result<Dataset> {
        Ok(self.shelf.need(workspace, id).await?.body)
    }

    /// The ids, names and numbers of the newest versions of those of the datasets that are there.
    pub(crate) async fn get_many(
        &self,
        workspace: &str,
        ids: &[String],
    ) -> Result<Vec<(String, String, u64)>> {
        let found = self.shelf.get_many(workspace, ids).await?;
        let found = found
            .into_iter()
            .map(|kept| (kept.body.id, kept.body.name, kept.body.latest));
        Ok(found.collect())
    }

    /// The dataset of a name: the project's, else the workspace's own; without a project the workspace's own, else
    /// the newest of any project.
    pub(crate) async fn find(&self, workspace: &str, named: Named<'_>) -> Result<Option<Dataset>> {
        let places = [named.project, None];
        for project in places.into_iter().skip(usize::from(named.project.is_none())) {
            let claim = claim(workspace, project, named.name);
            if let Some(id) = claim.owner(&**self.shelf.records()).await? {
                return Ok(self.shelf.get(workspace, &id).await?.map(|kept| kept.body));
            }
        }
        if named.project.is_some() {
            return Ok(None);
        }
        let found = self.shelf.having(workspace, "name", named.name).await?;
        Ok(found.into_iter().next().map(|kept| kept.body))
    }

    /// As [`find`](Self::find).
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(crate) async fn need(&self, workspace: &str, named: Named<'_>) -> Result<Dataset> {
        self.find(workspace, named)
            .await?
            .ok_or_else(|| self.shelf.missing())
    }

    /// The dataset of a name, which is made when there is none.
    pub(crate) async fn find_or_create(&self, who: &Who, named: Named<'_>) -> Result<Dataset> {
        for _ in 0..TRIES {
            if let Some(found) = self.find(&who.project, named).await? {
                return Ok(found);
            }
            let write = DatasetWrite {
                name: named.name.to_owned(),
                project_id: named.project.map(str::to_owned),
                ..DatasetWrite::default()
            };
            match self.create(who, write).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result,
            }
        }
        Err(busy())
    }

    /// Makes a dataset; its project, if it has one, stands in `project_id`.
    ///
    /// # Errors
    /// `Conflict` when the name or the id is taken, `Invalid` when a field breaks a rule.
    pub(super) async fn create(&self, who: &Who, write: DatasetWrite) -> Result<Dataset> {
        let dataset = Dataset {
            id: write.id.unwrap_or_else(new_id),
            name: write.name,
            project_id: write.project_id,
            sort: write.sort.unwrap_or_else(|| "dataset".to_owned()),
            visibility: write.visibility.unwrap_or_else(|| "private".to_owned()),
            tags: write.tags,
            description: write.description,
            stamps: Stamps::new(who),
            latest: 0,
            latest_id: None,
        };
        check(&dataset)?;
        let claim = claim(&who.project, dataset.project_id.as_deref(), &dataset.name);
        let create = self.shelf.create(&who.project, &dataset.id, &dataset)?;
        self.shelf.commit(vec![create, claim.take(&dataset.id)]).await?;
        Ok(dataset)
    }

    /// Changes a dataset.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` when the new name is taken, `Invalid` when a field breaks a rule.
    pub(super) async fn update(&self, who: &Who, id: &str, update: &DatasetUpdate) -> Result<()> {
        for _ in 0..TRIES {
            let mut kept = self.shelf.need(&who.project, id).await?;
            let before = kept.body.clone();
            apply(&mut kept.body, update);
            kept.body.stamps.touch(who);
            check(&kept.body)?;
            let mut writes = vec![kept.put()?];
            if kept.body.name != before.name {
                let claim = |name: &str| claim(&who.project, before.project_id.as_deref(), name);
                let taken = claim(&kept.body.name).owner(&**self.shelf.records()).await?;
                if taken.is_some() {
                    return Err(self.shelf.taken());
                }
                writes.extend([claim(&before.name).release(), claim(&kept.body.name).take(id)]);
            }
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(drop),
            }
        }
        Err(busy())
    }

    /// Removes a dataset with its items and versions; one that is not there is passed over.
    pub(super) async fn delete(&self, workspace: &str, id: &str) -> Result<()> {
        for _ in 0..TRIES {
            let Some(kept) = self.shelf.get(workspace, id).await? else {
                return Ok(());
            };
            match self.remove(workspace, &kept).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result,
            }
        }
        Err(busy())
    }

    async fn remove(&self, workspace: &str, kept: &Kept<Dataset>) -> Result<()> {
        let dataset = &kept.body;
        let claim = claim(workspace, dataset.project_id.as_deref(), &dataset.name);
        let mut writes = vec![kept.delete(), claim.release()];
        let under = [ITEMS, HISTORY, VERSIONS].map(|collection| Sweep::under(collection, &dataset.id));
        writes.extend(self.sweeps.plan(workspace, &under)?);
        self.shelf.records().commit(writes).await?;
        self.sweeps.run(Some(workspace)).await
    }

    /// A dataset as `Dataset_Public`.
    pub(super) async fn tell(&self, workspace: &str, dataset: &Dataset) -> Result<Value> {
        let latest = self.items.latest(workspace, dataset).await?;
        let (experiments, experiment) = self.newest(workspace, EXPERIMENTS, &dataset.id).await?;
        let (optimizations, optimization) = self.newest(workspace, OPTIMIZATIONS, &dataset.id).await?;
        let mut told = json!({
            "id": dataset.id,
            "name": dataset.name,
            "description": dataset.description,
            "type": dataset.sort,
            "visibility": dataset.visibility,
            "tags": dataset.tags,
            "project_id": dataset.project_id,
            "dataset_items_count": latest.as_ref().map_or(0, |version| version.items_total),
            "experiment_count": experiments,
            "optimization_count": optimizations,
            "most_recent_experiment_at": experiment,
            "last_created_experiment_at": experiment,
            "most_recent_optimization_at": optimization,
            "last_created_optimization_at": optimization,
            "status": "completed",
            "latest_version": latest.map(|version| version.tell(dataset.latest)),
        });
        merge(&mut told, &dataset.stamps)?;
        Ok(told)
    }

    /// How many records of a collection name a dataset, and when the newest of them was made.
    async fn newest(&self, workspace: &str, collection: &str, dataset: &str) -> Result<(u64, Option<Value>)> {
        let query = RecordQuery {
            collection: collection.to_owned(),
            project: Some(workspace.to_owned()),
            equals: vec![("dataset_id".to_owned(), dataset.into())],
            descending: true,
            limit: 1,
            ..RecordQuery::default()
        };
        let records = self.shelf.records();
        let newest = records.list(query.clone()).await?.items.pop();
        let Some(newest) = newest else {
            return Ok((0, None));
        };
        let count = records.count(query).await?;
        Ok((count, newest.body.get("created_at").cloned()))
    }
}

/// Adds when and by whom something was made to what is told of it.
pub(crate) fn merge(told: &mut Value, stamps: &Stamps) -> Result<()> {
    let stamps =
        serde_json::to_value(stamps).map_err(|error| Error::internal("times are JSON").because(error))?;
    if let (Some(told), Value::Object(stamps)) = (told.as_object_mut(), stamps) {
        told.extend(stamps);
    }
    Ok(())
}

fn claim(workspace: &str, project: Option<&str>, name: &str) -> Claim {
    Claim::new(workspace, "dataset", project, name)
}

fn apply(dataset: &mut Dataset, update: &DatasetUpdate) {
    if !update.name.is_empty() {
        dataset.name.clone_from(&update.name);
    }
    if update.description.is_some() {
        dataset.description.clone_from(&update.description);
    }
    if let Some(visibility) = &update.visibility {
        dataset.visibility.clone_from(visibility);
    }
    if update.tags.is_some() {
        dataset.tags.clone_from(&update.tags);
    }
}

/// The rules of `Dataset_Write`.
fn check(dataset: &Dataset) -> Result<()> {
    let description = dataset.description.as_deref().unwrap_or_default();
    let rules = [
        (dataset.name.trim().is_empty(), "name must not be blank"),
        (
            description.chars().count() > 255,
            "description cannot exceed 255 characters",
        ),
        (
            !["dataset", "evaluation_suite"].contains(&dataset.sort.as_str()),
            "type must be `dataset` or `evaluation_suite`",
        ),
        (
            !["private", "public"].contains(&dataset.visibility.as_str()),
            "visibility must be `private` or `public`",
        ),
    ];
    match rules.into_iter().find(|(broken, _)| *broken) {
        Some((_, rule)) => Err(Error::invalid(rule)),
        None => Ok(()),
    }
}
