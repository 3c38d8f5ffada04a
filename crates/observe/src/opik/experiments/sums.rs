//! What the traces of an experiment come to. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value, json};
use stead_kernel::ports::traces::{Entry, Score};

use super::shape::Item;
use crate::opik::assertions::Assertion;

/// Sums over the items of an experiment, or of several.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sums {
    items: u64,
    traces: BTreeSet<String>,
    durations: Vec<f64>,
    cost: f64,
    priced: u64,
    usage: BTreeMap<String, (i64, u64)>,
    scores: BTreeMap<String, (f64, u64)>,
    /// How many of each assertion passed, of how many.
    assertions: BTreeMap<String, (u64, u64)>,
    /// By dataset item: how many of its runs passed, of how many, and how many must.
    runs: BTreeMap<String, Runs>,
}

/// The runs of one dataset item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Runs {
    pub(super) passed: u64,
    pub(super) total: u64,
    threshold: u64,
}

impl Runs {
    /// Counts a run, which passes when all that was asserted of it holds.
    pub(super) fn add(&mut self, item: &Item, assertions: &[Assertion]) {
        self.total += 1;
        self.passed += u64::from(assertions.iter().all(Assertion::passed));
        self.threshold = self.threshold.max(item.threshold());
    }

    /// Whether enough of them passed.
    pub(super) fn status(self) -> &'static str {
        if self.passed >= self.threshold {
            "passed"
        } else {
            "failed"
        }
    }
}

impl Sums {
    /// Adds an item with its trace, if that is there, and with what was asserted of it.
    pub(crate) fn add(&mut self, item: &Item, entry: Option<&Entry>, assertions: &[Assertion]) {
        self.items += 1;
        if !assertions.is_empty() {
            self.runs
                .entry(item.dataset_item_id.clone())
                .or_default()
                .add(item, assertions);
        }
        for assertion in assertions {
            let (passed, total) = self.assertions.entry(assertion.name.clone()).or_default();
            *passed += u64::from(assertion.passed());
            *total += 1;
        }
        // Items can share a trace.
        if !self.traces.insert(item.trace_id.clone()) {
            return;
        }
        let Some(entry) = entry else {
            return;
        };
        self.durations.extend(entry.duration_ms());
        if let Some(cost) = entry.cost {
            self.cost += cost;
            self.priced += 1;
        }
        for (name, count) in entry.spans.iter().flat_map(|spans| &spans.usage) {
            let (sum, entries) = self.usage.entry(name.clone()).or_default();
            *sum += count;
            *entries += 1;
        }
        for (name, value) in means(&entry.scores) {
            let (sum, entries) = self.scores.entry(name.to_owned()).or_default();
            *sum += value;
            *entries += 1;
        }
    }

    /// The mean of each score.
    pub(crate) fn scores(&self) -> BTreeMap<&str, f64> {
        let means = self.scores.iter();
        means
            .map(|(name, (sum, count))| (name.as_str(), mean(*sum, *count)))
            .collect()
    }

    /// The middle duration in milliseconds.
    pub(crate) fn median(&self) -> Option<f64> {
        quantile(&self.sorted(), 0.5)
    }

    /// What all traces cost, in US dollars; none when no trace has a cost.
    pub(crate) fn cost(&self) -> Option<f64> {
        (self.priced > 0).then_some(self.cost)
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.durations.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }

    /// The fields of `Experiment_Public` that are counted.
    pub(super) fn tell(&self) -> Map<String, Value> {
        let named = |(name, value): (&str, f64)| json!({"name": name, "value": value});
        let mut told = Map::new();
        let mut tell = |name: &str, value: Value| told.insert(name.to_owned(), value);
        tell("trace_count", self.traces.len().into());
        tell("feedback_scores", self.scores().into_iter().map(named).collect());
        let usage = self.usage.iter();
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let usage = usage.map(|(name, (sum, count))| (name.clone(), mean(*sum as f64, *count).into()));
        tell("usage", Value::Object(usage.collect()));
        let sorted = self.sorted();
        if !sorted.is_empty() {
            tell("duration", percentiles(&sorted));
        }
        if let Some(cost) = self.cost() {
            tell("total_estimated_cost", cost.into());
            tell("total_estimated_cost_avg", mean(cost, self.priced).into());
        }
        if !self.runs.is_empty() {
            let passed = self
                .runs
                .values()
                .filter(|runs| runs.status() == "passed")
                .count() as u64;
            let total = self.runs.len() as u64;
            tell("passed_count", passed.into());
            tell("total_count", total.into());
            tell("pass_rate", ratio(passed, total).into());
            let rates = self.assertions.iter();
            let rates = rates.map(|(name, (passed, total))| named((name, ratio(*passed, *total))));
            tell("assertion_scores", rates.collect());
        }
        told
    }

    /// As `ProjectStats_Public`.
    pub(super) fn stats(&self) -> Value {
        let mut stats = vec![
            json!({"name": "experiment_items_count", "type": "COUNT", "value": self.items}),
            json!({"name": "trace_count", "type": "COUNT", "value": self.traces.len()}),
        ];
        let sorted = self.sorted();
        if !sorted.is_empty() {
            stats.push(json!({"name": "duration", "type": "PERCENTAGE", "value": percentiles(&sorted)}));
        }
        if let Some(cost) = self.cost() {
            let average = mean(cost, self.priced);
            stats.push(json!({"name": "total_estimated_cost", "type": "AVG", "value": average}));
            stats.push(json!({"name": "total_estimated_cost_sum", "type": "AVG", "value": cost}));
        }
        for (name, (sum, count)) in &self.usage {
            #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
            let value = mean(*sum as f64, *count);
            stats.push(json!({"name": format!("usage.{name}"), "type": "AVG", "value": value}));
        }
        for (name, value) in self.scores() {
            stats.push(json!({"name": format!("feedback_scores.{name}"), "type": "AVG", "value": value}));
        }
        json!({"stats": stats})
    }
}

fn percentiles(sorted: &[f64]) -> Value {
    let at = |fraction: f64| quantile(sorted, fraction);
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99)})
}

/// The mean of several opinions on each score.
fn means(scores: &[Score]) -> BTreeMap<&str, f64> {
    let mut sums: BTreeMap<&str, (f64, u64)> = BTreeMap::new();
    for score in scores {
        let (sum, count) = sums.entry(&score.name).or_default();
        *sum += score.value;
        *count += 1;
    }
    sums.into_iter()
        .map(|(name, (sum, count))| (name, mean(sum, count)))
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "a count of things in memory")]
fn mean(sum: f64, count: u64) -> f64 {
    sum / (count.max(1) as f64)
}

#[expect(clippy::cast_precision_loss, reason = "a count of things in memory")]
fn ratio(part: u64, whole: u64) -> f64 {
    part as f64 / (whole.max(1) as f64)
}

/// The value that a fraction of all does not exceed, between neighbours; `None` without any.
fn quantile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a place in a list that fits into memory"
    )]
    let (place, below) = {
        let place = last as f64 * fraction.clamp(0.0, 1.0);
        (place, place.floor() as usize)
    };
    let low = *sorted.get(below)?;
    let high = sorted.get(below + 1).copied().unwrap_or(low);
    Some(low + (high - low) * place.fract())
}
