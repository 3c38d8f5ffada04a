//! Statistics as Opik lists them: `{"stats": [{"name", "type", "value"}]}`. Pure.

use serde_json::{Value, json};
use stead_kernel::ports::traces::{Counted, Sketch, Sums};

use super::scores::average;

/// The list of what sums come to.
pub(in crate::opik) fn of_sums(of: Counted, sums: &Sums) -> Value {
    let what = match of {
        Counted::Traces => "trace_count",
        Counted::Spans => "span_count",
        Counted::Threads => "thread_count",
    };
    let count = |name: &str, value: u64| json!({"name": name, "type": "COUNT", "value": value});
    let mean = |name: &str, value: f64| json!({"name": name, "type": "AVG", "value": value});
    let mut stats = vec![count(what, sums.count)];
    if of == Counted::Traces {
        stats.push(count("thread_count", sums.threads));
    }
    stats.push(quantiles("duration", &sums.durations));
    if of != Counted::Threads {
        stats.push(quantiles("ttft", &sums.first_tokens));
        stats.push(count("input", sums.inputs));
        stats.push(count("output", sums.outputs));
        stats.push(count("metadata", sums.metadata));
    }
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    let per_one = |sum: u64| average(sum as f64, sums.count);
    stats.push(mean("tags", per_one(sums.tags)));
    if of == Counted::Traces {
        stats.push(mean("llm_span_count", per_one(sums.llm_spans)));
        stats.push(mean("span_count", per_one(sums.spans)));
    }
    stats.push(mean("total_estimated_cost", average(sums.cost, sums.priced)));
    stats.push(mean("total_estimated_cost_sum", sums.cost));
    for (name, (sum, times)) in &sums.usage {
        #[expect(clippy::cast_precision_loss, reason = "counts of tokens far below 2^53")]
        stats.push(mean(&format!("usage.{name}"), average(*sum as f64, *times)));
    }
    for (name, (sum, times)) in &sums.scores {
        stats.push(mean(&format!("feedback_scores.{name}"), average(*sum, *times)));
    }
    if of != Counted::Threads {
        stats.push(count("error_count", sums.errors));
    }
    json!({"stats": stats})
}

/// A statistic of three quantiles.
fn quantiles(name: &str, times: &Sketch) -> Value {
    json!({"name": name, "type": "PERCENTAGE", "value": percentages(times)})
}

/// `{"p50", "p90", "p99"}`.
pub(in crate::opik) fn percentages(times: &Sketch) -> Value {
    let at = |fraction| times.quantile_ms(fraction).unwrap_or_default();
    json!({"p50": at(0.5), "p90": at(0.9), "p99": at(0.99)})
}
