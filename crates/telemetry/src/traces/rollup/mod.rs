//! Sums that are kept at each commit, by minute and by hour, so that no dashboard reads the entries it is about.

pub(super) mod agg;
pub(super) mod facts;
pub(super) mod ledger;
mod serve;

pub(super) use agg::{Agg, Of};
pub(super) use facts::Totals;
pub(super) use ledger::{Changes, Ledger, totals_of};
pub(super) use serve::{can_serve, serve};
