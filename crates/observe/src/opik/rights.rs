//! Who may make objects of a kind through Opik's API, and as whom they work.

use http::Extensions;
use stead_kernel::{AccessRequest, Credential, Error, GROUP, Identity, Result, Verb};

use super::{Caller, Opik};

/// Whether the caller may do this with objects of a kind. An API key may in its own project; its name comes back, so that what
/// the object does is done within the key's quotas. Programs of this machine without a key may only look.
///
/// # Errors
/// `Unauthenticated` or `Forbidden`.
pub(crate) fn rights(
    opik: &Opik,
    caller: &Caller,
    extensions: &Extensions,
    verb: Verb,
    resource: &str,
) -> Result<Option<String>> {
    let looks = matches!(verb, Verb::Get | Verb::List);
    if looks {
        return Ok(None);
    }
    let principal = Identity::require(extensions).map_err(|_| {
        Error::unauthenticated("without a key, evaluators and alerts can only be read")
            .hint("make a key with: stead key create NAME")
    })?;
    if let Credential::ApiKey { name, .. } = &principal.credential {
        return Ok(Some(name.clone()));
    }
    opik.ports.authorizer.authorize(
        &principal,
        &AccessRequest {
            verb,
            group: GROUP,
            resource,
            subresource: "",
            project: Some(&caller.workspace),
            name: None,
        },
    )?;
    Ok(None)
}
