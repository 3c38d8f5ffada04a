//! A suite: what is evaluated, and how. Pure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use stead_kernel::{Error, Result};
use stead_scoring::{Definition, Measured, Sample, ToolCall};

use super::fields::{at, filled};

/// The most metrics of a suite.
const METRICS: usize = 50;
/// The most items that a suite brings along.
const ITEMS: usize = 10_000;

/// A suite of an evaluation, as people write it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Suite {
    /// The name of the experiment; one is made up without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// What is asked.
    pub(super) dataset: DatasetRef,
    /// The Opik project that the traces lie in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) project: Option<String>,
    /// The route (or `provider/model`) that is asked.
    pub(super) model: String,
    /// How it is asked; without it the input is the user's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) prompt: Option<Prompt>,
    /// What else requests say: `temperature`, `max_tokens`, `tools`.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub(super) parameters: Map<String, Value>,
    /// Which columns are what.
    #[serde(default)]
    pub(super) fields: Columns,
    /// The route that judges, where a metric names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) judge: Option<String>,
    /// How answers are scored.
    pub(super) metrics: Vec<Definition>,
    /// So many items at most, the newest first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) limit: Option<usize>,
    /// How often each item is asked.
    #[serde(default = "one")]
    pub(super) repeat: u32,
    /// How many items are asked at once.
    #[serde(default = "four")]
    pub(super) concurrency: usize,
}

const fn one() -> u32 {
    1
}

const fn four() -> usize {
    4
}

/// A dataset, and items that it should hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct DatasetRef {
    /// Its name.
    pub(super) name: String,
    /// The version: `v3`, a hash or a tag; the newest without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
    /// Items that are added where they are not there yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) items: Vec<Value>,
}

/// A prompt: a text, messages, or one of the library.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct Prompt {
    /// The user's message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) text: Option<String>,
    /// Messages, as OpenAI's chat API has them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) messages: Vec<Value>,
    /// The name of a prompt of the library.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) name: Option<String>,
    /// Its version: a commit, a number (`v3`) or an environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) version: Option<String>,
}

/// Which columns of an item are what: paths such as `question` or `reference.answer`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub(super) struct Columns {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) input: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) expected: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) context: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tool_calls: Option<String>,
}

/// Where each is looked for when nobody says it.
const INPUT: [&str; 4] = ["input", "question", "prompt", "messages"];
const EXPECTED: [&str; 5] = ["expected_output", "expected", "reference", "answer", "output"];
const CONTEXT: [&str; 3] = ["context", "contexts", "documents"];
const TOOL_CALLS: [&str; 2] = ["expected_tool_calls", "tool_calls"];

impl Suite {
    /// Checks it, and gives metrics that judge the suite's judge.
    ///
    /// # Errors
    /// `Invalid` with what is wrong.
    pub(super) fn completed(mut self) -> Result<Self> {
        let prompts = self.prompt.as_ref().map_or(1, |prompt| {
            usize::from(prompt.text.is_some())
                + usize::from(!prompt.messages.is_empty())
                + usize::from(prompt.name.is_some())
        });
        let blank = |text: &str| text.trim().is_empty();
        for (broken, rule) in [
            (blank(&self.dataset.name), "dataset.name must be given"),
            (blank(&self.model), "model must be given"),
            (prompts != 1, "prompt has one of text, messages and name"),
            (
                self.metrics.is_empty() || self.metrics.len() > METRICS,
                "metrics has from 1 to 50 metrics",
            ),
            (
                self.dataset.items.len() > ITEMS,
                "dataset.items has at most 10,000 items; store more with: stead dataset create",
            ),
            (!(1..=100).contains(&self.repeat), "repeat is from 1 to 100"),
            (
                !(1..=64).contains(&self.concurrency),
                "concurrency is from 1 to 64",
            ),
            (self.limit == Some(0), "limit is at least 1"),
            (
                ["model", "messages", "stream"]
                    .iter()
                    .any(|name| self.parameters.contains_key(*name)),
                "parameters has neither model, messages nor stream",
            ),
        ] {
            if broken {
                return Err(Error::invalid(rule));
            }
        }
        for metric in &mut self.metrics {
            if metric.judges() && metric.model.is_none() {
                metric.model.clone_from(&self.judge);
            }
        }
        Ok(self)
    }
}

impl Columns {
    /// What is known of an item before it is asked.
    pub(super) fn sample(&self, data: &Value) -> Sample {
        let column = |named: &Option<String>, usual: &[&str]| match named {
            Some(path) => at(data, path).cloned(),
            None => usual.iter().find_map(|name| data.get(*name)).cloned(),
        };
        let calls = column(&self.tool_calls, &TOOL_CALLS);
        Sample {
            input: column(&self.input, &INPUT).unwrap_or_else(|| data.clone()),
            expected: column(&self.expected, &EXPECTED).unwrap_or_default(),
            context: column(&self.context, &CONTEXT).unwrap_or_default(),
            expected_tool_calls: calls.as_ref().and_then(ToolCall::list),
            more: data.as_object().cloned().unwrap_or_default(),
            ..Sample::default()
        }
    }
}

