//! What follows from an alert's spec and what was measured: rules of admission, crossed thresholds, phases, status. Pure.

use serde::Deserialize;
use serde_json::Value;
use stead_kernel::{
    AccessRequest, Admission, Error, Result, Timestamp, Verb,
    conditions::{self, READY},
};

use super::{
    AlertRuleSpec, AlertRuleStatus, Measure, Network, Of, Threshold,
    held::{Held, Phase},
};
use crate::evaluation_rule::{Target, plan::filters};

/// Headers that this server sets itself.
const OWN_HEADERS: [&str; 6] = [
    "content-type",
    "content-length",
    "host",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
];

/// The rules on writes that the schema cannot say.
pub(crate) fn admit(admission: &mut Admission<'_>) -> Result<()> {
    let new = spec(admission.new)?;
    let old = admission.old.and_then(|old| spec(old).ok());
    check(&new)?;
    let same_way = old.as_ref().is_some_and(|old| old.webhook == new.webhook);
    if same_way {
        return Ok(());
    }
    if new.webhook.network == Network::Private && !admission.principal.is_admin() {
        return Err(Error::forbidden(
            "spec.webhook.network: only an admin may let a webhook reach private networks",
        )
        .hint("ask an admin to create this alert, or to allow the network for everyone"));
    }
    // Who names a Secret, or changes where it signs, must be allowed to read it.
    let Some(reference) = &new.webhook.secret_ref else {
        return Ok(());
    };
    let project = admission
        .new
        .pointer("/metadata/namespace")
        .and_then(Value::as_str);
    admission.authorizer.authorize(
        admission.principal,
        &AccessRequest {
            verb: Verb::Get,
            group: "",
            resource: "secrets",
            subresource: "",
            project,
            name: Some(&reference.name),
        },
    )
}

fn spec(object: &Value) -> Result<AlertRuleSpec> {
    AlertRuleSpec::deserialize(object.get("spec").unwrap_or(&Value::Null))
        .map_err(|error| Error::invalid("spec: it does not have the form of an AlertRule").because(error))
}

/// Checks what the schema cannot say.
///
/// # Errors
/// `Invalid` with the field.
pub(crate) fn check(spec: &AlertRuleSpec) -> Result<()> {
    for (place, threshold) in spec.thresholds.iter().enumerate() {
        check_threshold(threshold)
            .map_err(|why| Error::invalid(format!("spec.thresholds[{place}]: {why}")))?;
    }
    let url = url::Url::parse(&spec.webhook.url)
        .map_err(|error| Error::invalid(format!("spec.webhook.url: {error}")))?;
    if !["http", "https"].contains(&url.scheme()) || url.host_str().is_none() {
        return Err(Error::invalid("spec.webhook.url: it is no http or https address"));
    }
    for (name, value) in &spec.webhook.headers {
        let usable = http::HeaderName::try_from(name).is_ok() && http::HeaderValue::try_from(value).is_ok();
        if !usable || OWN_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
            return Err(Error::invalid(format!(
                "spec.webhook.headers: {name:?} cannot be set"
            )));
        }
    }
    Ok(())
}

fn check_threshold(threshold: &Threshold) -> Result<(), String> {
    let (above, below) = (threshold.above, threshold.below);
    if threshold.measure == Measure::Absence {
        if above.is_some() || below.is_some() || threshold.until.is_some() {
            return Err("Absence takes neither above, below nor until".into());
        }
    } else if above.is_some() == below.is_some() {
        return Err("it has either above or below".into());
    }
    let back = threshold.until.zip(above.or(below));
    if back.is_some_and(|(until, at)| if above.is_some() { until > at } else { until < at }) {
        return Err("until is on the side of the threshold where it is not crossed".into());
    }
    if threshold.score.is_some() != (threshold.measure == Measure::Score) {
        return Err("score names the score of Score, and of nothing else".into());
    }
    if threshold.quantile.is_some() && threshold.measure != Measure::Latency {
        return Err("quantile is for Latency".into());
    }
    let Some(target) = target(threshold.of) else {
        return if !threshold.filters.is_empty() {
            Err("requests take no filters".into())
        } else if threshold.measure == Measure::Score || threshold.quantile.is_some() {
            Err("requests have neither scores nor quantiles".into())
        } else {
            Ok(())
        };
    };
    if threshold.of == Of::Threads && matches!(threshold.measure, Measure::Errors | Measure::ErrorRate) {
        return Err("threads have no errors; their traces have".into());
    }
    filters(target, &threshold.filters)
        .map(drop)
        .map_err(|error| error.message().to_owned())
}

