//! Recognises gateways by their tokens.

use ::http::request::Parts;
use stead_kernel::{Authenticator, Identity};

use super::{Gateways, PREFIX};
use crate::token;

impl Authenticator for Gateways {
    fn authenticate(&self, parts: &Parts) -> Option<Identity> {
        let given = token::credential(&parts.headers)?;
        if !given.starts_with(PREFIX) {
            return None;
        }
        Some(self.find(given).map_or_else(
            || Identity::Rejected("the gateway's token is wrong, or was revoked".into()),
            Identity::Known,
        ))
    }
}
