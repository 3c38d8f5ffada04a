//! What texts hold that should not go on: personal data, secrets, listed words, attempts to take a model over; and
//! redaction both ways, over whole texts and over streams.
//!
//! A [`Scanner`] finds spans; a [`Feed`] does so in a text that comes in pieces, and finds exactly the same. A
//! [`Vault`] gives each found value a placeholder and puts the value back where the placeholder comes back.
//!
//! *Invariant:* pure: no I/O, no clock, no kind.
//! *Invariant:* time grows with the length of a text and nothing else: expressions are automata without
//! backtracking, and no match is longer than its detector's bound.
//! *Invariant:* errors and reports name rules and detectors, never the value that was found.

mod detector;
mod entropy;
mod feed;
mod fold;
pub mod injection;
mod matcher;
mod pii;
mod scanner;
mod schema;
mod secrets;
mod vault;
mod words;

pub use detector::{Detector, Family, UnknownDetector, detectors, select};
pub use entropy::entropy;
pub use feed::{Feed, Found, Piece};
pub use fold::fold;
pub use scanner::{BadRule, Builder, Finding, Scanner};
pub use schema::{BadSchema, Schema};
pub use vault::{Encoding, Restorer, Vault, is_placeholder};
