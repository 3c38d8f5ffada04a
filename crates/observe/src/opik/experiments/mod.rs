//! Experiments: which trace came of which item of a dataset, and what that comes to.
//!
//! *Invariant:* an experiment holds references; what a trace says and how it was scored is read from the traces, and
//! never copied.

mod bulk;
mod compare;
mod compare_routes;
mod item_routes;
pub(crate) mod own;
mod routes;
mod shape;
mod store;
mod sums;
mod tell;

use axum::Router;
use stead_kernel::Collection;

use super::Opik;

/// The collection of experiments, by which datasets and optimizations count theirs.
pub(crate) const EXPERIMENTS: &str = "opik.experiments";
const ITEMS: &str = "opik.experiment_items";

pub(crate) use self::{shape::Experiment, store::Experiments, sums::Sums, tell::sums_of};

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: EXPERIMENTS,
        indexes: &["dataset_id", "optimization_id", "name"],
    },
    Collection {
        name: ITEMS,
        indexes: &["place"],
    },
];

/// Their routes.
pub(super) fn routes() -> Router<Opik> {
    routes::routes()
        .merge(bulk::routes())
        .merge(item_routes::routes())
        .merge(compare_routes::routes())
}
