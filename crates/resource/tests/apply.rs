//! Server-side apply and the ownership of fields.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::needless_pass_by_value,
    reason = "helpers of tests"
)]

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_resource::{
    Schema,
    apply::{ApplyError, Conflict, Manager, server_side_apply, track_update},
};

mod support;
use support::{any_json, manager, provider_schema};

fn object(spec: Value) -> Value {
    json!({"apiVersion": "stead.dev/v1alpha1", "kind": "X", "metadata": {"name": "x"}, "spec": spec})
}

/// Applies a spec and expects it to work.
fn apply(live: Option<&Value>, spec: Value, name: &str) -> Value {
    server_side_apply(live, &object(spec), &provider_schema(), &manager(name), false).expect("no conflict")
}

fn conflicts(live: &Value, spec: Value, name: &str) -> Vec<String> {
    match server_side_apply(
        Some(live),
        &object(spec),
        &provider_schema(),
        &manager(name),
        false,
    ) {
        Err(ApplyError::Conflicts(conflicts)) => conflicts.iter().map(ToString::to_string).collect(),
        other => panic!("expected conflicts, got {other:?}"),
    }
}

/// The fields that a manager owns, as `fieldsV1`.
fn owned(object: &Value, name: &str) -> Value {
    let entries = object["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    entries
        .into_iter()
        .find(|entry| entry["manager"] == name)
        .map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

#[test]
fn a_create_owns_what_it_names() {
    let created = apply(
        None,
        json!({"baseUrl": "u", "targets": [{"name": "a", "weight": 2}], "tags": ["x"]}),
        "alice",
    );
    assert_eq!(
        created["spec"],
        json!({"baseUrl": "u", "targets": [{"name": "a", "weight": 2}], "tags": ["x"]})
    );
    assert_eq!(
        created["metadata"]["managedFields"],
        json!([{
            "manager": "alice", "operation": "Apply", "apiVersion": "stead.dev/v1alpha1", "time": "2026-01-02T03:04:05Z",
            "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {
                "f:baseUrl": {},
                "f:tags": {"v:\"x\"": {}},
                "f:targets": {"k:{\"name\":\"a\"}": {".": {}, "f:name": {}, "f:weight": {}}},
            }},
        }])
    );
}

#[test]
fn applying_the_same_again_changes_nothing_even_later() {
    let created = apply(None, json!({"baseUrl": "u", "options": {"a": "1"}}), "alice");
    let later = Manager {
        now: "2027-01-01T00:00:00Z",
        ..manager("alice")
    };
    let spec = object(json!({"baseUrl": "u", "options": {"a": "1"}}));
    assert_eq!(
        server_side_apply(Some(&created), &spec, &provider_schema(), &later, false),
        Ok(created)
    );
}

#[test]
fn two_appliers_of_the_same_value_share_it() {
    let live = apply(None, json!({"baseUrl": "u"}), "alice");
    let live = apply(Some(&live), json!({"baseUrl": "u"}), "bob");
    let wanted = json!({"f:spec": {"f:baseUrl": {}}});
    assert_eq!(
        (owned(&live, "alice"), owned(&live, "bob")),
        (wanted.clone(), wanted)
    );
    let live = apply(Some(&live), json!({}), "alice");
    assert_eq!(live["spec"]["baseUrl"], "u", "bob still wants it");
    let live = apply(Some(&live), json!({}), "bob");
    assert_eq!(live.pointer("/spec/baseUrl"), None);
}

#[test]
fn another_value_is_a_conflict_named_by_field_and_manager() {
    let live = apply(
        None,
        json!({"baseUrl": "u", "targets": [{"name": "a", "weight": 1}]}),
        "alice",
    );
    assert_eq!(
        conflicts(
            &live,
            json!({"baseUrl": "v", "targets": [{"name": "a", "weight": 2}]}),
            "bob"
        ),
        [
            r#"conflict with "alice": .spec.baseUrl"#,
            r#"conflict with "alice": .spec.targets[name="a"].weight"#
        ]
    );
}

