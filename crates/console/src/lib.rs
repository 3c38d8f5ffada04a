//! The console: the web pages that `console/` is built into, and the event stream that they follow.
//!
//! *Invariant:* nothing here knows a kind; what a page shows, it asks for like any client.
//!
//! *Invariant:* building this never runs a program of JavaScript: `console/dist` is committed.

mod files;
mod stream;

pub use files::answer;
pub use stream::{Clients, routes};
