//! `/v1/private/alerts`: alerts on what is traced, which are objects of the kind `AlertRule`.
//!
//! *Invariant:* what the kind has not (single events, Slack's and `PagerDuty`'s forms) answers 501; a secret is told to nobody.

mod routes;
mod shape;

pub(super) use routes::routes;
