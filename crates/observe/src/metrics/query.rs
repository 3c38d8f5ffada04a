//! Points of series as values over time. Pure.
//!
//! A point belongs to the stretch of time that its own time is in. Of cumulative sums and histograms it counts what came
//! since the point before; a value that falls, or another start, is a program that began anew, whose value counts whole.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use stead_kernel::{
    Error, Result, Timestamp,
    ports::signals::{Distribution, MetricKind, PointValue, Series, Temporality},
};

use super::spread::{Spread, between};

/// How the points of a stretch of time become one value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Aggregate {
    /// Their mean.
    Avg,
    /// The smallest.
    Min,
    /// The largest.
    Max,
    /// The latest.
    Last,
    /// The sum over series: of their latest values, or of what came.
    Sum,
    /// What came per second.
    Rate,
    /// What came.
    Increase,
    /// How many values came, or series there are.
    Count,
    /// The value that a fraction of all does not exceed.
    Quantile(f64),
}

impl Aggregate {
    /// Reads `avg`, `rate`, `p95`, `quantile:0.95`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let fraction = |text: &str, whole: f64| {
            let number: f64 = text.parse().ok()?;
            let fraction = number / whole;
            (0.0..=1.0)
                .contains(&fraction)
                .then_some(Self::Quantile(fraction))
        };
        Some(match text {
            "avg" => Self::Avg,
            "min" => Self::Min,
            "max" => Self::Max,
            "last" => Self::Last,
            "sum" => Self::Sum,
            "rate" => Self::Rate,
            "increase" => Self::Increase,
            "count" => Self::Count,
            other => match other.strip_prefix('p') {
                Some(percent) => fraction(percent, 100.0)?,
                None => fraction(other.strip_prefix("quantile:")?, 1.0)?,
            },
        })
    }

    /// What a person wants to see of a metric who does not say.
    pub(super) fn of(kind: MetricKind) -> Self {
        match kind {
            MetricKind::Gauge => Self::Avg,
            MetricKind::Counter => Self::Rate,
            MetricKind::Sum => Self::Sum,
            MetricKind::Histogram | MetricKind::ExponentialHistogram => Self::Quantile(0.95),
            MetricKind::Summary => Self::Count,
        }
    }
}

/// Which time, in stretches of how many microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Range {
    pub(super) since: i64,
    pub(super) until: i64,
    pub(super) step: i64,
}

impl Range {
    /// The stretch of a time, if it is in the range.
    fn stretch(self, time: Timestamp) -> Option<i64> {
        let at = time.as_microsecond();
        let first = self.since.div_euclid(self.step) * self.step;
        (first..self.until)
            .contains(&at)
            .then(|| at.div_euclid(self.step))
    }
}

/// By what series are put together.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum By {
    /// Each by itself.
    Series,
    /// Those with the same values of these labels.
    Labels(Vec<String>),
}

/// Values over time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Line {
    /// What tells it from others.
    pub(super) labels: BTreeMap<String, String>,
    /// The beginning of each stretch of time in which there were points, and its value.
    pub(super) points: Vec<(Timestamp, f64)>,
}

/// What was measured in a stretch of time.
#[derive(Debug, Default)]
struct Stretch {
    /// Values as they were told.
    values: Vec<f64>,
    latest: Option<(Timestamp, f64)>,
    /// The latest value of each series.
    last: BTreeMap<usize, f64>,
    /// What came.
    came: f64,
    has_come: bool,
    spread: Spread,
    series: BTreeSet<usize>,
    /// Quantiles as a program told them.
    told: Vec<(f64, f64)>,
}

