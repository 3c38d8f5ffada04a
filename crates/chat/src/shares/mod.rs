//! Pages that show a conversation to others, as it was when it was shared: for whoever is signed in, and for everybody
//! only where an administrator allows that. They expire, and can be taken back at any time.
//!
//! *Invariant:* a share shows what was said on one branch until then, and nothing that was said later.

mod routes;
mod store;

pub(crate) use self::{
    routes::{Public, routes},
    store::SHARES,
};
