//! Where a page of a list ended, so that the next one goes on after its last record, whatever happened meanwhile.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use stead_kernel::{Result, Timestamp};

use super::rules;

/// The last record of a page, in the list's order; `M` is how an engine keeps a value of the ordered field.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cursor<M> {
    /// Of which list: the field, `-` before it when descending.
    pub(super) list: String,
    pub(super) value: M,
    pub(super) id: String,
    pub(super) project: String,
}

impl<M: Serialize + DeserializeOwned> Cursor<M> {
    /// What callers are given and give back.
    pub(super) fn text(&self) -> String {
        BASE64_URL_SAFE_NO_PAD.encode(serde_json::json!(self).to_string())
    }

    /// Reads it back.
    ///
    /// # Errors
    /// `Invalid` when it is none, or of another list than `list`.
    pub(super) fn parse(text: &str, list: &str) -> Result<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok();
        let cursor: Option<Self> = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        cursor
            .filter(|cursor| cursor.list == list)
            .ok_or_else(rules::not_a_page)
    }
}

/// A stored time, in microseconds since 1970.
pub(super) fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::UNIX_EPOCH)
}
