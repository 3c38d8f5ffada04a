//! HTTP requests to other machines, at addresses that users name.

use std::time::Duration;

use async_trait::async_trait;

use crate::{Body, Result};

/// Sends HTTP requests. The host is resolved, every address checked against the [`Reach`], and the connection
/// goes to the address that was checked; the system's proxies and certificate store apply. Redirects are not
/// followed: who follows one sends a new request, which is checked again.
#[async_trait]
pub trait Outbound: Send + Sync {
    /// Sends a request with an absolute URL and returns the response once its head is there.
    ///
    /// # Errors
    /// `Forbidden` when the address may not be reached; `Unavailable` when it cannot be; `Timeout`.
    async fn send(&self, request: http::Request<Body>, options: SendOptions) -> Result<http::Response<Body>>;

    /// Resolves and checks the URL's host without connecting.
    async fn check(&self, url: &url::Url, reach: Reach) -> Result<()>;
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SendOptions {
    /// Which addresses are allowed.
    pub reach: Reach,
    /// How long connecting, TLS included, may take.
    pub connect_timeout: Duration,
}

/// Which addresses may be reached. Link-local addresses, where clouds answer with credentials, never are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reach {
    /// Public addresses, and the networks of the allow-list.
    Public,
    /// Loopback and private networks too: by an admin's leave.
    Private,
}
