use serde_json::json;
use stead_kernel::{AccessRequest, Authorizer, Credential, Principal, Reason};
use stead_metering::Span;

use super::*;

struct Anything;

impl Authorizer for Anything {
    fn authorize(&self, _: &Principal, _: &AccessRequest<'_>) -> Result<()> {
        Ok(())
    }
}

fn write(principal: &Principal, old: Option<&Value>, spec: &Value) -> Option<Reason> {
    let object = |spec: &Value| json!({"metadata": {"namespace": "default", "name": "q"}, "spec": spec});
    let old = old.map(object);
    let mut new = object(spec);
    let mut admission = Admission {
        principal,
        authorizer: &Anything,
        old: old.as_ref(),
        new: &mut new,
    };
    admit(&mut admission).err().map(|error| error.reason())
}

fn spec(subject: &Value, more: &Value) -> Value {
    let mut spec = json!({"subject": subject, "limits": [{"per": "minute", "requests": 1}]});
    if let (Some(spec), Some(more)) = (spec.as_object_mut(), more.as_object()) {
        spec.extend(more.clone());
    }
    spec
}

#[test]
fn a_quota_names_whom_it_limits_and_how() {
    let invalid = Some(Reason::Invalid);
    let key = json!({"kind": "Key", "name": "ci"});
    let cases = [
        (spec(&key, &json!({})), None),
        (spec(&json!({"kind": "User", "name": "*"}), &json!({})), None),
        (spec(&json!({"kind": "Key"}), &json!({})), invalid),
        (spec(&json!({"kind": "Project"}), &json!({})), None),
        (
            spec(&json!({"kind": "Project", "name": "a"}), &json!({})),
            invalid,
        ),
        (spec(&key, &json!({"limits": []})), invalid),
        (spec(&key, &json!({"limits": [], "concurrency": 3})), None),
        (spec(&key, &json!({"limits": [{"per": "day"}]})), invalid),
        (
            spec(
                &key,
                &json!({"limits": [{"per": "day", "tokens": 1}, {"per": "day", "requests": 1}]}),
            ),
            invalid,
        ),
        (
            spec(&key, &json!({"limits": [{"per": "day", "spendUsd": -1.0}]})),
            invalid,
        ),
        (
            spec(&key, &json!({"limits": [{"per": "week", "requests": 1}]})),
            invalid,
        ),
    ];
    for (spec, expected) in cases {
        assert_eq!(write(&Principal::admin(), None, &spec), expected, "{spec}");
    }
}

#[test]
fn only_admins_set_quotas() {
    let ada = Principal {
        user: "ada".into(),
        groups: Vec::new(),
        projects: vec!["default".into()],
        credential: Credential::Token,
    };
    let quota = spec(&json!({"kind": "User", "name": "ada"}), &json!({}));
    let wider = spec(&json!({"kind": "User", "name": "ada"}), &json!({"hard": false}));
    assert_eq!(write(&ada, None, &quota), Some(Reason::Forbidden));
    assert_eq!(write(&ada, Some(&quota), &wider), Some(Reason::Forbidden));
    assert_eq!(write(&ada, Some(&quota), &quota), None, "a label may change");
}

#[test]
fn every_limit_of_a_spec_becomes_one_to_count() {
    let spec = json!({
        "subject": {"kind": "Project"}, "concurrency": 3, "hard": false,
        "limits": [{"per": "minute", "requests": 1, "inputTokens": 2, "outputTokens": 3, "tokens": 4},
            {"per": "month", "spendUsd": 0.000_000_5}],
    });
    let terms = terms(&QuotaSpec::deserialize(spec).unwrap());
    let found: Vec<_> = terms
        .iter()
        .map(|terms| (terms.measure, terms.window, terms.ceiling))
        .collect();
    let minute = Some(Window::Minute);
    let expected = [
        (Measure::Requests, minute, 1),
        (Measure::InputTokens, minute, 2),
        (Measure::OutputTokens, minute, 3),
        (Measure::Tokens, minute, 4),
        (Measure::Spend, Some(Window::Month), 500),
        (Measure::Concurrency, None, 3),
    ];
    assert_eq!(found, expected);
    assert!(terms.iter().all(|terms| !terms.hard));
}

#[test]
fn the_status_shows_the_fullest_limits_first_and_what_is_exceeded() {
    let now: Timestamp = "2026-11-30T12:00:30Z".parse().unwrap();
    let standing = |measure, window: Window, ceiling, used| Standing {
        subject: "key ci".into(),
        measure,
        window: Some(window),
        reading: Reading {
            ceiling,
            used,
            reserved: 5,
            span: window.at(now),
            seeded: true,
        },
        elsewhere: 3,
    };
    let standings = vec![
        standing(Measure::Requests, Window::Minute, 100, 10),
        standing(Measure::Spend, Window::Month, 1_000_000_000, 999_999_995),
    ];
    let made = status(None, standings.clone(), Some(2), now);
    let (spend, requests) = (&made.limits[0], &made.limits[1]);
    assert_eq!(
        (spend.measure.as_str(), requests.measure.as_str()),
        ("spendUsd", "requests")
    );
    assert_eq!(
        (requests.used, requests.reserved, requests.remaining),
        (13.0, 2.0, 85.0)
    );
    assert_eq!(requests.reset_at.as_deref(), Some("2026-11-30T12:01:00Z"));
    let of = |status: &QuotaStatus, kind: &str| {
        let found = status.conditions.iter().find(|condition| condition.type_ == kind);
        found.map(|condition| (condition.status.clone(), condition.message.clone()))
    };
    let (exceeded, message) = of(&made, "Exceeded").unwrap();
    assert_eq!(
        (exceeded.as_str(), message.as_str()),
        ("True", "nothing is left of spendUsd per month of key ci")
    );
    assert_eq!(of(&made, "Ready").unwrap().0, "True");
    assert_eq!(
        status(Some(&made), standings, Some(2), now),
        made,
        "nothing new is nothing to write"
    );
    let mut unseeded = standing(Measure::Requests, Window::Minute, 100, 0);
    unseeded.reading.seeded = false;
    assert_eq!(
        of(&status(None, vec![unseeded], None, now), "Ready").unwrap().0,
        "False"
    );
    assert_eq!(Span::ALWAYS.ends(), None);
}
