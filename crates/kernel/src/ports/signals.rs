//! What programs log and measure: lines of logs, and points of metrics.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Page;
use crate::{Result, Timestamp};

/// Stores logs and metrics and answers questions about them.
#[async_trait]
pub trait Signals: Send + Sync {
    /// Stores lines; durable and readable when it returns. One with a `uid` that is there already is passed over.
    async fn log(&self, workspace: &str, records: Vec<LogRecord>) -> Result<()>;

    /// Lines that match, newest first, or oldest first of those that came after a place.
    async fn logs(&self, query: LogQuery) -> Result<Page<LogRow>>;

    /// Stores points; durable and readable when it returns. A point at the time of another one of its series takes its
    /// place.
    async fn measure(&self, workspace: &str, points: Vec<Measured>) -> Result<()>;

    /// The metrics that there are, by name.
    async fn known_metrics(&self, query: MetricQuery) -> Result<Vec<MetricRow>>;

    /// The points of the series of a metric, each in order of time.
    ///
    /// # Errors
    /// `TooLarge` when there are more than [`MetricQuery::limit`].
    async fn points(&self, query: MetricQuery) -> Result<Vec<Series>>;

    /// Removes a workspace's lines and points of before these times; answers how many of each are gone.
    async fn retire(
        &self,
        of: &str,
        lines: Option<Timestamp>,
        points: Option<Timestamp>,
    ) -> Result<(u64, u64)>;
}

/// A line of a log (<https://opentelemetry.io/docs/specs/otel/logs/data-model/>).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LogRecord {
    /// When it was written.
    pub time: Timestamp,
    /// How grave it is: 1 to 4 trace, to 8 debug, to 12 info, to 16 warn, to 20 error, to 24 fatal; 0 when not told.
    pub severity: u8,
    /// The same in the program's own word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub level: String,
    /// What it says.
    pub body: Value,
    /// What else it tells.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub attributes: Map<String, Value>,
    /// The name of the event, where it is one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub event: String,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub resource: Map<String, Value>,
    /// The service's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub service: String,
    /// What wrote it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The trace it was written in, 32 hex digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trace_id: String,
    /// The span it was written in, 16 hex digits.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub span_id: String,
    /// An id of its own (`log.record.uid`), by which it is stored once; empty when it has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
}

/// A line as it is read back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogRow {
    /// Its place, for [`LogQuery::after`] and [`LogQuery::came_after`].
    pub id: String,
    /// The project of Stead.
    pub project: String,
    /// What it is.
    #[serde(flatten)]
    pub record: LogRecord,
}

/// Which lines.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogQuery {
    /// Of these projects of Stead.
    pub workspaces: Vec<String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// At least so grave.
    pub severity: Option<u8>,
    /// Of this service.
    pub service: Option<String>,
    /// Of this trace.
    pub trace: Option<String>,
    /// Of this span.
    pub span: Option<String>,
    /// With this text in what it says or in its attributes; any case.
    pub text: Option<String>,
    /// Where the last page ended.
    pub after: Option<String>,
    /// Only those that came after this place, in the order in which they came.
    pub came_after: Option<String>,
    /// At most so many; 0 means 100.
    pub limit: usize,
}

/// What sort of metric it is (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/>).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum MetricKind {
    /// A value that goes up and down.
    #[default]
    Gauge,
    /// A sum that only grows.
    Counter,
    /// A sum that also shrinks.
    Sum,
    /// How often values fell between bounds that were told.
    Histogram,
    /// How often values fell between bounds that grow by a factor.
    ExponentialHistogram,
    /// Quantiles that the program reckoned itself.
    Summary,
}

impl MetricKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Gauge,
        Self::Counter,
        Self::Sum,
        Self::Histogram,
        Self::ExponentialHistogram,
        Self::Summary,
    ];
}

/// From when on a sum or a histogram counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Temporality {
    /// Each point from the same start on.
    #[default]
    Cumulative,
    /// Each point from the one before on.
    Delta,
}

/// A metric.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metric {
    /// The name.
    pub name: String,
    /// What sort it is.
    pub kind: MetricKind,
    /// From when on it counts.
    pub temporality: Temporality,
    /// In what it is measured, in UCUM's words (<https://ucum.org>).
    pub unit: String,
    /// What it is.
    pub description: String,
}

/// A point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The metric.
    pub metric: Metric,
    /// What tells its series from others: the point's attributes, and those of the resource.
    pub labels: BTreeMap<String, String>,
    /// When it was measured.
    pub time: Timestamp,
    /// What was measured.
    pub value: PointValue,
}

/// What was measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum PointValue {
    /// A number, and since when it counts.
    Number(f64, Option<Timestamp>),
    /// A distribution.
    Distribution(Box<Distribution>),
    /// Quantiles: fraction and value, count and sum.
    Summary(Vec<(f64, f64)>, u64, f64),
}

/// How values are distributed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Distribution {
    /// Since when it counts.
    pub start: Option<Timestamp>,
    /// How many values there were.
    pub count: u64,
    /// Their sum, where that is told.
    pub sum: Option<f64>,
    /// The smallest.
    pub min: Option<f64>,
    /// The largest.
    pub max: Option<f64>,
    /// Where they fell.
    pub buckets: Buckets,
}

/// Where values fell.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Buckets {
    /// Between bounds, in order: the first count is up to the first bound, the last one above the last.
    Explicit {
        /// The bounds.
        bounds: Vec<f64>,
        /// The counts, one more than bounds.
        counts: Vec<u64>,
    },
    /// Between powers of `2^(2^-scale)`: the count at `i` is above the power `offset + i`, up to the next.
    Exponential {
        /// How fine they are.
        scale: i32,
        /// Values that count as zero.
        zero: u64,
        /// Up to which a value counts as zero.
        zero_threshold: f64,
        /// The offset and the counts of positive values.
        positive: (i32, Vec<u64>),
        /// The offset and the counts of negative ones, by how far they are from zero.
        negative: (i32, Vec<u64>),
    },
}

impl Default for Buckets {
    fn default() -> Self {
        Self::Explicit {
            bounds: Vec::new(),
            counts: Vec::new(),
        }
    }
}

/// Which metrics, or points.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MetricQuery {
    /// Of these projects of Stead.
    pub workspaces: Vec<String>,
    /// Of this name.
    pub name: Option<String>,
    /// Of series with these labels.
    pub labels: BTreeMap<String, String>,
    /// At or after.
    pub since: Option<Timestamp>,
    /// Before.
    pub until: Option<Timestamp>,
    /// At most so many points; 0 means 1,000,000.
    pub limit: usize,
}

/// A metric that there is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricRow {
    /// The metric.
    #[serde(flatten)]
    pub metric: Metric,
    /// How many series it has.
    pub series: u64,
    /// The labels of its series, each with its values.
    pub labels: BTreeMap<String, Vec<String>>,
}

/// A series with its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// The project of Stead.
    pub project: String,
    /// The metric.
    pub metric: Metric,
    /// What tells it from others.
    pub labels: BTreeMap<String, String>,
    /// Its points, in order of time.
    pub points: Vec<(Timestamp, PointValue)>,
}
