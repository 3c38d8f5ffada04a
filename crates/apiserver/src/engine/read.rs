//! Getting and listing.

use std::sync::{Arc, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::Value;
use stead_resource::selector::{FieldSelector, LabelSelector};

use super::{Engine, Target};
use crate::{
    failure::{Failure, Outcome},
    kinds::{EVENTS, ResourceType},
    store::{ListQuery, Position, Row, StoreError},
};

/// How long a reader waits for a version that is not there yet.
const AHEAD: std::time::Duration = std::time::Duration::from_secs(3);

/// The version of a page that shows what is there when it is asked for.
const NEWEST: u64 = 0;

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
        let fields = if *kind.storage == *EVENTS {
            by_component(fields)
        } else {
            fields.to_owned()
        };
        let selectors = Self {
            labels: LabelSelector::parse(labels).map_err(bad)?,
            fields: FieldSelector::parse(&fields).map_err(bad)?,
        };
        let known = |field: &str| {
            matches!(field, "metadata.name" | "metadata.namespace" | "source.component")
                || kind.fields.iter().any(|known| known == field)
        };
        if let Some(unknown) = selectors.fields.fields().find(|field| !known(field)) {
            return Err(Failure::bad_request(
                if kind.strategic && kind.fields.is_empty() {
                    format!(
                        "{unknown:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                    )
                } else {
                    format!("field label not supported: {unknown}")
                },
            ));
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

/// An event's source is selected by its component.
fn by_component(fields: &str) -> String {
    let parts: Vec<String> = fields
        .split(',')
        .map(|part| match part.trim().strip_prefix("source") {
            Some(rest) if rest.starts_with(['=', '!']) => format!("source.component{rest}"),
            _ => part.to_owned(),
        })
        .collect();
    parts.join(",")
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
    /// The version that the state must have reached.
    pub(crate) at_least: u64,
}

/// A page of a list.
#[derive(Debug)]
pub(crate) struct Listed<T = Value> {
    pub(crate) items: Vec<T>,
    pub(crate) version: u64,
    /// Where the next page begins; empty on the last one.
    pub(crate) next: String,
    /// How many objects follow on later pages, where that is known.
    pub(crate) remaining: Option<usize>,
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

    /// Waits a little for a version that another server may have told.
    pub(crate) async fn reach(&self, version: u64) -> Outcome<()> {
        let mut latest = self.store.window().subscribe();
        let reached = tokio::time::timeout(AHEAD, latest.wait_for(|latest| *latest >= version)).await;
        match reached {
            Ok(_) => Ok(()),
            Err(_) => Err(Failure::too_large_version(version, self.store.window().latest())),
        }
    }

    /// A page of the objects that match.
    pub(crate) async fn list(self: &Arc<Self>, target: &Target, options: ListOptions) -> Outcome<Listed> {
        if options.at_least > 0 {
            self.reach(options.at_least).await?;
        }
        let exact = options.selectors.fields.exact("metadata.name");
        let one_place = !target.namespace.is_empty() || !target.kind.namespaced;
        if let (Some(name), true, None) = (exact, one_place, options.exact) {
            return self.list_one(target, name, &options.selectors);
        }
        let (engine, kind, selectors) = (
            Arc::clone(self),
            Arc::clone(&target.kind),
            options.selectors.clone(),
        );
        self.page(target, &options, move |row| {
            let object = engine.decode(&kind, row)?;
            Ok(Some(object).filter(|object| selectors.is_empty() || selectors.matches(object)))
        })
        .await
    }

    /// A page of what `read` makes of the objects; one of which it makes nothing is left out.
    pub(super) async fn page<T: Send + 'static>(
        &self,
        target: &Target,
        options: &ListOptions,
        read: impl Fn(&Row) -> Outcome<Option<T>> + Send + 'static,
    ) -> Outcome<Listed<T>> {
        let newest = |(position, version)| match version {
            NEWEST => (position, self.store.window().latest()),
            version => (position, version),
        };
        let from = begin(options)?.map(newest);
        let rest = from.as_ref().filter(|_| !options.page.is_empty());
        // Where the list would go on in the newest state, if its own is not kept any more.
        let rest = rest.map(|(position, _)| write_page(position, NEWEST));
        let query = ListQuery {
            resource: Arc::clone(&target.kind.storage),
            namespace: Some(target.namespace.clone()).filter(|namespace| !namespace.is_empty()),
            from,
            limit: options.limit,
        };
        let found = Arc::new(Mutex::new((Vec::new(), None)));
        let sink = Arc::clone(&found);
        // What is counted is what lies there, so nothing is told where some of it is left out.
        let counts = options.selectors.is_empty();
        let listing = self
            .store
            .list(query, move |row| {
                let mut sink = sink.lock().unwrap_or_else(PoisonError::into_inner);
                match read(row) {
                    Ok(Some(item)) => {
                        sink.0.push(item);
                        true
                    }
                    Ok(None) => false,
                    Err(failure) => {
                        sink.1 = Some(failure);
                        false
                    }
                }
            })
            .await
            .map_err(|error| match (error, rest) {
                (StoreError::Expired, Some(rest)) => Failure::expired_page(&rest),
                (StoreError::Expired, None) => Failure::expired_list(),
                (error, _) => error.into(),
            })?;
        let (items, failure) = std::mem::take(&mut *found.lock().unwrap_or_else(PoisonError::into_inner));
        match failure {
            Some(failure) => Err(failure),
            None => Ok(Listed {
                items,
                version: listing.version,
                remaining: (counts && listing.next.is_some()).then_some(listing.remaining),
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
            remaining: None,
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
