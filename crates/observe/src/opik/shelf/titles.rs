//! Records of one sort whose names are unique.

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use stead_kernel::{
    Reason, Result,
    ports::{RecordQuery, Records},
};

use super::{Claim, Shelf, Stamps, TRIES, Who, busy};

/// A record with a name that no other of its sort has, in its Opik project or in the workspace.
pub(crate) trait Titled: Clone + Serialize + DeserializeOwned {
    /// Its id.
    fn id(&self) -> &str;
    /// Its name.
    fn name(&self) -> &str;
    /// The Opik project that it is in.
    fn project(&self) -> Option<&str>;
    /// When and by whom it was made.
    fn stamps(&mut self) -> &mut Stamps;
}

/// The records of a sort.
#[derive(Clone)]
pub(crate) struct Titles<T> {
    shelf: Shelf<T>,
    sort: &'static str,
}

impl<T: Titled> Titles<T> {
    /// The records of a collection. Names are unique among all of a `sort`, which messages call `noun`.
    pub(crate) fn new(
        records: &Arc<dyn Records>,
        collection: &'static str,
        sort: &'static str,
        noun: &'static str,
    ) -> Self {
        Self {
            shelf: Shelf::new(Arc::clone(records), collection, noun),
            sort,
        }
    }

    /// All of a workspace, the newest first.
    pub(crate) async fn all(&self, workspace: &str) -> Result<Vec<T>> {
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

    /// One.
    ///
    /// # Errors
    /// `NotFound` when there is none.
    pub(crate) async fn get(&self, workspace: &str, id: &str) -> Result<T> {
        Ok(self.shelf.need(workspace, id).await?.body)
    }

    /// Whether a name is taken.
    pub(crate) async fn has(&self, workspace: &str, project: Option<&str>, name: &str) -> Result<bool> {
        let claim = Claim::new(workspace, self.sort, project, name);
        Ok(claim.owner(&**self.shelf.records()).await?.is_some())
    }

    /// Makes one.
    ///
    /// # Errors
    /// `Conflict` when the name or the id is taken.
    pub(crate) async fn create(&self, workspace: &str, made: &T) -> Result<()> {
        let claim = self.claim(workspace, made);
        let create = self.shelf.create(workspace, made.id(), made)?;
        self.shelf.commit(vec![create, claim.take(made.id())]).await
    }

    /// Changes one, and returns it as it is then.
    ///
    /// # Errors
    /// `NotFound` when there is none, `Conflict` when its new name is taken, and those of `change`.
    pub(crate) async fn change(
        &self,
        who: &Who,
        id: &str,
        mut change: impl FnMut(&mut T) -> Result<()>,
    ) -> Result<T> {
        for _ in 0..TRIES {
            let mut kept = self.shelf.need(&who.project, id).await?;
            let before = self.claim(&who.project, &kept.body);
            change(&mut kept.body)?;
            kept.body.stamps().touch(who);
            let after = self.claim(&who.project, &kept.body);
            let mut writes = vec![kept.put()?];
            if after != before {
                if after.owner(&**self.shelf.records()).await?.is_some() {
                    return Err(self.shelf.taken());
                }
                writes.extend([before.release(), after.take(id)]);
            }
            match self.shelf.records().commit(writes).await {
                Err(error) if error.reason() == Reason::Conflict => {}
                result => return result.map(|_| kept.body),
            }
        }
        Err(busy())
    }

    /// Removes several; what is not there is passed over.
    pub(crate) async fn delete(&self, workspace: &str, ids: &[String]) -> Result<()> {
        let found = self.shelf.get_many(workspace, ids).await?;
        let writes = found.iter().flat_map(|kept| {
            let release = self.claim(workspace, &kept.body).release();
            [self.shelf.delete(workspace, kept.id()), release]
        });
        self.shelf.records().commit(writes.collect()).await.map(drop)
    }

    fn claim(&self, workspace: &str, titled: &T) -> Claim {
        Claim::new(workspace, self.sort, titled.project(), titled.name())
    }
}
