//! Points of metrics as OpenTelemetry tells them (<https://opentelemetry.io/docs/specs/otel/metrics/data-model/>). Pure.
//!
//! A series is told from others by its point's attributes and by its resource's, of which those of the SDK are left out;
//! a point's own count before them.
//!
//! *Invariant:* a point that is not as the protocol wants it is counted as rejected, and no other one with it.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    collector::metrics::v1::ExportMetricsServiceRequest,
    common::v1::KeyValue,
    metrics::v1::{
        AggregationTemporality, ExponentialHistogramDataPoint, HistogramDataPoint, Metric as Told,
        NumberDataPoint, SummaryDataPoint, exponential_histogram_data_point::Buckets as Powers, metric::Data,
        number_data_point::Value as Number,
    },
};
use serde_json::Value;
use stead_kernel::{
    Timestamp,
    ports::signals::{Buckets, Distribution, Measured, Metric, MetricKind, PointValue, Temporality},
};

use super::{attributes::object, batch::Rejected};

/// Set on a point that says that there is no value any more.
const NO_VALUE: u32 = 1;

type Labels = BTreeMap<String, String>;

/// The points of a request that can be taken.
pub(super) fn points(request: ExportMetricsServiceRequest) -> (Vec<Measured>, Rejected) {
    let (mut all, mut rejected) = (Vec::new(), Rejected::default());
    for group in request.resource_metrics {
        let mut resource = labels(group.resource.unwrap_or_default().attributes);
        resource.retain(|name, _| !name.starts_with("telemetry.sdk."));
        for scope in group.scope_metrics {
            let name = scope.scope.unwrap_or_default().name;
            let mut common = resource.clone();
            if !name.is_empty() {
                common.insert("otel.scope.name".to_owned(), name);
            }
            for metric in scope.metrics {
                of_metric(metric, &common, &mut all, &mut rejected);
            }
        }
    }
    (all, rejected)
}

/// A point on its way in.
struct Point {
    attributes: Vec<KeyValue>,
    time: u64,
    flags: u32,
    value: Result<PointValue, &'static str>,
}

fn of_metric(told: Told, common: &Labels, all: &mut Vec<Measured>, rejected: &mut Rejected) {
    let Some(data) = told.data else { return };
    let (kind, temporality, points) = read(data);
    let metric = Metric {
        name: told.name,
        kind,
        temporality: temporality.unwrap_or_default(),
        unit: told.unit,
        description: told.description,
    };
    for point in points {
        if point.flags & NO_VALUE != 0 {
            continue;
        }
        match measured(&metric, common, point) {
            Ok(_) if metric.name.is_empty() => rejected.add(|| "a metric has no name".to_owned()),
            Ok(_) if temporality.is_none() => {
                rejected.add(|| format!("metric {:?} does not say from when on it counts", metric.name));
            }
            Ok(measured) => all.push(measured),
            Err(why) => rejected.add(|| format!("a point of metric {:?} {why}", metric.name)),
        }
    }
}

/// The kind of a metric, from when on it counts, and its points.
fn read(data: Data) -> (MetricKind, Option<Temporality>, Vec<Point>) {
    match data {
        Data::Gauge(gauge) => (
            MetricKind::Gauge,
            Some(Temporality::default()),
            gauge.data_points.into_iter().map(number).collect(),
        ),
        Data::Sum(sum) => {
            let kind = if sum.is_monotonic {
                MetricKind::Counter
            } else {
                MetricKind::Sum
            };
            let points = sum.data_points.into_iter().map(number).collect();
            (kind, temporality(sum.aggregation_temporality), points)
        }
        Data::Histogram(histogram) => (
            MetricKind::Histogram,
            temporality(histogram.aggregation_temporality),
            histogram.data_points.into_iter().map(explicit).collect(),
        ),
        Data::ExponentialHistogram(histogram) => (
            MetricKind::ExponentialHistogram,
            temporality(histogram.aggregation_temporality),
            histogram.data_points.into_iter().map(exponential).collect(),
        ),
        Data::Summary(told) => (
            MetricKind::Summary,
            Some(Temporality::default()),
            told.data_points.into_iter().map(summary).collect(),
        ),
    }
}

fn temporality(told: i32) -> Option<Temporality> {
    match AggregationTemporality::try_from(told) {
        Ok(AggregationTemporality::Cumulative) => Some(Temporality::Cumulative),
        Ok(AggregationTemporality::Delta) => Some(Temporality::Delta),
        Ok(AggregationTemporality::Unspecified) | Err(_) => None,
    }
}