/// The values of series over time.
///
/// # Errors
/// `Invalid` when metrics of such a kind have no such value.
pub(super) fn run(all: &[Series], range: Range, aggregate: Aggregate, by: &By) -> Result<Vec<Line>> {
    let mut groups: BTreeMap<BTreeMap<String, String>, BTreeMap<i64, Stretch>> = BTreeMap::new();
    for (number, series) in all.iter().enumerate() {
        check(series.metric.kind, aggregate)?;
        let stretches = groups.entry(group(series, by)).or_default();
        match series.metric.kind {
            MetricKind::Gauge | MetricKind::Counter | MetricKind::Sum => {
                numbers(stretches, number, series, range);
            }
            MetricKind::Histogram | MetricKind::ExponentialHistogram => {
                distributions(stretches, number, series, range);
            }
            MetricKind::Summary => summaries(stretches, number, series, range),
        }
    }
    let mut lines = Vec::with_capacity(groups.len());
    for (labels, stretches) in groups {
        let mut points = Vec::with_capacity(stretches.len());
        for (number, stretch) in stretches {
            let Some(value) = value(&stretch, range, aggregate)? else {
                continue;
            };
            let start = Timestamp::from_microsecond(number.saturating_mul(range.step));
            let start = start.map_err(|error| Error::invalid("the time is too long ago").because(error))?;
            points.push((start, value));
        }
        if !points.is_empty() {
            lines.push(Line { labels, points });
        }
    }
    Ok(lines)
}

fn group(series: &Series, by: &By) -> BTreeMap<String, String> {
    match by {
        By::Series => series.labels.clone(),
        By::Labels(names) => names
            .iter()
            .filter_map(|name| Some((name.clone(), series.labels.get(name)?.clone())))
            .collect(),
    }
}

fn check(kind: MetricKind, aggregate: Aggregate) -> Result<()> {
    let is_wrong = match (kind, aggregate) {
        (MetricKind::Gauge, Aggregate::Rate | Aggregate::Increase) => "a gauge does not count anything",
        (MetricKind::Histogram | MetricKind::ExponentialHistogram | MetricKind::Summary, Aggregate::Last) => {
            "distributions have no latest value"
        }
        (MetricKind::Summary, Aggregate::Min | Aggregate::Max) => "summaries do not tell it",
        _ => return Ok(()),
    };
    Err(Error::invalid(format!("agg: {is_wrong}")).hint(
        "gauges have avg, min, max, last, sum, count and quantiles; counters rate and increase too; \
               histograms avg, min, max, sum, rate, increase, count and quantiles",
    ))
}

fn numbers(stretches: &mut BTreeMap<i64, Stretch>, number: usize, series: &Series, range: Range) {
    let is_delta = series.metric.temporality == Temporality::Delta;
    let is_counter = series.metric.kind == MetricKind::Counter;
    let mut before: Option<(Timestamp, f64, Option<Timestamp>)> = None;
    for (time, value) in &series.points {
        let PointValue::Number(value, start) = value else {
            continue;
        };
        let came = match before {
            _ if is_delta => Some(*value),
            Some((at, earlier, begun)) => {
                let is_anew = (is_counter && *value < earlier)
                    || (*start != begun && start.is_some_and(|start| start >= at));
                Some(if is_anew { *value } else { value - earlier })
            }
            // The first point of all counts whole when it began to count in the range.
            None => start
                .filter(|start| start.as_microsecond() >= range.since)
                .map(|_| *value),
        };
        before = Some((*time, *value, *start));
        let Some(place) = range.stretch(*time) else {
            continue;
        };
        let stretch = stretches.entry(place).or_default();
        stretch.series.insert(number);
        stretch.values.push(*value);
        if !is_delta {
            stretch.last.insert(number, *value);
        }
        if stretch.latest.is_none_or(|(latest, _)| latest <= *time) {
            stretch.latest = Some((*time, *value));
        }
        if let Some(came) = came {
            stretch.came += came;
            stretch.has_come = true;
        }
    }
}

fn distributions(stretches: &mut BTreeMap<i64, Stretch>, number: usize, series: &Series, range: Range) {
    let is_delta = series.metric.temporality == Temporality::Delta;
    let mut before: Option<&Distribution> = None;
    for (time, value) in &series.points {
        let PointValue::Distribution(own) = value else {
            continue;
        };
        let came = match before {
            _ if is_delta => Some((**own).clone()),
            Some(earlier) => Some(between(earlier, own).unwrap_or_else(|| (**own).clone())),
            None => own
                .start
                .filter(|start| start.as_microsecond() >= range.since)
                .map(|_| (**own).clone()),
        };
        before = Some(own);
        let (Some(place), Some(came)) = (range.stretch(*time), came) else {
            continue;
        };
        let stretch = stretches.entry(place).or_default();
        stretch.series.insert(number);
        stretch.spread.add(&came);
        stretch.has_come = true;
    }
}

