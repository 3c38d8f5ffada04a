//! How a route treats requests and targets, as its spec says it.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use super::plan;
use crate::duration::Span;

/// How one of the targets of equal priority is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum Strategy {
    /// By chance, in proportion to their weights.
    #[default]
    Weighted,
    /// In the order of the list.
    Priority,
    /// Of two drawn by weight, the one with fewer requests under way for its weight.
    LeastBusy,
    /// The one whose time to first token (of whole answers: whose time) is shortest on average. One that was never
    /// asked is tried at once; one that was slow is tried again as its average fades, and one request in 50 goes by
    /// chance.
    LowestLatency,
    /// The one where this request is cheapest; where the price is not known, last.
    LowestCost,
    /// The one that has read most of the prompt's beginning before, and so may have it in its cache, unless it is too
    /// busy (see `affinity`). For replicas of self-hosted models.
    PrefixAffinity,
    /// Always the same one for a session (see `session`), by its hash, in proportion to their weights.
    Session,
}

/// What must hold for a request so that a target is meant for it; all of it. Values may hold `*` for anything.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Conditions {
    /// Labels of the API key (its `spec.metadata`), each with the values of which it must have one.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, Vec<String>>,
    /// The same for the request's own `metadata`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, Vec<String>>,
    /// The same for the request's headers. Credentials cannot be asked for.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Vec<String>>,
    /// Names of models by which the client asks.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub models: Vec<String>,
    /// Whether the request must offer tools, or must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<bool>,
    /// Whether it must hold images, or must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<bool>,
    /// Whether its answer must be streamed, or must not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<bool>,
    /// At least so many input tokens, estimated as a quarter of the body's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_input_tokens: Option<u64>,
    /// At most so many input tokens, estimated the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_input_tokens: Option<u64>,
}

/// A share of the requests that goes to a target before all others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Canary {
    /// The share in percent. All other requests leave the target out.
    #[schemars(range(min = 0, max = 100))]
    pub percent: u32,
}

/// What stays with the same target (and in or out of the canary) where chance would decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Sticky {
    /// What is hashed instead of drawing a number.
    pub by: StickyBy,
}

/// What is hashed instead of drawing a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum StickyBy {
    /// The API key; who has none, by name.
    Key,
    /// The person or service that owns the key or is signed in.
    User,
    /// The session, as `session` finds it.
    Session,
}

/// How the session of a request is found: by the header; else by `user` of the request; else by the conversation's
/// first messages, up to the first one of the user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Session {
    /// The header that names the session.
    #[serde(default = "default_session_header")]
    #[schemars(length(min = 1, max = 100))]
    pub header: String,
}

fn default_session_header() -> String {
    plan::SESSION_HEADER.into()
}

/// When a target that has read a prompt before is too busy to be preferred: it must have more requests under way than
/// `percent` of what the least busy target has, and `margin` more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Affinity {
    /// In percent of the least busy target.
    #[serde(default = "default_hot_percent")]
    #[schemars(range(min = 100, max = 10_000))]
    pub hot_percent: u32,
    /// Requests.
    #[serde(default = "default_hot_margin")]
    #[schemars(range(max = 100_000))]
    pub hot_margin: u32,
}

fn default_hot_percent() -> u32 {
    plan::SHED.percent
}

fn default_hot_margin() -> u32 {
    plan::SHED.margin
}

/// What happens when a target fails before its first content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Retry {
    /// How many tries there are in all, over all targets of this route.
    #[serde(default = "default_attempts")]
    #[schemars(range(min = 1, max = 20))]
    pub attempts: u32,
    /// The longest pause before a target is tried again the first time; doubled each time. How much of it is waited is
    /// drawn by chance. A provider's Retry-After is waited for in full.
    #[serde(default = "default_backoff")]
    pub backoff: Span,
}

fn default_attempts() -> u32 {
    plan::DEFAULT_ATTEMPTS
}

fn default_backoff() -> Span {
    Span(plan::DEFAULT_BACKOFF)
}

/// Another target is asked too when the first one is slow to begin; whoever begins first answers, the other one is
/// cancelled. For streamed chats and completions. The request is billed for both: the answer that the client gets, and
/// the input of the one that was cancelled. Not while a hard quota on tokens or money holds for the request, which
/// reserves what one answer can cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Hedge {
    /// After this percentile of the target's own time to first token.
    #[serde(default = "default_percentile")]
    #[schemars(range(min = 50, max = 99))]
    pub percentile: u32,
    /// At most this percent of the requests are hedged.
    #[serde(default = "default_max_percent")]
    #[schemars(range(min = 1, max = 100))]
    pub max_percent: u32,
    /// Never earlier than this.
    #[serde(default = "default_min_delay")]
    pub min_delay: Span,
}

fn default_percentile() -> u32 {
    95
}

