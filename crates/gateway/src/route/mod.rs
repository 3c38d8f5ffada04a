//! The kind `ModelRoute`: a name that clients use, and the models that answer to it.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

pub(crate) mod controller;
pub(crate) mod plan;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::Kind;

use crate::{cache::CacheSpec, duration::Span};

/// A name that clients use as a model, and the models that answer to it.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "ModelRoute",
    plural = "modelroutes",
    shortname = "route",
    shortname = "routes",
    category = "stead",
    namespaced,
    status = "ModelRouteStatus",
    derive = "PartialEq",
    doc = "A name that clients use as a model, and the models that answer to it.",
    printcolumn(name = "Strategy", type_ = "string", json_path = ".spec.strategy"),
    printcolumn(name = "Targets", type_ = "integer", json_path = ".status.targetCount"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Models",
        type_ = "string",
        json_path = ".spec.targets[*].model",
        priority = 1
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelRouteSpec {
    /// How one of the targets of equal priority is chosen.
    #[serde(default)]
    pub strategy: Strategy,
    /// The models that answer.
    #[schemars(length(min = 1, max = 100))]
    pub targets: Vec<RouteTarget>,
    /// What happens when a target fails before its first content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// How long each part of an answer may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Other routes of the same project, tried in this order when every target of this one failed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub fallbacks: Vec<String>,
    /// Whether answers are given again to requests that ask for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,
}

/// How one of the targets of equal priority is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Strategy {
    /// By chance, in proportion to their weights.
    #[default]
    Weighted,
    /// In the order of the list.
    Priority,
}

/// One model that answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RouteTarget {
    /// The `ModelProvider`.
    #[schemars(length(min = 1, max = 253))]
    pub provider: String,
    /// The model, as that provider names it.
    #[schemars(length(min = 1, max = 500))]
    pub model: String,
    /// Its share among the targets of equal priority; 0 takes it out, except as a last resort.
    #[serde(default = "one")]
    pub weight: u32,
    /// 1 is tried first; a higher number only when all lower ones failed.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub priority: u32,
    /// The project of the provider, if it is another's that offers it to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
}

fn one() -> u32 {
    1
}

/// What happens when a target fails before its first content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retry {
    /// How many tries there are in all, over all targets of this route.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// The pause before a target is tried again; doubled each time, with jitter. A provider's Retry-After wins.
    #[serde(default = "default_backoff")]
    pub backoff: Span,
}

fn default_attempts() -> u32 {
    plan::DEFAULT_ATTEMPTS
}

fn default_backoff() -> Span {
    Span(plan::DEFAULT_BACKOFF)
}

/// How long each part of an answer may take.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Timeouts {
    /// Until connected, TLS included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Span>,
    /// Until the first content of a stream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token: Option<Span>,
    /// Between two pieces of an answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Span>,
    /// For the whole request, all tries included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Span>,
}

/// What is known about a route.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ModelRouteStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether at least one target can answer.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// How many targets it has.
    #[serde(default)]
    pub target_count: u64,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: ModelRoute::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "ModelRoute",
            "metadata": {"name": "chat", "namespace": "default"},
            "spec": {
                "strategy": "Weighted",
                "targets": [
                    {"provider": "local", "model": "smollm2-135m"},
                    {"provider": "anthropic", "model": "claude-sonnet-4-5", "priority": 2},
                ],
                "retry": {"attempts": 3, "backoff": "200ms"},
                "timeouts": {"connect": "5s", "firstToken": "20s", "idle": "30s", "total": "10m"},
            },
        }),
        admit: Some(plan::admit),
    }
}
