//! The two shapes of events: `v1` is stored, `events.k8s.io/v1` is converted from and to it.

use serde_json::{Map, Value};
use stead_kernel::DEFAULT_PROJECT;
use stead_resource::{FieldError, FieldErrorKind};

use super::names;
use crate::object::{self, root_mut, top};

/// Names in the newer group, and in the core group.
const NAMES: &[(&str, &str)] = &[
    ("regarding", "involvedObject"),
    ("note", "message"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// Turns a newer event into the stored shape.
pub(crate) fn from_newer(event: &mut Value) {
    rename(root_mut(event), |(newer, older)| (newer, older));
}

/// Turns a stored event into the newer shape.
pub(crate) fn to_newer(event: &mut Value) {
    rename(root_mut(event), |(newer, older)| (older, newer));
    for name in ["reportingController", "reportingInstance"] {
        // The core group's events always have these, the newer one's only when they say something.
        if event.get(name).and_then(Value::as_str) == Some("") {
            root_mut(event).shift_remove(name);
        }
    }
}

/// What is wrong with an event of either group, told in the names of the core one as the original does. Events that
/// were made under older, laxer rules stay as they are.
pub(super) fn faults(old: Option<&Value>, event: &Value) -> Vec<FieldError> {
    let is_newer = top(event, "apiVersion") != "v1";
    let mut event = event.clone();
    if is_newer {
        from_newer(&mut event);
    }
    let mut errors = Vec::new();
    let place = event
        .get("involvedObject")
        .map(|about| top(about, "namespace"))
        .unwrap_or_default();
    let own = object::namespace(&event);
    if place != own && !(place.is_empty() && own == DEFAULT_PROJECT) {
        errors.push(invalid(
            "involvedObject.namespace",
            place,
            "does not match event.namespace".into(),
        ));
    }
    if is_newer && old.is_none() {
        errors.extend(newer_faults(&event));
    }
    errors
}

fn newer_faults(event: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let required = |path: &str| FieldError::new(path, FieldErrorKind::Required, "");
    if event.get("eventTime").is_none_or(Value::is_null) {
        errors.push(required("eventTime"));
    } else {
        let controller = top(event, "reportingComponent");
        if controller.is_empty() {
            errors.push(required("reportingController"));
        }
        let rules = names::faults_of_key(controller, "qualified name").into_iter();
        errors.extend(rules.map(|rule| invalid("reportingController", controller, rule)));
        for (path, field) in [
            ("reportingInstance", "reportingInstance"),
            ("action", "action"),
            ("reason", "reason"),
        ] {
            if top(event, field).is_empty() {
                errors.push(required(path));
            }
        }
    }
    let kind = top(event, "type");
    if !matches!(kind, "Normal" | "Warning") {
        errors.push(invalid("type", "", format!("has invalid value: {kind}")));
    }
    for field in ["firstTimestamp", "lastTimestamp", "count"] {
        if event
            .get(field)
            .is_some_and(|value| !value.is_null() && *value != 0)
        {
            errors.push(invalid(field, "", "needs to be unset".into()));
        }
    }
    if event
        .get("source")
        .and_then(Value::as_object)
        .is_some_and(|source| !source.is_empty())
    {
        errors.push(invalid("source", "", "needs to be unset".into()));
    }
    errors
}

fn invalid(path: &str, value: &str, rule: String) -> FieldError {
    FieldError::new(path, FieldErrorKind::Invalid, rule).with_value(Value::from(value))
}

fn rename(
    event: &mut Map<String, Value>,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    for names in NAMES {
        let (from, to) = direction(*names);
        if let Some(value) = event.shift_remove(from) {
            event.insert(to.into(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_event_survives_the_way_there_and_back() {
        let newer =
            json!({"regarding": {"name": "a"}, "note": "hello", "reportingController": "c", "reason": "R"});
        let mut event = newer.clone();
        from_newer(&mut event);
        assert_eq!(event["involvedObject"]["name"], "a");
        assert_eq!(event["message"], "hello");
        to_newer(&mut event);
        assert_eq!(event, newer);
    }
}
