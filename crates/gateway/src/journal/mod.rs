//! The journal: what was asked and what came of it, on this machine's disk before anyone else knows.
//!
//! A request appends a reservation before it is dispatched and its settlement before its last byte is sent, each into
//! memory that the system holds for the file; a killed process loses neither. The disk is told to keep them about once a second, so a killed
//! machine loses at most that. A reader ships settled rows to the event store and deletes what is shipped.
//!
//! *Invariant:* no request waits for a disk's flush or for the event store.

mod codec;
mod frame;
mod position;
mod recovery;
mod segment;
mod shipper;
mod tail;
mod writer;

pub(crate) use shipper::ship;
pub(crate) use writer::{Journal, Lag, Ticket};

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
