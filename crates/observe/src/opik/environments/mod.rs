//! Environments: the workspace's list of places that applications and versions of prompts are in.

mod routes;
mod shape;

use stead_kernel::{Collection, Error};

use super::{Caller, Opik, wire::OpikError};
use crate::opik::shelf::Titles;

pub(super) use routes::routes;
use shape::Environment;

const ENVIRONMENTS: &str = "opik.environments";

/// Their collection.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: ENVIRONMENTS,
    indexes: &[],
}];

fn titles(opik: &Opik) -> Titles<Environment> {
    Titles::new(&opik.ports.records, ENVIRONMENTS, "environment", "Environment")
}

/// Checks that the workspace has these environments.
///
/// # Errors
/// `NotFound` when it has not.
pub(crate) async fn check(opik: &Opik, caller: &Caller, names: &[String]) -> Result<(), OpikError> {
    for name in names {
        if !titles(opik).has(&caller.workspace, None, name).await? {
            return Err(Error::not_found(format!("Environment not found: {name}"))
                .hint("make it first")
                .into());
        }
    }
    Ok(())
}
