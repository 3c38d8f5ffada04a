//! Alerts as the API spells them (`Alert_*` in Opik's OpenAPI document), made into rules. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use stead_kernel::{Error, Result};
use uuid::Uuid;

use crate::alert_rule::{AlertRuleSpec, Measure, Network, Of, SecretRef, Threshold, Webhook, usual_key};

/// `Alert_Write`, and what is kept of it to be told again. The webhook's secret is taken out before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "as Opik spells them")]
pub(super) struct Alert {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) id: Option<Uuid>,
    pub(super) name: Option<String>,
    pub(super) enabled: Option<bool>,
    pub(super) alert_type: Option<String>,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) webhook: Hook,
    pub(super) triggers: Vec<Trigger>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) project_id: Option<Uuid>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Hook {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    pub(super) url: String,
    #[serde(skip_serializing)]
    pub(super) secret_token: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "as Opik spells them")]
pub(super) struct Trigger {
    id: Option<Uuid>,
    event_type: String,
    trigger_configs: Vec<Config>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_field_names, reason = "as Opik spells them")]
struct Config {
    id: Option<Uuid>,
    #[serde(rename = "type")]
    sort: String,
    config_value: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_index: Option<i32>,
}

const PROJECT: &str = "scope:project";
/// Each event that is measured: what of it, of what, and the configuration that has its threshold.
const EVENTS: [(&str, Measure, Of, &str); 4] = [
    ("trace:errors", Measure::Errors, Of::Traces, "threshold:errors"),
    ("trace:cost", Measure::Cost, Of::Traces, "threshold:cost"),
    (
        "trace:feedback_score",
        Measure::Score,
        Of::Traces,
        "threshold:feedback_score",
    ),
    (
        "trace_thread:feedback_score",
        Measure::Score,
        Of::Threads,
        "threshold:feedback_score",
    ),
];
/// Those that are not, or of whose unit the document says nothing.
const OTHERS: [&str; 6] = [
    "trace:latency",
    "prompt:created",
    "prompt:committed",
    "prompt:deleted",
    "trace:guardrails_triggered",
    "experiment:finished",
];

impl Alert {
    /// Gives ids to what has none.
    pub(super) fn numbered(mut self, id: Uuid) -> Self {
        self.id = Some(id);
        self.webhook.id.get_or_insert_with(Uuid::now_v7);
        for trigger in &mut self.triggers {
            trigger.id.get_or_insert_with(Uuid::now_v7);
            for config in &mut trigger.trigger_configs {
                config.id.get_or_insert_with(Uuid::now_v7);
            }
        }
        self
    }

    /// The rule. `secret` is the name of the Secret that holds the webhook's.
    ///
    /// # Errors
    /// `Invalid` when something is missing, `Unsupported` for what the kind has not.
    pub(super) fn spec(&self, secret: Option<String>) -> Result<AlertRuleSpec> {
        if self.alert_type.as_deref().is_some_and(|sort| sort != "general") {
            return Err(Error::unsupported(
                "alerts in the forms of Slack and PagerDuty are not there; alert_type must be `general`",
            ));
        }
        let mut thresholds = Vec::new();
        let mut projects: Vec<String> = self.project_id.iter().map(Uuid::to_string).collect();
        for trigger in &self.triggers {
            thresholds.extend(trigger.thresholds()?);
            projects.extend(trigger.projects());
        }
        if thresholds.is_empty() {
            return Err(Error::invalid("triggers must have one at least"));
        }
        projects.sort();
        projects.dedup();
        Ok(AlertRuleSpec {
            title: self.name.clone().filter(|name| !name.is_empty()),
            opik_projects: projects,
            thresholds,
            every_seconds: 60,
            hold_seconds: 0,
            clear_seconds: 300,
            repeat_seconds: 14_400,
            webhook: Webhook {
                url: self.webhook.url.clone(),
                secret_ref: secret.map(|name| SecretRef {
                    name,
                    key: usual_key(),
                }),
                headers: self.webhook.headers.clone(),
                network: Network::Public,
            },
            disabled: self.enabled == Some(false),
        })
    }

    /// As `Alert_Public`, without when and by whom it was made.
    pub(super) fn tell(&self) -> Value {
        json!({"id": self.id, "name": self.name, "enabled": self.enabled.unwrap_or(true),
            "alert_type": self.alert_type.as_deref().unwrap_or("general"), "metadata": self.metadata,
            "webhook": self.webhook, "triggers": self.triggers, "project_id": self.project_id})
    }
}

impl Trigger {
    fn projects(&self) -> Vec<String> {
        let scopes = self
            .trigger_configs
            .iter()
            .filter(|config| config.sort == PROJECT);
        let named = scopes.filter_map(|config| config.config_value.get("project_ids"));
        named
            .flat_map(|ids| ids.split(|letter: char| !(letter.is_ascii_hexdigit() || letter == '-')))
            .filter(|id| id.parse::<Uuid>().is_ok())
            .map(str::to_owned)
            .collect()
    }

