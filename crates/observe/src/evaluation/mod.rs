//! Evaluation: a dataset through a route with a prompt and metrics (`runs`), and two experiments compared. The metrics
//! themselves are in `scoring`; what they must ask of models is asked here, through the port `Models`.
//!
//! *Invariant:* an item whose answer was stored is not asked again, whatever is killed when.
//! *Invariant:* an evaluation asks as the one who began it.

mod asking;
#[cfg(test)]
mod command_tests;
mod comparison;
mod creator;
mod fields;
mod runs;
mod scorer;
mod suite;
#[cfg(test)]
pub(crate) mod tests;

use axum::Router;
use stead_kernel::{Collection, Context, Result};

pub(crate) use self::{
    asking::Asker,
    fields::at,
    scorer::{Outcome, Scorer},
};
use crate::opik::Opik;

/// The collections of records.
pub(crate) fn collections() -> Vec<Collection> {
    runs::COLLECTIONS.to_vec()
}

/// The routes; goes on with evaluations that an earlier process left.
pub(crate) async fn start(context: &Context, opik: &Opik) -> Result<Router> {
    let runner = runs::Runner::start(context, opik.clone()).await?;
    Ok(runs::routes(runner).merge(comparison::routes(opik.clone())))
}
