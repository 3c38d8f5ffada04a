//! Speech and text in both directions over a WebSocket, passed through
//! (<https://platform.openai.com/docs/guides/realtime-websocket>).
//!
//! A client's request is resolved, reserved and sent on like any other; only when a provider has agreed to the
//! WebSocket is the client told that it has one. After that messages pass as they are, and what the provider says of
//! each response's usage adds up to the usage of the session, which is one request in records and quotas.
//!
//! *Invariant:* the key that a client signs in with goes to no provider, also where it came as a subprotocol.
//!
//! *Invariant:* nothing is read from one side before the other one has taken what came before.

mod count;
mod handshake;
mod pass;
mod session;

pub(crate) use handshake::{Asked, Opening, Upgrade, accept};
pub(crate) use session::Session;

use http::HeaderValue;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

/// A WebSocket that a provider has opened.
pub(crate) struct Joined {
    pub(crate) io: TokioIo<Upgraded>,
    /// The subprotocol that it chose.
    pub(crate) protocol: Option<HeaderValue>,
}
