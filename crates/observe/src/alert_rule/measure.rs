//! What is measured.

use stead_kernel::{
    Result, Timestamp,
    ports::{
        events::UsageQuery,
        traces::{Bucket, Query, Sums},
    },
};
use uuid::Uuid;

use super::{Measure, Threshold, plan};
use crate::{evaluation_rule::plan::filters, opik::Opik};

/// What is measured of one threshold; `None` when there is too little of it.
pub(super) async fn measure(
    opik: &Opik,
    project: &str,
    opik_projects: &[Uuid],
    threshold: &Threshold,
    now: Timestamp,
) -> Result<Option<f64>> {
    let since = now
        .checked_sub(std::time::Duration::from_secs(threshold.window_seconds.into()))
        .ok();
    let Some(target) = plan::target(threshold.of) else {
        return of_requests(opik, project, threshold, since, now).await;
    };
    let wanted = filters(target, &threshold.filters)?;
    let mut all = Sums::default();
    let projects: Vec<Option<Uuid>> = match opik_projects {
        [] => vec![None],
        some => some.iter().copied().map(Some).collect(),
    };
    for one in projects {
        let query = Query {
            workspace: project.to_owned(),
            project: one,
            since,
            until: Some(now),
            filters: wanted.clone(),
            ..Query::default()
        };
        for (_, sums) in opik
            .ports
            .traces
            .sums(target.counted(), query, Bucket::Whole)
            .await?
        {
            all.merge(&sums);
        }
    }
    Ok(of_sums(threshold, &all))
}

/// The value of sums. Pure.
fn of_sums(threshold: &Threshold, sums: &Sums) -> Option<f64> {
    let enough = |count: u64| count >= threshold.at_least.max(1);
    match threshold.measure {
        Measure::Count | Measure::Absence => Some(number(sums.count)),
        Measure::Cost => enough(sums.count).then_some(sums.cost),
        Measure::Errors => enough(sums.count).then(|| number(sums.errors)),
        Measure::ErrorRate => enough(sums.count).then(|| number(sums.errors) / number(sums.count)),
        Measure::Latency if !enough(sums.durations.len()) => None,
        Measure::Latency => match threshold.quantile {
            Some(quantile) => sums.durations.quantile_ms(quantile),
            None => sums.durations.mean_ms(),
        },
        Measure::Score => {
            let (sum, count) = sums.scores.get(threshold.score.as_deref()?)?;
            enough(*count).then(|| sum / number(*count))
        }
    }
}

async fn of_requests(
    opik: &Opik,
    project: &str,
    threshold: &Threshold,
    since: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<f64>> {
    let query = UsageQuery {
        projects: Some(vec![project.to_owned()]),
        since,
        until: Some(now),
        by: Vec::new(),
    };
    let row = opik
        .ports
        .events
        .usage(query)
        .await?
        .into_iter()
        .next()
        .unwrap_or_default();
    let enough = row.requests >= threshold.at_least.max(1);
    #[expect(
        clippy::cast_precision_loss,
        reason = "billionths of a dollar and microseconds, far below 2^53"
    )]
    let (cost, milliseconds) = (row.cost.0 as f64 / 1e9, row.duration_us as f64 / 1e3);
    Ok(match threshold.measure {
        Measure::Count | Measure::Absence => Some(number(row.requests)),
        Measure::Cost => enough.then_some(cost),
        Measure::Errors => enough.then(|| number(row.errors)),
        Measure::ErrorRate => enough.then(|| number(row.errors) / number(row.requests)),
        Measure::Latency => enough.then(|| milliseconds / number(row.requests)),
        Measure::Score => None,
    })
}

#[expect(clippy::cast_precision_loss, reason = "a count far below 2^53")]
fn number(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::ports::traces::Sketch;

    use super::*;

    #[test]
    fn each_measure_has_its_value_and_none_where_there_is_too_little() {
        let mut sums = Sums {
            count: 4,
            errors: 1,
            cost: 2.0,
            durations: Sketch::default(),
            scores: [("s".to_owned(), (1.5, 3))].into(),
            ..Sums::default()
        };
        for duration in [100.0, 200.0, 300.0, 1_000.0] {
            sums.durations.add_ms(duration);
        }
        for (threshold, expected) in [
            (json!({"measure": "Count"}), Some(4.0)),
            (json!({"measure": "Absence"}), Some(4.0)),
            (json!({"measure": "Errors"}), Some(1.0)),
            (json!({"measure": "ErrorRate"}), Some(0.25)),
            (json!({"measure": "ErrorRate", "atLeast": 5}), None),
            (json!({"measure": "Latency"}), Some(400.0)),
            (json!({"measure": "Latency", "atLeast": 5}), None),
            (json!({"measure": "Cost"}), Some(2.0)),
            (json!({"measure": "Score", "score": "s"}), Some(0.5)),
            (json!({"measure": "Score", "score": "s", "atLeast": 4}), None),
            (json!({"measure": "Score", "score": "other"}), None),
        ] {
            let mut whole = threshold.clone();
            whole["windowSeconds"] = 60.into();
            let parsed: Threshold = serde_json::from_value(whole).unwrap();
            assert_eq!(of_sums(&parsed, &sums), expected, "{threshold}");
        }
        let slow = json!({"measure": "Latency", "quantile": 1.0, "windowSeconds": 60});
        let slow: Threshold = serde_json::from_value(slow).unwrap();
        assert!(of_sums(&slow, &sums).is_some_and(|value| (value - 1_000.0).abs() <= 20.0));
        let count: Threshold =
            serde_json::from_value(json!({"measure": "Count", "windowSeconds": 60})).unwrap();
        assert_eq!(of_sums(&count, &Sums::default()), Some(0.0));
    }
}
