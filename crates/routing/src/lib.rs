//! Which of several targets is asked, when one is left alone, and when another is asked too.
//!
//! [`order`] puts targets in order, [`Condition`] says for which requests one is meant at all, [`Target`] remembers how
//! one behaved: its [`Breaker`], its time to first token, what is under way. [`Prefixes`] knows who has read the
//! beginning of a prompt before.
//!
//! *Invariant:* nothing here performs I/O, reads a clock or draws a number of its own: time and chance are passed in.
//! *Invariant:* no kind of resource is known.
//! *Invariant:* all memory is bounded, whatever requests hold.

mod backoff;
mod breaker;
mod condition;
mod hash;
mod hedge;
mod latency;
mod order;
mod prefix;
mod rendezvous;
mod target;

pub use backoff::{Backoff, pause};
pub use breaker::{Breaker, Permit, Ratio, Rules, State, Wait};
pub use condition::{Bounds, Condition, Facts, Values, matches};
pub use hash::stable;
pub use hedge::{Budget, Hedge};
pub use latency::{Average, Histogram};
pub use order::{Candidate, Shed, Strategy, order};
pub use prefix::{Blocks, Prefixes};
pub use rendezvous::{canary, percentile, time};
pub use target::{Answering, Flight, Target, View};
