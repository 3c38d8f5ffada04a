//! Pure wire translation between model APIs.
//!
//! [`sse`] frames streams, [`scan`] reads the few fields that matter from bodies that are forwarded as they are,
//! [`openai`] builds what the OpenAI API answers with, [`anthropic`] translates between the two dialects.
//!
//! *Invariants:* nothing here performs I/O, reads a clock or panics on any input. What a dialect cannot express is
//! refused or reported, never dropped silently.

pub mod anthropic;
pub mod openai;
pub mod scan;
pub mod sse;
mod usage;

pub use usage::Usage;
