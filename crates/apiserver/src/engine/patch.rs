//! The sorts of patches.

use serde_json::Value;
use stead_resource::patch::{PatchError, json_patch, merge_patch, strategic_merge};

use super::Target;
use crate::{
    failure::{Failure, Outcome},
    object,
};

/// The largest number of operations of a JSON patch.
const OPERATIONS: usize = 10_000;

/// How deep a JSON patch may nest what it works on, in levels: far more than an object may have in the end, and few
/// enough for every stack.
const LEVELS: usize = 1_000;
/// How deep what a request carries can be nested; its parser refuses more.
const PARSED_LEVELS: usize = 128;

/// How a patch is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PatchKind {
    Json,
    Merge,
    Strategic,
    Apply,
}

impl PatchKind {
    /// The kind that a media type names.
    pub(crate) fn from_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            "application/json-patch+json" => Some(Self::Json),
            "application/merge-patch+json" => Some(Self::Merge),
            "application/strategic-merge-patch+json" => Some(Self::Strategic),
            "application/apply-patch+yaml" | "application/apply-patch+json" => Some(Self::Apply),
            _ => None,
        }
    }

    /// The media types of the patches that a kind understands.
    pub(crate) fn accepted(target: &Target) -> &'static str {
        if target.kind.strategic {
            "application/json-patch+json, application/merge-patch+json, application/strategic-merge-patch+json, \
             application/apply-patch+yaml"
        } else {
            CUSTOM_PATCHES
        }
    }

    /// Whether the patch is meant for one version of the object only.
    pub(super) fn is_conditional(self, patch: &Value) -> bool {
        match self {
            Self::Json => patch.as_array().into_iter().flatten().any(|operation| {
                matches!(
                    object::top(operation, "path"),
                    "/metadata/resourceVersion" | "/metadata/uid"
                )
            }),
            Self::Merge | Self::Strategic | Self::Apply => {
                !object::text(patch, "resourceVersion").is_empty() || !object::uid(patch).is_empty()
            }
        }
    }

    /// The object that the patch makes of `old`.
    pub(crate) fn apply(self, target: &Target, old: &Value, patch: &Value) -> Outcome<Value> {
        let made = match self {
            Self::Json if patch.as_array().is_some_and(|list| list.len() > OPERATIONS) => {
                let message = format!("a JSON patch may have at most {OPERATIONS} operations");
                return Err(Failure::oversized(message));
            }
            Self::Json if is_bottomless(patch) => {
                let message = format!("a JSON patch may not nest an object more than {LEVELS} levels deep");
                return Err(Failure::oversized(message));
            }
            Self::Json => json_patch(old, patch),
            Self::Merge => merge_patch(old, patch),
            Self::Strategic if target.kind.strategic => strategic_merge(old, patch),
            Self::Strategic => return Err(Failure::unsupported_media_type(CUSTOM_PATCHES)),
            Self::Apply => return Err(Failure::bad_request("an apply is no plain patch")),
        };
        made.map_err(|error| match error {
            PatchError::Malformed(message) => Failure::bad_request(message),
            PatchError::Unprocessable(message) if self == Self::Json => {
                tracing::debug!(message, "a JSON patch does not fit its object");
                Failure::rejected()
            }
            PatchError::Unprocessable(message) => Failure::unprocessable(message),
            PatchError::Unknown(message) => Failure::plain(message),
            PatchError::TooLarge(message) => Failure::oversized(message),
        })
    }
}

/// Whether a JSON patch could nest an object too deep while it is applied. It looks at paths only: each operation
/// takes what is as deep as anything so far, and puts it where its path ends.
fn is_bottomless(patch: &Value) -> bool {
    let levels = |operation: &Value, field| object::top(operation, field).matches('/').count();
    let mut deepest = PARSED_LEVELS;
    for operation in patch.as_array().into_iter().flatten() {
        let taken = if operation.get("from").is_some() {
            deepest.saturating_sub(levels(operation, "from"))
        } else {
            PARSED_LEVELS
        };
        deepest = deepest.max(levels(operation, "path") + taken);
        if deepest > LEVELS {
            return true;
        }
    }
    false
}

/// The patches that custom resources understand.
const CUSTOM_PATCHES: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_patches_that_nest_deeper_and_deeper_are_bottomless() {
        let moves = |count: usize, from: &str, to: &str| {
            let one = json!({"op": "move", "from": from, "path": to});
            Value::from(vec![one; count])
        };
        for (patch, bottomless) in [
            (json!([]), false),
            (json!([{"op": "add", "path": "/a/b", "value": 1}]), false),
            (moves(10_000, "/spec/a", "/spec/b"), false),
            (moves(10_000, "/spec/a/b/c", "/spec/b"), false),
            (moves(10_000, "/spec/a", "/spec/b/c/d"), true),
            (
                json!([{"op": "add", "path": "/a".repeat(2_000), "value": 1}]),
                true,
            ),
            (json!({"no": "list"}), false),
        ] {
            assert_eq!(is_bottomless(&patch), bottomless, "{:.200}", patch.to_string());
        }
    }
}
