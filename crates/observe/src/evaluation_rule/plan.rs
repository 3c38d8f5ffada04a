//! What follows from a rule's spec: rules of admission, who is scored, what is left of a budget, its status. Pure.

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use stead_kernel::{
    Admission, Error, Result, Timestamp,
    conditions::{self, READY},
    ports::traces::{Counted, Filter, Kind, Operator},
};

use super::{Budget, EvaluationRuleSpec, EvaluationRuleStatus, Period, Target, Where, progress::Progress};
use crate::{evaluation::Scorer, opik::known_of};

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let spec = EvaluationRuleSpec::deserialize(admission.new.get("spec").unwrap_or(&Value::Null)).map_err(
        |error| Error::invalid("spec: it does not have the form of an EvaluationRule").because(error),
    )?;
    check(&spec)
}

/// Checks what the schema cannot say.
///
/// # Errors
/// `Invalid` with the field.
pub(crate) fn check(spec: &EvaluationRuleSpec) -> Result<()> {
    Scorer::new(&spec.metrics)
        .map_err(|error| Error::invalid(format!("spec.metrics: {}", error.message())))?;
    filters(spec.target, &spec.filters)?;
    if let Some(since) = &spec.since
        && since.parse::<Timestamp>().is_err()
    {
        return Err(Error::invalid(format!(
            "spec.since: {since:?} is no time, such as 2026-11-21T12:00:00Z"
        )));
    }
    if spec
        .budget
        .as_ref()
        .is_some_and(|budget| budget.max_usd.is_none() && budget.max_scored.is_none())
    {
        return Err(Error::invalid("spec.budget: it has maxUsd, maxScored or both"));
    }
    Ok(())
}

impl Target {
    /// As it is counted.
    pub(crate) const fn counted(self) -> Counted {
        match self {
            Self::Traces => Counted::Traces,
            Self::Spans => Counted::Spans,
            Self::Threads => Counted::Threads,
        }
    }

    /// As an entry; threads are none.
    pub(crate) const fn entry(self) -> Option<Kind> {
        match self {
            Self::Traces => Some(Kind::Trace),
            Self::Spans => Some(Kind::Span),
            Self::Threads => None,
        }
    }
}

/// Conditions as the store takes them.
///
/// # Errors
/// `Invalid` for a field or an operator that there is not.
pub(crate) fn filters(target: Target, wanted: &[Where]) -> Result<Vec<Filter>> {
    let known = known_of(target.counted());
    let one = |condition: &Where| {
        if !known(&condition.field) {
            return Err(Error::invalid(format!(
                "filters: there is no field {:?}",
                condition.field
            )));
        }
        let operator = Operator::parse(&condition.operator).ok_or_else(|| {
            Error::invalid(format!("filters: there is no operator {:?}", condition.operator))
        })?;
        Ok(Filter::new(
            &*condition.field,
            &*condition.key,
            operator,
            &*condition.value,
        ))
    };
    wanted.iter().map(one).collect()
}

/// Whether something is among the share that is scored. The same rule answers the same for the same id.
pub(crate) fn is_sampled(rule: &str, id: &str, share: f64) -> bool {
    if share >= 1.0 {
        return true;
    }
    let digest = Sha256::digest(format!("{rule}/{id}"));
    let number = digest
        .iter()
        .take(6)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    #[expect(clippy::cast_precision_loss, reason = "48 bits")]
    let place = number as f64 / (1_u64 << 48) as f64;
    place < share
}

/// The beginning of the hour or day that a time is in.
pub(crate) fn period_of(period: Period, now: Timestamp) -> Timestamp {
    let length = match period {
        Period::Hour => 3_600,
        Period::Day => 86_400,
    };
    let second = now.as_second();
    Timestamp::from_second(second - second.rem_euclid(length)).unwrap_or(now)
}

/// How many more may be scored now; `None` for any number.
pub(crate) fn left(budget: Option<&Budget>, progress: &Progress) -> Option<u64> {
    let budget = budget?;
    if budget.max_usd.is_some_and(|most| progress.period_usd >= most) {
        return Some(0);
    }
    budget
        .max_scored
        .map(|most| most.saturating_sub(progress.period_scored))
}