#[test]
fn force_takes_the_field_over() {
    let live = apply(None, json!({"baseUrl": "u", "replicas": 1}), "alice");
    let applied = object(json!({"baseUrl": "v"}));
    let live =
        server_side_apply(Some(&live), &applied, &provider_schema(), &manager("bob"), true).expect("forced");
    assert_eq!(live["spec"], json!({"baseUrl": "v", "replicas": 1}));
    assert_eq!(owned(&live, "alice"), json!({"f:spec": {"f:replicas": {}}}));
    assert_eq!(owned(&live, "bob"), json!({"f:spec": {"f:baseUrl": {}}}));
}

#[test]
fn the_message_is_that_of_the_kubernetes_api_server() {
    let mut live = object(json!({"baseUrl": "u", "replicas": 1}));
    track_update(None, &mut live, &provider_schema(), &manager("kubectl"));
    let one = server_side_apply(
        Some(&live),
        &object(json!({"baseUrl": "v"})),
        &provider_schema(),
        &manager("bob"),
        false,
    );
    assert_eq!(
        one.expect_err("a conflict").to_string(),
        r#"Apply failed with 1 conflict: conflict with "kubectl" using stead.dev/v1alpha1: .spec.baseUrl"#
    );
    let applied = object(json!({"baseUrl": "v", "replicas": 2}));
    let two = server_side_apply(Some(&live), &applied, &provider_schema(), &manager("bob"), false);
    let Err(ApplyError::Conflicts(found)) = &two else {
        panic!("expected conflicts")
    };
    assert_eq!(
        found[1],
        Conflict {
            field: ".spec.replicas".to_owned(),
            manager: "kubectl".to_owned(),
            api_version: "stead.dev/v1alpha1".to_owned(),
            subresource: String::new(),
            by_update: true,
        }
    );
    assert_eq!(
        two.expect_err("conflicts").to_string(),
        "Apply failed with 2 conflicts: conflicts with \"kubectl\" using stead.dev/v1alpha1:\n- .spec.baseUrl\n- .spec.replicas"
    );
}

