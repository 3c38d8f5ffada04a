//! Prompts and their versions, found by commit, number or environment.
//!
//! *Invariant:* a version's template never changes; an environment is that of one version of a prompt at most.

mod own;
mod routes;
mod shape;
mod store;
mod variables;
mod version_routes;

use axum::Router;
use stead_kernel::Collection;

use super::Opik;

pub(crate) use own::Chosen;
pub(crate) use store::Prompts;

const PROMPTS: &str = "opik.prompts";
const VERSIONS: &str = "opik.prompt_versions";

/// Their collections.
pub(super) const COLLECTIONS: [Collection; 2] = [
    Collection {
        name: PROMPTS,
        indexes: &["name"],
    },
    Collection {
        name: VERSIONS,
        indexes: &["place", "commit"],
    },
];

/// Their routes.
pub(super) fn routes() -> Router<Opik> {
    routes::routes().merge(version_routes::routes())
}
