//! Getting and listing.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use stead_resource::selector::{FieldSelector, LabelSelector};

use super::{Engine, Target};
use crate::{
    failure::{Failure, Outcome},
    kinds::ResourceType,
    store::{ListQuery, Position},
};

/// Which objects of a collection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selectors {
    pub(crate) labels: LabelSelector,
    pub(crate) fields: FieldSelector,
}

impl Selectors {
    /// Reads both selectors; fields that the kind cannot be selected by are refused.
    pub(crate) fn parse(kind: &ResourceType, labels: &str, fields: &str) -> Outcome<Self> {
        let bad = |error: stead_resource::selector::SelectorError| Failure::bad_request(error.to_string());
        let selectors = Self {
            labels: LabelSelector::parse(labels).map_err(bad)?,
            fields: FieldSelector::parse(fields).map_err(bad)?,
        };
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace")
                || kind.fields.iter().any(|known| known == field)
        };
        if let Some(unknown) = selectors.fields.fields().find(|field| !known(field)) {
            let message = format!("field label not supported: {unknown}");
            return Err(Failure::bad_request(message));
        }
        Ok(selectors)
    }

    pub(crate) fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// How to list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListOptions {
    pub(crate) selectors: Selectors,
    /// At most so many; 0 for all.
    pub(crate) limit: usize,
    /// Where the last page ended.
    pub(crate) page: String,
    /// The version whose state is asked for; the newest if none is.
    pub(crate) exact: Option<u64>,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Listed {
    pub(crate) items: Vec<Value>,
    pub(crate) version: u64,
    /// Where the next page begins; empty on the last one.
    pub(crate) next: String,
}

impl Engine {
    /// The object, if it is there.
    pub(crate) fn load(&self, target: &Target) -> Outcome<Option<Value>> {
        let row = self.store.get(&target.key())?;
        row.map(|row| self.decode(&target.kind, &row)).transpose()
    }

    /// The object; `NotFound` if it is not there.
    pub(crate) fn get(&self, target: &Target) -> Outcome<Value> {
        self.load(target)?
            .ok_or_else(|| Failure::not_found(&target.kind, &target.name))
    }

    /// A page of the objects that match.
    pub(crate) async fn list(self: &Arc<Self>, target: &Target, options: ListOptions) -> Outcome<Listed> {
        let exact = options.selectors.fields.exact("metadata.name");
        let one_place = !target.namespace.is_empty() || !target.kind.namespaced;
        if let (Some(name), true, None) = (exact, one_place, options.exact) {
            return self.list_one(target, name, &options.selectors);
        }
        let query = ListQuery {
            resource: Arc::clone(&target.kind.storage),
            namespace: Some(target.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            from: begin(&options)?,
            limit: options.limit,
        };
        let found = Arc::new(Mutex::new((Vec::new(), None)));
        let (sink, engine, kind) = (Arc::clone(&found), Arc::clone(self), Arc::clone(&target.kind));
        let selectors = options.selectors;
        let listing = self
            .store
            .list(query, move |row| {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                match engine.decode(&kind, row) {
                    Ok(object) if selectors.is_empty() || selectors.matches(&object) => {
                        sink.0.push(object);
                        true
                    }
                    Ok(_) => false,
                    Err(failure) => {
                        sink.1 = Some(failure);
                        false
                    }
                }
            })
            .await?;
        let (items, failure) = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Listed {
                items,
                version: listing.version,
                next: listing
                    .next
                    .map(|next| write_page(&next, listing.version))
                    .unwrap_or_default(),
            }),
        }
    }

    /// A list that a selector narrows to one name.
    fn list_one(&self, target: &Target, name: &str, selectors: &Selectors) -> Outcome<Listed> {
        let (row, version) = self.store.get_at(&target.named(&target.namespace, name).key())?;
        let object = row.map(|row| self.decode(&target.kind, &row)).transpose()?;
        Ok(Listed {
            version,
            items: object
                .into_iter()
                .filter(|object| selectors.matches(object))
                .collect(),
            next: String::new(),
        })
    }
}

/// Where a list begins, and at which version, if not with the first object of now.
fn begin(options: &ListOptions) -> Outcome<Option<(Position, u64)>> {
    let first = Position {
        namespace: String::new(),
        name: String::new(),
    };
    if options.page.is_empty() {
        Ok(options.exact.map(|version| (first, version)))
    } else {
        read_page(&options.page).map(Some)
    }
}

fn write_page(position: &Position, version: u64) -> String {
    let token = serde_json::json!([version, position.namespace, position.name]);
    URL_SAFE_NO_PAD.encode(token.to_string())
}

fn read_page(token: &str) -> Outcome<(Position, u64)> {
    let read = || {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (version, namespace, name) = serde_json::from_slice(&bytes).ok()?;
        Some((Position { namespace, name }, version))
    };
    read().ok_or_else(|| Failure::bad_request("the continue token is not one that this server made"))
}