/// What a look found out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    /// How many wait.
    pub(crate) backlog: u64,
    /// Why it does not score, with a word for it.
    pub(crate) halted: Option<(&'static str, String)>,
}

/// The status that follows.
pub(crate) fn status(
    old: Option<&EvaluationRuleStatus>,
    progress: &Progress,
    seen: &Seen,
    generation: Option<i64>,
    now: Timestamp,
) -> EvaluationRuleStatus {
    let mut status = EvaluationRuleStatus {
        observed_generation: generation,
        conditions: old.map(|old| old.conditions.clone()).unwrap_or_default(),
        scored: progress.scored,
        left_out: progress.left_out,
        failed: progress.failed,
        backlog: seen.backlog,
        scored_until: progress.cursor.map(|time| format!("{time:.6}")),
        spent_usd: progress.spent_usd,
        spent_usd_in_period: progress.period_usd,
        last_error: progress.last_error.clone(),
    };
    let (ready, reason, message) = match &seen.halted {
        Some((reason, message)) => (false, *reason, message.clone()),
        None => (true, "Scoring", "what comes in is scored".to_owned()),
    };
    conditions::set(
        &mut status.conditions,
        conditions::condition(READY, ready, reason, message, generation, now),
    );
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(change: &Value) -> Result<EvaluationRuleSpec> {
        let mut spec = json!({"metrics": [{"type": "pii"}]});
        spec.as_object_mut()
            .unwrap()
            .extend(change.as_object().cloned().unwrap());
        let spec: EvaluationRuleSpec = serde_json::from_value(spec).unwrap();
        check(&spec).map(|()| spec)
    }

    #[test]
    fn a_rule_that_cannot_work_is_refused() {
        assert_eq!(spec(&json!({})).unwrap().target, Target::Traces);
        for (change, message) in [
            (
                json!({"metrics": [{"type": "regex"}]}),
                "spec.metrics: regex: pattern",
            ),
            (
                json!({"metrics": [{"type": "pii"}, {"type": "pii"}]}),
                "two metrics",
            ),
            (
                json!({"filters": [{"field": "nothing", "operator": "="}]}),
                "no field",
            ),
            (
                json!({"filters": [{"field": "name", "operator": "like"}]}),
                "no operator",
            ),
            (
                json!({"target": "Threads", "filters": [{"field": "model", "operator": "="}]}),
                "no field",
            ),
            (json!({"since": "yesterday"}), "spec.since"),
            (json!({"budget": {}}), "spec.budget"),
        ] {
            let error = spec(&change).unwrap_err();
            assert!(error.message().contains(message), "{change}: {error}");
        }
    }

    #[test]
    fn a_share_is_near_what_was_asked_and_always_the_same() {
        let sampled = |share: f64| {
            (0..10_000)
                .filter(|n| is_sampled("rule", &n.to_string(), share))
                .count()
        };
        assert_eq!((sampled(0.0), sampled(1.0)), (0, 10_000));
        let tenth = sampled(0.1);
        assert!((900..1_100).contains(&tenth), "{tenth}");
        assert_eq!(tenth, sampled(0.1));
        let more = (0..1_000)
            .filter(|n| is_sampled("rule", &n.to_string(), 0.1) && !is_sampled("rule", &n.to_string(), 0.2));
        assert_eq!(more.count(), 0);
    }

    #[test]
    fn a_budget_is_of_an_hour_or_a_day() {
        let now: Timestamp = "2026-11-21T06:54:07Z".parse().unwrap();
        assert_eq!(period_of(Period::Hour, now).to_string(), "2026-11-21T06:00:00Z");
        assert_eq!(period_of(Period::Day, now).to_string(), "2026-11-21T00:00:00Z");
        let budget = |usd, scored| Budget {
            max_usd: usd,
            max_scored: scored,
            per: Period::Day,
        };
        let spent = Progress {
            period_usd: 1.0,
            period_scored: 7,
            ..Progress::default()
        };
        assert_eq!(left(None, &spent), None);
        assert_eq!(left(Some(&budget(Some(1.0), None)), &spent), Some(0));
        assert_eq!(left(Some(&budget(Some(2.0), None)), &spent), None);
        assert_eq!(left(Some(&budget(Some(2.0), Some(10))), &spent), Some(3));
    }
}
