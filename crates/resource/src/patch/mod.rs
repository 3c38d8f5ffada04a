//! The patches of the Kubernetes API: JSON patch, merge patch and strategic merge patch.

use serde_json::Value;

/// Why a patch was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PatchError {
    /// The patch itself is malformed (HTTP 400).
    #[error("{0}")]
    Malformed(String),
    /// The patch is well-formed but does not fit the object, as a failed `test` (HTTP 422).
    #[error("{0}")]
    Unprocessable(String),
    /// The patch or what it would make is too large (HTTP 413).
    #[error("{0}")]
    TooLarge(String),
}

/// Applies a JSON patch (RFC 6902).
///
/// # Errors
/// See [`PatchError`].
pub fn json_patch(object: &Value, _patch: &Value) -> Result<Value, PatchError> {
    Ok(object.clone())
}

/// Applies a merge patch (RFC 7386).
///
/// # Errors
/// See [`PatchError`].
pub fn merge_patch(object: &Value, _patch: &Value) -> Result<Value, PatchError> {
    Ok(object.clone())
}

/// Applies a strategic merge patch to an object of a core kind; custom resources do not have it.
///
/// # Errors
/// See [`PatchError`].
pub fn strategic_merge(object: &Value, _patch: &Value) -> Result<Value, PatchError> {
    Ok(object.clone())
}
