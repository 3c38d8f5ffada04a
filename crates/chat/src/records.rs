//! Records of what a person has in a project.

use serde::Serialize;
use stead_kernel::{
    Error, Result,
    ports::{RecordKey, RecordWrite},
};

use crate::threads::Owner;

/// Where a record of an owner lies.
pub(crate) fn key(collection: &str, owner: &Owner, id: &str) -> RecordKey {
    RecordKey {
        collection: collection.to_owned(),
        project: owner.project.clone(),
        id: id.to_owned(),
    }
}

/// The write that stores what serializes to a JSON object.
///
/// # Errors
/// `Internal` when it has no JSON form.
pub(crate) fn put(key: RecordKey, expected: Option<u64>, body: &impl Serialize) -> Result<RecordWrite> {
    let body =
        serde_json::to_value(body).map_err(|error| Error::internal("a record is JSON").because(error))?;
    Ok(RecordWrite::Put { key, expected, body })
}
