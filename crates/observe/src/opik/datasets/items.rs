//! The items and versions of datasets as records.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use stead_kernel::{
    Error, Reason, Result,
    ports::{RecordQuery, RecordWrite, Records, Within},
};

use super::{
    DATASETS, HISTORY, ITEMS, VERSIONS,
    plan::{Change, Outcome, Row, Seed, place, plan},
    shape::{Dataset, Item, LATEST, Version},
    walk::{Place, View, Walk},
};
use crate::opik::shelf::{Kept, Shelf, TRIES, Who, busy};

/// The items of all datasets, with their versions.
#[derive(Clone)]
pub(crate) struct Items {
    pub(super) datasets: Shelf<Dataset>,
    versions: Shelf<Version>,
    current: Shelf<Row>,
    history: Shelf<Row>,
}

impl Items {
    /// Over a store.
    pub(crate) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            datasets: Shelf::new(Arc::clone(records), DATASETS, "Dataset"),
            versions: Shelf::new(Arc::clone(records), VERSIONS, "Dataset version"),
            current: Shelf::new(Arc::clone(records), ITEMS, "Dataset item"),
            history: Shelf::new(Arc::clone(records), HISTORY, "Dataset item"),
        }
    }

    fn place<'a>(&'a self, project: &'a str, dataset: &'a str) -> Place<'a> {
        Place {
            current: &self.current,
            history: &self.history,
            project,
            dataset,
        }
    }

    /// Makes a change of a dataset's items; again on what is there then if somebody else was faster. `base`, when it is
    /// told, must be the newest version.
    ///
    /// # Errors
    /// `NotFound` when there is no such dataset; `Conflict` when an item is in another dataset, or `base` is not the
    /// newest version any more.
    pub(super) async fn change(
        &self,
        who: &Who,
        dataset: &str,
        seed: &Seed,
        base: Option<&str>,
        change: &Change,
    ) -> Result<Version> {
        let named = change.upserts.iter().map(|item| &item.id).chain(&change.deletes);
        let named: Vec<String> = named.cloned().collect();
        for _ in 0..TRIES {
            let kept = self.datasets.need(&who.project, dataset).await?;
            if base.is_some_and(|base| kept.body.latest_id.as_deref() != Some(base)) {
                return Err(Error::conflict("Version conflict: baseVersion is not the latest"));
            }
            let latest = self.latest(&who.project, &kept.body).await?;
            let rows = self.current.get_many(&who.project, &named).await?;
            let rows = owned(dataset, rows, change)?;
            let outcome = plan(who, dataset, latest.as_ref(), seed, rows, change.clone());
            match self
                .datasets
                .records()
                .commit(self.writes(who, kept, &outcome)?)
                .await
            {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(|_| outcome.version),
            }
        }
        Err(busy())
    }

    fn writes(&self, who: &Who, mut dataset: Kept<Dataset>, outcome: &Outcome) -> Result<Vec<RecordWrite>> {
        let (project, version) = (who.project.as_str(), &outcome.version);
        dataset.body.latest = version.number;
        dataset.body.latest_id = Some(version.id.clone());
        dataset.body.stamps.touch(who);
        // The dataset's own version keeps changes of its items one after another.
        let mut writes = vec![dataset.put()?, self.versions.put(project, &version.id, version)?];
        for row in &outcome.current {
            writes.push(self.current.put(project, &row.item.id, row)?);
        }
        for row in &outcome.history {
            writes.push(self.history.put(project, &row.history_id(), row)?);
        }
        writes.extend(outcome.gone.iter().map(|id| self.current.delete(project, id)));
        Ok(writes)
    }

    /// The newest version of a dataset; none before its first item.
    pub(super) async fn latest(&self, project: &str, dataset: &Dataset) -> Result<Option<Version>> {
        let Some(id) = &dataset.latest_id else {
            return Ok(None);
        };
        Ok(Some(self.versions.need(project, id).await?.body))
    }

    /// A version by its id.
    pub(crate) async fn version(&self, project: &str, id: &str) -> Result<Option<Version>> {
        Ok(self.versions.get(project, id).await?.map(|kept| kept.body))
    }

    /// A version by its hash, its name (`v3`), a tag or its id.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(super) async fn version_by(&self, project: &str, dataset: &Dataset, name: &str) -> Result<Version> {
        let missing = || Error::not_found(format!("Version not found for dataset: {name}"));
        if name == LATEST {
            return self.latest(project, dataset).await?.ok_or_else(missing);
        }
        let number = name
            .strip_prefix('v')
            .and_then(|number| number.parse::<u64>().ok());
        if let Some(number) = number {
            let place = format!("{}/{number:010}", dataset.id);
            if let Some(kept) = self.versions.having(project, "place", place).await?.pop() {
                return Ok(kept.body);
            }
        }
        let hashed = format!("{}/{name}", dataset.id);
        if let Some(kept) = self.versions.having(project, "hashed", hashed).await?.pop() {
            return Ok(kept.body);
        }
        let named = |version: &Version| version.id == name || version.tags.iter().any(|tag| tag == name);
        let all = self.versions(project, &dataset.id, 0, 0).await?;
        all.into_iter().find(named).ok_or_else(missing)
    }

    /// The versions of a dataset, the newest first, from the `skip`th on; all when `limit` is 0.
    pub(super) async fn versions(
        &self,
        project: &str,
        dataset: &str,
        skip: usize,
        limit: usize,
    ) -> Result<Vec<Version>> {
        let query = RecordQuery {
            within: vec![Within::prefix("place", &place(dataset, ""))],
            order_by: Some("place".into()),
            descending: true,
            skip,
            limit,
            ..self.versions.query(project)
        };
        let found = self.versions.all(query).await?;
        Ok(found.into_iter().map(|kept| kept.body).collect())
    }

    /// Changes what a version says beside its items.
    pub(super) async fn change_version(
        &self,
        project: &str,
        id: &str,
        change: impl FnMut(&mut Version) -> Result<()>,
    ) -> Result<Version> {
        self.versions.change(project, id, change).await
    }

    /// One current item of any dataset.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(super) async fn item(&self, project: &str, id: &str) -> Result<Item> {
        Ok(self.current.need(project, id).await?.body.item)
    }

    /// Those of the items that are there.
    pub(super) async fn items(&self, project: &str, ids: &[String]) -> Result<Vec<Item>> {
        let found = self.current.get_many(project, ids).await?;
        Ok(found.into_iter().map(|kept| kept.body.item).collect())
    }

    /// Items of a dataset as a view has them, the newest first: those below `before`, without the first `skip` that
    /// `keep` keeps, `limit` at most.
    pub(crate) async fn read(
        &self,
        project: &str,
        dataset: &str,
        part: Part<'_>,
        keep: impl Fn(&Item) -> bool,
    ) -> Result<Vec<Item>> {
        let at = self.place(project, dataset);
        // The store passes over what is not wanted faster than we can.
        let (mut walk, mut skip) = match (part.view, part.filtered) {
            (View::Latest, false) => (Walk::current(at, part.before, part.skip, part.limit), 0),
            (View::Latest, true) => (Walk::current(at, part.before, 0, usize::MAX), part.skip),
            (View::At(_), _) => (Walk::all(at, part.before), part.skip),
        };
        let mut items = Vec::new();
        while items.len() < part.limit {
            let Some(row) = walk.next_in(part.view).await? else {
                break;
            };
            if !keep(&row.item) {
                continue;
            }
            if skip > 0 {
                skip -= 1;
                continue;
            }
            items.push(row.item);
        }
        Ok(items)
    }

    /// Those of the items that a view has, with their state in it, whether they are current or not.
    pub(crate) async fn states(&self, project: &str, ids: &[String], view: View) -> Result<Vec<Item>> {
        let mut wanted: BTreeSet<&str> = ids.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        for kept in self.current.get_many(project, ids).await? {
            let row = kept.body;
            let seen = match view {
                View::Latest => true,
                View::At(version) => row.is_in(version),
            };
            if seen {
                wanted.remove(row.item.id.as_str());
                found.push(row.item);
            }
        }
        for id in wanted {
            let states = self.history.having(project, "item_id", id).await?;
            let mut rows = states.into_iter().map(|kept| kept.body);
            let row = match view {
                View::Latest => rows.max_by_key(|row| row.since),
                View::At(version) => rows.find(|row| row.is_in(version)),
            };
            found.extend(row.map(|row| row.item));
        }
        Ok(found)
    }

    /// The changes that make the newest version of a dataset say what an older one says.
    pub(super) async fn back_to(&self, project: &str, dataset: &str, version: u64) -> Result<Change> {
        let mut walk = Walk::all(self.place(project, dataset), None);
        let mut change = Change::default();
        loop {
            let rows = walk.next().await?;
            let Some(id) = rows.first().map(|row| row.item.id.clone()) else {
                return Ok(change);
            };
            let now = rows.iter().find(|row| row.until.is_none());
            let then = rows.iter().find(|row| row.is_in(version));
            match (now, then) {
                (Some(_), None) => change.deletes.push(id),
                (now, Some(then)) if now.is_none_or(|now| now.since != then.since) => {
                    change.upserts.push(then.item.clone());
                }
                _ => {}
            }
        }
    }

    /// How two versions of a dataset differ: items added, modified, deleted and unchanged.
    pub(super) async fn difference(
        &self,
        project: &str,
        dataset: &str,
        from: u64,
        to: u64,
    ) -> Result<[u64; 4]> {
        let mut walk = Walk::all(self.place(project, dataset), None);
        let mut counts = [0; 4];
        let [added, modified, deleted, unchanged] = &mut counts;
        loop {
            let rows = walk.next().await?;
            if rows.is_empty() {
                return Ok(counts);
            }
            let at = |version: u64| rows.iter().find(|row| row.is_in(version));
            match (at(from), at(to)) {
                (None, None) => {}
                (None, Some(_)) => *added += 1,
                (Some(_), None) => *deleted += 1,
                (Some(a), Some(b)) if a.since == b.since => *unchanged += 1,
                (Some(_), Some(_)) => *modified += 1,
            }
        }
    }
}

/// Which part of a dataset's items is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Part<'a> {
    /// The version.
    pub(crate) view: View,
    /// Only items below this id.
    pub(crate) before: Option<&'a str>,
    /// So many of those that are kept are passed over.
    pub(crate) skip: usize,
    /// So many at most.
    pub(crate) limit: usize,
    /// Whether any may not be kept.
    pub(crate) filtered: bool,
}

/// The current rows of the items that a change names, by item. An item of another dataset can be neither replaced nor
/// removed by this one.
fn owned(dataset: &str, rows: Vec<Kept<Row>>, change: &Change) -> Result<BTreeMap<String, Row>> {
    let mut own = BTreeMap::new();
    for row in rows.into_iter().map(|kept| kept.body) {
        if row.item.dataset_id == dataset {
            own.insert(row.item.id.clone(), row);
        } else if change.upserts.iter().any(|item| item.id == row.item.id) {
            return Err(Error::conflict(format!(
                "dataset item {} belongs to another dataset",
                row.item.id
            )));
        }
    }
    Ok(own)
}
