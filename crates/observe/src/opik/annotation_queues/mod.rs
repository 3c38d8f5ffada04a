//! Annotation queues: traces or threads that people are to look at.

mod locks;
mod routes;
mod shape;
mod store;

use stead_kernel::Collection;

pub(super) use routes::routes;

const QUEUES: &str = "opik.annotation_queues";
const ITEMS: &str = "opik.annotation_queue_items";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: QUEUES,
        indexes: &[],
    },
    Collection {
        name: ITEMS,
        indexes: &["place"],
    },
];
