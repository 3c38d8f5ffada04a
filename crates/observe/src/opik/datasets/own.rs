//! Items that this server's own evaluations bring along.

use std::collections::HashSet;

use serde_json::Value;
use sha2::{Digest, Sha256};
use stead_kernel::{Error, Result};
use uuid::Builder;

use super::{
    Datasets, Version,
    convert::batch,
    plan::{Change, Seed},
    shape::{Dataset, ItemWrite},
};
use crate::opik::{
    shelf::Who,
    wire::{BATCH, OpikError},
};

impl Datasets {
    /// Sees to it that a dataset holds these items. An item's id is a digest of the dataset and of what it says, so that the
    /// same ones are stored once however often they are brought.
    ///
    /// # Errors
    /// `Invalid` when one is no JSON object.
    pub(crate) async fn bring(&self, who: &Who, dataset: &Dataset, items: &[Value]) -> Result<()> {
        let mut seen = HashSet::new();
        let mut writes = Vec::new();
        for data in items {
            if !data.is_object() {
                return Err(Error::invalid("an item of a dataset is a JSON object"));
            }
            let id = content_id(dataset.id(), data);
            if seen.insert(id.clone()) {
                writes.push(ItemWrite {
                    id: Some(id),
                    source: Some("manual".to_owned()),
                    data: Some(data.clone()),
                    ..ItemWrite::default()
                });
            }
        }
        let ids: Vec<String> = writes.iter().filter_map(|write| write.id.clone()).collect();
        let known: HashSet<String> = self
            .items
            .items(&who.project, &ids)
            .await?
            .into_iter()
            .map(|item| item.id)
            .collect();
        writes.retain(|write| write.id.as_ref().is_none_or(|id| !known.contains(id)));
        let seed = Seed {
            // All that are brought together are one version.
            group: Some(crate::opik::shelf::new_id()),
            ..Seed::default()
        };
        for part in writes.chunks(BATCH) {
            let upserts = batch(who, dataset.id(), part.to_vec()).map_err(OpikError::into_error)?;
            let change = Change {
                upserts,
                ..Change::default()
            };
            self.items.change(who, dataset.id(), &seed, None, &change).await?;
        }
        Ok(())
    }

    /// The version of a dataset that a name means (`v3`, a hash, a tag, an id); the newest without one. `None` before the
    /// first item.
    ///
    /// # Errors
    /// `NotFound` when there is no such version.
    pub(crate) async fn version_of(
        &self,
        project: &str,
        dataset: &Dataset,
        name: Option<&str>,
    ) -> Result<Option<Version>> {
        match name {
            Some(name) => self.items.version_by(project, dataset, name).await.map(Some),
            None => self.items.latest(project, dataset).await,
        }
    }
}

/// A UUID of version 7 that tells no time.
fn content_id(dataset: &str, data: &Value) -> String {
    let digest = Sha256::digest(format!("{dataset}/{data}"));
    let rest: Vec<u8> = digest.iter().copied().take(10).collect();
    let rest: [u8; 10] = rest.try_into().unwrap_or_default();
    Builder::from_unix_timestamp_millis(0, &rest)
        .into_uuid()
        .to_string()
}
