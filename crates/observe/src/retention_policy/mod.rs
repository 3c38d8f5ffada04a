//! The kind `RetentionPolicy`: for how long a project keeps what it traced, logged, measured and asked.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

pub(crate) mod controller;
mod plan;
#[cfg(test)]
mod tests;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::Kind;

/// For how long a project keeps what it traced, logged, measured and asked. It can only shorten what the server's own
/// `retentionDays` says; of several policies the shortest time counts.
#[derive(CustomResource, Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "RetentionPolicy",
    plural = "retentionpolicies",
    shortname = "retention",
    category = "stead",
    namespaced,
    status = "RetentionPolicyStatus",
    derive = "PartialEq",
    doc = "For how long a project keeps what it traced, logged, measured and asked.",
    printcolumn(name = "Traces", type_ = "integer", json_path = ".spec.traceDays"),
    printcolumn(name = "Logs", type_ = "integer", json_path = ".spec.logDays"),
    printcolumn(name = "Metrics", type_ = "integer", json_path = ".spec.metricDays"),
    printcolumn(name = "Requests", type_ = "integer", json_path = ".spec.requestDays"),
    printcolumn(name = "Last run", type_ = "date", json_path = ".status.lastRun"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RetentionPolicySpec {
    /// The names or ids of the Opik projects whose traces this is about; all of them without it. Logs, metrics and
    /// requests belong to none, so that a policy that names projects has `traceDays` alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub opik_projects: Vec<String>,
    /// For how many days traces and spans are kept, with their scores and comments, from when they began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub trace_days: Option<u32>,
    /// For how many days lines of logs are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub log_days: Option<u32>,
    /// For how many days points of metrics are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub metric_days: Option<u32>,
    /// For how many days requests to the gateway are kept, with their bodies. What they used and cost is kept in sums.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 36_500))]
    pub request_days: Option<u32>,
    /// Whether it is switched off.
    #[serde(default)]
    pub disabled: bool,
}

/// What a policy has done.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RetentionPolicyStatus {
    /// The generation that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether it removes what is too old.
    pub conditions: Vec<Condition>,
    /// When it last looked at everything (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// What it removed then.
    pub removed: Removed,
    /// What it removed in all.
    pub removed_in_all: Removed,
    /// What went wrong last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

/// How much was removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(rename = "RetentionRemoved")]
pub(crate) struct Removed {
    /// Traces and spans.
    pub traces: u64,
    /// Lines of logs.
    pub logs: u64,
    /// Points of metrics.
    pub points: u64,
    /// Requests.
    pub requests: u64,
}

impl Removed {
    /// Adds another one's.
    pub(crate) fn add(&mut self, other: Self) {
        for (own, more) in [
            (&mut self.traces, other.traces),
            (&mut self.logs, other.logs),
            (&mut self.points, other.points),
            (&mut self.requests, other.requests),
        ] {
            *own = own.saturating_add(more);
        }
    }
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: RetentionPolicy::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "RetentionPolicy",
            "metadata": {"name": "short", "namespace": "default"},
            "spec": {"traceDays": 14, "logDays": 3, "metricDays": 14, "requestDays": 7},
        }),
        admit: Some(plan::admit),
    }
}
