//! Patches, tables and selectors, as lists and watches use them.

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_resource::{
    patch::{json_patch, merge_patch, strategic_merge},
    selector::{FieldSelector, LabelSelector},
    table::Columns,
};

mod support;
use support::any_json;

const NOW: i64 = 1_767_323_045;

#[test]
fn without_columns_a_table_has_name_and_age() {
    let object = json!({"metadata": {"name": "x", "creationTimestamp": "2026-01-02T02:58:35Z"}});
    for none in [None, Some(json!(null)), Some(json!([]))] {
        let columns = Columns::from_crd_version(none.as_ref()).expect("no columns are fine");
        assert_eq!(columns.cells(&object, NOW), [json!("x"), json!("5m30s")]);
        let definitions = columns.definitions();
        let names: Vec<&Value> = definitions
            .as_array()
            .expect("a list")
            .iter()
            .map(|column| &column["name"])
            .collect();
        assert_eq!(names, ["Name", "Age"]);
        assert_eq!(definitions[0]["format"], "name");
    }
}

#[test]
fn cells_have_the_type_of_their_column() {
    let columns = Columns::from_crd_version(Some(&json!([
        {"name": "Ready", "type": "string", "jsonPath": r#".status.conditions[?(@.type=="Ready")].status"#},
        {"name": "Size", "type": "integer", "jsonPath": ".status.size", "priority": 1, "description": "bytes"},
        {"name": "Ratio", "type": "number", "jsonPath": ".status.ratio"},
        {"name": "On", "type": "boolean", "jsonPath": ".status.on"},
        {"name": "Since", "type": "date", "jsonPath": ".status.since"},
        {"name": "All", "type": "string", "jsonPath": ".status.list"},
        {"name": "Entries", "type": "integer", "jsonPath": ".status.list"},
    ])))
    .expect("the columns are well-formed");
    let full = json!({"metadata": {"name": "x"}, "status": {
        "conditions": [{"type": "Old", "status": "False"}, {"type": "Ready", "status": "True"}],
        "size": 7.9, "ratio": 2, "on": true, "since": "2026-01-02T03:03:05Z", "list": [1, "a"],
    }});
    assert_eq!(
        columns.cells(&full, NOW),
        [
            json!("x"),
            json!("True"),
            json!(7),
            json!(2.0),
            json!(true),
            json!("60s"),
            json!("[1,\"a\"]"),
            json!(2)
        ]
    );
    let wrong = json!({"metadata": {"name": "x"}, "status": {"size": "7", "ratio": "x", "on": 1, "since": "yesterday", "list": null}});
    assert_eq!(
        columns.cells(&wrong, NOW),
        [
            json!("x"),
            json!(null),
            json!(null),
            json!(null),
            json!(null),
            json!("<invalid>"),
            json!(null),
            json!(null)
        ]
    );
    assert_eq!(
        columns.definitions()[2],
        json!({"name": "Size", "type": "integer", "format": "", "description": "bytes", "priority": 1})
    );
}

#[test]
fn malformed_columns_are_refused_by_name() {
    let cases = [
        (json!({}), "additionalPrinterColumns: must be a list"),
        (
            json!([{"type": "string", "jsonPath": ".a"}]),
            "additionalPrinterColumns[0].name: must not be empty",
        ),
        (
            json!([{"name": "A", "type": "text", "jsonPath": ".a"}]),
            "additionalPrinterColumns[0].type: \"text\" is not one of",
        ),
        (
            json!([{"name": "A", "type": "string", "jsonPath": "a"}]),
            "additionalPrinterColumns[0].jsonPath: \"a\" is not a JSON path",
        ),
    ];
    for (columns, wanted) in cases {
        let error = Columns::from_crd_version(Some(&columns))
            .expect_err("malformed")
            .to_string();
        assert!(error.starts_with(wanted), "{error}");
    }
}

#[test]
fn label_selectors_select() {
    let object = json!({"metadata": {"labels": {"a": "b", "n": "5", "example.org/x": "y", "empty": ""}}});
    let cases = [
        ("", true),
        ("a=b", true),
        ("a==b", true),
        ("a = c", false),
        ("a!=b", false),
        ("missing!=b", true),
        ("a in (x, b)", true),
        ("a in (x)", false),
        ("missing in (x)", false),
        ("a notin (x)", true),
        ("a notin (b)", false),
        ("missing notin (b)", true),
        ("a", true),
        ("!a", false),
        ("! missing", true),
        ("example.org/x=y,a", true),
        ("empty=", true),
        ("a=", false),
        ("empty in (,x)", true),
        ("n>4,n<6", true),
        ("n>5", false),
        ("a>1", false),
    ];
    for (text, wanted) in cases {
        let selector = LabelSelector::parse(text).expect(text);
        assert_eq!(selector.matches(&object), wanted, "{text}");
        assert_eq!(
            LabelSelector::parse(&selector.to_string()),
            Ok(selector),
            "{text}"
        );
    }
    assert!(LabelSelector::parse("a").is_ok_and(|selector| !selector.matches(&json!({}))));
}

#[test]
fn malformed_selectors_are_refused() {
    for text in [
        ",",
        "a,",
        "=b",
        "a=b=c",
        "a in b",
        "a in (b",
        "a in b)",
        "a in ((b))",
        "a between (b)",
        "(b)",
        "a in (b) c",
        "a!b",
        "a>x",
        "-a",
        "a=b c",
        "é=1",
        "/a",
        "x/",
        "UP/a=b",
        "a=-b",
        "!",
    ] {
        assert!(LabelSelector::parse(text).is_err(), "{text}");
    }
    for text in ["a", "a=b,c", "a=b=c", r"a=\x"] {
        assert!(FieldSelector::parse(text).is_err(), "{text}");
    }
    // Kubernetes passes over what is empty, and leaves it to the kind which fields there are.
    for text in [",", "a=b,", "=x", "a b=c"] {
        assert!(FieldSelector::parse(text).is_ok(), "{text}");
    }
}

#[test]
fn field_selectors_select() {
    let object = json!({"metadata": {"name": "x", "namespace": "n"}, "spec": {"count": 3, "on": true}, "type": "a,b=c\\"});
    let cases = [
        ("", true),
        ("metadata.name=x", true),
        ("metadata.name==x,metadata.namespace!=y", true),
        ("metadata.name!=x", false),
        ("spec.count=3,spec.on=true", true),
        ("spec.missing=", true),
        ("spec.missing!=", false),
        (r"type=a\,b\=c\\", true),
    ];
    for (text, wanted) in cases {
        let selector = FieldSelector::parse(text).expect(text);
        assert_eq!(selector.matches(&object), wanted, "{text}");
        assert_eq!(
            FieldSelector::parse(&selector.to_string()),
            Ok(selector),
            "{text}"
        );
    }
    let selector = FieldSelector::parse("metadata.name=x,metadata.namespace!=y").expect("well-formed");
    assert_eq!(selector.exact("metadata.name"), Some("x"));
    assert_eq!(selector.exact("metadata.namespace"), None);
    assert_eq!(
        selector.fields().collect::<Vec<_>>(),
        ["metadata.name", "metadata.namespace"]
    );
}

/// The merge patch that makes `to` of `from`.
fn difference(from: &Value, to: &Value) -> Value {
    let (Value::Object(old), Value::Object(new)) = (from, to) else {
        return to.clone();
    };
    let removed = old
        .keys()
        .filter(|name| !new.contains_key(*name))
        .map(|name| (name.clone(), Value::Null));
    let changed = new
        .iter()
        .filter(|(name, member)| old.get(*name) != Some(member))
        .map(|(name, member)| {
            (
                name.clone(),
                difference(old.get(name).unwrap_or(&Value::Null), member),
            )
        });
    Value::Object(removed.chain(changed).collect())
}

/// An object without nulls, which a merge patch cannot express.
fn plain_object(value: Value) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(members) => {
                let kept = members.into_iter().filter(|(_, member)| !member.is_null());
                kept.map(|(name, member)| (name, without_nulls(member))).collect()
            }
            other => other,
        }
    }
    without_nulls(if value.is_object() {
        value
    } else {
        json!({"value": value})
    })
}

