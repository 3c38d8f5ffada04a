//! Names that only one record of a sort may have.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use stead_kernel::{
    Result,
    ports::{RecordKey, RecordWrite, Records},
};

/// The collection of claims.
pub(crate) const NAMES: &str = "opik.names";

/// A name that one record has or wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    key: RecordKey,
}

impl Claim {
    /// The name of a record of a sort (`dataset`) in an Opik project of a workspace, or, without one, in the
    /// workspace itself.
    pub(crate) fn new(workspace: &str, sort: &str, project: Option<&str>, name: &str) -> Self {
        // A name can be longer than an id may be.
        let id = format!(
            "{sort}/{}/{}",
            project.unwrap_or_default(),
            digest(name.as_bytes(), 32)
        );
        Self {
            key: RecordKey {
                collection: NAMES.to_owned(),
                project: workspace.to_owned(),
                id,
            },
        }
    }

    /// The id of the record that has the name.
    pub(crate) async fn owner(&self, records: &dyn Records) -> Result<Option<String>> {
        let record = records.get(&self.key).await?;
        Ok(record.and_then(|record| {
            let id = record.body.get("id").and_then(Value::as_str);
            id.map(str::to_owned)
        }))
    }

    /// Takes the name for a record; the commit fails when another has it.
    pub(crate) fn take(&self, id: &str) -> RecordWrite {
        RecordWrite::Put {
            key: self.key.clone(),
            expected: Some(0),
            body: json!({"id": id}),
        }
    }

    /// Gives the name back.
    pub(crate) fn release(&self) -> RecordWrite {
        RecordWrite::Delete {
            key: self.key.clone(),
            expected: None,
        }
    }
}

/// The first bytes of a text's SHA-256, in hexadecimal.
pub(crate) fn digest(text: &[u8], bytes: usize) -> String {
    let mut hex = String::with_capacity(2 * bytes);
    for byte in Sha256::digest(text).iter().take(bytes) {
        // Writing to a text cannot fail.
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}
