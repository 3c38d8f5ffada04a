//! Spans as what the store is told of them and of their traces. Pure.
//!
//! A span that is in no other one tells its trace's name, times, input, output, metadata, labels and error. Until it is
//! told, the trace has the name of the earliest span whose parent is not known, and reaches from the first to the last
//! span that is. Both are told in a way that makes the order of arrival irrelevant.
//!
//! *Invariant:* the same spans give the same, in any order and however often they are told.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value, value::RawValue};
use stead_kernel::{
    Error, Result, Timestamp,
    ports::traces::{Fields, Json, Kind, Origin as Way, Put, TagChange, Write},
};
use uuid::Uuid;

use super::{
    batch::{Item, Origin},
    ids::{self, SpanId, TraceId, hex},
    meaning::{self, Ids, Meaning, OfTrace},
    names::Named,
};

/// Who tells, and when.
#[derive(Debug, Clone)]
pub(super) struct Teller {
    /// The project of Stead.
    pub(super) workspace: String,
    /// The user.
    pub(super) user: String,
    /// When.
    pub(super) now: Timestamp,
}

/// What is told of a trace by its spans alone.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// The place of the earliest span whose parent is not in the request.
    first: usize,
    start: Timestamp,
    end: Option<Timestamp>,
}

/// What is told by each span, in their order.
///
/// # Errors
/// `Internal` when a value cannot be written as JSON.
pub(super) fn writes(
    items: Vec<Item>,
    names: &HashMap<TraceId, Named>,
    teller: &Teller,
) -> Result<Vec<Vec<Write>>> {
    let reaches = reaches(&items);
    let mut all = Vec::with_capacity(items.len());
    for (place, item) in items.into_iter().enumerate() {
        // Every trace has a name by now.
        let Some(named) = names.get(&item.trace).copied() else {
            all.push(Vec::new());
            continue;
        };
        let reach = reaches.get(&item.trace).copied();
        let reach = reach.filter(|reach| reach.first == place && item.parent.is_some());
        all.push(of_item(item, named, reach, teller)?);
    }
    Ok(all)
}

/// How far each trace is known to reach.
fn reaches(items: &[Item]) -> HashMap<TraceId, Reach> {
    let own: HashSet<(TraceId, SpanId)> = items.iter().map(|item| (item.trace, item.id)).collect();
    let mut reaches: HashMap<TraceId, Reach> = HashMap::new();
    for (place, item) in items.iter().enumerate() {
        let is_top = item
            .parent
            .is_none_or(|parent| !own.contains(&(item.trace, parent)));
        let reach = reaches.entry(item.trace).or_insert(Reach {
            first: place,
            start: item.start,
            end: item.end,
        });
        let first = items.get(reach.first);
        let first_is_top = first.is_some_and(|first| {
            first
                .parent
                .is_none_or(|parent| !own.contains(&(first.trace, parent)))
        });
        let is_earlier = first.is_some_and(|first| item.start < first.start);
        if is_top && (!first_is_top || is_earlier) {
            reach.first = place;
        }
        reach.start = reach.start.min(item.start);
        reach.end = reach.end.max(item.end);
    }
    reaches
}

/// What one span tells.
fn of_item(item: Item, named: Named, reach: Option<Reach>, teller: &Teller) -> Result<Vec<Write>> {
    let Item {
        trace,
        id,
        parent,
        start,
        end,
        scope,
        origin,
        span,
    } = item;
    let name = span.name.clone();
    let mut meaning = meaning::read(span, start);
    let entry = identity(meaning.ids, named, (trace, id, parent));
    let of_trace = std::mem::take(&mut meaning.of_trace);
    let environment = meaning.environment.take().or_else(|| origin.environment.clone());
    mark(&mut meaning.metadata, (trace, id), &scope, &origin);
    let trace_put =
        |way, told, fields| teller.put(named.project, (Kind::Trace, entry.trace), (way, told), fields);
    let mut writes = Vec::with_capacity(3);
    let thread = of_trace.thread.clone();
    let is_own = meaning.ids.trace.is_none();
    if is_own && parent.is_none() {
        let fields = of_root(&meaning, &origin, (start, end), &name, environment.clone())?;
        writes.push(trace_put(Way::Report, teller.now, Fields { thread, ..fields }));
    } else {
        let reach = reach.filter(|_| is_own).map(|reach| of_reach(reach, &name));
        let reach = reach.into_iter().flatten();
        writes.extend(reach.map(|(told, fields)| trace_put(Way::Report, told, fields)));
        if thread.is_some() {
            let fields = Fields {
                thread,
                ..Fields::default()
            };
            writes.push(trace_put(Way::Report, teller.now, fields));
        }
    }
    if let Some(fields) = explicit(of_trace)? {
        // What is said of the trace by name outranks what its first span says of itself, and yields to people.
        writes.push(trace_put(Way::Change, start, fields));
    }
    let fields = Fields {
        trace_id: Some(entry.trace),
        parent_span_id: entry.parent,
        name: Some(name),
        start: Some(start),
        end,
        environment,
        ..of_span(meaning)?
    };
    writes.push(teller.put(
        named.project,
        (Kind::Span, entry.own),
        (Way::Report, teller.now),
        fields,
    ));
    Ok(writes)
}