proptest! {
    #[test]
    fn a_merge_patch_of_the_difference_makes_the_target(from in any_json(), to in any_json()) {
        let (from, to) = (plain_object(from), plain_object(to));
        prop_assert_eq!(merge_patch(&from, &difference(&from, &to)), Ok(plain_object(to)));
    }

    #[test]
    fn a_merge_patch_twice_is_the_same_as_once(object in any_json(), patch in any_json()) {
        let patch = plain_object(patch);
        let once = merge_patch(&object, &patch).expect("an object");
        prop_assert_eq!(merge_patch(&once, &patch), Ok(once));
    }

    #[test]
    fn selectors_survive_their_text_form(
        requirements in prop::collection::vec(("[a-z][a-z0-9._-]{0,5}[a-z0-9]", 0..6_u8, prop::collection::vec("[A-Za-z0-9]{1,4}", 1..3)), 0..4)
    ) {
        let text: Vec<String> = requirements.iter().map(|(key, form, values)| match form {
            0 => key.clone(),
            1 => format!("!{key}"),
            2 => format!("{key}={}", values[0]),
            3 => format!("{key} != {}", values[0]),
            4 => format!("{key} in ({})", values.join(" , ")),
            _ => format!("{key} notin ({})", values.join(",")),
        }).collect();
        let selector = LabelSelector::parse(&text.join(",")).expect("well-formed");
        prop_assert_eq!(LabelSelector::parse(&selector.to_string()), Ok(selector));
    }

    #[test]
    fn no_input_makes_views_and_patches_panic(object in any_json(), other in any_json(), text in ".{0,24}", symbols in "[a-c!=<>,() in\\\\.]{0,20}") {
        let _ = json_patch(&object, &other);
        let _ = merge_patch(&object, &other);
        let _ = strategic_merge(&object, &other);
        if let Ok(columns) = Columns::from_crd_version(Some(&other)) {
            columns.cells(&object, i64::MIN);
            columns.definitions();
        }
        for text in [text, symbols] {
            if let Ok(selector) = LabelSelector::parse(&text) {
                selector.matches(&object);
            }
            if let Ok(selector) = FieldSelector::parse(&text) {
                selector.matches(&object);
            }
        }
    }
}
