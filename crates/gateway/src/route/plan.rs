//! What follows from a route's spec: defaults, rules of admission, its status. Nothing here performs I/O.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    Admission, Error, Result, Timestamp,
    conditions::{self, READY},
};

use super::{ModelRouteSpec, ModelRouteStatus};
use crate::cache;

/// Tries in all, unless a route says otherwise.
pub(crate) const DEFAULT_ATTEMPTS: u32 = 3;
/// The pause before the second try of a target, unless a route says otherwise.
pub(crate) const DEFAULT_BACKOFF: Duration = Duration::from_millis(200);

/// How long each part of an answer may take, completed with the defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    pub(crate) connect: Duration,
    pub(crate) first_token: Duration,
    pub(crate) idle: Duration,
    pub(crate) total: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_token: Duration::from_mins(2),
            idle: Duration::from_mins(1),
            total: Duration::from_mins(10),
        }
    }
}

impl Limits {
    /// The limits of a route.
    pub(crate) fn of(spec: &ModelRouteSpec) -> Self {
        let default = Self::default();
        let Some(timeouts) = &spec.timeouts else {
            return default;
        };
        let or = |given: Option<crate::duration::Span>, default| given.map_or(default, |span| span.0);
        Self {
            connect: or(timeouts.connect, default.connect),
            first_token: or(timeouts.first_token, default.first_token),
            idle: or(timeouts.idle, default.idle),
            total: or(timeouts.total, default.total),
        }
    }
}

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let spec = ModelRouteSpec::deserialize(admission.new.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of a ModelRoute").because(error))?;
    if spec.targets.is_empty() {
        return Err(Error::invalid("spec.targets: a route needs at least one target"));
    }
    if spec.targets.iter().any(|target| target.priority == 0) {
        return Err(Error::invalid("spec.targets: priorities begin at 1"));
    }
    let name = admission.new.pointer("/metadata/name").and_then(Value::as_str);
    if spec
        .fallbacks
        .iter()
        .any(|fallback| Some(fallback.as_str()) == name)
    {
        return Err(Error::invalid(
            "spec.fallbacks: a route cannot fall back to itself",
        ));
    }
    if let Some(cache) = &spec.cache {
        cache::admit(cache)?;
    }
    check_timeouts(&spec)
}

fn check_timeouts(spec: &ModelRouteSpec) -> Result<()> {
    let limits = Limits::of(spec);
    let table = [
        ("connect", limits.connect),
        ("firstToken", limits.first_token),
        ("idle", limits.idle),
        ("total", limits.total),
    ];
    for (name, limit) in table {
        if limit.is_zero() {
            return Err(Error::invalid(format!(
                "spec.timeouts.{name}: a timeout of nothing lets no answer through"
            )));
        }
        if limit > Duration::from_hours(24) {
            return Err(Error::invalid(format!("spec.timeouts.{name}: at most 24h")));
        }
    }
    Ok(())
}

/// Why a target cannot answer, or that it can.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TargetState {
    /// Its provider exists and may be used.
    Usable,
    /// There is no such provider in the project.
    Missing(String),
    /// The provider is there, but nobody may use it.
    Disabled(String),
}

/// The status that follows.
pub(crate) fn status(
    old: Option<&ModelRouteStatus>,
    targets: &[TargetState],
    generation: Option<i64>,
    now: Timestamp,
) -> ModelRouteStatus {
    let mut status = old.cloned().unwrap_or_default();
    status.observed_generation = generation;
    status.target_count = u64::try_from(targets.len()).unwrap_or(u64::MAX);
    let problems: Vec<String> = targets
        .iter()
        .filter_map(|target| match target {
            TargetState::Usable => None,
            TargetState::Missing(name) => Some(format!("there is no provider `{name}`")),
            TargetState::Disabled(name) => Some(format!("provider `{name}` is disabled")),
        })
        .collect();
    let usable = targets.len() - problems.len();
    let (reason, message) = if problems.is_empty() {
        ("TargetsUsable", format!("{usable} targets can answer"))
    } else if usable > 0 {
        ("SomeTargetsUsable", problems.join("; "))
    } else {
        ("NoTargetUsable", problems.join("; "))
    };
    conditions::set(
        &mut status.conditions,
        conditions::condition(READY, usable > 0, reason, message, generation, now),
    );
    status
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use stead_kernel::{AccessRequest, Authorizer, Principal, Reason};

    use super::*;

    struct Anyone;

    impl Authorizer for Anyone {
        fn authorize(&self, _: &Principal, _: &AccessRequest<'_>) -> Result<()> {
            Ok(())
        }
    }

    fn write(spec: &Value) -> Option<Reason> {
        let mut new = json!({"metadata": {"name": "chat", "namespace": "default"}, "spec": spec});
        let mut admission = Admission {
            principal: &Principal::admin(),
            authorizer: &Anyone,
            old: None,
            new: &mut new,
        };
        admit(&mut admission).err().map(|error| error.reason())
    }

    #[test]
    fn routes_that_cannot_work_are_refused() {
        let target = json!({"provider": "p", "model": "m"});
        let cases = [
            (json!({"targets": [target]}), None),
            (json!({"targets": []}), Some(Reason::Invalid)),
            (
                json!({"targets": [target], "strategy": "Fastest"}),
                Some(Reason::Invalid),
            ),
            (
                json!({"targets": [{"provider": "p", "model": "m", "priority": 0}]}),
                Some(Reason::Invalid),
            ),
            (
                json!({"targets": [target], "fallbacks": ["chat"]}),
                Some(Reason::Invalid),
            ),
            (json!({"targets": [target], "fallbacks": ["other"]}), None),
            (
                json!({"targets": [target], "timeouts": {"idle": "0s"}}),
                Some(Reason::Invalid),
            ),
            (
                json!({"targets": [target], "timeouts": {"total": "25h"}}),
                Some(Reason::Invalid),
            ),
            (
                json!({"targets": [target], "timeouts": {"total": "fast"}}),
                Some(Reason::Invalid),
            ),
            (json!({"targets": [target], "retry": {"backoff": "50ms"}}), None),
            (json!({"targets": [target], "cache": {}}), None),
            (
                json!({"targets": [target], "cache": {"ttl": "0s"}}),
                Some(Reason::Invalid),
            ),
            (
                json!({"targets": [target], "cache": {"mode": "Semantic"}}),
                Some(Reason::Invalid),
            ),
            (
                json!({"targets": [target], "cache": {"mode": "Semantic", "embeddingRoute": "e"}}),
                None,
            ),
            (
                json!({"targets": [target], "cache": {"embeddingRoute": "e"}}),
                Some(Reason::Invalid),
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(write(&spec), expected, "{spec}");
        }
    }

    #[test]
    fn a_route_is_ready_while_one_target_can_answer() {
        let cases = [
            (vec![TargetState::Usable], "True", "TargetsUsable"),
            (
                vec![TargetState::Usable, TargetState::Missing("p".into())],
                "True",
                "SomeTargetsUsable",
            ),
            (vec![TargetState::Disabled("p".into())], "False", "NoTargetUsable"),
        ];
        for (targets, expected, reason) in cases {
            let status = status(None, &targets, Some(1), Timestamp::UNIX_EPOCH);
            let ready = &status.conditions[0];
            assert_eq!((ready.status.as_str(), ready.reason.as_str()), (expected, reason));
        }
    }
}
