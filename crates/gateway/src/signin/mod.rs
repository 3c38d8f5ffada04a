//! Signing requests to providers whose credential is more than a header.
//!
//! *Invariant:* a credential leaves this process only as a signature or inside the request to the address that the
//! credential itself names.

pub(crate) mod amazon;
pub(crate) mod google;

use std::sync::Arc;

use http::Request;
use stead_kernel::{
    Body, Clock,
    ports::{Outbound, SendOptions},
};

/// How requests to a provider are signed.
pub(crate) enum SignIn {
    /// By headers that are the same for all requests.
    Headers,
    /// By a token of a Google service account.
    Google(Arc<google::Account>),
    /// By Amazon's signature over each request.
    Amazon(Box<amazon::Keys>),
}

/// What signing may need.
pub(crate) struct Signer<'a> {
    pub(crate) outbound: &'a dyn Outbound,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) options: SendOptions,
}

impl SignIn {
    /// Signs a request whose body is known.
    ///
    /// # Errors
    /// Why it cannot be signed, without secrets.
    pub(crate) async fn sign(
        &self,
        request: &mut Request<Body>,
        body: &[u8],
        signer: &Signer<'_>,
    ) -> Result<(), String> {
        match self {
            Self::Headers => Ok(()),
            Self::Google(account) => account.sign(request, signer).await,
            Self::Amazon(keys) => keys.sign(request, body, signer.clock.now()),
        }
    }
}
