//! The kind `ApiKey`: who may call the model APIs with which key. The key itself is stored nowhere here.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

pub(crate) mod controller;
pub(crate) mod plan;
pub(crate) mod text;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::Kind;

use crate::duration::Span;

/// A key for the model APIs. Only its hash is stored.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "ApiKey",
    plural = "apikeys",
    shortname = "key",
    shortname = "keys",
    category = "stead",
    namespaced,
    status = "ApiKeyStatus",
    derive = "PartialEq",
    doc = "A key for the model APIs. Only its hash is stored.",
    printcolumn(name = "Owner", type_ = "string", json_path = ".spec.owner.user"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Routes", type_ = "string", json_path = ".spec.routes"),
    printcolumn(name = "Expires", type_ = "string", json_path = ".spec.expires"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeySpec {
    /// Who is charged and audited; the author of the object unless an admin names someone else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<KeyOwner>,
    /// The routes that it may use. Without `routes` and `models` it may use everything in its project.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub routes: Vec<String>,
    /// The models that it may use without a route: `provider/model`, with `*` at the end for any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub models: Vec<String>,
    /// When it stops working (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("format" = "date-time"))]
    pub expires: Option<String>,
    /// Whether it is switched off.
    #[serde(default)]
    pub disabled: bool,
    /// `sha256:` and the SHA-256 of the whole key in hex, for a key that was made elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub key_hash: Option<String>,
    /// A Secret that Stead makes, with a key that Stead makes. A Secret that is there already is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub write_to_secret_ref: Option<KeySecretRef>,
    /// The key that this one replaced, which works until its time is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousKey>,
    /// How often the key in the Secret was to be replaced; counted up, it is replaced by a new one.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotations: u64,
    /// How long a replaced key goes on working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Span>,
    /// The addresses that it may be used from, as networks (`10.0.0.0/8`, `2001:db8::/32`) or single addresses; any
    /// without this list. What counts is the address that connects, which is a proxy's where there is one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub allowed_addresses: Vec<String>,
    /// The team that its usage counts for. Only admins set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub team: Option<String>,
    /// Labels that every request with this key gets in its record.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// A key that was replaced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PreviousKey {
    /// `sha256:` and the SHA-256 of the whole key in hex.
    #[schemars(regex(pattern = "^sha256:[0-9a-f]{64}$"))]
    pub key_hash: String,
    /// Until when it works (RFC 3339).
    #[schemars(extend("format" = "date-time"))]
    pub until: String,
}

/// Who owns a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeyOwner {
    /// The user's name.
    #[schemars(length(min = 1, max = 253))]
    pub user: String,
}

/// The Secret that a key is written to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct KeySecretRef {
    /// Its name, in the same project.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data.
    #[serde(default = "default_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_key() -> String {
    "key".into()
}

/// What is known about a key.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ApiKeyStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether the key works.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// The hash of the key that was written to the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_hash: Option<String>,
    /// The key that was in the Secret before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousKey>,
    /// How often the key in the Secret was replaced.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rotations: u64,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: ApiKey::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "ApiKey",
            "metadata": {"name": "ci", "namespace": "default"},
            "spec": {
                "owner": {"user": "ada"},
                "routes": ["chat"],
                "expires": "2027-01-01T00:00:00Z",
                "writeToSecretRef": {"name": "ci-key", "key": "key"},
            },
        }),
        admit: Some(plan::admit),
    }
}
