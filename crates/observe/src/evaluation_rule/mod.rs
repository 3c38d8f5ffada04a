//! The kind `EvaluationRule`: what applications trace is scored as it comes in.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

pub(crate) mod controller;
mod document;
pub(crate) mod plan;
mod progress;
#[cfg(test)]
mod tests;
mod work;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use stead_kernel::{Collection, Kind};
use stead_scoring::Definition;

pub(crate) use progress::Progresses;

/// The collections of records.
pub(crate) const COLLECTIONS: [Collection; 2] = progress::COLLECTIONS;

/// What applications trace is scored as it comes in. What was scored keeps its scores when the rule goes.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "EvaluationRule",
    plural = "evaluationrules",
    shortname = "evalrule",
    category = "stead",
    namespaced,
    status = "EvaluationRuleStatus",
    derive = "PartialEq",
    doc = "What applications trace is scored as it comes in. What was scored keeps its scores when the rule goes.",
    printcolumn(name = "Target", type_ = "string", json_path = ".spec.target"),
    printcolumn(name = "Scored", type_ = "integer", json_path = ".status.scored"),
    printcolumn(name = "Backlog", type_ = "integer", json_path = ".status.backlog"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EvaluationRuleSpec {
    /// What it is called where people see it; the object's name without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200))]
    pub title: Option<String>,
    /// What is scored. Traces and spans are scored once they have ended, threads once they are inactive. What evaluations
    /// traced is not scored: suites have metrics of their own.
    #[serde(default)]
    pub target: Target,
    /// The names or ids of Opik projects; all of them without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub opik_projects: Vec<String>,
    /// All of these must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub filters: Vec<Where>,
    /// The share of those that match which is scored, from 0 to 1; always the same ones.
    #[serde(default = "all_of_them")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub sampling: f64,
    /// How it is scored.
    #[schemars(length(min = 1, max = 20))]
    pub metrics: Vec<Definition>,
    /// Where in a trace, span or thread the metrics look: paths such as `input.messages[0].content` or `metadata.context`.
    #[serde(default)]
    pub fields: Fields,
    /// Further variables of prompts: a name and a path, or a text where there is nothing at the path.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// The most that may be spent. What is not scored for want of it is scored in the next hour or day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// The API key of this project as which models are asked, so that its quotas hold; without it the controller asks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub key: Option<String>,
    /// From when on (RFC 3339) what was traced is scored; from the rule's creation without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub since: Option<String>,
    /// Whether it is switched off. What comes in meanwhile is scored when it is switched on again.
    #[serde(default)]
    pub disabled: bool,
}

fn all_of_them() -> f64 {
    1.0
}

/// What is scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Target {
    /// Traces.
    #[default]
    Traces,
    /// Spans.
    Spans,
    /// Threads.
    Threads,
}

/// A condition on a field, as Opik's filters have it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
#[schemars(rename = "TraceFilter")]
pub(crate) struct Where {
    /// The field: `name`, `tags`, `metadata`, `feedback_scores`, `duration`.
    #[schemars(length(min = 1, max = 100))]
    pub field: String,
    /// The key in it: the name of a score, a path in a document.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    #[schemars(length(max = 1_000))]
    pub key: String,
    /// `=`, `!=`, `>`, `>=`, `<`, `<=`, `contains`, `not_contains`, `starts_with`, `ends_with`, `is_empty`, `is_not_empty`,
    /// `in`, `not_in`.
    #[schemars(length(min = 1, max = 20))]
    pub operator: String,
    /// With what it is compared.
    #[serde(default)]
    #[schemars(length(max = 10_000))]
    pub value: String,
}

/// Where the metrics look. Without a path, `input` and `output` are looked at; one that is an object with one field stands for
/// that field's value.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fields {
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_000))]
    pub input: Option<String>,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_000))]
    pub output: Option<String>,
    /// What should have been answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_000))]
    pub expected: Option<String>,
    /// What the answer should rest on; of a thread, the conversation without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_000))]
    pub context: Option<String>,
    /// The tools that were called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1_000))]
    pub tool_calls: Option<String>,
}

/// The most that may be spent in an hour or a day of UTC. What is under way when it is spent is ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Budget {
    /// In US dollars, as far as costs are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0))]
    pub max_usd: Option<f64>,
    /// In traces, spans or threads that are scored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_scored: Option<u64>,
    /// In which time.
    #[serde(default)]
    pub per: Period,
}

/// A stretch of time in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Period {
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
}

/// What is known about a rule.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct EvaluationRuleStatus {
    /// The generation that this is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether it scores.
    pub conditions: Vec<Condition>,
    /// How many were scored.
    pub scored: u64,
    /// How many were left out by chance.
    pub left_out: u64,
    /// How many could not be scored.
    pub failed: u64,
    /// How many match and wait.
    pub backlog: u64,
    /// Up to when (RFC 3339) what was traced has been looked at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scored_until: Option<String>,
    /// What was spent in all, in US dollars, as far as that is known.
    pub spent_usd: f64,
    /// What was spent of the budget of this hour or day, in US dollars.
    pub spent_usd_in_period: f64,
    /// What went wrong last.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub last_error: String,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: EvaluationRule::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "EvaluationRule",
            "metadata": {"name": "answers", "namespace": "default"},
            "spec": {
                "target": "Traces",
                "opikProjects": ["support"],
                "filters": [{"field": "tags", "operator": "contains", "value": "production"}],
                "sampling": 0.1,
                "metrics": [
                    {"type": "pii"},
                    {"type": "answer-relevance", "model": "judge", "votes": 3},
                ],
                "fields": {"input": "input.question", "output": "output.answer"},
                "budget": {"maxUsd": 5.0, "per": "Day"},
            },
        }),
        admit: Some(plan::admit),
    }
}
