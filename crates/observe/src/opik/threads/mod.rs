//! Threads: the traces that tell of one conversation.

mod routes;
mod shape;

pub(super) use routes::routes;
pub(super) use shape::known;