impl Teller {
    /// What is told of one entry.
    fn put(
        &self,
        project: Uuid,
        (kind, id): (Kind, Uuid),
        (origin, told): (Way, Timestamp),
        fields: Fields,
    ) -> Write {
        Write::Put(Box::new(Put {
            kind,
            workspace: self.workspace.clone(),
            project,
            id,
            origin,
            told,
            by: self.user.clone(),
            fields,
            tags: TagChange::default(),
        }))
    }
}

/// The ids of a span, its trace and its parent.
struct Identity {
    trace: Uuid,
    own: Uuid,
    parent: Option<Uuid>,
}

fn identity(told: Ids, named: Named, (trace, own, parent): (TraceId, SpanId, Option<SpanId>)) -> Identity {
    let parent = match told.trace {
        // A span that joins a trace of Opik's is in the span that it names, or in none.
        Some(_) => told.parent,
        None => parent.map(|parent| ids::span(named.id, &trace, parent)),
    };
    Identity {
        trace: told.trace.unwrap_or(named.id),
        own: told.own.unwrap_or_else(|| ids::span(named.id, &trace, own)),
        parent,
    }
}

/// Notes where a span comes from, and under which ids it is known elsewhere.
fn mark(metadata: &mut Map<String, Value>, (trace, id): (TraceId, SpanId), scope: &str, origin: &Origin) {
    let mut note = |name: &str, value: String| {
        metadata.entry(name).or_insert(Value::String(value));
    };
    note("otel.trace_id", hex(&trace));
    note("otel.span_id", hex(&id));
    if !scope.is_empty() {
        note("otel.scope.name", scope.to_owned());
    }
    if let Some(service) = &origin.service {
        note("service.name", service.clone());
    }
}

/// What a first span tells of its trace.
fn of_root(
    meaning: &Meaning,
    origin: &Origin,
    (start, end): (Timestamp, Option<Timestamp>),
    name: &str,
    environment: Option<String>,
) -> Result<Fields> {
    let mut metadata = meaning.metadata.clone();
    if !origin.resource.is_empty() {
        let resource = Value::Object(origin.resource.clone());
        metadata.entry("otel.resource").or_insert(resource);
    }
    Ok(Fields {
        name: Some(name.to_owned()),
        start: Some(start),
        end,
        input: meaning.input.as_ref().map(json).transpose()?,
        output: meaning.output.as_ref().map(json).transpose()?,
        metadata: Some(json(&Value::Object(metadata))?),
        tags: meaning.tags.clone(),
        error: meaning.error.as_ref().map(json).transpose()?,
        source: Some("sdk".to_owned()),
        environment,
        ..Fields::default()
    })
}

/// What is told of a trace while its first span is not: the earlier the start and the later the end, the higher it
/// ranks among its like, and all of it below what a first span tells.
fn of_reach(reach: Reach, name: &str) -> [(Timestamp, Fields); 2] {
    let told = Timestamp::from_microsecond(reach.start.as_microsecond().saturating_neg());
    let start = Fields {
        name: Some(name.to_owned()),
        start: Some(reach.start),
        source: Some("sdk".to_owned()),
        ..Fields::default()
    };
    // Of what ranks alike the larger wins.
    let end = Fields {
        end: reach.end,
        ..Fields::default()
    };
    [
        (told.unwrap_or(Timestamp::UNIX_EPOCH), start),
        (Timestamp::UNIX_EPOCH, end),
    ]
}

/// What a span says of its trace by name.
fn explicit(told: OfTrace) -> Result<Option<Fields>> {
    let OfTrace {
        thread: _,
        name,
        input,
        output,
        tags,
    } = told;
    if name.is_none() && input.is_none() && output.is_none() && tags.is_none() {
        return Ok(None);
    }
    Ok(Some(Fields {
        name,
        input: input.as_ref().map(json).transpose()?,
        output: output.as_ref().map(json).transpose()?,
        tags,
        ..Fields::default()
    }))
}

fn of_span(meaning: Meaning) -> Result<Fields> {
    Ok(Fields {
        sort: Some(meaning.sort.to_owned()),
        input: meaning.input.as_ref().map(json).transpose()?,
        output: meaning.output.as_ref().map(json).transpose()?,
        metadata: Some(json(&Value::Object(meaning.metadata))?),
        tags: meaning.tags,
        error: meaning.error.as_ref().map(json).transpose()?,
        model: meaning.model,
        provider: meaning.provider,
        usage: meaning.usage,
        cost: meaning.cost,
        first_token_ms: meaning.first_token_ms,
        source: Some("sdk".to_owned()),
        ..Fields::default()
    })
}

fn json(value: &Value) -> Result<Json> {
    let text = serde_json::to_string(value).and_then(RawValue::from_string);
    text.map_err(|error| Error::internal("a value could not be written as JSON").because(error))
}