/// What is measured, where it was traced.
pub(super) const fn target(of: Of) -> Option<Target> {
    match of {
        Of::Traces => Some(Target::Traces),
        Of::Spans => Some(Target::Spans),
        Of::Threads => Some(Target::Threads),
        Of::Requests => None,
    }
}

/// Whether a threshold is crossed by a value. One that was crossed stays so until the value is back at `until`, and while
/// there is no value.
pub(super) fn is_crossed(threshold: &Threshold, value: Option<f64>, was: bool) -> bool {
    let Some(value) = value else {
        return was;
    };
    let until = |at: f64| if was { threshold.until.unwrap_or(at) } else { at };
    match (threshold.measure, threshold.above, threshold.below) {
        (Measure::Absence, ..) => value < 1.0,
        (_, Some(above), _) => value > until(above),
        (_, None, Some(below)) => value < until(below),
        (_, None, None) => false,
    }
}

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    /// It fires, for the first time or still.
    Firing,
    /// It is over.
    Resolved,
}

impl Event {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Firing => "alert.firing",
            Self::Resolved => "alert.resolved",
        }
    }
}

/// Goes on to the phase that follows; says what is to be told.
pub(super) fn step(held: &mut Held, spec: &AlertRuleSpec, now: Timestamp) -> Option<Event> {
    let holds = held.crossed.iter().any(|crossed| *crossed);
    let since = held.since.unwrap_or(now);
    let lasted = |seconds: u32| now.as_second().saturating_sub(since.as_second()) >= i64::from(seconds);
    let (phase, event) = match (held.phase, holds) {
        (Phase::Ok | Phase::Pending, true) => {
            let begun = held.phase == Phase::Ok;
            if (begun && spec.hold_seconds == 0) || (!begun && lasted(spec.hold_seconds)) {
                (Phase::Firing, Some(Event::Firing))
            } else {
                (Phase::Pending, None)
            }
        }
        (Phase::Ok | Phase::Pending, false) => (Phase::Ok, None),
        (Phase::Firing, false) if spec.clear_seconds > 0 => (Phase::Clearing, None),
        (Phase::Firing, false) => (Phase::Ok, Some(Event::Resolved)),
        (Phase::Clearing, false) if lasted(spec.clear_seconds) => (Phase::Ok, Some(Event::Resolved)),
        (Phase::Clearing, false) => (Phase::Clearing, None),
        (Phase::Clearing | Phase::Firing, true) => (Phase::Firing, None),
    };
    if phase != held.phase || held.since.is_none() {
        held.since = Some(now);
    }
    held.phase = phase;
    if event == Some(Event::Firing) {
        held.fired = Some(now);
    }
    let event = event.or_else(|| is_due_again(held, spec, now).then_some(Event::Firing));
    if event.is_some() {
        held.told = Some(now);
    }
    event
}

fn is_due_again(held: &Held, spec: &AlertRuleSpec, now: Timestamp) -> bool {
    let told = held.told.map_or(0, Timestamp::as_second);
    held.phase == Phase::Firing
        && spec.repeat_seconds > 0
        && now.as_second().saturating_sub(told) >= i64::from(spec.repeat_seconds)
}