#[test]
fn what_an_applier_no_longer_names_goes() {
    let cases = [
        (
            "a scalar",
            json!({"baseUrl": "u", "replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            "a map's key",
            json!({"options": {"a": "1", "b": "2"}}),
            json!({"options": {"b": "2"}}),
        ),
        (
            "a whole map",
            json!({"options": {"a": "1"}, "replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            "a set's value",
            json!({"tags": ["a", "b"]}),
            json!({"tags": ["b"]}),
        ),
        (
            "a whole set",
            json!({"tags": ["a", "b"], "replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            "an element",
            json!({"targets": [{"name": "a"}, {"name": "b"}]}),
            json!({"targets": [{"name": "b"}]}),
        ),
        (
            "an element's field",
            json!({"targets": [{"name": "a", "weight": 1}]}),
            json!({"targets": [{"name": "a"}]}),
        ),
        (
            "an atomic list",
            json!({"models": ["a"], "replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            "an atomic map",
            json!({"selector": {"a": "b"}, "replicas": 1}),
            json!({"replicas": 1}),
        ),
        (
            "an unknown field",
            json!({"anything": {"a": {"b": 1}, "c": 1}}),
            json!({"anything": {"c": 1}}),
        ),
        (
            "a struct",
            json!({"retry": {"attempts": 1}, "replicas": 1}),
            json!({"replicas": 1}),
        ),
    ];
    for (name, first, second) in cases {
        let live = apply(None, first, "alice");
        let live = apply(Some(&live), second.clone(), "alice");
        assert_eq!(live["spec"], second, "{name}");
    }
}

#[test]
fn what_others_own_or_nobody_owns_stays() {
    let live = apply(
        None,
        json!({"targets": [{"name": "a", "weight": 1}], "options": {"a": "1"}}),
        "alice",
    );
    let live = apply(
        Some(&live),
        json!({"targets": [{"name": "a", "model": "m"}]}),
        "bob",
    );
    let mut updated = live.clone();
    updated["spec"]["options"]["b"] = json!("2");
    track_update(Some(&live), &mut updated, &provider_schema(), &manager("carol"));
    let live = apply(Some(&updated), json!({}), "alice");
    assert_eq!(
        live["spec"],
        json!({"targets": [{"name": "a", "model": "m"}], "options": {"b": "2"}})
    );
}

#[test]
fn defaults_that_nobody_owns_stay_when_their_neighbour_goes() {
    let mut live = apply(
        None,
        json!({"targets": [{"name": "a", "model": "m"}], "replicas": 1}),
        "alice",
    );
    provider_schema().default(&mut live);
    let live = apply(
        Some(&live),
        json!({"targets": [{"name": "a"}], "replicas": 1}),
        "alice",
    );
    assert_eq!(live["spec"]["targets"], json!([{"name": "a", "weight": 1}]));
}

#[test]
fn lists_merge_in_the_applied_order_around_what_others_have() {
    let names = |object: &Value| -> Vec<String> {
        let targets = object["spec"]["targets"].as_array().cloned().unwrap_or_default();
        targets
            .iter()
            .map(|target| target["name"].as_str().unwrap_or_default().to_owned())
            .collect()
    };
    let targets = |names: &[&str]| json!({"targets": names.iter().map(|name| json!({"name": name})).collect::<Vec<_>>()});
    let cases: [(&[&str], &[&str], &[&str]); 6] = [
        (&["a", "b"], &["c"], &["a", "b", "c"]),
        (&["a", "b", "c"], &["c", "a"], &["b", "c", "a"]),
        (&["a", "b"], &["x", "b"], &["a", "x", "b"]),
        (&["b", "a"], &["a", "x", "b"], &["a", "x", "b"]),
        (&["a"], &["a", "b"], &["a", "b"]),
        (&[], &["b", "a"], &["b", "a"]),
    ];
    for (live, applied, wanted) in cases {
        let live = apply(None, targets(live), "alice");
        assert_eq!(
            names(&apply(Some(&live), targets(applied), "bob")),
            wanted,
            "{applied:?}"
        );
    }
}

#[test]
fn atomic_values_are_replaced_whole_and_conflict_whole() {
    let live = apply(None, json!({"models": ["a"], "selector": {"a": "1"}}), "alice");
    assert_eq!(
        conflicts(
            &live,
            json!({"models": ["a", "b"], "selector": {"b": "1"}}),
            "bob"
        ),
        [
            r#"conflict with "alice": .spec.models"#,
            r#"conflict with "alice": .spec.selector"#
        ]
    );
    let live = apply(
        Some(&live),
        json!({"models": ["c"], "selector": {"b": "1"}}),
        "alice",
    );
    assert_eq!(live["spec"], json!({"models": ["c"], "selector": {"b": "1"}}));
    assert_eq!(
        owned(&live, "alice"),
        json!({"f:spec": {"f:models": {}, "f:selector": {}}})
    );
}

#[test]
fn metadata_merges_by_its_own_rules() {
    let applied = |metadata: Value| {
        let mut metadata = metadata;
        metadata["name"] = json!("x");
        metadata["creationTimestamp"] = Value::Null;
        json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata})
    };
    let owner = |uid: &str| json!({"apiVersion": "v1", "kind": "A", "name": "n", "uid": uid});
    let schema = Schema::any();
    let first =
        applied(json!({"labels": {"a": "1"}, "finalizers": ["f/1"], "ownerReferences": [owner("1")]}));
    let live = server_side_apply(None, &first, &schema, &manager("alice"), false).expect("create");
    let second = applied(
        json!({"labels": {"b": "2"}, "finalizers": ["f/2"], "ownerReferences": [owner("2")], "annotations": {"x": "y"}}),
    );
    let live = server_side_apply(Some(&live), &second, &schema, &manager("bob"), false).expect("no conflict");
    assert_eq!(live["metadata"]["labels"], json!({"a": "1", "b": "2"}));
    assert_eq!(live["metadata"]["finalizers"], json!(["f/1", "f/2"]));
    assert_eq!(
        live["metadata"]["ownerReferences"],
        json!([owner("1"), owner("2")])
    );
    assert_eq!(
        owned(&live, "bob"),
        json!({"f:metadata": {
            "f:annotations": {"f:x": {}}, "f:finalizers": {"v:\"f/2\"": {}}, "f:labels": {"f:b": {}},
            "f:ownerReferences": {"k:{\"uid\":\"2\"}": {}},
        }})
    );
    let live = server_side_apply(Some(&live), &applied(json!({})), &schema, &manager("bob"), false)
        .expect("no conflict");
    assert_eq!(live["metadata"]["labels"], json!({"a": "1"}));
    assert_eq!(live.pointer("/metadata/annotations"), None);
    assert_eq!(live["metadata"]["name"], "x");
    assert_eq!(owned(&live, "bob"), Value::Null, "who owns nothing has no entry");
}

#[test]
fn an_update_owns_what_it_changes() {
    let live = apply(None, json!({"baseUrl": "u", "replicas": 1}), "alice");
    let mut updated = live.clone();
    updated["spec"]["replicas"] = json!(2);
    updated["spec"]["options"] = json!({"a": "1"});
    updated["metadata"]["resourceVersion"] = json!("7");
    let later = Manager {
        now: "2026-02-01T00:00:00Z",
        ..manager("kubectl-edit")
    };
    track_update(Some(&live), &mut updated, &provider_schema(), &later);
    assert_eq!(owned(&updated, "alice"), json!({"f:spec": {"f:baseUrl": {}}}));
    assert_eq!(
        updated["metadata"]["managedFields"][1],
        json!({
            "manager": "kubectl-edit", "operation": "Update", "apiVersion": "stead.dev/v1alpha1",
            "time": "2026-02-01T00:00:00Z", "fieldsType": "FieldsV1",
            "fieldsV1": {"f:spec": {"f:options": {".": {}, "f:a": {}}, "f:replicas": {}}},
        })
    );
    let before = updated.clone();
    track_update(
        Some(&before),
        &mut updated,
        &provider_schema(),
        &manager("someone-else"),
    );
    assert_eq!(updated, before, "an update that changes nothing changes no owner");
}

#[test]
fn an_update_that_removes_a_field_takes_it_from_its_owners() {
    let live = apply(None, json!({"baseUrl": "u", "replicas": 1}), "alice");
    let mut updated = live.clone();
    updated["spec"].as_object_mut().expect("a map").remove("replicas");
    track_update(Some(&live), &mut updated, &provider_schema(), &manager("bob"));
    assert_eq!(owned(&updated, "alice"), json!({"f:spec": {"f:baseUrl": {}}}));
    assert_eq!(owned(&updated, "bob"), Value::Null);
}

#[test]
fn status_has_its_own_entry_and_its_applier_touches_nothing_else() {
    let live = apply(None, json!({"baseUrl": "u"}), "alice");
    let controller = Manager {
        subresource: "status",
        resets: &["metadata", "spec"],
        ..manager("controller")
    };
    let mut applied = object(json!({"baseUrl": "other"}));
    applied["metadata"]["labels"] = json!({"a": "b"});
    applied["status"] = json!({"phase": "Ready"});
    let mut live = server_side_apply(Some(&live), &applied, &provider_schema(), &controller, false)
        .expect("no conflict");
    assert_eq!(live["status"], json!({"phase": "Ready"}));
    assert_eq!(live["metadata"]["managedFields"][1]["subresource"], "status");
    assert_eq!(owned(&live, "controller"), json!({"f:status": {"f:phase": {}}}));
    // What this part of the object does not hold is the caller's to restore.
    live["spec"]["baseUrl"] = json!("u");
    live["metadata"]
        .as_object_mut()
        .expect("a map")
        .shift_remove("labels");
    let mut updated = live.clone();
    updated["status"]["phase"] = json!("Broken");
    updated["metadata"]["managedFields"] = json!([]);
    let other = Manager {
        subresource: "status",
        resets: &["metadata", "spec"],
        ..manager("other")
    };
    track_update(Some(&live), &mut updated, &provider_schema(), &other);
    assert_eq!(
        owned(&updated, "alice"),
        json!({"f:spec": {"f:baseUrl": {}}}),
        "a subresource cannot reset owners"
    );
    assert_eq!(owned(&updated, "other"), json!({"f:status": {"f:phase": {}}}));
    assert_eq!(owned(&updated, "controller"), Value::Null);
}

#[test]
fn the_same_name_by_apply_and_by_update_is_two_owners() {
    let mut live = object(json!({"baseUrl": "u"}));
    track_update(None, &mut live, &provider_schema(), &manager("kubectl"));
    assert_eq!(
        conflicts(&live, json!({"baseUrl": "v"}), "kubectl"),
        [r#"conflict with "kubectl" using stead.dev/v1alpha1: .spec.baseUrl"#]
    );
}

#[test]
fn fields_from_before_the_first_apply_have_an_owner() {
    let live = object(json!({"baseUrl": "u", "replicas": 1}));
    let applied = apply(Some(&live), json!({"baseUrl": "u"}), "alice");
    assert_eq!(
        owned(&applied, "before-first-apply"),
        json!({"f:spec": {".": {}, "f:baseUrl": {}, "f:replicas": {}}})
    );
    assert_eq!(
        conflicts(&live, json!({"replicas": 2}), "alice"),
        [r#"conflict with "before-first-apply" using stead.dev/v1alpha1: .spec.replicas"#]
    );
}

#[test]
fn owners_can_be_reset_and_are_kept_when_a_client_drops_them() {
    let live = apply(None, json!({"baseUrl": "u"}), "alice");
    let mut dropped = live.clone();
    dropped["metadata"]
        .as_object_mut()
        .expect("a map")
        .remove("managedFields");
    track_update(Some(&live), &mut dropped, &provider_schema(), &manager("bob"));
    assert_eq!(
        dropped["metadata"]["managedFields"],
        live["metadata"]["managedFields"]
    );
    for reset in [json!([]), json!([{}])] {
        let mut object = live.clone();
        object["metadata"]["managedFields"] = reset;
        track_update(Some(&live), &mut object, &provider_schema(), &manager("bob"));
        assert_eq!(object.pointer("/metadata/managedFields"), None);
    }
}

#[test]
fn entries_are_sorted_and_old_updaters_are_put_together() {
    let mut live = object(json!({}));
    for number in 0..14 {
        let mut next = live.clone();
        next["spec"]["options"][format!("o{number:02}")] = json!("1");
        let (name, now) = (format!("m{number:02}"), format!("2026-01-01T00:00:{number:02}Z"));
        let by = Manager {
            name: &name,
            now: &now,
            ..manager("x")
        };
        track_update((number > 0).then_some(&live), &mut next, &provider_schema(), &by);
        live = next;
    }
    let live = apply(Some(&live), json!({"baseUrl": "u"}), "alice");
    let entries = live["metadata"]["managedFields"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry["manager"].as_str())
        .collect();
    assert_eq!(
        names,
        [
            "alice",
            "ancient-changes",
            "m05",
            "m06",
            "m07",
            "m08",
            "m09",
            "m10",
            "m11",
            "m12",
            "m13"
        ]
    );
    let owned = owned(&live, "ancient-changes");
    assert_eq!(
        owned["f:spec"]["f:options"].as_object().map(serde_json::Map::len),
        Some(6),
        "a dot and five fields"
    );
}

#[test]
fn objects_that_cannot_be_merged_are_refused_with_the_place() {
    let cases = [
        (json!("x"), "the applied configuration must be an object"),
        (
            json!({"metadata": {"managedFields": [{"manager": "m"}]}}),
            "metadata.managedFields must be nil",
        ),
    ];
    for (applied, wanted) in cases {
        let result = server_side_apply(None, &applied, &provider_schema(), &manager("alice"), false);
        assert_eq!(result, Err(ApplyError::Invalid(wanted.to_owned())), "{applied}");
    }
    for (spec, wanted) in [
        (json!("text"), ".spec: expected map, got &{text}"),
        (
            json!({"targets": {}}),
            ".spec.targets: expected list, got &{map[]}",
        ),
        (
            json!({"targets": [1]}),
            ".spec.targets: element 0: associative list with keys may not have non-map elements",
        ),
        (
            json!({"targets": [{"weight": 1}]}),
            ".spec.targets: element 0: associative list with keys has an element that omits all key fields [\"name\"] \
             (and doesn't have default values for any key fields)",
        ),
        (
            json!({"targets": [{"name": "a"}, {"name": "a"}]}),
            ".spec.targets: duplicate entries for key [name=\"a\"]",
        ),
        (
            json!({"tags": ["a", "a"]}),
            ".spec.tags: duplicate entries for key [=\"a\"]",
        ),
        (
            json!({"tags": [null]}),
            ".spec.tags: element 0: associative list without keys has an element that's an explicit null",
        ),
    ] {
        let result = server_side_apply(None, &object(spec), &provider_schema(), &manager("alice"), false);
        let place = "failed to create typed patch object (/x; stead.dev/v1alpha1, Kind=X): ";
        assert_eq!(result, Err(ApplyError::Untyped(format!("{place}{wanted}"))));
    }
    let mut live = object(json!({}));
    live["metadata"]["managedFields"] =
        json!([{"operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"x": 1}}]);
    let result = server_side_apply(
        Some(&live),
        &object(json!({})),
        &provider_schema(),
        &manager("alice"),
        false,
    );
    assert!(matches!(result, Err(ApplyError::Untyped(_))));
}

fn spec() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    let word = prop::sample::select(vec!["1", "2"]);
    // A map that its applier empties is null until it is applied again, as kube-apiserver answers.
    let options = prop::collection::btree_map(name.clone(), word.clone(), 1..3);
    // Lists that merge by element are not empty here: nobody owns an empty one, so that the next apply begins anew.
    let tags = prop::collection::btree_set(name.clone(), 1..3);
    let targets = prop::collection::btree_map(
        name.clone(),
        (prop::option::of(0..3), prop::option::of(word.clone())),
        1..3,
    );
    let models = prop::collection::vec(word.clone(), 0..2);
    (
        prop::option::of(word),
        prop::option::of(options),
        prop::option::of(tags),
        prop::option::of(targets),
        prop::option::of(models),
    )
        .prop_map(|(url, options, tags, targets, models)| {
            let mut spec = serde_json::Map::new();
            // Whoever owns nothing has no entry, and then the next apply starts anew.
            spec.insert("replicas".to_owned(), json!(1));
            spec.extend(url.map(|url| ("baseUrl".to_owned(), json!(url))));
            spec.extend(options.map(|options| ("options".to_owned(), json!(options))));
            spec.extend(tags.map(|tags| ("tags".to_owned(), json!(tags))));
            spec.extend(models.map(|models| ("models".to_owned(), json!(models))));
            spec.extend(targets.map(|targets| {
                let targets = targets.into_iter().map(|(name, (weight, model))| {
                    let mut target = json!({"name": name});
                    if let Some(weight) = weight {
                        target["weight"] = json!(weight);
                    }
                    if let Some(model) = model {
                        target["model"] = json!(model);
                    }
                    target
                });
                ("targets".to_owned(), targets.collect())
            }));
            Value::Object(spec)
        })
}

proptest! {
    #[test]
    fn what_was_applied_is_there_and_applying_it_again_changes_nothing(specs in prop::collection::vec((spec(), 0..3_usize), 1..6)) {
        let schema = provider_schema();
        let mut live: Option<Value> = None;
        for (spec, who) in specs {
            let name = ["alice", "bob", "carol"][who];
            let applied = object(spec);
            let result = server_side_apply(live.as_ref(), &applied, &schema, &manager(name), true).expect("forced");
            let again = server_side_apply(Some(&result), &applied, &schema, &manager(name), false);
            prop_assert_eq!(again.as_ref(), Ok(&result));
            // Merging the applied configuration in cannot change the result: it is in there.
            let fresh = server_side_apply(Some(&result), &applied, &schema, &manager("observer"), false);
            prop_assert_eq!(fresh.map(|object| object["spec"].clone()), Ok(result["spec"].clone()));
            live = Some(result);
        }
    }

    #[test]
    fn when_its_only_applier_lets_go_nothing_is_left(first in spec(), second in spec()) {
        let live = apply(None, first, "alice");
        let live = apply(Some(&live), second.clone(), "alice");
        let alone = apply(None, second, "alice");
        prop_assert_eq!(owned(&live, "alice"), owned(&alone, "alice"));
    }

    #[test]
    fn no_objects_make_it_panic(live in any_json(), applied in any_json()) {
        for schema in [Schema::any(), provider_schema()] {
            for force in [false, true] {
                let _ = server_side_apply(Some(&live), &applied, &schema, &manager("a"), force);
            }
            let _ = server_side_apply(None, &applied, &schema, &manager("a"), true);
            let mut new = applied.clone();
            track_update(Some(&live), &mut new, &schema, &manager("a"));
            track_update(None, &mut new, &schema, &manager("b"));
        }
    }
}
