//! Dashboards and views of insights: what people arranged in the console, as documents.

mod routes;
mod shape;

use stead_kernel::Collection;

pub(super) use routes::routes;

const DASHBOARDS: &str = "opik.dashboards";
const VIEWS: &str = "opik.insights_views";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: DASHBOARDS,
        indexes: &[],
    },
    Collection {
        name: VIEWS,
        indexes: &[],
    },
];
