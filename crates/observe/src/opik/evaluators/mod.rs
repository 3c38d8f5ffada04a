//! `/v1/private/automations/evaluators`: judges of what is traced, which are objects of the kind `EvaluationRule`.
//!
//! *Invariant:* what the kind has not (metrics written in Python, judges that see pictures) answers 501.

mod routes;
mod shape;

pub(super) use routes::routes;