fn summaries(stretches: &mut BTreeMap<i64, Stretch>, number: usize, series: &Series, range: Range) {
    let mut before: Option<(u64, f64)> = None;
    for (time, value) in &series.points {
        let PointValue::Summary(quantiles, count, sum) = value else {
            continue;
        };
        let came = before.map(|(counted, summed)| match count.checked_sub(counted) {
            Some(more) => (more, sum - summed),
            None => (*count, *sum),
        });
        before = Some((*count, *sum));
        let Some(place) = range.stretch(*time) else {
            continue;
        };
        let stretch = stretches.entry(place).or_default();
        stretch.series.insert(number);
        stretch.told.clone_from(quantiles);
        if let Some((count, sum)) = came {
            stretch.spread.count = stretch.spread.count.saturating_add(count);
            stretch.spread.sum += sum;
            stretch.has_come = true;
        }
    }
}

/// The value of a stretch of time; nothing where it has none.
fn value(stretch: &Stretch, range: Range, aggregate: Aggregate) -> Result<Option<f64>> {
    if let (Aggregate::Quantile(fraction), false) = (aggregate, stretch.told.is_empty()) {
        return told_quantile(stretch, fraction);
    }
    let seconds = float(range.step) / 1e6;
    Ok(if stretch.values.is_empty() {
        of_distributions(stretch, seconds, aggregate)
    } else {
        of_numbers(stretch, seconds, aggregate)
    })
}

fn of_distributions(stretch: &Stretch, seconds: f64, aggregate: Aggregate) -> Option<f64> {
    let spread = &stretch.spread;
    let count = counted(spread.count);
    match aggregate {
        Aggregate::Rate => stretch.has_come.then_some(count / seconds),
        Aggregate::Increase | Aggregate::Count => stretch.has_come.then_some(count),
        Aggregate::Sum => stretch.has_come.then_some(spread.sum),
        Aggregate::Avg => (spread.count > 0).then(|| spread.sum / count),
        Aggregate::Min => spread.min,
        Aggregate::Max => spread.max,
        Aggregate::Quantile(fraction) => spread.quantile(fraction),
        Aggregate::Last => None,
    }
}

fn of_numbers(stretch: &Stretch, seconds: f64, aggregate: Aggregate) -> Option<f64> {
    let came = stretch.has_come.then_some(stretch.came);
    let values = stretch.values.iter().copied();
    match aggregate {
        Aggregate::Rate => came.map(|came| came / seconds),
        Aggregate::Increase => came,
        Aggregate::Count => u64::try_from(stretch.series.len()).ok().map(counted),
        Aggregate::Sum if stretch.last.is_empty() => came,
        Aggregate::Sum => Some(stretch.last.values().sum()),
        Aggregate::Avg => mean(&stretch.values),
        Aggregate::Min => values.reduce(f64::min),
        Aggregate::Max => values.reduce(f64::max),
        Aggregate::Last => stretch.latest.map(|(_, value)| value),
        Aggregate::Quantile(fraction) => {
            let mut sorted = stretch.values.clone();
            sorted.sort_by(f64::total_cmp);
            between_neighbours(&sorted, fraction)
        }
    }
}

/// A quantile that the program told itself; those of several series cannot be put together.
fn told_quantile(stretch: &Stretch, fraction: f64) -> Result<Option<f64>> {
    if stretch.series.len() > 1 {
        return Err(
            Error::invalid("agg: quantiles of several summaries cannot be put together")
                .hint("ask by all the labels that tell them apart"),
        );
    }
    let found = stretch
        .told
        .iter()
        .find(|(told, _)| (told - fraction).abs() < 1e-9);
    Ok(found.map(|(_, value)| *value))
}

/// The value that a fraction of sorted values does not exceed, between neighbours.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a list that fits into memory"
)]
fn between_neighbours(sorted: &[f64], fraction: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let place = counted(u64::try_from(last).ok()?) * fraction.clamp(0.0, 1.0);
    let below = place.floor() as usize;
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (high - low) * place.fract())
}

