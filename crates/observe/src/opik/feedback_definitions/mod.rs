//! Feedback definitions: which scores people give, and which values they can have.

mod routes;
mod shape;

use stead_kernel::Collection;

pub(super) use routes::routes;

const DEFINITIONS: &str = "opik.feedback_definitions";

/// Their collection.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: DEFINITIONS,
    indexes: &[],
}];