fn measured(metric: &Metric, common: &Labels, point: Point) -> Result<Measured, &'static str> {
    let mut all = common.clone();
    all.extend(labels(point.attributes));
    Ok(Measured {
        metric: metric.clone(),
        labels: all,
        time: time(point.time).ok_or("tells no time")?,
        value: point.value?,
    })
}

fn time(nanos: u64) -> Option<Timestamp> {
    let time = Timestamp::from_nanosecond(i128::from(nanos)).ok()?;
    (nanos > 0).then_some(time)
}

fn labels(pairs: Vec<KeyValue>) -> Labels {
    let text = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    object(pairs).map(|(name, value)| (name, text(value))).collect()
}

fn number(point: NumberDataPoint) -> Point {
    #[expect(
        clippy::cast_precision_loss,
        reason = "values are kept as doubles, as most systems do"
    )]
    let value = match point.value {
        Some(Number::AsDouble(value)) if value.is_finite() => Ok(value),
        Some(Number::AsDouble(_)) => Err("has a value that is no number"),
        Some(Number::AsInt(value)) => Ok(value as f64),
        None => Err("has no value"),
    };
    let start = time(point.start_time_unix_nano);
    Point {
        attributes: point.attributes,
        time: point.time_unix_nano,
        flags: point.flags,
        value: value.map(|value| PointValue::Number(value, start)),
    }
}

fn explicit(point: HistogramDataPoint) -> Point {
    let (bounds, mut counts) = (point.explicit_bounds, point.bucket_counts);
    if counts.is_empty() && bounds.is_empty() {
        // Only count and sum are known.
        counts.push(point.count);
    }
    let is_whole = counts.len() == bounds.len() + 1
        && bounds.is_sorted_by(|own, next| own < next)
        && bounds.iter().all(|bound| bound.is_finite());
    let distribution = Distribution {
        start: time(point.start_time_unix_nano),
        count: point.count,
        sum: finite(point.sum),
        min: finite(point.min),
        max: finite(point.max),
        buckets: Buckets::Explicit { bounds, counts },
    };
    Point {
        attributes: point.attributes,
        time: point.time_unix_nano,
        flags: point.flags,
        value: if is_whole {
            Ok(PointValue::Distribution(Box::new(distribution)))
        } else {
            Err("has bounds and counts that do not belong together")
        },
    }
}

fn exponential(point: ExponentialHistogramDataPoint) -> Point {
    let side = |told: Option<Powers>| told.map_or((0, Vec::new()), |told| (told.offset, told.bucket_counts));
    let distribution = Distribution {
        start: time(point.start_time_unix_nano),
        count: point.count,
        sum: finite(point.sum),
        min: finite(point.min),
        max: finite(point.max),
        buckets: Buckets::Exponential {
            scale: point.scale,
            zero: point.zero_count,
            zero_threshold: finite(Some(point.zero_threshold)).unwrap_or(0.0).abs(),
            positive: side(point.positive),
            negative: side(point.negative),
        },
    };
    // https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale
    let is_scale = (-10..=20).contains(&point.scale);
    Point {
        attributes: point.attributes,
        time: point.time_unix_nano,
        flags: point.flags,
        value: if is_scale {
            Ok(PointValue::Distribution(Box::new(distribution)))
        } else {
            Err("has a scale that is not from -10 to 20")
        },
    }
}

fn summary(point: SummaryDataPoint) -> Point {
    let quantiles = point.quantile_values.into_iter();
    let quantiles = quantiles
        .filter(|told| told.value.is_finite() && told.quantile.is_finite())
        .map(|told| (told.quantile, told.value));
    Point {
        attributes: point.attributes,
        time: point.time_unix_nano,
        flags: point.flags,
        value: Ok(PointValue::Summary(
            quantiles.collect(),
            point.count,
            finite(Some(point.sum)).unwrap_or(0.0),
        )),
    }
}

