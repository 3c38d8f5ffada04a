//! Datasets: named collections of items, by version.
//!
//! *Invariants:* items are records of their own, never one document; a version copies nothing; a batch of items is
//! stored whole or not at all.

mod convert;
mod file_routes;
mod item_routes;
mod items;
mod own;
mod plan;
mod routes;
mod shape;
mod source_routes;
mod store;
mod version_routes;
mod walk;

use axum::Router;
use stead_kernel::Collection;

use super::Opik;

pub(crate) use self::{
    items::Part,
    shape::{Dataset, Item, Version},
    store::{Datasets, Named, merge},
    walk::View,
};

const DATASETS: &str = "opik.datasets";
const ITEMS: &str = "opik.dataset_items";
const HISTORY: &str = "opik.dataset_item_history";
const VERSIONS: &str = "opik.dataset_versions";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 4] = [
    Collection {
        name: DATASETS,
        indexes: &["name"],
    },
    Collection {
        name: ITEMS,
        indexes: &["place"],
    },
    Collection {
        name: HISTORY,
        indexes: &["place", "item_id"],
    },
    Collection {
        name: VERSIONS,
        indexes: &["place", "hashed"],
    },
];

/// Their routes.
pub(super) fn routes() -> Router<Opik> {
    routes::routes()
        .merge(item_routes::routes())
        .merge(file_routes::routes())
        .merge(source_routes::routes())
        .merge(version_routes::routes())
}
