//! The two shapes of events: `v1` is stored, `events.k8s.io/v1` is converted from and to it.

use serde_json::{Map, Value};

use crate::object::root_mut;

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
