//! Limits on what is used in a window of time. What a request may use at most is reserved before it goes on, over all
//! limits that apply or over none; what it really used is settled in its place.
//!
//! *Invariants:* nothing here performs I/O, waits or reads a clock. What is used, reserved and lent never exceeds a
//! hard limit, unless a request uses more than it reserved. Nothing is refused that fits beside what is used, reserved
//! and lent.

mod lease;
mod limit;
mod reserve;
mod window;

pub use lease::{Grant, Holding, Lender, Report};
pub use limit::{Bound, Limit, Measure, Reading, Terms, Used};
pub use reserve::{Refusal, Reservation, Why, reserve};
pub use window::{Span, Window};
