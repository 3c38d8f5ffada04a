//! Evaluators as the API spells them (`AutomationRuleEvaluator_*` in Opik's OpenAPI document), made into rules and back. Pure.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use stead_kernel::{Error, Result};
use stead_scoring::{Definition, Message, Scale, ScaleSort, Sort};

use crate::evaluation_rule::{EvaluationRuleSpec, Fields, Target, Where};

/// `AutomationRuleEvaluator_Write` and `AutomationRuleEvaluatorUpdate`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Write {
    pub(super) name: String,
    pub(super) project_id: Option<String>,
    pub(super) project_ids: Option<Vec<String>>,
    sampling_rate: Option<f64>,
    enabled: Option<bool>,
    #[serde(rename = "type")]
    sort: Option<String>,
    action: Option<String>,
    filters: Option<Vec<Filter>>,
    code: Option<Code>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Filter {
    field: String,
    operator: String,
    key: Option<String>,
    value: Option<Value>,
}

/// `LlmAsJudgeCode` and its likes.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Code {
    model: Model,
    messages: Vec<Said>,
    variables: BTreeMap<String, String>,
    schema: Vec<Output>,
    max_cost_usd: Option<f64>,
    metric: Option<Value>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Model {
    name: String,
    temperature: Option<f64>,
    seed: Option<i64>,
    custom_parameters: Option<Map<String, Value>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Said {
    role: String,
    content: Option<Value>,
    content_array: Option<Vec<Value>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Output {
    name: String,
    #[serde(rename = "type")]
    sort: String,
    description: String,
}

const TYPES: [(&str, Target); 3] = [
    ("llm_as_judge", Target::Traces),
    ("span_llm_as_judge", Target::Spans),
    ("trace_thread_llm_as_judge", Target::Threads),
];
const ROLES: [(&str, &str); 3] = [("SYSTEM", "system"), ("USER", "user"), ("AI", "assistant")];
const SCALES: [(&str, ScaleSort); 3] = [
    ("BOOLEAN", ScaleSort::Boolean),
    ("INTEGER", ScaleSort::Integer),
    ("DOUBLE", ScaleSort::Number),
];
/// Variables with a field of their own.
const OWN: [&str; 4] = ["input", "output", "expected", "context"];

/// The rule that a request describes, on top of the one that is there. `projects` are ids of Opik projects.
///
/// # Errors
/// `Invalid` when something is missing, `Unsupported` for what the kind has not.
pub(super) fn spec(
    write: Write,
    projects: Vec<String>,
    old: Option<&EvaluationRuleSpec>,
) -> Result<EvaluationRuleSpec> {
    if write
        .action
        .as_deref()
        .is_some_and(|action| action != "evaluator")
    {
        return Err(Error::invalid("action must be `evaluator`"));
    }
    if write.name.trim().is_empty() {
        return Err(Error::invalid("name must not be blank"));
    }
    let target = match (write.sort.as_deref(), old) {
        (Some(sort), _) => target(sort)?,
        (None, Some(old)) => old.target,
        (None, None) => return Err(Error::invalid("type must be given")),
    };
    let mut spec = match old {
        Some(old) => EvaluationRuleSpec {
            target,
            ..old.clone()
        },
        None => empty(target),
    };
    spec.title = Some(write.name);
    spec.opik_projects = projects;
    spec.sampling = write.sampling_rate.unwrap_or(spec.sampling);
    if !(0.0..=1.0).contains(&spec.sampling) {
        return Err(Error::invalid("sampling_rate must be from 0 to 1"));
    }
    spec.disabled = write.enabled.map_or(spec.disabled, |enabled| !enabled);
    if let Some(filters) = write.filters {
        spec.filters = filters.into_iter().map(condition).collect();
    }
    match write.code {
        Some(code) => judge(&mut spec, code)?,
        None if old.is_none() => return Err(Error::invalid("code must be given")),
        None => {}
    }
    Ok(spec)
}

fn empty(target: Target) -> EvaluationRuleSpec {
    EvaluationRuleSpec {
        title: None,
        target,
        opik_projects: Vec::new(),
        filters: Vec::new(),
        sampling: 1.0,
        metrics: Vec::new(),
        fields: Fields::default(),
        variables: BTreeMap::new(),
        budget: None,
        key: None,
        since: None,
        disabled: false,
    }
}

fn target(sort: &str) -> Result<Target> {
    if let Some((_, target)) = TYPES.iter().find(|(name, _)| *name == sort) {
        return Ok(*target);
    }
    if sort.ends_with("user_defined_metric_python") {
        return Err(Error::unsupported("metrics written in Python are not run here")
            .hint("use a judge, or a metric of this server in an EvaluationRule: stead explain evaluationrules.spec.metrics"));
    }
    Err(Error::invalid(format!("type {sort:?} is none of an evaluator")))
}

fn condition(filter: Filter) -> Where {
    Where {
        field: filter.field,
        key: filter.key.unwrap_or_default(),
        operator: filter.operator,
        value: filter
            .value
            .as_ref()
            .map(stead_scoring::text_of)
            .unwrap_or_default(),
    }
}

fn judge(spec: &mut EvaluationRuleSpec, code: Code) -> Result<()> {
    let refused = [
        (
            code.metric.is_some(),
            "metrics written in Python are not run here",
        ),
        (
            code.max_cost_usd.is_some(),
            "max_cost_usd is not there; an EvaluationRule has a budget: spec.budget",
        ),
        (code.model.seed.is_some(), "a judge's seed is not kept"),
        (
            code.model
                .custom_parameters
                .is_some_and(|parameters| !parameters.is_empty()),
            "a judge's custom_parameters are not kept",
        ),
    ];
    if let Some((_, why)) = refused.into_iter().find(|(refused, _)| *refused) {
        return Err(Error::unsupported(why));
    }
    let messages = code.messages.into_iter().map(message).collect::<Result<_>>()?;
    let scores = code.schema.into_iter().map(scale).collect::<Result<_>>()?;
    spec.metrics = vec![Definition {
        model: Some(code.model.name).filter(|name| !name.trim().is_empty()),
        temperature: code.model.temperature,
        messages,
        scores,
        ..Definition::of(Sort::Prompt)
    }];
    let (mut own, more): (BTreeMap<_, _>, BTreeMap<_, _>) = code
        .variables
        .into_iter()
        .partition(|(name, _)| OWN.contains(&name.as_str()));
    spec.fields = Fields {
        input: own.remove("input"),
        output: own.remove("output"),
        expected: own.remove("expected"),
        context: own.remove("context"),
        tool_calls: None,
    };
    spec.variables = more;
    Ok(())
}

fn message(said: Said) -> Result<Message> {
    let role = ROLES.iter().find(|(theirs, _)| *theirs == said.role);
    let (_, role) =
        role.ok_or_else(|| Error::unsupported(format!("a judge's message of the role {:?}", said.role)))?;
    let parts = match (said.content, said.content_array) {
        (_, Some(parts)) if !parts.is_empty() => parts,
        (Some(Value::Array(parts)), _) => parts,
        (Some(Value::String(text)), _) => vec![json!({"type": "text", "text": text})],
        _ => Vec::new(),
    };
    let texts = parts
        .iter()
        .map(|part| match part.get("text").and_then(Value::as_str) {
            Some(text) => Ok(text),
            None => Err(Error::unsupported("a judge that sees pictures, sound or films")),
        });
    Ok(Message {
        role: (*role).to_owned(),
        content: texts.collect::<Result<Vec<_>>>()?.join("\n"),
    })
}

fn scale(output: Output) -> Result<Scale> {
    let sort = SCALES.iter().find(|(theirs, _)| *theirs == output.sort);
    let (_, sort) = sort.ok_or_else(|| {
        Error::invalid(format!(
            "a score's type {:?} is none of BOOLEAN, INTEGER, DOUBLE",
            output.sort
        ))
    })?;
    Ok(Scale {
        name: output.name,
        sort: *sort,
        description: output.description,
        min: None,
        max: None,
    })
}

/// A rule as `AutomationRuleEvaluator_Public`, without what the object itself says; `None` for rules that Opik has no form for.
pub(super) fn tell(spec: &EvaluationRuleSpec) -> Option<Map<String, Value>> {
    let [metric] = spec.metrics.as_slice() else {
        return None;
    };
    if metric.sort != Sort::Prompt {
        return None;
    }
    let (sort, _) = TYPES.iter().find(|(_, target)| *target == spec.target)?;
    let role = |own: &str| {
        ROLES
            .iter()
            .find(|(_, ours)| *ours == own)
            .map_or("USER", |(theirs, _)| *theirs)
    };
    let messages = metric
        .messages
        .iter()
        .map(|message| json!({"role": role(&message.role), "content": message.content}));
    let scale = |own: ScaleSort| {
        SCALES
            .iter()
            .find(|(_, ours)| *ours == own)
            .map_or("DOUBLE", |(theirs, _)| *theirs)
    };
    let schema = metric.scores.iter().map(
        |score| json!({"name": score.name, "type": scale(score.sort), "description": score.description}),
    );
    let fields = &spec.fields;
    let own = OWN
        .iter()
        .zip([&fields.input, &fields.output, &fields.expected, &fields.context]);
    let mut variables: Map<String, Value> = own
        .filter_map(|(name, path)| Some(((*name).to_owned(), path.clone()?.into())))
        .collect();
    variables.extend(
        spec.variables
            .iter()
            .map(|(name, path)| (name.clone(), path.clone().into())),
    );
    let filters = spec
        .filters
        .iter()
        .map(|one| json!({"field": one.field, "key": one.key, "operator": one.operator, "value": one.value}));
    let mut code = json!({"model": {"name": metric.model, "temperature": metric.temperature},
        "messages": messages.collect::<Vec<_>>(), "schema": schema.collect::<Vec<_>>()});
    if let (Some(code), true) = (code.as_object_mut(), spec.target != Target::Threads) {
        code.insert("variables".into(), variables.into());
    }
    let told = json!({"sampling_rate": spec.sampling, "enabled": !spec.disabled, "type": sort, "action": "evaluator",
        "filters": filters.collect::<Vec<_>>(), "code": code});
    match told {
        Value::Object(told) => Some(told),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent() -> Value {
        json!({
            "name": "Relevance", "sampling_rate": 0.5, "enabled": true, "type": "llm_as_judge", "action": "evaluator",
            "filters": [{"field": "tags", "operator": "contains", "key": "", "value": "live"}],
            "code": {
                "model": {"name": "gpt-4o", "temperature": 0.0},
                "messages": [{"role": "SYSTEM", "content": "Judge."}, {"role": "USER", "content": "{{input}} {{city}}"}],
                "variables": {"input": "input.question", "city": "metadata.city"},
                "schema": [{"name": "Relevance", "type": "INTEGER", "description": "1 to 5"}],
            },
        })
    }

    #[test]
    fn what_is_sent_is_told_again() {
        let write: Write = serde_json::from_value(sent()).unwrap();
        let spec = spec(write, vec!["p".into()], None).unwrap();
        assert_eq!(spec.fields.input.as_deref(), Some("input.question"));
        let told = Value::Object(tell(&spec).unwrap());
        for field in ["sampling_rate", "enabled", "type", "action", "filters", "code"] {
            assert_eq!(told[field], sent()[field], "{field}");
        }
        let update: Write =
            serde_json::from_value(json!({"name": "Renamed", "action": "evaluator", "enabled": false}))
                .unwrap();
        let changed = super::spec(update, vec!["p".into()], Some(&spec)).unwrap();
        assert_eq!((changed.disabled, changed.metrics), (true, spec.metrics));
    }

    #[test]
    fn what_the_kind_has_not_is_refused() {
        for (pointer, value, reason) in [
            ("/type", json!("user_defined_metric_python"), "unsupported"),
            ("/type", json!("surprise"), "invalid"),
            ("/code/max_cost_usd", json!(1.0), "unsupported"),
            ("/code/model/custom_parameters", json!({"a": 1}), "unsupported"),
            ("/code/messages/0/role", json!("CUSTOM"), "unsupported"),
            (
                "/code/messages/0/content",
                json!([{"type": "image_url", "image_url": {"url": "x"}}]),
                "unsupported",
            ),
            ("/code/schema/0/type", json!("TEXT"), "invalid"),
            ("/sampling_rate", json!(2.0), "invalid"),
            ("/name", json!(""), "invalid"),
        ] {
            let mut sent = sent();
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            match sent.pointer_mut(parent).unwrap() {
                Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
                other => other[name] = value,
            }
            let write: Write = serde_json::from_value(sent).unwrap();
            assert_eq!(
                spec(write, Vec::new(), None).unwrap_err().reason().as_str(),
                reason,
                "{pointer}"
            );
        }
    }
}
