//! `/api/metrics`: which metrics there are, and their values over time.

mod query;
mod spread;

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{RawQuery, State},
    routing::get,
};
use http::Extensions;
use jiff::SignedDuration;
use serde::Serialize;
use stead_kernel::{
    Error, Identity, Result, Timestamp,
    http::ApiError,
    ports::signals::{Metric, MetricQuery, MetricRow},
};

use self::query::{Aggregate, By, Line, Range};
use crate::{opik::Opik, routes::Parameters, traces::Desk};

/// How far back it goes when nobody says.
const BACK: SignedDuration = SignedDuration::from_hours(1);
/// How far before it points are looked for that cumulative ones go on from, in microseconds.
const BEFORE: i64 = 300_000_000;
/// At most so many stretches of time.
const MOST: i64 = 11_000;
/// About so many when nobody says how long one is.
const ABOUT: i64 = 60;

/// The routes.
pub(crate) fn routes(opik: &Opik) -> Router {
    Router::new()
        .route("/api/metrics", get(list))
        .route("/api/metrics/query", get(values))
        .with_state(Desk::new(opik))
}

/// The metrics that there are.
#[derive(Debug, Serialize)]
struct Known {
    items: Vec<MetricRow>,
}

/// The values of a metric.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Values {
    metric: Option<Metric>,
    since: Timestamp,
    until: Timestamp,
    /// How long a stretch of time is, in seconds.
    step: i64,
    items: Vec<Line>,
}

async fn list(
    State(desk): State<Desk>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> std::result::Result<Json<Known>, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref(), "projects since name")?;
    let principal = Identity::require(&extensions)?;
    let query = MetricQuery {
        workspaces: desk
            .workspaces(&principal, "metrics", parameters.list("projects"))
            .await?,
        since: parameters.time("since", desk.ports.clock.now())?,
        name: parameters.text("name")?,
        ..MetricQuery::default()
    };
    let items = desk.ports.signals.known_metrics(query).await?;
    Ok(Json(Known { items }))
}

async fn values(
    State(desk): State<Desk>,
    extensions: Extensions,
    RawQuery(query): RawQuery,
) -> std::result::Result<Json<Values>, ApiError> {
    let mut parameters = Parameters::parse(query.as_deref(), "projects since until name match step agg by")?;
    let principal = Identity::require(&extensions)?;
    let now = desk.ports.clock.now();
    let until = parameters.time("until", now)?.unwrap_or(now);
    let since = parameters.time("since", now)?;
    let since = since.or_else(|| until.checked_sub(BACK).ok()).unwrap_or(until);
    let range = range(since, until, parameters.text("step")?.as_deref())?;
    let aggregate = parameters.text("agg")?.map(|text| aggregate(&text)).transpose()?;
    let by = match parameters.text("by")?.as_deref() {
        None => By::Series,
        Some(names) => By::Labels(
            names
                .split(',')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
        ),
    };
    let name = parameters
        .text("name")?
        .ok_or_else(|| Error::invalid("name: which metric?").hint("see what there is at /api/metrics"))?;
    let query = MetricQuery {
        workspaces: desk
            .workspaces(&principal, "metrics", parameters.list("projects"))
            .await?,
        name: Some(name),
        labels: labels(&parameters.list("match"))?,
        since: Timestamp::from_microsecond(range.since.saturating_sub(BEFORE.max(range.step))).ok(),
        until: Some(until),
        limit: 0,
    };
    let series = desk.ports.signals.points(query).await?;
    let metric = series.first().map(|series| series.metric.clone());
    let aggregate = aggregate.or(metric.as_ref().map(|metric| Aggregate::of(metric.kind)));
    let aggregate = aggregate.unwrap_or(Aggregate::Avg);
    let read = tokio::task::spawn_blocking(move || query::run(&series, range, aggregate, &by)).await;
    let items = read.map_err(|error| Error::internal("reading points was cut off").because(error))??;
    Ok(Json(Values {
        metric,
        since,
        until,
        step: range.step / 1_000_000,
        items,
    }))
}

/// Which time, in stretches of whole seconds.
fn range(since: Timestamp, until: Timestamp, step: Option<&str>) -> Result<Range> {
    let seconds = until.as_second().saturating_sub(since.as_second());
    if seconds < 0 {
        return Err(Error::invalid("until: it is before since"));
    }
    let step = match step {
        None => (seconds / ABOUT).max(1),
        Some(text) => {
            let step = text.trim_end_matches('s').parse().ok();
            let step = step.filter(|step| (1..=604_800).contains(step));
            step.ok_or_else(|| Error::invalid(format!("step: {text:?} is no number of seconds")))?
        }
    };
    if seconds / step > MOST {
        return Err(
            Error::invalid(format!("step: that would be more than {MOST} values"))
                .hint("ask for longer stretches, or for less time"),
        );
    }
    Ok(Range {
        since: since.as_microsecond(),
        until: until.as_microsecond(),
        step: step * 1_000_000,
    })
}

fn aggregate(text: &str) -> Result<Aggregate> {
    Aggregate::parse(text).ok_or_else(|| {
        Error::invalid(format!("agg: there is no {text:?}"))
            .hint("there are avg, min, max, last, sum, rate, increase, count, p95 and quantile:0.95")
    })
}

/// `name=value`, several.
fn labels(told: &[String]) -> Result<BTreeMap<String, String>> {
    let pairs = told.iter().map(|pair| {
        let (name, value) = pair
            .split_once('=')
            .ok_or_else(|| Error::invalid(format!("match: {pair:?} is no label=value")))?;
        Ok((name.to_owned(), value.to_owned()))
    });
    pairs.collect()
}
