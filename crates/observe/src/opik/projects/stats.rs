//! What the traces of projects come to: statistics, metrics over time, and cards of key figures.

use axum::{
    Json as Reply, Router,
    extract::{Path, State},
    routing::{get, post},
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use stead_kernel::{
    Timestamp,
    ports::traces::{self, Bucket, Counted, Filter, Sums},
};
use uuid::Uuid;

use super::breakdown::{Breakdown, Line};
use crate::opik::{
    Caller, Opik,
    entries::{average, known_of, percentages, scored_names},
    wire::{Json, OpikError, PageOf, Paging, Query, Written, filters, from_text, text, typed},
};

/// The routes.
pub(super) fn routes() -> Router<Opik> {
    Router::new()
        .route("/v1/private/projects/stats", get(stats))
        .route("/v1/private/projects/feedback-scores/names", get(names))
        .route("/v1/private/projects/{id}/token-usage/names", get(usage_names))
        .route("/v1/private/projects/{id}/metrics", post(metrics))
        .route("/v1/private/projects/{id}/kpi-cards", post(cards))
}

fn all_of(workspace: &str, project: Uuid) -> traces::Query {
    traces::Query {
        workspace: workspace.to_owned(),
        project: Some(project),
        limit: usize::MAX,
        ..traces::Query::default()
    }
}

async fn whole(opik: &Opik, of: Counted, query: traces::Query) -> Result<Sums, OpikError> {
    let sums = opik.ports.traces.sums(of, query, Bucket::Whole).await?;
    Ok(sums.into_iter().next().map(|(_, sums)| sums).unwrap_or_default())
}

/// What a project's traces come to, in the words of `ProjectStatsSummaryItem`.
pub(super) async fn summary(
    opik: &Opik,
    workspace: &str,
    project: Uuid,
) -> Result<Map<String, Value>, OpikError> {
    let sums = whole(opik, Counted::Traces, all_of(workspace, project)).await?;
    let scores: Vec<Value> = sums
        .scores
        .iter()
        .map(|(name, (sum, times))| json!({"name": name, "value": average(*sum, *times)}))
        .collect();
    #[expect(clippy::cast_precision_loss, reason = "counts of tokens far below 2^53")]
    let usage: Map<String, Value> = sums
        .usage
        .iter()
        .map(|(name, (sum, times))| (name.clone(), average(*sum as f64, *times).into()))
        .collect();
    let summary = json!({
        "feedback_scores": scores,
        "duration": percentages(&sums.durations),
        "total_estimated_cost": average(sums.cost, sums.priced),
        "total_estimated_cost_sum": sums.cost,
        "usage": usage,
        "trace_count": sums.count,
        "thread_count": sums.threads,
        "error_count": {"count": sums.errors},
    });
    match summary {
        Value::Object(summary) => Ok(summary),
        _ => Ok(Map::new()),
    }
}

async fn stats(
    caller: Caller,
    State(opik): State<Opik>,
    query: Query,
) -> Result<Reply<PageOf<Value>>, OpikError> {
    let paging = Paging::of(&query, 10)?;
    let mut all = opik.projects.all(&caller.workspace).await?;
    if let Some(part) = query.text("name") {
        let part = part.to_lowercase();
        all.retain(|project| project.body.name.to_lowercase().contains(&part));
    }
    let page = paging.cut(all, &[]);
    let mut items = Vec::with_capacity(page.content.len());
    for project in page.content {
        let mut item = summary(&opik, &caller.workspace, project.id).await?;
        item.insert("project_id".into(), json!(project.id));
        items.push(Value::Object(item));
    }
    Ok(Reply(paging.around(items, page.total, &[])))
}

async fn names(caller: Caller, State(opik): State<Opik>, query: Query) -> Result<Reply<Value>, OpikError> {
    let ids = query.text("project_ids").unwrap_or_default();
    let ids = ids
        .split(',')
        .map(str::trim)
        .filter(|id| !id.is_empty())
        .map(str::parse);
    let ids: Vec<Uuid> = ids
        .collect::<Result<_, _>>()
        .map_err(|_| OpikError::invalid("invalid query param project_ids"))?;
    scored_names(&opik, Counted::Traces, &caller, &ids).await
}

async fn usage_names(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
) -> Result<Reply<Value>, OpikError> {
    opik.projects.get(&caller.workspace, id).await?;
    let sums = whole(&opik, Counted::Spans, all_of(&caller.workspace, id)).await?;
    let names: Vec<&String> = sums.usage.keys().collect();
    Ok(Reply(json!({"names": names})))
}

/// Which metric over which time (`ProjectMetricRequest`).
#[derive(Debug, Deserialize)]
struct Asked {
    metric_type: String,
    #[serde(default)]
    interval: Option<String>,
    #[serde(default)]
    interval_start: Option<String>,
    #[serde(default)]
    interval_end: Option<String>,
    #[serde(default)]
    span_filters: Option<Vec<Written>>,
    #[serde(default)]
    trace_filters: Option<Vec<Written>>,
    #[serde(default)]
    thread_filters: Option<Vec<Written>>,
    #[serde(default)]
    breakdown: Option<Breakdown>,
}

/// The lines of a metric for the sums of one stretch of time.
pub(super) type Lines = fn(&Sums) -> Vec<(String, f64)>;

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

fn one(name: &str, value: f64) -> Vec<(String, f64)> {
    vec![(name.to_owned(), value)]
}

fn scores(sums: &Sums) -> Vec<(String, f64)> {
    let all = sums.scores.iter();
    all.map(|(name, (sum, times))| (name.clone(), average(*sum, *times)))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of tokens far below 2^53")]
fn usage(sums: &Sums) -> Vec<(String, f64)> {
    sums.usage
        .iter()
        .map(|(name, (sum, _))| (name.clone(), *sum as f64))
        .collect()
}

fn durations(sums: &Sums) -> Vec<(String, f64)> {
    let quantiles = [
        ("duration.p50", 0.5),
        ("duration.p90", 0.9),
        ("duration.p99", 0.99),
    ];
    let known = quantiles
        .into_iter()
        .filter_map(|(name, fraction)| Some((name.to_owned(), sums.durations.quantile_ms(fraction)?)));
    known.collect()
}

fn mean_duration(sums: &Sums) -> Vec<(String, f64)> {
    let mean = sums.durations.mean_ms();
    mean.map_or_else(Vec::new, |mean| one("avg_duration", mean))
}

fn error_rate(sums: &Sums) -> Vec<(String, f64)> {
    one("error_rate", average(number(sums.errors) * 100.0, sums.count))
}

fn cost(sums: &Sums) -> Vec<(String, f64)> {
    one("cost", sums.cost)
}

/// What a metric is of, and its lines.
fn metric(name: &str) -> Option<(Counted, Lines)> {
    use Counted::{Spans, Threads, Traces};
    let of = |counted: Counted, lines: Lines| Some((counted, lines));
    match name {
        "FEEDBACK_SCORES" => of(Traces, scores),
        "SPAN_FEEDBACK_SCORES" => of(Spans, scores),
        "THREAD_FEEDBACK_SCORES" => of(Threads, scores),
        "TRACE_COUNT" => of(Traces, |sums| one("traces", number(sums.count))),
        "SPAN_COUNT" => of(Spans, |sums| one("spans", number(sums.count))),
        "THREAD_COUNT" => of(Threads, |sums| one("threads", number(sums.count))),
        "TOKEN_USAGE" => of(Traces, usage),
        "SPAN_TOKEN_USAGE" => of(Spans, usage),
        "DURATION" => of(Traces, durations),
        "SPAN_DURATION" => of(Spans, durations),
        "THREAD_DURATION" => of(Threads, durations),
        "TRACE_AVERAGE_DURATION" => of(Traces, mean_duration),
        "SPAN_AVERAGE_DURATION" => of(Spans, mean_duration),
        "THREAD_AVERAGE_DURATION" => of(Threads, mean_duration),
        "TRACE_ERROR_RATE" => of(Traces, error_rate),
        "SPAN_ERROR_RATE" => of(Spans, error_rate),
        "COST" => of(Traces, cost),
        "SPAN_COST" => of(Spans, cost),
        "THREAD_COST" => of(Threads, cost),
        _ => None,
    }
}

/// How long a stretch of time is, in seconds; `None` for all of it.
fn stretch(interval: &str) -> Result<Option<u32>, OpikError> {
    match interval {
        "HOURLY" => Ok(Some(3_600)),
        "DAILY" => Ok(Some(86_400)),
        "WEEKLY" => Ok(Some(7 * 86_400)),
        "TOTAL" => Ok(None),
        _ => Err(OpikError::invalid(
            "interval must be one of HOURLY, DAILY, WEEKLY, TOTAL",
        )),
    }
}

async fn metrics(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<Asked>,
) -> Result<Reply<Value>, OpikError> {
    opik.projects.get(&caller.workspace, id).await?;
    let Some((of, lines)) = metric(&asked.metric_type) else {
        return Err(stead_kernel::Error::unsupported(format!(
            "there is no metric {} in this server",
            asked.metric_type
        ))
        .into());
    };
    let interval = asked.interval.as_deref().unwrap_or("DAILY");
    let length = stretch(interval)?;
    let time = |time: &Option<String>| time.as_deref().map(from_text).transpose();
    let (since, until) = (time(&asked.interval_start)?, time(&asked.interval_end)?);
    let written = match of {
        Counted::Traces => asked.trace_filters,
        Counted::Spans => asked.span_filters,
        Counted::Threads => asked.thread_filters,
    };
    let query = traces::Query {
        since,
        until,
        filters: typed(written.unwrap_or_default(), known_of(of))?,
        ..all_of(&caller.workspace, id)
    };
    let bucket = length.map_or(Bucket::Whole, Bucket::Seconds);
    let breakdown = asked.breakdown.unwrap_or_default();
    let results = if let Some(field) = breakdown.field(of)? {
        let groups = opik.ports.traces.sums_by(of, query, bucket, field).await?;
        let mut seen: Vec<Timestamp> = groups
            .iter()
            .flat_map(|(_, sums)| sums.iter().map(|(at, _)| *at))
            .collect();
        seen.sort_unstable();
        seen.dedup();
        let times = times(&seen, since, until, length);
        let lines = breakdown.lines(groups, lines);
        lines.iter().map(|line| points(line, &times, length)).collect()
    } else {
        let sums = opik.ports.traces.sums(of, query, bucket).await?;
        series(&sums, lines, (since, until, length))
    };
    Ok(Reply(json!({
        "project_id": id, "metric_type": asked.metric_type, "interval": interval, "results": results,
    })))
}

/// A line for each name, with a point for each stretch of time.
fn series(
    sums: &[(Timestamp, Sums)],
    lines: Lines,
    (since, until, length): (Option<Timestamp>, Option<Timestamp>, Option<u32>),
) -> Vec<Value> {
    let seen: Vec<Timestamp> = sums.iter().map(|(at, _)| *at).collect();
    let times = times(&seen, since, until, length);
    let mut found: Vec<Line> = Vec::new();
    for (time, sums) in sums {
        for (name, value) in lines(sums) {
            match found.iter_mut().find(|(own, _)| *own == name) {
                Some((_, values)) => values.push((*time, value)),
                None => found.push((name, vec![(*time, value)])),
            }
        }
    }
    found.iter().map(|line| points(line, &times, length)).collect()
}

/// A line with a point for each stretch of time; null where there is nothing.
fn points((name, values): &Line, times: &[Timestamp], length: Option<u32>) -> Value {
    let value = |at: Timestamp| {
        let found = values.iter().find(|(time, _)| *time == at || length.is_none());
        found.map(|(_, value)| *value)
    };
    let data: Vec<Value> = times
        .iter()
        .map(|at| json!({"time": text(*at), "value": value(*at)}))
        .collect();
    json!({"name": name, "data": data})
}

/// The most points of a line.
const POINTS: usize = 10_000;

/// When the stretches of time begin.
fn times(
    seen: &[Timestamp],
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    length: Option<u32>,
) -> Vec<Timestamp> {
    let own = || seen.to_vec();
    let (Some(length), Some(since)) = (length.map(i64::from), since) else {
        return match length {
            None => vec![since.unwrap_or_default()],
            Some(_) => own(),
        };
    };
    let first = since.as_second().div_euclid(length) * length;
    let last = until
        .or_else(|| seen.last().copied())
        .unwrap_or(since)
        .as_second();
    let seconds = (0_i64..)
        .map(|step| first + step * length)
        .take_while(|at| *at <= last);
    seconds
        .take(POINTS)
        .filter_map(|at| Timestamp::from_second(at).ok())
        .collect()
}

/// Which key figures (`KpiCardRequest`).
#[derive(Debug, Deserialize)]
struct Cards {
    entity_type: String,
    #[serde(default)]
    filters: Option<String>,
    interval_start: String,
    #[serde(default)]
    interval_end: Option<String>,
}

async fn cards(
    caller: Caller,
    State(opik): State<Opik>,
    Path(id): Path<Uuid>,
    Json(asked): Json<Cards>,
) -> Result<Reply<Value>, OpikError> {
    opik.projects.get(&caller.workspace, id).await?;
    let of = match asked.entity_type.as_str() {
        "traces" => Counted::Traces,
        "spans" => Counted::Spans,
        "threads" => Counted::Threads,
        _ => {
            return Err(OpikError::invalid(
                "entity_type must be one of traces, spans, threads",
            ));
        }
    };
    let since = from_text(&asked.interval_start)?;
    let until = match &asked.interval_end {
        Some(end) => from_text(end)?,
        None => opik.ports.clock.now(),
    };
    let filters: Vec<Filter> = filters(
        asked.filters.as_deref().filter(|text| !text.is_empty()),
        known_of(of),
    )?;
    // The stretch of the same length before it.
    let before = since
        .checked_sub(until.duration_since(since))
        .unwrap_or(Timestamp::MIN);
    let between = |since, until| traces::Query {
        since: Some(since),
        until: Some(until),
        filters: filters.clone(),
        ..all_of(&caller.workspace, id)
    };
    let now = whole(&opik, of, between(since, until)).await?;
    let then = whole(&opik, of, between(before, since)).await?;
    let duration = |sums: &Sums| sums.durations.mean_ms().unwrap_or_default();
    let card = |name: &str, current: f64, previous: f64| json!({"type": name, "current_value": current, "previous_value": previous});
    Ok(Reply(json!({"stats": [
        card("count", number(now.count), number(then.count)),
        card("errors", number(now.errors), number(then.errors)),
        card("avg_duration", duration(&now), duration(&then)),
        card("total_cost", now.cost, then.cost),
    ]})))
}
