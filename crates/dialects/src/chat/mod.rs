//! Chat in a form that belongs to no vendor: what every chat dialect is read into and written from.
//!
//! A client's dialect reads a [`Request`] and writes an [`Answer`] or a stream of [`Event`]s ([`ClientDialect`]); a
//! provider's dialect does the reverse ([`ProviderDialect`]). So each dialect is translated once, not once for each
//! other dialect. Bodies whose two ends speak the same dialect never take this form: they are forwarded as they are.
//!
//! *Invariants:* the form holds everything that at least two dialects can say. What only one can say travels in
//! [`Request::extra`] and in native tools, marked with the dialect it came from; a dialect that writes a request and
//! cannot say something refuses it or notes it, never drops it in silence.

mod answer;
mod dialect;
mod error;
mod event;
mod part;
mod request;
mod signature;

pub use answer::{Answer, Choice, Citation, Stop, TokenLogprob};
pub use dialect::{
    ClientDialect, Decoder, Encoder, Framing, Head, ProviderDialect, Sent, StreamError, Target, View, Wire,
};
pub use error::{ErrorBody, ErrorKind, TranslateError, refuse};
pub use event::{Delta, Event};
pub(crate) use part::refuse_native;
pub use part::{Cache, Content, Part, Source};
pub use request::{
    Effort, Extra, Function, Message, OutputFormat, Reasoning, Request, Role, Sampling, Tool, ToolChoice,
};
pub use signature::{Vendor, holds_foreign_tokens};
