//! Lists, searches, statistics, and whether there is anything.

use axum::{
    Json as Reply, Router,
    extract::State,
    response::Response,
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use stead_kernel::{
    Timestamp,
    ports::traces::{self, Bucket, Count, Counted, Detail, Filter, Kind, Operator},
};
use uuid::Uuid;

use super::{
    fields::{known, sortable},
    shown::{Part, Shown},
    stats::of_sums,
};
use crate::opik::{
    Caller, Opik, annotation_queues,
    wire::{Json, OpikError, PageOf, Paging, Query, Written, filters, from_text, ndjson, order, typed},
};

/// So many items a stream has when no limit is asked for, and at most.
const STREAM: usize = 500;
const LONGEST_STREAM: usize = 2_000;

/// What a search asks for (`TraceSearchStreamRequest`, `SpanSearchStreamRequest`).
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    project_name: Option<String>,
    project_id: Option<Uuid>,
    trace_id: Option<Uuid>,
    r#type: Option<String>,
    filters: Option<Vec<Written>>,
    last_retrieved_id: Option<Uuid>,
    limit: Option<usize>,
    truncate: Option<bool>,
    exclude: Option<Vec<String>>,
    from_time: Option<String>,
    to_time: Option<String>,
}

/// The routes of one kind.
pub(super) fn routes(kind: Kind, base: &str) -> Router<Opik> {
    Router::new()
        .route(
            &format!("{base}/search"),
            post(
                move |caller: Caller, state: State<Opik>, body: Json<Option<Asked>>| {
                    search(kind, caller, state, body)
                },
            ),
        )
        .route(
            &format!("{base}/stats"),
            get(move |caller: Caller, state: State<Opik>, query: Query| stats(kind, caller, state, query)),
        )
        .route(
            &format!("{base}/exists"),
            get(move |caller: Caller, state: State<Opik>, query: Query| exists(kind, caller, state, query)),
        )
}

/// How many items a stream has, within bounds.
pub(in crate::opik) fn stream_limit(asked: Option<usize>) -> Result<usize, OpikError> {
    match asked.unwrap_or(STREAM) {
        limit @ 1..=LONGEST_STREAM => Ok(limit),
        _ => Err(OpikError::unprocessable(format!(
            "limit must be between 1 and {LONGEST_STREAM}"
        ))),
    }
}

async fn search(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    Json(asked): Json<Option<Asked>>,
) -> Result<Response, OpikError> {
    let asked = asked.unwrap_or_default();
    let project = lookup(&opik, &caller, asked.project_name.as_deref(), asked.project_id).await?;
    let mut filters = typed(asked.filters.unwrap_or_default(), known(kind))?;
    annotation_queues::resolve(&opik, &caller, &mut filters).await?;
    filters.extend(
        asked
            .r#type
            .map(|sort| Filter::new("type", "", Operator::Equal, sort)),
    );
    let part = Part {
        slim: asked.truncate.unwrap_or(true),
        without: asked.exclude.unwrap_or_default(),
    };
    let query = traces::Query {
        workspace: caller.workspace,
        project: Some(project),
        trace: asked.trace_id.filter(|_| kind == Kind::Span),
        since: asked.from_time.as_deref().map(from_text).transpose()?,
        until: asked.to_time.as_deref().map(from_text).transpose()?,
        filters,
        after: asked.last_retrieved_id,
        limit: stream_limit(asked.limit)?,
        count: Count::None,
        detail: part.detail(),
        ..traces::Query::default()
    };
    let found = opik.ports.traces.entries(kind, query).await?;
    ndjson(found.items.iter().map(|entry| Shown { entry, part: &part }))
}

/// The project that a question names, which must be there.
pub(in crate::opik) async fn lookup(
    opik: &Opik,
    caller: &Caller,
    name: Option<&str>,
    id: Option<Uuid>,
) -> Result<Uuid, OpikError> {
    let found = opik.projects.to_read(&caller.workspace, name, id).await?;
    found.ok_or_else(|| {
        OpikError::invalid("Either 'project_name' or 'project_id' query params must be provided")
    })
}

