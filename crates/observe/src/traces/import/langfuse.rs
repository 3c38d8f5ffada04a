//! A trace as Langfuse's API answers it and its users export it (`TraceWithFullDetails`,
//! <https://api.reference.langfuse.com/#tag/trace/GET/api/public/traces/{traceId}>). Pure.
//!
//! Ids of Langfuse are texts of any form and carry no time; ours are made of the time that the document tells and a
//! digest, so that the same document gives the same ids.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json, value::to_raw_value};
use stead_kernel::{
    Error, Result, Timestamp,
    ports::traces::{Json, Kind},
};

use crate::{
    otlp::trace_of as id_of,
    traces::line::{Told, ToldScore},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Trace {
    id: String,
    timestamp: Timestamp,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    input: Option<Json>,
    #[serde(default)]
    output: Option<Json>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    user_id: Option<String>,
    #[serde(default)]
    release: Option<String>,
    #[serde(default)]
    version: Option<String>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    tags: Option<Vec<String>>,
    #[serde(default)]
    updated_at: Option<Timestamp>,
    #[serde(default)]
    observations: Vec<Observation>,
    #[serde(default)]
    scores: Vec<Score>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Observation {
    id: String,
    #[serde(rename = "type", default)]
    sort: String,
    #[serde(default)]
    name: Option<String>,
    start_time: Timestamp,
    #[serde(default)]
    end_time: Option<Timestamp>,
    #[serde(default)]
    completion_start_time: Option<Timestamp>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    model_parameters: Value,
    #[serde(default)]
    input: Option<Json>,
    #[serde(default)]
    output: Option<Json>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    level: Option<String>,
    #[serde(default)]
    status_message: Option<String>,
    #[serde(default)]
    parent_observation_id: Option<String>,
    #[serde(default)]
    usage_details: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    usage: Option<Usage>,
    #[serde(default)]
    cost_details: Option<BTreeMap<String, f64>>,
    #[serde(default)]
    calculated_total_cost: Option<f64>,
}

/// How older versions count.
#[derive(Deserialize)]
struct Usage {
    #[serde(default)]
    input: Option<f64>,
    #[serde(default)]
    output: Option<f64>,
    #[serde(default)]
    total: Option<f64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Score {
    name: String,
    /// A text where it is a category.
    #[serde(default)]
    value: Value,
    #[serde(default)]
    string_value: Option<String>,
    #[serde(default)]
    comment: Option<String>,
    #[serde(default)]
    observation_id: Option<String>,
    #[serde(default)]
    author_user_id: Option<String>,
    #[serde(default)]
    timestamp: Option<Timestamp>,
}

/// The trace and the spans of a document.
pub(super) fn read(text: &str) -> Result<Vec<(Kind, Box<Told>)>> {
    let mut trace: Trace = serde_json::from_str(text)
        .map_err(|error| Error::invalid(format!("it is no trace as Langfuse exports it: {error}")))?;
    let observations = std::mem::take(&mut trace.observations);
    let scores = std::mem::take(&mut trace.scores);
    let starts: BTreeMap<String, Timestamp> = observations
        .iter()
        .map(|own| (own.id.clone(), own.start_time))
        .collect();
    let end = observations.iter().filter_map(|own| own.end_time).max();
    let of = |id: Option<&str>| {
        let own = scores
            .iter()
            .filter(|score| score.observation_id.as_deref() == id);
        own.filter_map(|score| told_score(score, trace.timestamp))
            .collect()
    };
    let trace_id = id_of(&trace.id, trace.timestamp);
    let at = trace.updated_at.or(end).unwrap_or(trace.timestamp);
    let mut all = Vec::with_capacity(observations.len() + 1);
    let own_scores = of(None);
    let spans: Vec<_> = observations
        .into_iter()
        .map(|own| {
            let scores = of(Some(&own.id));
            let parent = own.parent_observation_id.as_ref();
            let parent = parent.and_then(|id| Some(id_of(id, *starts.get(id)?)));
            Told {
                trace_id: Some(trace_id),
                parent_id: parent,
                scores,
                updated: at,
                ..told_observation(own)
            }
        })
        .collect();
    all.push((Kind::Trace, Box::new(told_trace(trace, (end, at), own_scores))));
    all.extend(spans.into_iter().map(|told| (Kind::Span, Box::new(told))));
    Ok(all)
}

fn told_trace(trace: Trace, (end, updated): (Option<Timestamp>, Timestamp), scores: Vec<ToldScore>) -> Told {
    let more = [
        ("langfuse.user.id", trace.user_id),
        ("langfuse.release", trace.release),
        ("langfuse.version", trace.version),
        ("langfuse.trace.id", Some(trace.id.clone())),
    ];
    Told {
        id: id_of(&trace.id, trace.timestamp),
        name: trace.name,
        start: Some(trace.timestamp),
        end,
        input: some(trace.input),
        output: some(trace.output),
        metadata: metadata(trace.metadata, more),
        tags: trace.tags.filter(|tags| !tags.is_empty()),
        thread: trace.session_id,
        environment: trace.environment,
        origin: Some("sdk".to_owned()),
        updated,
        scores,
        ..Told::default()
    }
}

fn told_observation(own: Observation) -> Told {
    let failed = own.level.as_deref() == Some("ERROR");
    let message = own.status_message.clone().unwrap_or_default();
    let error = failed.then(|| to_raw_value(&json!({"exception_type": "ERROR", "message": message})).ok());
    let millis = own
        .completion_start_time
        .and_then(|time| stead_kernel::ports::traces::duration_ms(own.start_time, time));
    let mut noted = own.metadata;
    if !own.model_parameters.is_null() {
        let object = noted.as_object_mut();
        match object {
            Some(object) => {
                object.insert("langfuse.model.parameters".to_owned(), own.model_parameters);
            }
            None => noted = json!({"metadata": noted, "langfuse.model.parameters": own.model_parameters}),
        }
    }
    let level = own.level.filter(|level| level != "DEFAULT");
    let more = [
        ("langfuse.observation.level", level),
        (
            "langfuse.observation.message",
            own.status_message.filter(|text| !text.is_empty()),
        ),
        ("langfuse.observation.id", Some(own.id.clone())),
        ("langfuse.observation.type", Some(own.sort.clone())),
    ];
    Told {
        id: id_of(&own.id, own.start_time),
        name: own.name,
        sort: Some(sort(&own.sort).to_owned()),
        start: Some(own.start_time),
        end: own.end_time,
        input: some(own.input),
        output: some(own.output),
        metadata: metadata(noted, more),
        error: error.flatten(),
        model: own.model,
        usage: usage(own.usage_details, own.usage),
        cost: own
            .calculated_total_cost
            .or_else(|| own.cost_details?.get("total").copied()),
        first_token_ms: millis,
        origin: Some("sdk".to_owned()),
        ..Told::default()
    }
}

/// What an observation is (<https://langfuse.com/docs/observability/features/observation-types>).
fn sort(of: &str) -> &'static str {
    match of {
        "GENERATION" | "EMBEDDING" => "llm",
        "TOOL" => "tool",
        "GUARDRAIL" => "guardrail",
        _ => "general",
    }
}

/// Counts in the words of Opik's SDKs; those that it has no word for keep their own.
fn usage(details: Option<BTreeMap<String, f64>>, older: Option<Usage>) -> Option<BTreeMap<String, i64>> {
    let details = details.filter(|details| !details.is_empty()).or_else(|| {
        let older = older?;
        let counts = [
            ("input", older.input),
            ("output", older.output),
            ("total", older.total),
        ];
        let counts = counts.into_iter();
        Some(
            counts
                .filter_map(|(name, count)| Some((name.to_owned(), count?)))
                .collect(),
        )
    })?;
    let renamed = details.into_iter().map(|(name, count)| {
        let name = match name.as_str() {
            "input" => "prompt_tokens".to_owned(),
            "output" => "completion_tokens".to_owned(),
            "total" => "total_tokens".to_owned(),
            _ => name,
        };
        #[expect(clippy::cast_possible_truncation, reason = "a count; what is larger is cut")]
        let count = count.round() as i64;
        (name, count)
    });
    Some(renamed.collect()).filter(|usage: &BTreeMap<_, _>| !usage.is_empty())
}

fn metadata<const N: usize>(told: Value, more: [(&str, Option<String>); N]) -> Option<Json> {
    let mut all = match told {
        Value::Object(object) => object,
        Value::Null => Map::new(),
        other => Map::from_iter([("metadata".to_owned(), other)]),
    };
    for (name, value) in more {
        if let Some(value) = value {
            all.insert(name.to_owned(), value.into());
        }
    }
    to_raw_value(&all).ok()
}

fn some(json: Option<Json>) -> Option<Json> {
    json.filter(|json| json.get() != "null")
}

/// A score; one that is a word alone has no number here, and is left as a category of 1.
fn told_score(score: &Score, at: Timestamp) -> Option<ToldScore> {
    let category = score
        .string_value
        .clone()
        .or_else(|| score.value.as_str().map(str::to_owned));
    let value = match &score.value {
        Value::Bool(value) => Some(f64::from(u8::from(*value))),
        value => value.as_f64(),
    };
    let at = score.timestamp.unwrap_or(at);
    Some(ToldScore {
        name: score.name.clone(),
        value: value.or(category.is_some().then_some(1.0))?,
        category,
        reason: score.comment.clone(),
        source: "sdk".to_owned(),
        author: score.author_user_id.clone().unwrap_or_default(),
        created: at,
        updated: at,
    })
}