fn mean(values: &[f64]) -> Option<f64> {
    let count = u64::try_from(values.len()).ok().filter(|count| *count > 0)?;
    Some(values.iter().sum::<f64>() / counted(count))
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^53")]
fn counted(count: u64) -> f64 {
    count as f64
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a stretch has far fewer than 2^53 microseconds"
)]
fn float(micros: i64) -> f64 {
    micros as f64
}

#[cfg(test)]
mod tests {
    use stead_kernel::ports::signals::{Buckets, Metric};

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn series(
        kind: MetricKind,
        temporality: Temporality,
        host: &str,
        points: Vec<(i64, PointValue)>,
    ) -> Series {
        Series {
            project: "default".into(),
            metric: Metric {
                name: "m".into(),
                kind,
                temporality,
                ..Metric::default()
            },
            labels: BTreeMap::from([("host".to_owned(), host.to_owned())]),
            points: points
                .into_iter()
                .map(|(time, value)| (at(time), value))
                .collect(),
        }
    }

    fn numbers(kind: MetricKind, temporality: Temporality, host: &str, points: &[(i64, f64)]) -> Series {
        let points = points
            .iter()
            .map(|(time, value)| (*time, PointValue::Number(*value, None)));
        series(kind, temporality, host, points.collect())
    }

    /// Stretches of ten seconds from 100 to 140; as second and value.
    fn values(all: &[Series], aggregate: &str, by: &By) -> Vec<Vec<(i64, f64)>> {
        let range = Range {
            since: 100_000_000,
            until: 140_000_000,
            step: 10_000_000,
        };
        let lines = run(all, range, Aggregate::parse(aggregate).unwrap(), by).unwrap();
        let shown = lines.into_iter().map(|line| {
            let points = line.points.into_iter();
            points.map(|(time, value)| (time.as_second(), value)).collect()
        });
        shown.collect()
    }

    const TOGETHER: By = By::Labels(Vec::new());

    #[test]
    fn gauges_are_averaged_and_summed_over_series() {
        let gauge = |host: &str, points: &[(i64, f64)]| {
            numbers(MetricKind::Gauge, Temporality::Cumulative, host, points)
        };
        let all = [
            gauge("a", &[(101, 1.0), (105, 3.0), (111, 5.0)]),
            gauge("b", &[(102, 10.0), (150, 9.0)]),
        ];
        for (aggregate, expected) in [
            ("avg", vec![(100, 14.0 / 3.0), (110, 5.0)]),
            ("min", vec![(100, 1.0), (110, 5.0)]),
            ("max", vec![(100, 10.0), (110, 5.0)]),
            ("last", vec![(100, 3.0), (110, 5.0)]),
            ("sum", vec![(100, 13.0), (110, 5.0)]),
            ("count", vec![(100, 2.0), (110, 1.0)]),
            ("p50", vec![(100, 3.0), (110, 5.0)]),
        ] {
            assert_eq!(values(&all, aggregate, &TOGETHER), [expected], "{aggregate}");
        }
        let each = values(&all, "avg", &By::Labels(vec!["host".into()]));
        assert_eq!(each, [vec![(100, 2.0), (110, 5.0)], vec![(100, 10.0)]]);
        assert_eq!(values(&all, "avg", &By::Series), each);
        let range = Range {
            since: 0,
            until: 1,
            step: 1,
        };
        assert!(run(&all, range, Aggregate::Rate, &TOGETHER).is_err());
    }

