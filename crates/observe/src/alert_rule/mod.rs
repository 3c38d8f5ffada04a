//! The kind `AlertRule`: who is told when errors, times, costs, scores or silence are not as they should be.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

pub(crate) mod controller;
mod delivery;
mod held;
mod measure;
pub(crate) mod plan;
pub(crate) mod routes;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::{Collection, Kind};

pub(crate) use delivery::test as send_test;

use crate::evaluation_rule::Where;

/// The collection of records.
pub(crate) const COLLECTIONS: [Collection; 1] = [Collection {
    name: held::ALERTS,
    indexes: &[],
}];

/// Who is told when errors, times, costs, scores or silence are not as they should be.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "AlertRule",
    plural = "alertrules",
    shortname = "alert",
    category = "stead",
    namespaced,
    status = "AlertRuleStatus",
    derive = "PartialEq",
    doc = "Who is told when errors, times, costs, scores or silence are not as they should be.",
    printcolumn(name = "State", type_ = "string", json_path = ".status.state"),
    printcolumn(name = "Since", type_ = "date", json_path = ".status.since"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AlertRuleSpec {
    /// What it is called where people see it; the object's name without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub title: Option<String>,
    /// The names or ids of Opik projects; all of them without it. Requests of the gateway belong to none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub opik_projects: Vec<String>,
    /// It fires when any of these holds.
    #[schemars(length(min = 1, max = 20))]
    pub thresholds: Vec<Threshold>,
    /// How often it is looked at, in seconds.
    #[serde(default = "a_minute")]
    #[schemars(range(min = 5, max = 86_400))]
    pub every_seconds: u32,
    /// How long a threshold must be crossed before it fires, in seconds.
    #[serde(default)]
    #[schemars(range(max = 86_400))]
    pub hold_seconds: u32,
    /// How long no threshold must be crossed before it is over, in seconds.
    #[serde(default = "five_minutes")]
    #[schemars(range(max = 86_400))]
    pub clear_seconds: u32,
    /// After how many seconds it is told again while it fires; 0 for never.
    #[serde(default = "four_hours")]
    #[schemars(range(max = 2_592_000))]
    pub repeat_seconds: u32,
    /// Who is told.
    pub webhook: Webhook,
    /// Whether it is switched off.
    #[serde(default)]
    pub disabled: bool,
}

const fn a_minute() -> u32 {
    60
}

const fn five_minutes() -> u32 {
    300
}

const fn four_hours() -> u32 {
    14_400
}

/// What is measured over the last so many seconds, and what is too much or too little of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Threshold {
    /// What is measured.
    pub measure: Measure,
    /// Of what.
    #[serde(default)]
    pub of: Of,
    /// All of these must hold for what is measured; not for requests.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub filters: Vec<Where>,
    /// Over so many seconds.
    #[schemars(range(min = 60, max = 604_800))]
    pub window_seconds: u32,
    /// It is crossed above this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// It is crossed below this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// Once it is crossed, it stays so until the value is back at this; at the threshold without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<f64>,
    /// Which of the times counts, from 0 to 1; the mean without it: `Latency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub quantile: Option<f64>,
    /// The name of the score, whose mean counts: `Score`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub score: Option<String>,
    /// With fewer than this nothing is said, but for `Count` and `Absence`.
    #[serde(default = "one")]
    #[schemars(range(min = 1))]
    pub at_least: u64,
}

const fn one() -> u64 {
    1
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Measure {
    /// The share of those that failed, from 0 to 1.
    ErrorRate,
    /// How many failed.
    Errors,
    /// Milliseconds.
    Latency,
    /// US dollars in all.
    Cost,
    /// The mean of a score.
    Score,
    /// How many there were.
    Count,
    /// That there was none; it takes neither `above` nor `below`.
    Absence,
}

/// Of what something is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Of {
    /// Traces that began in the time.
    #[default]
    Traces,
    /// Spans that began in it.
    Spans,
    /// Threads that began in it.
    Threads,
    /// The gateway's requests, to whole minutes.
    Requests,
}

/// Who is told, by a POST of JSON that is signed as the Standard Webhooks say (<https://www.standardwebhooks.com>).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Webhook {
    /// The address, `https` or `http`.
    #[schemars(length(min = 1, max = 2_000))]
    pub url: String,
    /// The Secret of the same project with which requests are signed; without it they are not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretRef>,
    /// Further headers.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Which addresses it may lead to. Only an admin may let it reach private networks.
    #[serde(default)]
    pub network: Network,
}

/// One value of a Secret of the same project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SecretRef {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data.
    #[serde(default = "usual_key")]
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

pub(crate) fn usual_key() -> String {
    "secret".into()
}

/// Which addresses a URL may lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookNetwork")]
pub(crate) enum Network {
    /// Public ones, and the networks of the server's allow-list.
    #[default]
    Public,
    /// Loopback and private networks too.
    Private,
}

/// What is known about an alert.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct AlertRuleStatus {
    /// The generation that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether it looks and can tell.
    pub conditions: Vec<Condition>,
    /// `Ok`, `Pending`, `Firing` or `Clearing`.
    pub state: String,
    /// Since when (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// What was measured last, in the order of the thresholds; nothing where there was too little of it.
    pub values: Vec<Option<f64>>,
    /// When it was last told (RFC 3339).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sent: Option<String>,
    /// What waits to be told.
    pub waiting: u64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: AlertRule::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "AlertRule",
            "metadata": {"name": "support", "namespace": "default"},
            "spec": {
                "opikProjects": ["support"],
                "thresholds": [
                    {"measure": "ErrorRate", "windowSeconds": 600, "above": 0.05, "until": 0.02, "atLeast": 20},
                    {"measure": "Latency", "quantile": 0.95, "windowSeconds": 600, "above": 8000.0, "atLeast": 20},
                    {"measure": "Score", "score": "answer-relevance", "windowSeconds": 86400, "below": 0.7, "atLeast": 50},
                    {"measure": "Cost", "of": "Requests", "windowSeconds": 3600, "above": 20.0},
                    {"measure": "Absence", "windowSeconds": 3600},
                ],
                "holdSeconds": 120,
                "webhook": {"url": "https://hooks.example.com/stead"},
            },
        }),
        admit: Some(plan::admit),
    }
}
