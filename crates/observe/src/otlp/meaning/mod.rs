//! What the attributes and events of a span mean, by every convention in use for language models. Pure.
//!
//! *Invariant:* what no convention here knows stays in the metadata under its own name.

mod content;
mod events;
mod kind;
mod model;
mod nested;
mod usage;

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::trace::v1::{Span, span::SpanKind};
use serde_json::{Map, Value, json};
use stead_kernel::Timestamp;
use uuid::Uuid;

use super::{
    attributes::{Attributes, object, parsed, real},
    ids::hex,
};

/// What a span means.
#[derive(Debug, Default)]
pub(super) struct Meaning {
    /// In Opik's words.
    pub(super) sort: &'static str,
    /// What went in.
    pub(super) input: Option<Value>,
    /// What came out.
    pub(super) output: Option<Value>,
    /// All else.
    pub(super) metadata: Map<String, Value>,
    /// Labels.
    pub(super) tags: Option<Vec<String>>,
    /// What went wrong.
    pub(super) error: Option<Value>,
    /// The model.
    pub(super) model: Option<String>,
    /// Its provider.
    pub(super) provider: Option<String>,
    /// What was counted.
    pub(super) usage: Option<BTreeMap<String, i64>>,
    /// What it cost in US dollars, as told.
    pub(super) cost: Option<f64>,
    /// Milliseconds to the first token.
    pub(super) first_token_ms: Option<f64>,
    /// The environment.
    pub(super) environment: Option<String>,
    /// What it says of its whole trace.
    pub(super) of_trace: OfTrace,
    /// Ids of Opik that it is told to have.
    pub(super) ids: Ids,
}

/// What a span says of its trace.
#[derive(Debug, Default, PartialEq)]
pub(super) struct OfTrace {
    /// The conversation.
    pub(super) thread: Option<String>,
    /// The trace's name.
    pub(super) name: Option<String>,
    /// What went into the trace.
    pub(super) input: Option<Value>,
    /// What came out of it.
    pub(super) output: Option<Value>,
    /// Its labels.
    pub(super) tags: Option<Vec<String>>,
}

/// Ids of Opik that Opik's SDK writes into spans, so that they join a trace of its own
/// (`opik.trace_id`, `opik.parent_span_id`, `opik.span_id`): UUIDs of version 7, all else is passed over.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ids {
    /// The trace that the span joins.
    pub(super) trace: Option<Uuid>,
    /// The span that it is in; counts beside a trace alone.
    pub(super) parent: Option<Uuid>,
    /// Its own.
    pub(super) own: Option<Uuid>,
}

/// Where the conversation is named, the most explicit first.
const THREADS: [&str; 12] = [
    // https://www.comet.com/docs/opik/integrations/opentelemetry
    "thread_id",
    "opik.thread_id",
    // https://opentelemetry.io/docs/specs/semconv/registry/attributes/gen-ai/
    "gen_ai.conversation.id",
    // https://opentelemetry.io/docs/specs/semconv/general/session/, OpenInference, Langfuse
    "session.id",
    "langfuse.session.id",
    "langfuse.trace.session_id",
    // https://github.com/traceloop/openllmetry
    "traceloop.association.properties.thread_id",
    "traceloop.association.properties.session_id",
    "traceloop.association.properties.conversation_id",
    "traceloop.association.properties.chat_id",
    "gcp.vertex.agent.session_id",
    "ai.telemetry.metadata.sessionId",
];
/// Where labels are told.
const TAGS: [&str; 4] = [
    "opik.tags",
    "tag.tags",
    "langfuse.observation.tags",
    "logfire.tags",
];
/// Where the labels of the trace are told.
const TRACE_TAGS: [&str; 2] = ["langfuse.trace.tags", "langfuse.tags"];
/// Objects as texts whose fields are metadata, and beginnings of names whose rest is one of its fields.
const METADATA: [&str; 4] = [
    "metadata",
    "opik.metadata",
    "langfuse.observation.metadata",
    "langfuse.trace.metadata",
];
/// The same, for the environment.
const ENVIRONMENTS: [&str; 3] = [
    "langfuse.environment",
    "deployment.environment.name",
    "deployment.environment",
];