/// The status that follows; `halted` says why it does not look, with a word for it.
pub(super) fn status(
    old: Option<&AlertRuleStatus>,
    held: &Held,
    halted: Option<(&str, String)>,
    generation: Option<i64>,
    now: Timestamp,
) -> AlertRuleStatus {
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let mut status = AlertRuleStatus {
        observed_generation: generation,
        conditions: old.map(|old| old.conditions.clone()).unwrap_or_default(),
        state: held.phase.as_str().to_owned(),
        since: time(held.since),
        values: held.values.clone(),
        last_sent: time(held.sent),
        waiting: held.outbox.len() as u64,
        last_error: held.last_error.clone(),
    };
    let (ready, reason, message) = match halted {
        Some((reason, message)) => (false, reason, message),
        None if held.outbox.iter().any(|delivery| delivery.tries > 0) => (
            false,
            "Undelivered",
            format!("the webhook did not take it: {}", held.last_error),
        ),
        None => (true, "Watching", "its thresholds are looked at".to_owned()),
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

    fn rule(change: &Value) -> AlertRuleSpec {
        let mut spec = json!({"thresholds": [{"measure": "Errors", "windowSeconds": 60, "above": 1.0}],
            "webhook": {"url": "https://example.com/x"}});
        spec.as_object_mut()
            .unwrap()
            .extend(change.as_object().cloned().unwrap());
        serde_json::from_value(spec).unwrap()
    }

    #[test]
    fn a_rule_that_cannot_work_is_refused() {
        check(&rule(&json!({}))).unwrap();
        let with = |change: Value| {
            let mut threshold = json!({"measure": "Errors", "windowSeconds": 60, "above": 1.0});
            threshold
                .as_object_mut()
                .unwrap()
                .extend(change.as_object().cloned().unwrap());
            json!({"thresholds": [threshold]})
        };
        for (change, message) in [
            (with(json!({"below": 1.0})), "either above or below"),
            (with(json!({"measure": "Absence"})), "Absence takes neither"),
            (with(json!({"until": 2.0})), "until is"),
            (with(json!({"score": "x"})), "score names"),
            (with(json!({"measure": "Score"})), "score names"),
            (with(json!({"quantile": 0.5})), "quantile is for"),
            (with(json!({"of": "Threads"})), "threads have no errors"),
            (
                with(json!({"of": "Requests", "filters": [{"field": "name", "operator": "="}]})),
                "no filters",
            ),
            (
                with(json!({"filters": [{"field": "x", "operator": "="}]})),
                "no field",
            ),
            (
                json!({"webhook": {"url": "ftp://example.com"}}),
                "spec.webhook.url",
            ),
            (
                json!({"webhook": {"url": "https://example.com", "headers": {"Webhook-Id": "x"}}}),
                "cannot be set",
            ),
        ] {
            let error = check(&rule(&change)).unwrap_err();
            assert!(error.message().contains(message), "{change}: {error}");
        }
    }

    #[test]
    fn a_threshold_that_was_crossed_stays_so_until_the_value_is_back() {
        let threshold = |change: Value| -> Threshold {
            let mut threshold = json!({"measure": "Cost", "windowSeconds": 60});
            threshold
                .as_object_mut()
                .unwrap()
                .extend(change.as_object().cloned().unwrap());
            serde_json::from_value(threshold).unwrap()
        };
        let above = threshold(json!({"above": 10.0, "until": 5.0}));
        let below = threshold(json!({"below": 0.5, "until": 0.7}));
        let absence = threshold(json!({"measure": "Absence"}));
        for (threshold, value, was, expected) in [
            (&above, Some(10.0), false, false),
            (&above, Some(10.1), false, true),
            (&above, Some(7.0), true, true),
            (&above, Some(7.0), false, false),
            (&above, Some(5.0), true, false),
            (&above, None, true, true),
            (&above, None, false, false),
            (&below, Some(0.4), false, true),
            (&below, Some(0.6), true, true),
            (&below, Some(0.7), true, false),
            (&absence, Some(0.0), false, true),
            (&absence, Some(1.0), true, false),
        ] {
            assert_eq!(
                is_crossed(threshold, value, was),
                expected,
                "{threshold:?} {value:?} {was}"
            );
        }
    }

    #[test]
    fn phases_follow_each_other_and_tell_once() {
        let spec = rule(&json!({"holdSeconds": 60, "clearSeconds": 120, "repeatSeconds": 600}));
        let mut held = Held::default();
        let mut at = |second: i64, crossed: bool| {
            held.crossed = vec![false, crossed];
            let event = step(&mut held, &spec, Timestamp::from_second(second).unwrap());
            (held.phase, event)
        };
        let steps = [
            (0, false, Phase::Ok, None),
            (10, true, Phase::Pending, None),
            (20, false, Phase::Ok, None),
            (30, true, Phase::Pending, None),
            (89, true, Phase::Pending, None),
            (90, true, Phase::Firing, Some(Event::Firing)),
            (100, true, Phase::Firing, None),
            (110, false, Phase::Clearing, None),
            (120, true, Phase::Firing, None),
            (690, true, Phase::Firing, Some(Event::Firing)),
            (700, false, Phase::Clearing, None),
            (819, false, Phase::Clearing, None),
            (820, false, Phase::Ok, Some(Event::Resolved)),
            (830, false, Phase::Ok, None),
        ];
        for (second, crossed, phase, event) in steps {
            assert_eq!(at(second, crossed), (phase, event), "{second}");
        }
        let at_once = rule(&json!({"clearSeconds": 0}));
        let mut held = Held {
            crossed: vec![true],
            ..Held::default()
        };
        assert_eq!(
            step(&mut held, &at_once, Timestamp::UNIX_EPOCH),
            Some(Event::Firing)
        );
        held.crossed = vec![false];
        assert_eq!(
            step(&mut held, &at_once, Timestamp::UNIX_EPOCH),
            Some(Event::Resolved)
        );
    }
}
