//! The applications' projects: made by name at the first write, kept as records.

mod breakdown;
mod routes;
mod shape;
mod stats;
mod store;

use stead_kernel::Collection;

pub(super) use routes::routes;
pub(crate) use store::Projects;

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: store::PROJECTS,
    indexes: &["name"],
}];