fn default_max_percent() -> u32 {
    5
}

fn default_min_delay() -> Span {
    Span(plan::DEFAULT_HEDGE_DELAY)
}

/// Leaves a target alone that fails: after the cooldown one request at a time tries it, until one succeeds. A provider's
/// Retry-After with a 429 begins a cooldown of that length at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Breaker {
    /// After so many failures in a row; 0 switches it off.
    #[serde(default = "default_failures")]
    #[schemars(range(max = 1_000))]
    pub failures: u32,
    /// Or when too large a part of the answers are failures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<FailureRatio>,
    /// For so long; doubled each time that the target fails again.
    #[serde(default = "default_cooldown")]
    pub cooldown: Span,
    /// But not longer than this.
    #[serde(default = "default_max_cooldown")]
    pub max_cooldown: Span,
    /// What happens when no target may be asked.
    #[serde(default)]
    pub when_all_open: WhenAllOpen,
}

fn default_failures() -> u32 {
    plan::RULES.consecutive
}

fn default_cooldown() -> Span {
    Span(plan::RULES.cooldown)
}

fn default_max_cooldown() -> Span {
    Span(plan::RULES.longest)
}

/// Too large a part of failures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct FailureRatio {
    /// From this percent on.
    #[schemars(range(min = 1, max = 100))]
    pub percent: u32,
    /// Of at least so many answers.
    #[serde(default = "default_least")]
    #[schemars(range(min = 1, max = 100_000))]
    pub min_requests: u32,
    /// Within this time after the first failure.
    #[serde(default = "default_window")]
    pub window: Span,
}

fn default_least() -> u32 {
    20
}

fn default_window() -> Span {
    Span(plan::DEFAULT_WINDOW)
}

/// What happens when no target may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub(crate) enum WhenAllOpen {
    /// The first one is asked all the same, unless it asked to be left alone: a breaker shall not refuse what might
    /// work.
    #[default]
    Try,
    /// The request is refused with Retry-After, or goes to a fallback.
    Refuse,
}

/// Asks the targets in the background whether they work: failures count for their breakers, a success closes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HealthCheck {
    /// How often each target is asked.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// A path on the provider's host (`/health`), which must answer a GET with 2xx. Without it the model is asked for
    /// one token, which a provider may charge for, and which no row records.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500), regex(pattern = "^/"))]
    pub path: Option<String>,
}

fn default_interval() -> Span {
    Span(plan::DEFAULT_INTERVAL)
}

fn default_timeout() -> Span {
    Span(plan::DEFAULT_CHECK_TIMEOUT)
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

/// Another route of the same project, for requests that this one could not answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fallback {
    /// Its name.
    pub route: String,
    /// After which failures: `Error` and `RateLimit` unless said otherwise.
    pub on: Vec<FallbackOn>,
}

/// A sort of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub(crate) enum FallbackOn {
    /// The targets failed, or none may be asked.
    Error,
    /// The targets have too many requests.
    RateLimit,
    /// The request is too long for the model.
    ContextLength,
    /// A filter of the provider refused the request.
    ContentFilter,
}

/// What a fallback is after unless its spec says so.
const USUAL: [FallbackOn; 2] = [FallbackOn::Error, FallbackOn::RateLimit];

impl<'de> Deserialize<'de> for Fallback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Name(String),
            Whole {
                route: String,
                #[serde(default)]
                on: Option<Vec<FallbackOn>>,
            },
        }
        Ok(match Written::deserialize(deserializer)? {
            Written::Name(route) => Self {
                route,
                on: USUAL.to_vec(),
            },
            Written::Whole { route, on } => Self {
                route,
                on: on.unwrap_or_else(|| USUAL.to_vec()),
            },
        })
    }
}

impl JsonSchema for Fallback {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fallback".into()
    }

    fn inline_schema() -> bool {
        true
    }

    // A text or an object: structural schemas have no word for that, so admission checks it.
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The name of a route, or `{route, on}`: `on` lists the failures after which it is tried, of \
                `Error`, `RateLimit`, `ContextLength` and `ContentFilter`; the first two unless said otherwise.",
            "x-kubernetes-preserve-unknown-fields": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_fallback_is_a_name_or_says_after_what() {
        let cases = [
            (json!("spare"), Some(USUAL.to_vec())),
            (json!({"route": "spare"}), Some(USUAL.to_vec())),
            (
                json!({"route": "spare", "on": ["ContextLength"]}),
                Some(vec![FallbackOn::ContextLength]),
            ),
            (json!({"route": "spare", "on": ["Whim"]}), None),
            (json!({"on": ["Error"]}), None),
            (json!(5), None),
        ];
        for (written, expected) in cases {
            let found = serde_json::from_value::<Fallback>(written.clone()).ok();
            assert_eq!(found.map(|found| found.on), expected, "{written}");
        }
    }
}
