//! What follows from a policy's spec and the time: rules of admission, from when on is kept, status. Pure.

use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Admission, Error, Result, Timestamp,
    conditions::{self, READY},
};

use super::{Removed, RetentionPolicySpec, RetentionPolicyStatus};

/// How often a policy is carried out, in seconds.
pub(super) const EVERY: i64 = 3_600;

/// The rules on writes that the schema cannot say.
pub(super) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let spec = admission.new.get("spec").unwrap_or(&Value::Null);
    let spec = RetentionPolicySpec::deserialize(spec).map_err(|error| {
        Error::invalid("spec: it does not have the form of a RetentionPolicy").because(error)
    })?;
    check(&spec)
}

/// Checks what the schema cannot say.
///
/// # Errors
/// `Invalid` with the field.
pub(super) fn check(spec: &RetentionPolicySpec) -> Result<()> {
    let others = [spec.log_days, spec.metric_days, spec.request_days];
    if spec.trace_days.is_none() && others.iter().all(Option::is_none) {
        return Err(Error::invalid(
            "spec: it has at least one of traceDays, logDays, metricDays and requestDays",
        ));
    }
    if !spec.opik_projects.is_empty() && others.iter().any(Option::is_some) {
        return Err(Error::invalid(
            "spec.opikProjects: logs, metrics and requests belong to no Opik project",
        )
        .hint("say how long those are kept in another policy, which names no projects"));
    }
    Ok(())
}

/// What began before this time goes.
pub(super) fn before(days: Option<u32>, now: Timestamp) -> Option<Timestamp> {
    let back = SignedDuration::from_hours(i64::from(days?) * 24);
    Some(now.checked_sub(back).unwrap_or(Timestamp::MIN))
}

/// In how many seconds the policy is to be carried out; 0 at once.
pub(super) fn due_in(status: Option<&RetentionPolicyStatus>, generation: Option<i64>, now: Timestamp) -> i64 {
    let Some(status) = status.filter(|status| status.observed_generation == generation) else {
        return 0;
    };
    let last: Option<Timestamp> = status.last_run.as_ref().and_then(|last| last.parse().ok());
    let since = last.map_or(EVERY, |last| now.as_second() - last.as_second());
    // A clock that was set back makes nothing wait longer.
    if since < 0 { 0 } else { (EVERY - since).max(0) }
}

/// How a look ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Outcome {
    /// Why nothing was done: a word and a sentence.
    Halted(&'static str, String),
    /// It was not due.
    Waited,
    /// It was carried out, and this is gone; with what went wrong, if anything.
    Ran(Removed, String),
}

/// The status after a look.
pub(super) fn status(
    old: Option<&RetentionPolicyStatus>,
    outcome: Outcome,
    generation: Option<i64>,
    now: Timestamp,
) -> RetentionPolicyStatus {
    let mut status = old.cloned().unwrap_or_default();
    let (is_ready, reason, message) = match outcome {
        Outcome::Waited => return status,
        Outcome::Halted(reason, message) => (false, reason, message),
        Outcome::Ran(removed, error) => {
            status.last_run = Some(now.to_string());
            status.removed = removed;
            status.removed_in_all.add(removed);
            status.last_error = error;
            if status.last_error.is_empty() {
                (true, "Kept", "what is older is removed every hour".to_owned())
            } else {
                (false, "Failed", status.last_error.clone())
            }
        }
    };
    status.observed_generation = generation;
    conditions::set(
        &mut status.conditions,
        conditions::condition(READY, is_ready, reason, message, generation, now),
    );
    status
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_policy_says_something_and_projects_have_traces_alone() {
        let spec = |projects: &[&str], traces: Option<u32>, logs: Option<u32>| RetentionPolicySpec {
            opik_projects: projects.iter().map(|name| (*name).to_owned()).collect(),
            trace_days: traces,
            log_days: logs,
            metric_days: None,
            request_days: None,
            disabled: false,
        };
        for (spec, is_good) in [
            (spec(&[], Some(3), Some(1)), true),
            (spec(&["a"], Some(3), None), true),
            (spec(&[], None, None), false),
            (spec(&["a"], Some(3), Some(1)), false),
        ] {
            assert_eq!(check(&spec).is_ok(), is_good, "{spec:?}");
        }
    }

    #[test]
    fn a_policy_is_due_every_hour_and_when_it_has_changed() {
        let status = |generation, last: Option<i64>| RetentionPolicyStatus {
            observed_generation: Some(generation),
            last_run: last.map(|last| at(last).to_string()),
            ..RetentionPolicyStatus::default()
        };
        for (status, expected) in [
            (None, 0),
            (Some(status(1, Some(9_990))), 0),
            (Some(status(2, None)), 0),
            (Some(status(2, Some(9_990))), EVERY - 10),
            (Some(status(2, Some(10_000 - EVERY))), 0),
            (Some(status(2, Some(20_000))), 0),
        ] {
            assert_eq!(
                due_in(status.as_ref(), Some(2), at(10_000)),
                expected,
                "{status:?}"
            );
        }
    }

    #[test]
    fn days_are_of_24_hours_back_from_now() {
        assert_eq!(before(Some(2), at(200_000)), Some(at(27_200)));
        assert_eq!(before(None, at(0)), None);
        assert!(before(Some(u32::MAX), at(0)).is_some());
    }

    #[test]
    fn the_status_adds_up_what_is_gone_and_a_look_that_was_not_due_changes_nothing() {
        let removed = Removed {
            traces: 2,
            logs: 1,
            ..Removed::default()
        };
        let first = status(None, Outcome::Ran(removed, String::new()), Some(1), at(5));
        let second = status(Some(&first), Outcome::Ran(removed, "no".into()), Some(1), at(6));
        assert_eq!((second.removed.traces, second.removed_in_all.traces), (2, 4));
        assert_eq!(second.conditions[0].reason, "Failed");
        assert_eq!(status(Some(&second), Outcome::Waited, Some(1), at(7)), second);
    }
}
