//! The kind `Guardrail`: what requests and answers must not hold, and what happens when they do.

#![expect(
    clippy::duplicated_attributes,
    reason = "every printer column repeats the same keys"
)]

mod active;
mod answer;
mod compile;
mod completions;
pub(crate) mod controller;
mod filter;
mod moderation;
pub(crate) mod plan;
mod request;
mod source;
mod texts;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, CustomResourceExt};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use stead_kernel::Kind;

pub(crate) use active::{Active, Blocked, Guards};
pub(crate) use answer::Looked;
pub(crate) use compile::Guard;
pub(crate) use moderation::ask as ask_judges;
pub(crate) use request::{Watch, conversation};
pub(crate) use source::{GuardedSource, Guarding, Tongue, can_guard};

use crate::duration::Span;

/// The label of rows that tells which rules acted.
pub(crate) const LABEL: &str = "stead.dev/guardrail";

/// What requests and answers must not hold, and what happens when they do.
#[derive(CustomResource, Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "stead.dev",
    version = "v1alpha1",
    kind = "Guardrail",
    plural = "guardrails",
    shortname = "guard",
    category = "stead",
    namespaced,
    status = "GuardrailStatus",
    derive = "PartialEq",
    doc = "What requests and answers must not hold, and what happens when they do.",
    printcolumn(name = "Rules", type_ = "integer", json_path = ".status.ruleCount"),
    printcolumn(name = "Stages", type_ = "string", json_path = ".spec.stages"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type==\"Ready\")].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GuardrailSpec {
    /// Which requests; all of the project without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<Requests>,
    /// Other projects whose requests it is for, too; `*` for all of them. Only who owns a project may name it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub projects: Vec<String>,
    /// When it looks. Without `Stream`, a streamed answer is held back until all of it was looked at; without `Output`
    /// and `Stream`, answers are not looked at.
    #[serde(default = "every_stage")]
    #[schemars(length(min = 1, max = 3))]
    pub stages: Vec<Stage>,
    /// What it looks for.
    #[schemars(length(min = 1, max = 50))]
    pub rules: Vec<Rule>,
    /// What clients are told when something is blocked; the rule's name is told in any case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub message: Option<String>,
    /// Whether it is switched off.
    #[serde(default)]
    pub disabled: bool,
}

/// Which requests.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Requests {
    /// Those that name one of these routes or models; `*` at the end for any. All without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub routes: Vec<String>,
    /// Those with one of these API keys; `*` at the end for any. All without it, those of sessions among them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub keys: Vec<String>,
}

/// When a guardrail looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Stage {
    /// At the request, before any provider gets it.
    Input,
    /// At the whole answer, before the client gets any of it.
    Output,
    /// At a streamed answer while the client gets it.
    Stream,
}

fn every_stage() -> Vec<Stage> {
    vec![Stage::Input, Stage::Output, Stage::Stream]
}

/// What happens when something is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Action {
    /// The request ends with an error that has the code `content_blocked`.
    Block,
    /// A placeholder stands for the value. Values of the request are put back where an answer repeats the placeholder.
    Redact,
    /// The answer tells it in the header `x-stead-warnings`, and the record in a label.
    Warn,
    /// The record tells it in a label.
    Log,
}

/// What is looked for, and what happens when it is found. A rule looks in exactly one way, except that detectors, words
/// and patterns can be combined.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Rule {
    /// Its name, which clients are told.
    #[schemars(length(min = 1, max = 63))]
    pub name: String,
    /// What happens.
    pub action: Action,
    /// When it looks, if not at all stages of the guardrail.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub stages: Vec<Stage>,
    /// Personal data and secrets: `pii`, `secrets`, or single detectors such as `email` and `aws-access-key`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub detectors: Vec<String>,
    /// Words and phrases, found in whatever way they are written (case, accents, full width, invisible letters).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000))]
    pub words: Vec<String>,
    /// Regular expressions (<https://docs.rs/regex/latest/regex/#syntax>); a match has at most 128 bytes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub patterns: Vec<String>,
    /// How many different values must be found before the rule acts: a list of words becomes a topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub at_least: Option<u32>,
    /// Values that are no findings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow: Option<Allow>,
    /// Attempts to take the model over, in what users and tools say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub injection: Option<Injection>,
    /// A JSON schema (draft 2020-12) that the text of an answer must fit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub schema: Option<Value>,
    /// Another model that judges.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub moderation: Option<Moderation>,
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// Values that are no findings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Allow {
    /// Texts, in whatever way they are written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1000))]
    pub values: Vec<String>,
    /// Regular expressions that match a whole value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    pub patterns: Vec<String>,
}

/// Attempts to take the model over.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Injection {
    /// How sure it must be, from 0 to 1.
    #[serde(default = "default_injection")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: f64,
}

fn default_injection() -> f64 {
    0.7
}

/// Another model that judges.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Moderation {
    /// The route (or `provider/model`) of the project whose request it is.
    #[schemars(length(min = 1, max = 253))]
    pub route: String,
    /// What a chat model is told to judge by; it answers `ALLOW` or `BLOCK`. Without it, the route leads to a
    /// moderation model, which is asked at `/v1/moderations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 10_000))]
    pub judge: Option<String>,
    /// The score of a category from which on it counts, from 0 to 1; without it the model's own flag decides. For
    /// moderation models only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: Option<f64>,
    /// The categories that count; all without it. For moderation models only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub categories: Vec<String>,
    /// How long it may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// What happens when it does not answer.
    #[serde(default)]
    pub on_failure: OnFailure,
}

fn default_timeout() -> Span {
    Span(std::time::Duration::from_secs(5))
}

/// What happens when a judge does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum OnFailure {
    /// The rule acts.
    #[default]
    Deny,
    /// The rule does not act.
    Allow,
}

/// What is known about a guardrail.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct GuardrailStatus {
    /// The generation of the spec that this status is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: whether its rules are in force.
    #[serde(default)]
    pub conditions: Vec<Condition>,
    /// How many rules it has.
    #[serde(default)]
    pub rule_count: u64,
}

/// The kind with its example and its rules.
pub(crate) fn kind() -> Kind {
    Kind {
        definition: Guardrail::crd(),
        example: json!({
            "apiVersion": "stead.dev/v1alpha1",
            "kind": "Guardrail",
            "metadata": {"name": "privacy", "namespace": "default"},
            "spec": {
                "requests": {"routes": ["chat"]},
                "stages": ["Input", "Output", "Stream"],
                "rules": [
                    {"name": "personal-data", "action": "Redact", "detectors": ["pii"],
                        "allow": {"values": ["info@example.com"]}},
                    {"name": "secrets", "action": "Block", "detectors": ["secrets"]},
                    {"name": "injection", "action": "Block", "stages": ["Input"], "injection": {"threshold": 0.7}},
                    {"name": "code-names", "action": "Warn", "words": ["Project Falcon"]},
                ],
                "message": "this is not for a model outside of the company",
            },
        }),
        admit: Some(plan::admit),
    }
}
