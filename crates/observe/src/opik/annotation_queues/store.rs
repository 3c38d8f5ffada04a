//! Queues and their items as records.

use std::{collections::BTreeMap, sync::Arc};

use stead_kernel::{
    Reason, Result,
    ports::{RecordQuery, RecordWrite, Records, Within},
};

use super::{
    ITEMS, QUEUES,
    locks::{Claimed, Item},
    shape::Queue,
};
use crate::opik::shelf::{Shelf, Sweep, Sweeps, TRIES, Who, busy};

/// The queues of all workspaces.
#[derive(Clone)]
pub(super) struct Queues {
    shelf: Shelf<Queue>,
    items: Shelf<Item>,
    sweeps: Sweeps,
}

impl Queues {
    /// Over a store.
    pub(super) fn new(records: &Arc<dyn Records>) -> Self {
        Self {
            shelf: Shelf::new(Arc::clone(records), QUEUES, "Annotation queue"),
            items: Shelf::new(Arc::clone(records), ITEMS, "Annotation queue item"),
            sweeps: Sweeps::new(Arc::clone(records)),
        }
    }

    /// All queues of a workspace, the newest first.
    pub(super) async fn all(&self, workspace: &str) -> Result<Vec<Queue>> {
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

    /// One queue.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(super) async fn get(&self, workspace: &str, id: &str) -> Result<Queue> {
        Ok(self.shelf.need(workspace, id).await?.body)
    }

    /// Makes queues: all of them, or none.
    ///
    /// # Errors
    /// `Conflict` when an id is taken.
    pub(super) async fn create(&self, workspace: &str, queues: &[Queue]) -> Result<()> {
        let writes = queues
            .iter()
            .map(|queue| self.shelf.create(workspace, &queue.id, queue));
        self.shelf.commit(writes.collect::<Result<_>>()?).await
    }

    /// Changes a queue.
    ///
    /// # Errors
    /// `NotFound` when there is none, and those of `change`.
    pub(super) async fn change(
        &self,
        workspace: &str,
        id: &str,
        change: impl FnMut(&mut Queue) -> Result<()>,
    ) -> Result<()> {
        self.shelf.change(workspace, id, change).await.map(drop)
    }

    /// Removes queues with their items; those that are not there are passed over.
    pub(super) async fn delete(&self, workspace: &str, ids: &[String]) -> Result<()> {
        let mut writes: Vec<RecordWrite> = ids.iter().map(|id| self.shelf.delete(workspace, id)).collect();
        let under: Vec<Sweep> = ids.iter().map(|id| Sweep::under(ITEMS, id)).collect();
        writes.extend(self.sweeps.plan(workspace, &under)?);
        self.shelf.records().commit(writes).await?;
        self.sweeps.run(Some(workspace)).await
    }

    /// Adds items to a queue; those that are there stay as they are.
    pub(super) async fn add(&self, workspace: &str, queue: &str, items: &[String]) -> Result<()> {
        for _ in 0..TRIES {
            let places: Vec<String> = items.iter().map(|item| place(queue, item)).collect();
            let there = self.items.get_many(workspace, &places).await?;
            let new = items
                .iter()
                .filter(|item| there.iter().all(|kept| kept.body.entity != **item));
            let writes = new.map(|item| {
                let body = Item {
                    place: place(queue, item),
                    entity: item.clone(),
                    locks: BTreeMap::new(),
                };
                self.items.create(workspace, &body.place.clone(), &body)
            });
            match self.items.records().commit(writes.collect::<Result<_>>()?).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(drop),
            }
        }
        Err(busy())
    }

    /// Takes items from a queue; those that are not there are passed over.
    pub(super) async fn remove(&self, workspace: &str, queue: &str, items: &[String]) -> Result<()> {
        let places: Vec<String> = items.iter().map(|item| place(queue, item)).collect();
        self.items.delete_many(workspace, &places).await
    }

    /// How many items a queue has.
    pub(super) async fn count(&self, workspace: &str, queue: &str) -> Result<u64> {
        self.items.records().count(self.under(workspace, queue)).await
    }

    /// The items of a queue.
    pub(super) async fn items(&self, workspace: &str, queue: &str) -> Result<Vec<Item>> {
        let found = self.items.all(self.under(workspace, queue)).await?;
        Ok(found.into_iter().map(|kept| kept.body).collect())
    }

    fn under(&self, workspace: &str, queue: &str) -> RecordQuery {
        RecordQuery {
            within: vec![Within::prefix("place", &place(queue, ""))],
            order_by: Some("place".into()),
            ..self.items.query(workspace)
        }
    }

    /// Gives someone an item of a queue for a while.
    ///
    /// # Errors
    /// `NotFound` when the queue has no such item.
    pub(super) async fn lock(&self, who: &Who, queue: &Queue, item: &str) -> Result<Claimed> {
        let seconds = i64::from(queue.lock_timeout_seconds);
        let until = who
            .now
            .saturating_add(jiff::SignedDuration::from_secs(seconds))
            .unwrap_or(who.now);
        let mut claimed = Claimed::Held(until);
        let change = |item: &mut Item| {
            claimed = item.claim(&who.user, who.now, until, queue.annotators_per_item);
            Ok(())
        };
        self.items
            .change(&who.project, &place(&queue.id, item), change)
            .await?;
        Ok(claimed)
    }
}

fn place(queue: &str, item: &str) -> String {
    format!("{queue}/{item}")
}