/// What a request's address asks for, without order and page.
async fn query_of(
    kind: Kind,
    opik: &Opik,
    caller: &Caller,
    query: &Query,
) -> Result<traces::Query, OpikError> {
    let project = lookup(opik, caller, query.text("project_name"), query.id("project_id")?).await?;
    let mut filters = filters(query.text("filters"), known(kind))?;
    annotation_queues::resolve(opik, caller, &mut filters).await?;
    if kind == Kind::Span {
        filters.extend(
            query
                .text("type")
                .map(|sort| Filter::new("type", "", Operator::Equal, sort)),
        );
    }
    let time =
        |name: &str| -> Result<Option<Timestamp>, OpikError> { query.text(name).map(from_text).transpose() };
    Ok(traces::Query {
        workspace: caller.workspace.clone(),
        project: Some(project),
        trace: query.id("trace_id")?.filter(|_| kind == Kind::Span),
        since: time("from_time")?,
        until: time("to_time")?,
        filters,
        search: query.text("search").map(str::to_owned),
        limit: usize::MAX,
        ..traces::Query::default()
    })
}

/// `GET /v1/private/traces` and `/spans`.
pub(super) async fn list(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Box<RawValue>>>, OpikError> {
    let paging = Paging::of(&query, 10)?;
    let without: Option<Vec<String>> = query
        .text("exclude")
        .map(serde_json::from_str)
        .transpose()
        .map_err(|error| OpikError::invalid(format!("Invalid exclude query parameter: {error}")))?;
    let part = Part {
        slim: query.flag("truncate"),
        without: without.unwrap_or_default(),
    };
    let asked = traces::Query {
        order: order(query.text("sorting"), known(kind))?,
        offset: paging.offset(),
        limit: paging.size,
        detail: part.detail(),
        ..query_of(kind, &opik, &caller, &query).await?
    };
    let found = opik.ports.traces.entries(kind, asked).await?;
    let shown = found
        .items
        .iter()
        .map(|entry| serde_json::value::to_raw_value(&Shown { entry, part: &part }));
    let items = shown.collect::<Result<Vec<_>, _>>().map_err(stead_kernel_error)?;
    Ok(Reply(paging.around(items, found.total, sortable(kind))))
}

fn stead_kernel_error(error: serde_json::Error) -> OpikError {
    stead_kernel::Error::internal("an entry could not be written")
        .because(error)
        .into()
}

async fn stats(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let of = if kind == Kind::Trace {
        Counted::Traces
    } else {
        Counted::Spans
    };
    let asked = query_of(kind, &opik, &caller, &query).await?;
    let sums = opik.ports.traces.sums(of, asked, Bucket::Whole).await?;
    let sums = sums.into_iter().next().map(|(_, sums)| sums).unwrap_or_default();
    Ok(Reply(of_sums(of, &sums)))
}

async fn exists(
    kind: Kind,
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<Value>, OpikError> {
    let project = opik
        .projects
        .to_read(
            &caller.workspace,
            query.text("project_name"),
            query.id("project_id")?,
        )
        .await?;
    let mut filters = Vec::new();
    filters.extend(
        query
            .text("source")
            .map(|source| Filter::new("source", "", Operator::Equal, source)),
    );
    if query.flag("thread_only") {
        filters.push(Filter::new("thread_id", "", Operator::IsNotEmpty, ""));
    }
    let asked = traces::Query {
        workspace: caller.workspace,
        project,
        filters,
        limit: 1,
        count: Count::None,
        detail: Detail::Outline,
        ..traces::Query::default()
    };
    let found = opik.ports.traces.entries(kind, asked).await?;
    Ok(Reply(json!({"exists": !found.items.is_empty()})))
}
