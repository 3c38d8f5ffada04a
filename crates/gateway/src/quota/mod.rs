//! The kind `Quota`: how much a key, user, team, project or route may use in a window of time.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

mod bound;
pub(crate) mod controller;
mod headers;
pub(crate) mod leases;
mod meters;
pub(crate) mod plan;
mod refusal;
mod seeds;
mod table;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use stead_kernel::Kind;
use stead_metering::Window;

pub(crate) use bound::{Size, units};
pub(crate) use headers::{describe, dollars_of};
pub(crate) use leases::Desk;
pub(crate) use meters::{Admitted, Meters};
pub(crate) use seeds::Seeder;
pub(crate) use table::{QuotaTable, Who};

/// How much a key, user, team, project or route may use in a window of time.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "Quota",
    plural = "quotas",
    shortname = "quota",
    category = "stead",
    namespaced,
    status = "QuotaStatus",
    derive = "PartialEq",
    doc = "How much a key, user, team, project or route may use in a window of time.",
    printcolumn(name = "Subject", type_ = "string", json_path = ".spec.subject.kind"),
    printcolumn(name = "Of", type_ = "string", json_path = ".spec.subject.name"),
    printcolumn(name = "Hard", type_ = "boolean", json_path = ".spec.hard"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(
        name = "Exceeded",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Exceeded\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuotaSpec {
    /// Whom it limits.
    pub subject: Subject,
    /// How much there may be in each window.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub limits: Vec<WindowLimits>,
    /// How many requests may run at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u64>,
    /// Whether a request that may not fit is refused. A limit that is not hard only warns: in the header
    /// `x-stead-quota-warning` and in the condition `Exceeded`.
    #[serde(default = "yes")]
    pub hard: bool,
    /// What a gateway process does with requests while it cannot reach the leader that shares the limit out.
    #[serde(default)]
    pub on_leader_lost: OnLeaderLost,
    /// The longest output, in tokens, of requests that do not limit it themselves, where a hard limit counts output
    /// tokens or money.
    #[serde(default = "default_max_tokens")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub default_max_tokens: u64,
}

fn yes() -> bool {
    true
}

fn default_max_tokens() -> u64 {
    4_096
}

/// Whom a quota limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Subject {
    /// The sort of subject.
    pub kind: SubjectKind,
    /// Its name; `*` for each of them by itself. A project needs none: it is the quota's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub name: Option<String>,
}

/// A sort of subject.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub(crate) enum SubjectKind {
    /// An `ApiKey` of the project.
    Key,
    /// A user, in this project.
    User,
    /// The keys of a team, in this project.
    Team,
    /// The project.
    Project,
    /// A `ModelRoute` of the project.
    Route,
}

impl SubjectKind {
    /// The sort in a sentence.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::User => "user",
            Self::Team => "team",
            Self::Project => "project",
            Self::Route => "route",
        }
    }
}

/// How much there may be in a window. What is not named is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WindowLimits {
    /// The window: a minute or hour of the clock, a day or month of the calendar (UTC).
    pub per: Per,
    /// Requests that are sent to a provider.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<u64>,
    /// Tokens of inputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_tokens: Option<u64>,
    /// Tokens of outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_tokens: Option<u64>,
    /// Tokens of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Money, in US dollars.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub spend_usd: Option<f64>,
}

/// A window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Per {
    /// A minute of the clock.
    Minute,
    /// An hour of the clock.
    Hour,
    /// A day, UTC.
    Day,
    /// A month, UTC.
    Month,
}

impl Per {
    pub(crate) const fn window(self) -> Window {
        match self {
            Self::Minute => Window::Minute,
            Self::Hour => Window::Hour,
            Self::Day => Window::Day,
            Self::Month => Window::Month,
        }
    }
}

/// What a gateway process does while it cannot reach the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OnLeaderLost {
    /// It refuses what does not fit into what it was lent.
    #[default]
    Deny,
    /// It lets requests pass, so that the limit may be exceeded meanwhile.
    Allow,
}

/// What is known about a quota.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QuotaStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether it counts. `Exceeded`: whether some limit has nothing left.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// Where its limits stand, the fullest first; at most 50.
    #[serde(default)]
    pub limits: Vec<LimitStatus>,
}

/// Where a limit stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LimitStatus {
    /// Of which subject.
    pub subject: String,
    /// What is counted: `requests`, `inputTokens`, `outputTokens`, `tokens`, `concurrency`, `spendUsd`.
    pub measure: String,
    /// In which window; absent for `concurrency`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<Per>,
    /// How much there may be.
    pub limit: f64,
    /// How much was used.
    pub used: f64,
    /// How much is reserved by requests under way, and lent to other gateway processes.
    pub reserved: f64,
    /// What is left.
    pub remaining: f64,
    /// When the window is over (RFC 3339).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset_at: Option<String>,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: Quota::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "Quota",
            "metadata": {"name": "ci", "namespace": "default"},
            "spec": {
                "subject": {"kind": "Key", "name": "ci"},
                "limits": [
                    {"per": "minute", "requests": 600, "tokens": 200_000},
                    {"per": "month", "spendUsd": 50.0},
                ],
                "concurrency": 20,
                "hard": true,
                "onLeaderLost": "deny",
            },
        }),
        admit: Some(plan::admit),
    }
}
