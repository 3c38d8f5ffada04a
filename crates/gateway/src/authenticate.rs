//! Recognises API keys, in memory.

use std::sync::Arc;

use http::request::Parts;
use stead_kernel::{Authenticator, Clock, Identity, http::Connection};

use crate::{key::text, snapshot::Handle};

/// Recognises API keys.
pub(crate) struct ApiKeys {
    pub(crate) snapshot: Handle,
    pub(crate) clock: Arc<dyn Clock>,
}

impl Authenticator for ApiKeys {
    fn authenticate(&self, parts: &Parts) -> Option<Identity> {
        let key = text::from_headers(&parts.headers)?;
        let hash = text::hash(key);
        let snapshot = self.snapshot.load();
        let Some(key) = snapshot.keys.by_hash(&hash) else {
            // Another sort of credential may look like a key that was made elsewhere.
            let ours = key.starts_with(text::PREFIX.as_bytes());
            return ours.then(|| Identity::Rejected("the API key is not known here".into()));
        };
        if key.disabled {
            return Some(Identity::Rejected(format!(
                "the API key `{}` is switched off",
                key.name
            )));
        }
        if let Some(expires) = key.expires.filter(|expires| *expires <= self.clock.now()) {
            return Some(Identity::Rejected(format!(
                "the API key `{}` expired at {expires}",
                key.name
            )));
        }
        if let Some(until) = key.replaced(&hash).filter(|until| *until <= self.clock.now()) {
            return Some(Identity::Rejected(format!(
                "this text of the API key `{}` was replaced, and worked until {until}",
                key.name
            )));
        }
        let peer = parts.extensions.get::<Connection>();
        if !key.allows_address(peer.map(|connection| connection.peer.ip())) {
            return Some(Identity::Rejected(format!(
                "the API key `{}` may not be used from this address",
                key.name
            )));
        }
        Some(Identity::Known(Arc::clone(&key.principal)))
    }
}