/// The messages that an item is asked with. A template is a text or a list of messages.
///
/// # Errors
/// A variable that the item lacks.
pub(super) fn messages(
    template: Option<&Value>,
    sample: &Sample,
    data: &Value,
) -> Result<Vec<Value>, String> {
    let user = |text: String| vec![serde_json::json!({"role": "user", "content": text})];
    let fill = |text: &str| {
        filled(text, data).map_err(|name| format!("the prompt names {name:?}, which the item lacks"))
    };
    match template {
        Some(Value::Array(messages)) => messages
            .iter()
            .map(|message| fill_message(message, &fill))
            .collect(),
        Some(template) => Ok(user(fill(&stead_scoring::text_of(template))?)),
        None => match &sample.input {
            Value::Array(messages) if messages.iter().all(|message| message.get("role").is_some()) => {
                Ok(messages.clone())
            }
            input => Ok(user(stead_scoring::text_of(input))),
        },
    }
}

/// Fills in the texts of a message: its content, or the texts among the parts of it.
fn fill_message(message: &Value, fill: &impl Fn(&str) -> Result<String, String>) -> Result<Value, String> {
    let mut message = message.clone();
    match message.get_mut("content") {
        Some(Value::String(text)) => *text = fill(text)?,
        Some(Value::Array(parts)) => {
            for part in parts {
                if let Some(Value::String(text)) = part.get_mut("text") {
                    *text = fill(text)?;
                }
            }
        }
        _ => {}
    }
    Ok(message)
}

/// The sample with the answer of a chat.
pub(super) fn answered(mut sample: Sample, message: &Value, measured: Measured) -> Sample {
    sample.output = message.get("content").cloned().unwrap_or_default();
    sample.tool_calls = message
        .get("tool_calls")
        .and_then(ToolCall::list)
        .unwrap_or_default();
    sample.measured = measured;
    sample
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn suite(change: &Value) -> Result<Suite> {
        let mut suite = json!({"dataset": {"name": "d"}, "model": "chat", "metrics": [{"type": "equals"}]});
        suite
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().cloned().unwrap());
        let suite: Suite =
            serde_json::from_value(suite).map_err(|error| Error::invalid(error.to_string()))?;
        suite.completed()
    }

    #[test]
    fn a_suite_says_what_is_wrong_with_it() {
        assert_eq!(suite(&json!({})).unwrap().concurrency, 4);
        for (change, message) in [
            (json!({"model": " "}), "model must be given"),
            (json!({"metrics": []}), "metrics has"),
            (json!({"prompt": {}}), "prompt has one of"),
            (json!({"prompt": {"text": "a", "name": "b"}}), "prompt has one of"),
            (json!({"repeat": 0}), "repeat"),
            (json!({"concurrency": 65}), "concurrency"),
            (json!({"parameters": {"stream": true}}), "parameters"),
            (json!({"metric": []}), "unknown field"),
        ] {
            let error = suite(&change).unwrap_err();
            assert!(error.message().contains(message), "{change}: {error}");
        }
    }

    #[test]
    fn metrics_that_judge_have_the_suites_judge_unless_they_name_one() {
        let suite = suite(&json!({"judge": "wise", "metrics": [
            {"type": "hallucination"}, {"type": "answer-relevance", "model": "wiser"}, {"type": "equals"}]}));
        let models: Vec<Option<String>> = suite
            .unwrap()
            .metrics
            .into_iter()
            .map(|metric| metric.model)
            .collect();
        assert_eq!(models, [Some("wise".to_owned()), Some("wiser".to_owned()), None]);
    }

    #[test]
    fn columns_are_found_by_their_usual_names_or_those_told() {
        let data = json!({"question": "q", "answer": "a", "meta": {"docs": ["x"]}});
        let sample = Columns::default().sample(&data);
        assert_eq!(
            (sample.input, sample.expected, sample.context),
            (json!("q"), json!("a"), Value::Null)
        );
        let columns = Columns {
            context: Some("meta.docs".into()),
            input: Some("answer".into()),
            ..Columns::default()
        };
        let sample = columns.sample(&data);
        assert_eq!((sample.input, sample.context), (json!("a"), json!(["x"])));
        assert_eq!(Columns::default().sample(&json!({"x": 1})).input, json!({"x": 1}));
    }

    #[test]
    fn prompts_become_messages() {
        let data = json!({"input": "Paris?", "tone": "short"});
        let sample = Columns::default().sample(&data);
        let asked = |template: Option<Value>| messages(template.as_ref(), &sample, &data);
        assert_eq!(
            asked(None),
            Ok(vec![json!({"role": "user", "content": "Paris?"})])
        );
        assert_eq!(
            asked(Some(json!("Be {{tone}}: {{input}}"))),
            Ok(vec![json!({"role": "user", "content": "Be short: Paris?"})])
        );
        let template = json!([{"role": "system", "content": "{{tone}}"},
            {"role": "user", "content": [{"type": "text", "text": "{{input}}"}]}]);
        let filled = asked(Some(template)).unwrap();
        assert_eq!(filled[1]["content"][0]["text"], "Paris?");
        assert!(asked(Some(json!("{{nobody}}"))).unwrap_err().contains("nobody"));
    }
}
