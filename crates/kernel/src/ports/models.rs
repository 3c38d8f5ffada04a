//! The model APIs of this process, for domains that ask models themselves.

use async_trait::async_trait;

use crate::{Body, Identity};

/// Asks a model as a client would: quotas, routes and usage apply to the identity that asks.
#[async_trait]
pub trait Models: Send + Sync {
    /// Sends a request to an address below `/v1` and returns its answer, errors included. A request that comes before
    /// the server is complete waits until it is.
    async fn call(&self, identity: Identity, request: http::Request<Body>) -> http::Response<Body>;
}
