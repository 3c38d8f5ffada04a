//! Collections of documents that a chat can ask: texts in passages, each with its vector from an embedding model that is
//! asked as the one who owns the collection.
//!
//! *Invariant:* a passage is found by the vector of the very model that made it; a document is stored with all its
//! passages, or not at all.

mod passages;
mod routes;
mod store;

pub(crate) use self::{
    routes::routes,
    store::{COLLECTIONS, DOCUMENTS, PASSAGES},
};
