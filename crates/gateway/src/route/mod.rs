//! The kind `ModelRoute`: a name that clients use, and the models that answer to it.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

pub(crate) mod controller;
pub(crate) mod plan;
pub(crate) mod policy;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::Kind;

use crate::cache::CacheSpec;
pub(crate) use policy::Strategy;
use policy::{
    Affinity, Breaker, Canary, Conditions, Fallback, HealthCheck, Hedge, Retry, Session, Sticky, Timeouts,
};

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
    /// What stays with the same target where chance would decide: for `Weighted`, and for canaries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
    /// How the session of a request is found, for the strategy `Session` and `sticky`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
    /// When the strategy `PrefixAffinity` leaves the target that has read a prompt before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub affinity: Option<Affinity>,
    /// What happens when a target fails before its first content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Asks a second target when the first one is slow to begin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hedge: Option<Hedge>,
    /// When a target that fails is left alone, and for how long.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// Asks the targets in the background whether they work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_check: Option<HealthCheck>,
    /// How long each part of an answer may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
    /// Other routes of the same project, tried in this order when every target of this one failed: names, or
    /// `{route, on}` for failures of some sort only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub fallbacks: Vec<Fallback>,
    /// Whether answers are given again to requests that ask for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSpec>,
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
    /// The requests that it is meant for; all of them without this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<Conditions>,
    /// A share of the requests that it answers before all others, while the rest leave it out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
}

fn one() -> u32 {
    1
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
    /// How each target fares at the process that writes this status, in the order of the spec; renewed every
    /// 15 seconds. `/metrics` has the same of every process, at any time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub targets: Vec<TargetStatus>,
}

/// How a target fares.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TargetStatus {
    /// The `ModelProvider`.
    pub provider: String,
    /// The model, as that provider names it.
    pub model: String,
    /// `Closed`: it is asked. `Open`: it is left alone. `HalfOpen`: one request at a time tries it. `Missing` or
    /// `Disabled`: its provider is.
    pub state: String,
    /// How often its breaker opened since the process started.
    #[serde(default)]
    pub opened: u32,
    /// Requests under way.
    #[serde(default)]
    pub in_flight: u32,
    /// Its average time to first token in milliseconds, to two digits; absent before the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
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
                "breaker": {"failures": 5, "cooldown": "10s"},
                "timeouts": {"connect": "5s", "firstToken": "20s", "idle": "30s", "total": "10m"},
                "fallbacks": [{"route": "long-context", "on": ["ContextLength"]}],
            },
        }),
        admit: Some(plan::admit),
    }
}