    fn thresholds(&self) -> Result<Vec<Threshold>> {
        let event = EVENTS.iter().find(|(name, ..)| *name == self.event_type);
        let Some((_, measure, of, wanted)) = event else {
            if OTHERS.contains(&self.event_type.as_str()) {
                return Err(
                    Error::unsupported(format!("alerts on {} are not there", self.event_type))
                        .hint("an AlertRule measures latency, too: stead explain alertrules.spec.thresholds"),
                );
            }
            return Err(Error::invalid(format!("there is no event {:?}", self.event_type)));
        };
        let configs: Vec<&Config> = self
            .trigger_configs
            .iter()
            .filter(|config| config.sort != PROJECT)
            .collect();
        if let Some(other) = configs.iter().find(|config| config.sort != *wanted) {
            return Err(Error::invalid(format!(
                "{} does not belong to {}",
                other.sort, self.event_type
            )));
        }
        if configs.is_empty() {
            return Err(Error::unsupported(format!(
                "{} without a threshold: single events are not told",
                self.event_type
            )));
        }
        for (place, config) in configs.iter().enumerate() {
            let grouped =
                |other: &&&Config| other.group_index.is_some() && other.group_index == config.group_index;
            if configs.iter().take(place).any(|other| grouped(&other)) {
                return Err(Error::unsupported(
                    "several thresholds that must all be crossed (one group_index) are not there",
                ));
            }
        }
        configs
            .iter()
            .map(|config| config.threshold(*measure, *of))
            .collect()
    }
}

impl Config {
    fn threshold(&self, measure: Measure, of: Of) -> Result<Threshold> {
        let known = ["threshold", "window", "name", "operator"];
        if let Some(other) = self
            .config_value
            .keys()
            .find(|name| !known.contains(&name.as_str()))
        {
            return Err(Error::invalid(format!(
                "config_value has {other:?}, which is none of {}",
                known.join(", ")
            )));
        }
        let text = |name: &str| self.config_value.get(name).map(|value| value.trim());
        let number = text("threshold").and_then(|text| text.parse::<f64>().ok());
        let number = number.ok_or_else(|| Error::invalid("config_value.threshold must be a number"))?;
        let window = text("window")
            .and_then(|text| text.parse::<u32>().ok())
            .filter(|window| (60..=604_800).contains(window));
        let window =
            window.ok_or_else(|| Error::invalid("config_value.window must be from 60 to 604800 seconds"))?;
        let is_below = match text("operator") {
            None | Some(">") => false,
            Some("<") => true,
            Some(other) => {
                return Err(Error::invalid(format!(
                    "config_value.operator {other:?} is neither > nor <"
                )));
            }
        };
        Ok(Threshold {
            measure,
            of,
            filters: Vec::new(),
            window_seconds: window,
            above: (!is_below).then_some(number),
            below: is_below.then_some(number),
            until: None,
            quantile: None,
            score: (measure == Measure::Score).then(|| text("name").unwrap_or_default().to_owned()),
            at_least: 1,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(change: &Value) -> Alert {
        let mut alert = json!({"name": "errors", "webhook": {"url": "https://example.com", "secret_token": "s"},
            "triggers": [{"event_type": "trace:errors", "trigger_configs": [
                {"type": "scope:project", "config_value": {"project_ids": "[\"01a1fce2-ce78-765d-a902-9bc62616e36b\"]"}},
                {"type": "threshold:errors", "config_value": {"threshold": "10", "window": "600"}}]}]});
        alert
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().cloned().unwrap());
        serde_json::from_value(alert).unwrap()
    }

    #[test]
    fn an_alert_becomes_a_rule_and_its_secret_is_not_told() {
        let spec = alert(&json!({})).spec(Some("opik".into())).unwrap();
        assert_eq!(spec.opik_projects, ["01a1fce2-ce78-765d-a902-9bc62616e36b"]);
        assert_eq!(
            (spec.thresholds[0].above, spec.thresholds[0].window_seconds),
            (Some(10.0), 600)
        );
        let told = alert(&json!({})).numbered(Uuid::nil()).tell();
        assert_eq!(told["webhook"].get("secret_token"), None);
        assert!(told["triggers"][0]["trigger_configs"][1]["id"].is_string());
    }

    #[test]
    fn what_the_kind_has_not_is_refused() {
        let trigger = |event: &str, configs: Value| json!({"triggers": [{"event_type": event, "trigger_configs": configs}]});
        let threshold =
            |value: Value| json!([{"type": "threshold:errors", "config_value": value, "group_index": 1}]);
        let good = json!({"threshold": "1", "window": "60"});
        for (change, reason) in [
            (json!({"alert_type": "slack"}), "unsupported"),
            (json!({"triggers": []}), "invalid"),
            (trigger("prompt:created", json!([])), "unsupported"),
            (trigger("trace:latency", json!([])), "unsupported"),
            (trigger("trace:surprise", json!([])), "invalid"),
            (trigger("trace:errors", json!([])), "unsupported"),
            (trigger("trace:cost", threshold(good.clone())), "invalid"),
            (
                trigger(
                    "trace:errors",
                    threshold(json!({"threshold": "x", "window": "60"})),
                ),
                "invalid",
            ),
            (
                trigger(
                    "trace:errors",
                    threshold(json!({"threshold": "1", "window": "5"})),
                ),
                "invalid",
            ),
            (
                trigger(
                    "trace:errors",
                    threshold(json!({"threshold": "1", "window": "60", "unit": "s"})),
                ),
                "invalid",
            ),
            (
                trigger(
                    "trace:errors",
                    json!([{"type": "threshold:errors", "config_value": good, "group_index": 1},
                    {"type": "threshold:errors", "config_value": good, "group_index": 1}]),
                ),
                "unsupported",
            ),
        ] {
            let error = alert(&change).spec(None).unwrap_err();
            assert_eq!(error.reason().as_str(), reason, "{change}: {error}");
        }
    }
}
