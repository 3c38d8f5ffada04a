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
fn fallbacks_breakers_and_checks_that_cannot_work_are_refused() {
    let target = json!({"provider": "p", "model": "m"});
    let cases = [
        (
            json!({"targets": [target], "fallbacks": [{"route": "chat", "on": ["Error"]}]}),
            Some(Reason::Invalid),
        ),
        (
            json!({"targets": [target], "fallbacks": [{"route": "other", "on": []}]}),
            Some(Reason::Invalid),
        ),
        (
            json!({"targets": [target], "fallbacks": [{"route": "other", "on": ["Sometimes"]}]}),
            Some(Reason::Invalid),
        ),
        (
            json!({"targets": [target], "fallbacks": [{"route": "other", "on": ["ContentFilter"]}]}),
            None,
        ),
        (json!({"targets": [target], "breaker": {"failures": 0}}), None),
        (
            json!({"targets": [target], "breaker": {"cooldown": "0s"}}),
            Some(Reason::Invalid),
        ),
        (
            json!({"targets": [target], "healthCheck": {"interval": "10ms"}}),
            Some(Reason::Invalid),
        ),
        (
            json!({"targets": [target], "healthCheck": {"path": "health"}}),
            Some(Reason::Invalid),
        ),
        (
            json!({"targets": [target], "healthCheck": {"path": "/health"}}),
            None,
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(write(&spec), expected, "{spec}");
    }
}

#[test]
fn canaries_and_conditions_that_leave_requests_without_a_target_are_refused() {
    let with = |more: Value| {
        let mut target = json!({"provider": "p", "model": "m"});
        if let (Some(target), Value::Object(more)) = (target.as_object_mut(), more) {
            target.extend(more);
        }
        target
    };
    let plain = with(json!({}));
    let canary = |percent: u32| with(json!({"canary": {"percent": percent}}));
    let condition = |conditions: Value| json!([with(json!({"conditions": conditions})), plain]);
    let cases = [
        (json!([plain, canary(5)]), None),
        (json!([canary(5)]), Some(Reason::Invalid)),
        (json!([plain, canary(60), canary(41)]), Some(Reason::Invalid)),
        (json!([plain, canary(60), canary(40)]), None),
        (condition(json!({"labels": {"team": ["a*"]}})), None),
        (condition(json!({"labels": {"team": []}})), Some(Reason::Invalid)),
        (
            condition(json!({"headers": {"Authorization": ["*"]}})),
            Some(Reason::Invalid),
        ),
        (
            condition(json!({"minInputTokens": 5, "maxInputTokens": 4})),
            Some(Reason::Invalid),
        ),
        (
            condition(json!({"minInputTokens": 5, "maxInputTokens": 5, "tools": false})),
            None,
        ),
    ];
    for (targets, expected) in cases {
        assert_eq!(write(&json!({"targets": targets})), expected, "{targets}");
    }
}

#[test]
fn breakers_have_defaults_and_can_be_switched_off() {
    let guard = |spec: Value| {
        let spec = ModelRouteSpec::deserialize(spec).unwrap();
        Guard::of(&spec)
    };
    let targets = json!([{"provider": "p", "model": "m"}]);
    assert_eq!(
        guard(json!({"targets": targets})).map(|guard| guard.rules),
        Some(RULES)
    );
    assert_eq!(
        guard(json!({"targets": targets, "breaker": {"failures": 0}})),
        None
    );
    let found = guard(json!({"targets": targets, "breaker": {"cooldown": "10m", "whenAllOpen": "Refuse"}}));
    let found = found.unwrap();
    assert_eq!(
        found.rules.longest,
        Duration::from_mins(10),
        "at least the cooldown"
    );
    assert_eq!(found.when_all_open, WhenAllOpen::Refuse);
}

#[test]
fn milliseconds_are_told_to_two_digits() {
    for (given, told) in [(0, 0), (7, 7), (99, 99), (123, 120), (5_678, 5_600)] {
        assert_eq!(two_digits(Duration::from_millis(given)), told);
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
        let spec = ModelRouteSpec::deserialize(json!({"targets": [
            {"provider": "p", "model": "m"}, {"provider": "p", "model": "m"}]}))
        .unwrap();
        let targets: Vec<_> = targets.into_iter().map(|target| (target, None)).collect();
        let status = status(&spec, None, &targets, Some(1), Timestamp::UNIX_EPOCH);
        assert_eq!(status.targets.len(), targets.len());
        let ready = &status.conditions[0];
        assert_eq!((ready.status.as_str(), ready.reason.as_str()), (expected, reason));
    }
}
