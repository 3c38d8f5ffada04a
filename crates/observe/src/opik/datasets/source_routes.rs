//! `/v1/private/datasets/{id}/items/from-traces`, `…/from-spans`: items made of what was traced.

use axum::{
    Router,
    extract::{Path, State},
    http::StatusCode,
    routing::post,
};
use serde::Deserialize;
use serde_json::{Map, Value};
use stead_kernel::{
    Error, Result as KernelResult,
    ports::traces::{Count, Entry, Json as Raw, Kind, Query},
};
use uuid::Uuid;

use super::{
    Datasets,
    convert::batch,
    plan::{Change, Seed},
    shape::ItemWrite,
};
use crate::opik::{
    Caller, Opik,
    desk::{checked_batch, who},
    entries::{comments_of, shown_scores},
    wire::{Json, OpikError},
};

/// The most spans of a trace that are taken along.
const SPANS: usize = 1_000;

/// `CreateDatasetItemsFromTracesRequest` and `CreateDatasetItemsFromSpansRequest`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Sources {
    trace_ids: Vec<Uuid>,
    span_ids: Vec<Uuid>,
    enrichment_options: Wanted,
    evaluators: Option<Value>,
    execution_policy: Option<Value>,
}

/// `TraceEnrichmentOptions` and `SpanEnrichmentOptions`: what is taken along besides input and output.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "one for each part")]
struct Wanted {
    #[serde(alias = "include_spans")]
    include_spans: bool,
    #[serde(alias = "include_tags")]
    include_tags: bool,
    #[serde(alias = "include_feedback_scores")]
    include_feedback_scores: bool,
    #[serde(alias = "include_comments")]
    include_comments: bool,
    #[serde(alias = "include_usage")]
    include_usage: bool,
    #[serde(alias = "include_metadata")]
    include_metadata: bool,
}

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/datasets/{id}/items/from-traces", post(from_traces))
        .route("/v1/private/datasets/{id}/items/from-spans", post(from_spans))
}

async fn from_traces(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(sources): Json<Sources>,
) -> Result<StatusCode, OpikError> {
    let ids = sources.trace_ids.clone();
    store(&opik, &caller, id, Kind::Trace, ids, sources).await
}

async fn from_spans(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(sources): Json<Sources>,
) -> Result<StatusCode, OpikError> {
    let ids = sources.span_ids.clone();
    store(&opik, &caller, id, Kind::Span, ids, sources).await
}

/// Makes an item of each; what is not there is passed over.
async fn store(
    opik: &Opik,
    caller: &Caller,
    dataset: Uuid,
    kind: Kind,
    ids: Vec<Uuid>,
    sources: Sources,
) -> Result<StatusCode, OpikError> {
    checked_batch(ids.len(), "ids")?;
    let (who, datasets) = (who(opik, caller), Datasets::new(&opik.ports.records));
    let dataset = datasets.get(&caller.workspace, &dataset.to_string()).await?;
    let mut writes = Vec::new();
    for entry in opik.ports.traces.entries_of(kind, &caller.workspace, ids).await? {
        let spans = match (kind, sources.enrichment_options.include_spans) {
            (Kind::Trace, true) => spans(opik, caller, entry.id).await?,
            _ => Vec::new(),
        };
        writes.push(ItemWrite {
            trace_id: Some(entry.fields.trace_id.unwrap_or(entry.id).to_string()),
            span_id: (kind == Kind::Span).then(|| entry.id.to_string()),
            source: Some(kind.as_str().to_owned()),
            data: Some(Value::Object(data(&entry, sources.enrichment_options, &spans)?)),
            evaluators: sources.evaluators.clone(),
            execution_policy: sources.execution_policy.clone(),
            ..ItemWrite::default()
        });
    }
    if writes.is_empty() {
        return Err(OpikError::not_found(
            "none of the ids is of something that was traced here",
        ));
    }
    let change = Change {
        upserts: batch(&who, dataset.id(), writes)?,
        ..Change::default()
    };
    datasets
        .items
        .change(&who, dataset.id(), &Seed::default(), None, &change)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn spans(opik: &Opik, caller: &Caller, trace: Uuid) -> KernelResult<Vec<Entry>> {
    let query = Query {
        workspace: caller.workspace.clone(),
        trace: Some(trace),
        limit: SPANS,
        count: Count::None,
        ..Query::default()
    };
    let mut found = opik.ports.traces.entries(Kind::Span, query).await?.items;
    found.reverse();
    Ok(found)
}

/// The columns of an item: what went in, what came out as what is expected, and what else is wanted.
fn data(entry: &Entry, wanted: Wanted, spans: &[Entry]) -> KernelResult<Map<String, Value>> {
    let fields = &entry.fields;
    let mut data = Map::new();
    let mut put = |name: &str, value: Value| data.insert(name.to_owned(), value);
    for (name, json) in [("input", &fields.input), ("expected_output", &fields.output)] {
        if let Some(json) = json {
            put(name, parsed(json)?);
        }
    }
    if let (true, Some(metadata)) = (wanted.include_metadata, &fields.metadata) {
        put("metadata", parsed(metadata)?);
    }
    if let (true, Some(tags)) = (wanted.include_tags, &fields.tags) {
        put("tags", tags.clone().into());
    }
    if wanted.include_feedback_scores && !entry.scores.is_empty() {
        put("feedback_scores", shown_scores(&entry.scores).into());
    }
    if wanted.include_comments && !entry.comments.is_empty() {
        put("comments", comments_of(&entry.comments).into());
    }
    let usage = fields
        .usage
        .as_ref()
        .or_else(|| entry.spans.as_ref().map(|spans| &spans.usage));
    if let (true, Some(usage)) = (wanted.include_usage, usage.filter(|usage| !usage.is_empty())) {
        put("usage", serde_json::json!(usage));
    }
    if !spans.is_empty() {
        let within = Wanted {
            include_spans: false,
            ..wanted
        };
        let told = spans.iter().map(|span| {
            let mut told = data_of_span(span, within)?;
            told.insert("name".into(), span.fields.name.clone().into());
            told.insert("type".into(), span.fields.sort.clone().into());
            Ok(Value::Object(told))
        });
        put("spans", Value::Array(told.collect::<KernelResult<_>>()?));
    }
    Ok(data)
}

fn data_of_span(span: &Entry, wanted: Wanted) -> KernelResult<Map<String, Value>> {
    let mut told = data(span, wanted, &[])?;
    if let Some(output) = told.remove("expected_output") {
        told.insert("output".into(), output);
    }
    Ok(told)
}

fn parsed(json: &Raw) -> KernelResult<Value> {
    serde_json::from_str(json.get())
        .map_err(|error| Error::internal("what was traced is damaged").because(error))
}
