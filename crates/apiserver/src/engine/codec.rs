//! Objects as bytes. The resource version is not among them: it is the row's.
//!
//! *Invariant:* what is sealed never leaves this module unsealed but as an object.

use std::sync::Arc;

use serde_json::Value;
use stead_kernel::Error;

use super::{Engine, text};
use crate::{
    failure::{Failure, Outcome},
    kinds::{Form, ResourceType, from_newer, to_newer},
    object::{self, metadata_mut, root_mut},
    store::{Content, Key, Row},
};

/// The first byte of a sealed body; a plain one begins with `{`.
pub(crate) const SEALED: u8 = 1;

impl Engine {
    /// The stored form of an object.
    pub(super) fn encode(&self, kind: &ResourceType, key: &Key, object: &Value) -> Outcome<Content> {
        let mut stored = object.clone();
        metadata_mut(&mut stored).shift_remove("resourceVersion");
        if kind.form == Form::NewEvent {
            from_newer(&mut stored);
            root_mut(&mut stored).insert("apiVersion".into(), "v1".into());
        }
        let body = serde_json::to_vec(&text::in_order(stored))
            .map_err(|error| Error::internal("an object could not be written").because(error))?;
        let body = if kind.form == Form::Sealed {
            let mut sealed = vec![SEALED];
            sealed.extend(self.vault.seal(&context(key), &body)?);
            sealed
        } else {
            body
        };
        Ok(Content {
            body: body.into(),
            owners: object::owner_uids(object),
            deleting: object::is_deleting(object),
        })
    }

    /// The object that a row holds.
    pub(crate) fn decode(&self, kind: &ResourceType, row: &Row) -> Outcome<Value> {
        self.decode_body(kind, &row.key, row.version, &row.body)
    }

    /// The object in a body, with its resource version.
    pub(crate) fn decode_body(
        &self,
        kind: &ResourceType,
        key: &Key,
        version: u64,
        body: &Arc<[u8]>,
    ) -> Outcome<Value> {
        let parsed = match body.split_first() {
            Some((&SEALED, sealed)) => {
                let plain = self.vault.open(&context(key), sealed)?;
                // The parser's message could quote the text.
                serde_json::from_slice(&plain).map_err(|_| unreadable(key))
            }
            _ => serde_json::from_slice(body).map_err(|_| unreadable(key)),
        };
        let mut object: Value = parsed?;
        if kind.form == Form::NewEvent {
            to_newer(&mut object);
        }
        root_mut(&mut object).insert("apiVersion".into(), kind.api_version().into());
        metadata_mut(&mut object).insert("resourceVersion".into(), version.to_string().into());
        Ok(object)
    }
}

fn context(key: &Key) -> String {
    format!("{}/{}/{}", key.resource, key.namespace, key.name)
}

fn unreadable(key: &Key) -> Failure {
    Error::internal(format!("the stored object {} cannot be read", context(key))).into()
}
