//! Other gateway processes, as the one that leads them knows them.

use std::sync::Arc;

use stead_kernel::{Identity, Principal, Result};

/// The group of gateway processes that are not the leader.
const GATEWAYS: &str = "stead:gateways";

/// Who asks.
///
/// # Errors
/// For somebody who has not said who they are.
pub(crate) fn known(identity: &Identity) -> Result<Arc<Principal>> {
    let mut extensions = http::Extensions::new();
    extensions.insert(identity.clone());
    Identity::require(&extensions)
}

/// Whether somebody is a gateway process or an admin.
pub(crate) fn is_one(principal: &Principal) -> bool {
    principal.is_admin() || principal.groups.iter().any(|group| group == GATEWAYS)
}
