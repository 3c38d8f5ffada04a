//! Optimizations: a search for a better prompt, whose trials are experiments.

mod routes;
mod shape;
mod tell;

use stead_kernel::Collection;

pub(super) use routes::routes;

/// The collection of optimizations, by which datasets count theirs.
pub(crate) const OPTIMIZATIONS: &str = "opik.optimizations";

/// Their collection.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: OPTIMIZATIONS,
    indexes: &["dataset_id"],
}];