/// What a span means that began at `start`.
pub(super) fn read(span: Span, start: Timestamp) -> Meaning {
    let mut told = Attributes::new(span.attributes);
    let mut events = events::read(span.events, &mut told);
    let sort = kind::sort(&told);
    let error = events.error(span.status.as_ref(), &told);
    // Before the content: Langfuse's model parameters are told below the name of its model.
    let (model, provider) = model::model(&mut told);
    let (usage, cost) = if sort.is_whole {
        (None, None)
    } else {
        (usage::usage(&mut told), usage::cost(&mut told))
    };
    let mut meaning = Meaning {
        sort: sort.name,
        error,
        model,
        provider,
        usage,
        cost,
        input: content::content(&content::INPUT, &mut told, events.input),
        output: content::content(&content::OUTPUT, &mut told, events.output),
        tags: tags(&mut told, &TAGS),
        first_token_ms: first_token(&mut told, start),
        environment: told.take_text(&ENVIRONMENTS),
        of_trace: of_trace(&mut told),
        ids: ids(&mut told),
        metadata: Map::new(),
    };
    meaning.metadata = metadata(told);
    if !events.rest.is_empty() {
        meaning
            .metadata
            .insert("opentelemetry.events".to_owned(), Value::Array(events.rest));
    }
    if !span.links.is_empty() {
        let links = span.links.into_iter().map(|link| {
            json!({
                "trace_id": hex(&link.trace_id),
                "span_id": hex(&link.span_id),
                "attributes": Value::Object(object(link.attributes).collect()),
            })
        });
        meaning
            .metadata
            .insert("opentelemetry.links".to_owned(), links.collect());
    }
    let kind = SpanKind::try_from(span.kind).unwrap_or_default();
    if !matches!(kind, SpanKind::Unspecified | SpanKind::Internal) {
        let name = kind.as_str_name().trim_start_matches("SPAN_KIND_");
        meaning
            .metadata
            .insert("otel.kind".to_owned(), Value::from(name.to_ascii_lowercase()));
    }
    meaning
}

/// What is left, with the fields of what is metadata by name.
fn metadata(mut told: Attributes) -> Map<String, Value> {
    let mut fields = Map::new();
    for name in METADATA {
        for (rest, value) in told.take_below(&format!("{name}.")) {
            fields.insert(rest, parsed(value));
        }
        match told.take(name).map(parsed) {
            Some(Value::Object(object)) => fields.extend(object),
            Some(other) => told.put(name, other),
            None => {}
        }
    }
    let mut all = told.rest();
    for (name, value) in fields {
        all.entry(name).or_insert(value);
    }
    all
}

/// Labels: a list, a JSON list as text, or a text with commas; the first that there is.
fn tags(told: &mut Attributes, names: &[&str]) -> Option<Vec<String>> {
    let (name, value) = told.take_first(names)?;
    let tags: Option<Vec<String>> = match parsed(value.clone()) {
        Value::Array(items) => items
            .into_iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect(),
        Value::String(text) => Some(text.split(',').map(str::to_owned).collect()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => None,
    };
    let Some(tags) = tags else {
        told.put(name, value);
        return None;
    };
    let mut kept: Vec<String> = Vec::with_capacity(tags.len());
    for tag in tags {
        let tag = tag.trim();
        if !tag.is_empty() && !kept.iter().any(|own| own == tag) {
            kept.push(tag.to_owned());
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// Milliseconds from the beginning to the first token.
fn first_token(told: &mut Attributes, start: Timestamp) -> Option<f64> {
    // Langfuse tells a time, as JSON.
    const AT: &str = "langfuse.observation.completion_start_time";
    // The AI SDK tells milliseconds, the current conventions seconds.
    const AFTER: [(&str, f64); 3] = [
        ("ai.response.msToFirstChunk", 1.0),
        ("ai.stream.msToFirstChunk", 1.0),
        ("gen_ai.response.time_to_first_chunk", 1_000.0),
    ];
    if let Some(text) = told.text(AT)
        && let Ok(time) = text.trim_matches('"').parse::<Timestamp>()
    {
        told.take(AT);
        return stead_kernel::ports::traces::duration_ms(start, time).filter(|time| *time >= 0.0);
    }
    AFTER.iter().find_map(|(name, scale)| {
        let time = told.get(name).and_then(real).filter(|time| *time >= 0.0)?;
        told.take(name);
        Some(time * scale)
    })
}

fn of_trace(told: &mut Attributes) -> OfTrace {
    let thread = told.take_text(&THREADS).map(|name| name.trim().to_owned());
    OfTrace {
        thread,
        name: told.take_text(&["langfuse.trace.name"]),
        input: told.take("langfuse.trace.input").map(parsed),
        output: told.take("langfuse.trace.output").map(parsed),
        tags: tags(told, &TRACE_TAGS),
    }
}

fn ids(told: &mut Attributes) -> Ids {
    let mut id = |name: &str| {
        let id = told.take_text(&[name])?.trim().parse::<Uuid>().ok()?;
        (id.get_version_num() == 7).then_some(id)
    };
    Ids {
        trace: id("opik.trace_id"),
        parent: id("opik.parent_span_id"),
        own: id("opik.span_id"),
    }
}

#[cfg(test)]
mod tests;
