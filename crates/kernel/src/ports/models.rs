//! The model APIs of this process, for domains that ask models themselves.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;

use crate::{Body, Identity};

/// Asks a model as a client would: quotas, routes and usage apply to the identity that asks.
#[async_trait]
pub trait Models: Send + Sync {
    /// Sends a request to an address below `/v1` and returns its answer, errors included. A request that comes before
    /// the server is complete waits until it is.
    ///
    /// A request with a [`Keeper`] among its extensions is settled only after its answer was kept.
    async fn call(&self, identity: Identity, request: http::Request<Body>) -> http::Response<Body>;
}

/// Keeps an answer that must not be lost: who asks for something that costs, and is killed, shall not pay for it twice.
#[async_trait]
pub trait KeepAnswer: Send + Sync {
    /// Called once, with a whole answer that went well, before the request counts as answered: before it is settled, and
    /// so before it is billed. When it returns, the answer is durable, or cannot be made so.
    async fn keep(&self, answer: Answered);
}

/// A whole answer that went well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its status, a success.
    pub status: StatusCode,
    /// The id of the request, as in the records of usage.
    pub request_id: String,
    /// The body, as the asker gets it.
    pub body: Bytes,
}

/// Who keeps the answer to a request; one of the request's extensions.
#[derive(Clone)]
pub struct Keeper(pub Arc<dyn KeepAnswer>);

impl fmt::Debug for Keeper {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Keeper")
    }
}
