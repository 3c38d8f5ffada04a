//! Files attached to traces and spans. Their content lies in `blobs/attachments/`, what is known of them in records.
//!
//! *Invariant:* a file that was answered is on the disk, whole, before its record names it; no part of a path comes from a
//! request.

mod files;
mod routes;
mod shape;
mod store;
mod sweep;

use stead_kernel::Collection;

pub(super) use routes::routes;
pub(super) use store::forget;
pub(super) use sweep::start as start_sweeps;

/// Their collection.
pub(super) const COLLECTIONS: [Collection; 1] = [Collection {
    name: store::ATTACHMENTS,
    indexes: &["entity"],
}];
