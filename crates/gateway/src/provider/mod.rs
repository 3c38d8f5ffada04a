//! The kind `ModelProvider`: where models answer, and with which credential.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

mod breakers;
pub(crate) mod controller;
pub(crate) mod plan;
pub(crate) mod prices;
mod types;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::Kind;

use prices::ModelPrice;

pub(crate) use types::{Listing, ProviderType, Scheme};

/// A place where models answer: a company's API, a server on this network, or the engine in this process.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "ModelProvider",
    plural = "modelproviders",
    shortname = "provider",
    shortname = "providers",
    category = "stead",
    namespaced,
    status = "ModelProviderStatus",
    derive = "PartialEq",
    doc = "A place where models answer: a company's API, a server on this network, or the engine in this process.",
    printcolumn(name = "Type", type_ = "string", json_path = ".spec.type"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Models", type_ = "integer", json_path = ".status.modelCount"),
    printcolumn(name = "Availability", type_ = "string", json_path = ".spec.availability"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.baseUrl", priority = 1),
    printcolumn(
        name = "Error",
        type_ = "string",
        json_path = ".status.lastError",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelProviderSpec {
    /// The API that it speaks.
    #[serde(rename = "type")]
    pub kind: ProviderType,
    /// The address that paths such as `/chat/completions` are appended to, usually ending in `/v1`. Most types have a
    /// default; `openai-compatible`, `azure-openai`, `vertex` and `bedrock` need one, `embedded` has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048))]
    pub base_url: Option<String>,
    /// What it wants to see before it answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<ProviderCredential>,
    /// The version of the API that an `azure-openai` provider is asked for (`2024-10-21`): its older addresses, one a
    /// deployment, are used. Without it the newer `/openai/v1` is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub api_version: Option<String>,
    /// Whether it offers OpenAI's responses API besides chat completions (at `responses`). Requests of
    /// `/v1/responses` go there as they are, and so does whatever chat completions cannot say. Without it, `openai` and
    /// `azure-openai` (without `apiVersion`) do, others do not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub responses: Option<bool>,
    /// Its models, by its own names. Without this list they are asked for in the background.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2000))]
    pub models: Option<Vec<String>>,
    /// Who may use it.
    #[serde(default)]
    pub availability: Availability,
    /// Which addresses its URL may lead to. `Private` (loopback and private networks too) needs an admin.
    #[serde(default)]
    pub network: Network,
    /// What its models cost, where that is not what Stead knows; the first entry that fits a model counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    pub prices: Vec<ModelPrice>,
    /// Other projects that it is offered to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowed_projects: Option<AllowedProjects>,
}

/// What a provider wants to see before it answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProviderCredential {
    /// The Secret of the same project that holds the API key.
    pub secret_ref: SecretKeyRef,
}

/// One value of a Secret of the same project.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretKeyRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data.
    #[serde(default = "default_secret_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

fn default_secret_key() -> String {
    "api-key".into()
}

/// Who may use a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Availability {
    /// Everyone in the project.
    #[default]
    Everyone,
    /// Admins only, their keys included.
    Admins,
    /// Nobody.
    Disabled,
}

/// Which addresses a URL may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Network {
    /// Public ones, and the networks of the server's allow-list.
    #[default]
    Public,
    /// Loopback and private networks too.
    Private,
}

/// Other projects that something is offered to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AllowedProjects {
    /// Their names; `*` for every project.
    #[serde(default)]
    pub names: Vec<String>,
}

/// What is known about a provider.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelProviderStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether it answers.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Its models, by its own names; at most 2,000.
    #[serde(default)]
    pub models: Vec<String>,
    /// How many models it has.
    #[serde(default)]
    pub model_count: u64,
    /// What went wrong at the last look; absent when nothing did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
    /// Models that routes leave alone because they fail, as the control process sees it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resting: Vec<RestingModel>,
}

/// A model whose breaker is not closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RestingModel {
    /// The model, by the provider's own name.
    pub model: String,
    /// How far it is left alone.
    pub state: BreakerState,
}

/// How far a model is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum BreakerState {
    /// It is not asked.
    Open,
    /// One request at a time tries it.
    HalfOpen,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: ModelProvider::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "ModelProvider",
            "metadata": {"name": "anthropic", "namespace": "default"},
            "spec": {
                "type": "anthropic",
                "baseUrl": "https://api.anthropic.com/v1",
                "credential": {"secretRef": {"name": "anthropic", "key": "api-key"}},
                "availability": "Everyone",
            },
        }),
        admit: Some(plan::admit),
    }
}
