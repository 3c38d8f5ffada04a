//! Merge patches (RFC 7386): what turns one object into another.

use serde_json::{Map, Value};

/// The merge patch that makes `to` of `from`; an empty object when they are the same.
pub(crate) fn merge_patch(from: &Value, to: &Value) -> Value {
    let (Value::Object(from), Value::Object(to)) = (from, to) else {
        return to.clone();
    };
    let mut patch = Map::new();
    for (key, old) in from {
        match to.get(key) {
            None => drop(patch.insert(key.clone(), Value::Null)),
            Some(new) if new == old => {}
            Some(new) => drop(patch.insert(key.clone(), merge_patch(old, new))),
        }
    }
    for (key, new) in to.iter().filter(|(key, _)| !from.contains_key(*key)) {
        patch.insert(key.clone(), new.clone());
    }
    Value::Object(patch)
}

/// Applies a merge patch (RFC 7386, section 2).
pub(crate) fn apply_patch(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(target) = target else { return };
    for (key, change) in patch {
        if change.is_null() {
            target.shift_remove(key);
        } else {
            apply_patch(target.entry(key.clone()).or_insert(Value::Null), change);
        }
    }
}

/// Whether two merge patches change the same place.
pub(crate) fn overlaps(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => one
            .iter()
            .any(|(key, value)| other.get(key).is_some_and(|theirs| overlaps(value, theirs))),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn changes_in_different_places_do_not_overlap() {
        let mine = json!({"spec": {"a": 1}});
        assert!(!overlaps(&mine, &json!({"spec": {"b": 2}, "status": {}})));
        assert!(overlaps(&mine, &json!({"spec": {"a": {"x": 2}}})));
        assert!(overlaps(&mine, &json!({"spec": null})));
    }

    fn value() -> impl proptest::strategy::Strategy<Value = Value> {
        use proptest::prelude::*;
        let leaf = prop_oneof![
            any::<bool>().prop_map(Value::from),
            any::<i32>().prop_map(Value::from)
        ];
        let tree = leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                proptest::collection::hash_map("[a-c]", inner, 0..4)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        });
        proptest::collection::hash_map("[a-c]", tree, 0..4).prop_map(|map| map.into_iter().collect())
    }

    proptest::proptest! {
        #[test]
        fn a_patch_leads_from_one_to_the_other(from in value(), to in value()) {
            let mut result = from.clone();
            apply_patch(&mut result, &merge_patch(&from, &to));
            assert_eq!(result, to);
        }
    }
}