fn finite(number: Option<f64>) -> Option<f64> {
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::otlp::wire::Encoding;

    /// The points of metrics that one resource tells, as OTLP's JSON.
    fn told(metrics: &Value) -> (Vec<Measured>, Rejected) {
        let text = json!({"resourceMetrics": [{
            "resource": {"attributes": [
                {"key": "service.name", "value": {"stringValue": "shop"}},
                {"key": "telemetry.sdk.name", "value": {"stringValue": "x"}}]},
            "scopeMetrics": [{"scope": {"name": "app"}, "metrics": metrics}]}]});
        let request = Encoding::Json
            .decode(text.to_string().as_bytes(), "metrics")
            .unwrap();
        points(request)
    }

    #[test]
    fn every_kind_of_metric_is_read_as_the_protocol_maps_it() {
        let point = |value: Value| {
            let mut point = json!({"timeUnixNano": "1795244040000000000", "startTimeUnixNano": "1795244000000000000",
                "attributes": [{"key": "code", "value": {"intValue": "200"}}]});
            point
                .as_object_mut()
                .unwrap()
                .extend(value.as_object().unwrap().clone());
            json!([point])
        };
        let metrics = json!([
            {"name": "gauge", "unit": "By", "gauge": {"dataPoints": point(json!({"asDouble": 0.5}))}},
            {"name": "counter", "sum": {"isMonotonic": true, "aggregationTemporality": 2,
                "dataPoints": point(json!({"asInt": "7"}))}},
            {"name": "sum", "sum": {"aggregationTemporality": 1, "dataPoints": point(json!({"asInt": 7}))}},
            {"name": "histogram", "histogram": {"aggregationTemporality": 2, "dataPoints": point(json!(
                {"count": "3", "sum": 4.5, "bucketCounts": ["1", "2"], "explicitBounds": [1.0], "max": 3.0}))}},
            {"name": "powers", "exponentialHistogram": {"aggregationTemporality": 1, "dataPoints": point(json!(
                {"count": "4", "sum": 4.5, "scale": 1, "zeroCount": "1",
                    "positive": {"offset": -2, "bucketCounts": ["1", "2"]}}))}},
            {"name": "summary", "summary": {"dataPoints": point(json!(
                {"count": "4", "sum": 4.5, "quantileValues": [{"quantile": 0.5, "value": 1.5}]}))}}
        ]);
        let (all, rejected) = told(&metrics);
        assert_eq!(rejected, Rejected::default());
        let kinds: Vec<MetricKind> = all.iter().map(|point| point.metric.kind).collect();
        assert_eq!(kinds, MetricKind::ALL);
        let deltas = all
            .iter()
            .filter(|point| point.metric.temporality == Temporality::Delta);
        assert_eq!(deltas.count(), 2);
        let first = all.first().unwrap();
        let labels: Vec<(&str, &str)> = first
            .labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            labels,
            [
                ("code", "200"),
                ("otel.scope.name", "app"),
                ("service.name", "shop")
            ]
        );
        assert_eq!(first.time.to_string(), "2026-11-21T06:54:00Z");
        let start = Some("2026-11-21T06:53:20Z".parse().unwrap());
        assert_eq!(all[1].value, PointValue::Number(7.0, start));
        assert_eq!(
            all[4].value,
            PointValue::Distribution(Box::new(Distribution {
                start,
                count: 4,
                sum: Some(4.5),
                min: None,
                max: None,
                buckets: Buckets::Exponential {
                    scale: 1,
                    zero: 1,
                    zero_threshold: 0.0,
                    positive: (-2, vec![1, 2]),
                    negative: (0, Vec::new()),
                },
            }))
        );
        assert_eq!(all[5].value, PointValue::Summary(vec![(0.5, 1.5)], 4, 4.5));
    }

    #[test]
    fn a_point_that_is_not_as_it_must_be_is_rejected_alone() {
        let (all, rejected) = told(&json!([
            {"name": "g", "gauge": {"dataPoints": [{"asDouble": 1.0, "timeUnixNano": "1"}, {"asDouble": 1.0},
                {"timeUnixNano": "1"}, {"timeUnixNano": "1", "flags": 1}]}},
            {"name": "c", "sum": {"isMonotonic": true, "dataPoints": [{"asInt": "1", "timeUnixNano": "1"}]}},
            {"name": "h", "histogram": {"aggregationTemporality": 2, "dataPoints": [
                {"timeUnixNano": "1", "count": "1", "bucketCounts": ["1"], "explicitBounds": [1.0]}]}},
            {"name": "", "gauge": {"dataPoints": [{"asDouble": 1.0, "timeUnixNano": "1"}]}}
        ]));
        assert_eq!((all.len(), rejected.count), (1, 5));
        assert_eq!(rejected.reason, "a point of metric \"g\" tells no time");
    }
}