    #[test]
    fn counters_count_what_came_and_a_fall_is_a_new_beginning() {
        let counter =
            |temporality, points: &[(i64, f64)]| numbers(MetricKind::Counter, temporality, "a", points);
        let cumulative = [counter(
            Temporality::Cumulative,
            &[(95, 100.0), (105, 120.0), (115, 150.0), (125, 5.0)],
        )];
        assert_eq!(
            values(&cumulative, "increase", &TOGETHER),
            [[(100, 20.0), (110, 30.0), (120, 5.0)]]
        );
        assert_eq!(
            values(&cumulative, "rate", &TOGETHER),
            [[(100, 2.0), (110, 3.0), (120, 0.5)]]
        );
        assert_eq!(
            values(&cumulative, "sum", &TOGETHER),
            [[(100, 120.0), (110, 150.0), (120, 5.0)]]
        );
        let delta = [counter(Temporality::Delta, &[(101, 4.0), (109, 6.0), (111, 1.0)])];
        assert_eq!(values(&delta, "increase", &TOGETHER), [[(100, 10.0), (110, 1.0)]]);
        assert_eq!(values(&delta, "sum", &TOGETHER), [[(100, 10.0), (110, 1.0)]]);
        // Without a point before, the first one counts only if it began in the range.
        assert_eq!(
            values(
                &[counter(Temporality::Cumulative, &[(105, 120.0)])],
                "increase",
                &TOGETHER
            ),
            Vec::<Vec<(i64, f64)>>::new()
        );
        let begun = series(
            MetricKind::Counter,
            Temporality::Cumulative,
            "a",
            vec![(105, PointValue::Number(7.0, Some(at(101))))],
        );
        assert_eq!(values(&[begun], "increase", &TOGETHER), [[(100, 7.0)]]);
    }

    #[test]
    fn histograms_have_quantiles_of_what_came() {
        let point = |counts: &[u64], sum: f64| {
            PointValue::Distribution(Box::new(Distribution {
                start: Some(at(0)),
                count: counts.iter().sum(),
                sum: Some(sum),
                min: None,
                max: None,
                buckets: Buckets::Explicit {
                    bounds: vec![1.0, 2.0, 4.0],
                    counts: counts.to_vec(),
                },
            }))
        };
        let cumulative = |host| {
            series(
                MetricKind::Histogram,
                Temporality::Cumulative,
                host,
                vec![
                    (95, point(&[5, 0, 0, 0], 4.0)),
                    (105, point(&[5, 4, 0, 0], 10.0)),
                    (115, point(&[1, 0, 0, 0], 0.5)),
                ],
            )
        };
        let all = [cumulative("a"), cumulative("b")];
        assert_eq!(values(&all, "p50", &TOGETHER), [[(100, 1.5), (110, 0.5)]]);
        assert_eq!(values(&all, "count", &TOGETHER), [[(100, 8.0), (110, 2.0)]]);
        assert_eq!(values(&all, "avg", &TOGETHER), [[(100, 1.5), (110, 0.5)]]);
        assert_eq!(values(&all, "sum", &TOGETHER), [[(100, 12.0), (110, 1.0)]]);
        assert_eq!(values(&all, "rate", &TOGETHER), [[(100, 0.8), (110, 0.2)]]);
    }

    #[test]
    fn summaries_tell_their_own_quantiles_and_those_of_several_are_refused() {
        let summary = |host| {
            let point = |count, sum| PointValue::Summary(vec![(0.5, 3.0)], count, sum);
            series(
                MetricKind::Summary,
                Temporality::Cumulative,
                host,
                vec![(101, point(10, 30.0)), (105, point(14, 46.0))],
            )
        };
        assert_eq!(values(&[summary("a")], "p50", &TOGETHER), [[(100, 3.0)]]);
        assert_eq!(values(&[summary("a")], "count", &TOGETHER), [[(100, 4.0)]]);
        assert_eq!(values(&[summary("a")], "avg", &TOGETHER), [[(100, 4.0)]]);
        let range = Range {
            since: 100_000_000,
            until: 140_000_000,
            step: 10_000_000,
        };
        let both = [summary("a"), summary("b")];
        assert!(run(&both, range, Aggregate::Quantile(0.5), &TOGETHER).is_err());
    }

    #[test]
    fn aggregates_are_read_as_they_are_written() {
        for (text, expected) in [
            ("avg", Some(Aggregate::Avg)),
            ("p95", Some(Aggregate::Quantile(0.95))),
            ("p50", Some(Aggregate::Quantile(0.5))),
            ("quantile:0.5", Some(Aggregate::Quantile(0.5))),
            ("p101", None),
            ("median", None),
            ("p", None),
        ] {
            assert_eq!(Aggregate::parse(text), expected, "{text}");
        }
    }
}
