//! Lists as OpenAI's API gives them: `after` names the last object of the page before
//! (<https://platform.openai.com/docs/api-reference/files/list>).

use serde::Deserialize;
use serde_json::{Value, json};
use stead_kernel::{
    Error, Result,
    ports::{Record, RecordQuery, Records},
};

/// The most objects of a page of a store.
const STORE_PAGE: usize = 1_000;

/// What a list's address says.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    pub(crate) after: Option<String>,
    pub(crate) limit: Option<usize>,
    pub(crate) order: Option<String>,
    pub(crate) purpose: Option<String>,
}

impl Options {
    /// The number of objects that are wanted, `usual` when the address does not say.
    pub(crate) fn limit(&self, usual: usize, most: usize) -> Result<usize> {
        match self.limit.unwrap_or(usual) {
            limit if (1..=most).contains(&limit) => Ok(limit),
            _ => Err(Error::invalid(format!("limit: must be from 1 to {most}"))),
        }
    }

    /// Whether the newest come first, as they do when the address does not say.
    pub(crate) fn is_descending(&self) -> Result<bool> {
        match self.order.as_deref() {
            None | Some("desc") => Ok(true),
            Some("asc") => Ok(false),
            Some(_) => Err(Error::invalid("order: must be asc or desc")),
        }
    }
}

/// The records after the one that `after` names, and whether more follow. The store's own places are not those of the
/// API, so everything up to `after` is passed over, as is what `counts` does not count.
pub(crate) async fn read(
    records: &dyn Records,
    mut query: RecordQuery,
    after: Option<&str>,
    limit: usize,
    counts: impl Fn(&Record) -> bool,
) -> Result<(Vec<Record>, bool)> {
    let mut found = Vec::new();
    let mut is_before = after.is_some();
    query.limit = if is_before { STORE_PAGE } else { limit + 1 };
    loop {
        let page = records.list(query.clone()).await?;
        for record in page.items {
            if !counts(&record) {
                continue;
            }
            if is_before {
                is_before = after != Some(record.key.id.as_str());
            } else if found.len() == limit {
                return Ok((found, true));
            } else {
                found.push(record);
            }
        }
        query.after = page.next;
        if query.after.is_none() {
            return Ok((found, false));
        }
    }
}

/// A page as clients get it.
pub(crate) fn document(objects: &[Value], has_more: bool) -> Value {
    let id = |object: Option<&Value>| object.and_then(|object| object.get("id")).cloned();
    json!({
        "object": "list",
        "first_id": id(objects.first()),
        "last_id": id(objects.last()),
        "has_more": has_more,
        "data": objects,
    })
}
