//! Assertions: what should hold of a trace, a span or a thread, and whether it does.

mod routes;

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use stead_kernel::{
    Collection, Result,
    ports::{RecordQuery, Records, Within},
};

use super::shelf::{Shelf, Stamps, Who, digest};

pub(super) use routes::routes;

const ASSERTIONS: &str = "opik.assertions";

/// Their collection.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: ASSERTIONS,
    indexes: &["place"],
}];

/// What was found of one assertion, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Assertion {
    /// What should hold.
    pub(crate) name: String,
    /// `passed` or `failed`.
    status: String,
    /// Why.
    #[serde(default)]
    pub(crate) reason: Option<String>,
    /// `ui`, `sdk` or `online_scoring`.
    source: String,
    #[serde(flatten)]
    stamps: Stamps,
    /// What it is about, and the assertion itself, by which lists are made.
    place: String,
}

impl Assertion {
    /// Whether it holds.
    pub(crate) fn passed(&self) -> bool {
        self.status == "passed"
    }

    /// As `AssertionResult`.
    pub(crate) fn tell(&self) -> serde_json::Value {
        serde_json::json!({"value": self.name, "passed": self.passed(), "reason": self.reason})
    }
}

/// The assertions of all workspaces.
#[derive(Clone)]
pub(crate) struct Assertions(Shelf<Assertion>);

impl Assertions {
    /// Over a store.
    pub(crate) fn new(records: &Arc<dyn Records>) -> Self {
        Self(Shelf::new(Arc::clone(records), ASSERTIONS, "Assertion"))
    }

    /// Stores what was found; a later finding on the same assertion takes the place of an earlier one.
    async fn store(&self, who: &Who, all: Vec<(String, Assertion)>) -> Result<()> {
        let writes = all
            .iter()
            .map(|(id, assertion)| self.0.put(&who.project, id, assertion));
        let writes = writes.collect::<Result<_>>()?;
        self.0.records().commit(writes).await.map(drop)
    }

    /// Whether the workspace has any.
    pub(crate) async fn any(&self, workspace: &str) -> Result<bool> {
        let query = RecordQuery {
            limit: 1,
            ..self.0.query(workspace)
        };
        Ok(!self.0.all(query).await?.is_empty())
    }

    /// What was found about a trace.
    pub(crate) async fn of_trace(&self, workspace: &str, trace: &str) -> Result<Vec<Assertion>> {
        let query = RecordQuery {
            within: vec![Within::prefix("place", &format!("trace/{trace}/"))],
            order_by: Some("place".into()),
            ..self.0.query(workspace)
        };
        let mut found: Vec<Assertion> = self
            .0
            .all(query)
            .await?
            .into_iter()
            .map(|kept| kept.body)
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }
}

/// What an assertion is about and itself, as a key: its name can be longer than a key may be.
fn place(sort: &str, entity: &str, name: &str) -> String {
    let digest = digest(name.as_bytes(), 16);
    format!("{sort}/{entity}/{digest}")
}
