//! Connections in and out: one port for TLS and plain HTTP, the certificate authority of this installation, the
//! outbound HTTP client with its address policy, and processes.
//!
//! *Invariant:* nothing here knows a kind, reads the environment or follows a redirect.
//!
//! *Invariant:* an outbound connection goes only to an address that was checked.

mod certificate;
mod exec;
mod http1;
mod listen;
mod outbound;

pub use certificate::{Authority, install_crypto_provider};
pub use exec::SystemExec;
pub use listen::{raise_open_files, serve};
pub use outbound::{OutboundClient, OutboundOptions, ProxySettings, database_tls};
/// What [`serve`] puts into the extensions of every request.
pub use stead_kernel::http::Connection;
