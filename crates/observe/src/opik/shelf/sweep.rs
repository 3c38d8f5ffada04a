//! Removing what belonged to something that was removed: it can be more than one commit should hold.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Result,
    ports::{RecordQuery, RecordWrite, Records, Within},
};

use super::{PART, Shelf, new_id};

/// The collection of sweeps that are not done.
pub(crate) const SWEEPS: &str = "opik.sweeps";

/// The records of a collection whose field `place` begins with a text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sweep {
    collection: String,
    prefix: String,
}

impl Sweep {
    /// What lies under an owner in a collection.
    pub(crate) fn under(collection: &str, owner: &str) -> Self {
        Self {
            collection: collection.to_owned(),
            prefix: format!("{owner}/"),
        }
    }
}

/// Sweeps of all workspaces.
#[derive(Clone)]
pub(crate) struct Sweeps(Shelf<Sweep>);

impl Sweeps {
    /// Over a store.
    pub(crate) fn new(records: Arc<dyn Records>) -> Self {
        Self(Shelf::new(records, SWEEPS, "Sweep"))
    }

    /// What remembers a sweep, to be committed with the removal of the owner.
    pub(crate) fn plan(&self, project: &str, sweeps: &[Sweep]) -> Result<Vec<RecordWrite>> {
        let writes = sweeps
            .iter()
            .map(|sweep| self.0.create(project, &new_id(), sweep));
        writes.collect()
    }

    /// Does all that is planned in a project, or in all of them.
    pub(crate) async fn run(&self, project: Option<&str>) -> Result<()> {
        let query = RecordQuery {
            collection: SWEEPS.to_owned(),
            project: project.map(str::to_owned),
            ..RecordQuery::default()
        };
        for kept in self.0.all(query).await? {
            self.one(&kept.key.project, &kept.body).await?;
            self.0
                .delete_many(&kept.key.project, std::slice::from_ref(&kept.key.id))
                .await?;
        }
        Ok(())
    }

    async fn one(&self, project: &str, sweep: &Sweep) -> Result<()> {
        let query = RecordQuery {
            collection: sweep.collection.clone(),
            project: Some(project.to_owned()),
            within: vec![Within::prefix("place", &sweep.prefix)],
            limit: PART,
            ..RecordQuery::default()
        };
        loop {
            let found = self.0.records().list(query.clone()).await?.items;
            if found.is_empty() {
                return Ok(());
            }
            let writes = found.into_iter().map(|record| RecordWrite::Delete {
                key: record.key,
                expected: None,
            });
            self.0.records().commit(writes.collect()).await?;
        }
    }
}
