//! Compiling schemas, and defaulting, pruning and validating with them.
#![allow(clippy::too_many_lines, reason = "tables of cases")]

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_resource::{FieldErrorKind, Schema};

mod support;
use support::{any_json, provider_schema};

fn schema_with(spec: &Value) -> Schema {
    Schema::compile(&json!({"type": "object", "properties": {"spec": spec}}))
        .expect("the schema is structural")
}

#[test]
fn schemas_that_are_not_structural_are_refused_with_their_place() {
    let field = |schema: Value| json!({"type": "object", "properties": {"spec": schema}});
    let cases = [
        (json!([]), "openAPIV3Schema: "),
        (json!({}), "openAPIV3Schema.type: must not be empty at the root"),
        (
            json!({"type": "array", "items": {"type": "string"}}),
            "openAPIV3Schema.type: must be object",
        ),
        (
            json!({"type": "object", "additionalProperties": true}),
            "openAPIV3Schema.additionalProperties: ",
        ),
        (
            field(json!({})),
            "openAPIV3Schema.properties[spec].type: must not be empty for specified object fields",
        ),
        (
            field(json!({"type": "text"})),
            "openAPIV3Schema.properties[spec].type: \"text\"",
        ),
        (
            field(json!({"type": "array"})),
            "openAPIV3Schema.properties[spec].items: must be specified",
        ),
        (
            field(json!({"type": "array", "items": {}})),
            "openAPIV3Schema.properties[spec].items.type: ",
        ),
        (
            field(json!({"$ref": "#/x"})),
            "openAPIV3Schema.properties[spec].$ref: ",
        ),
        (
            field(json!({"type": "string", "pattern": "("})),
            "openAPIV3Schema.properties[spec].pattern: ",
        ),
        (
            field(json!({"type": "string", "maxLength": -1})),
            "openAPIV3Schema.properties[spec].maxLength: ",
        ),
        (
            field(json!({"type": "integer", "exclusiveMinimum": 3})),
            "openAPIV3Schema.properties[spec].exclusiveMinimum: ",
        ),
        (
            field(json!({"type": "number", "multipleOf": 0})),
            "openAPIV3Schema.properties[spec].multipleOf: ",
        ),
        (
            field(json!({"type": "string", "default": 5})),
            "openAPIV3Schema.properties[spec].default: Invalid value: \"integer\"",
        ),
        (
            field(json!({"type": "object", "properties": {"a": {"type": "string"}}, "default": {"b": 1}})),
            "openAPIV3Schema.properties[spec].default: Invalid value: {\"b\":1}: must not have unknown fields",
        ),
        (
            field(json!({"type": "object", "additionalProperties": false})),
            "openAPIV3Schema.properties[spec].additionalProperties: ",
        ),
        (
            field(json!({"type": "string", "anyOf": [{"type": "string"}]})),
            "openAPIV3Schema.properties[spec].anyOf[0].type: ",
        ),
        (
            json!({"type": "object", "oneOf": [{"properties": {"a": {"minLength": 1}}}]}),
            "openAPIV3Schema.oneOf[0].properties[a]: must also be specified",
        ),
        (
            field(json!({"type": "string", "x-kubernetes-list-type": "set"})),
            "openAPIV3Schema.properties[spec].x-kubernetes-list-type: ",
        ),
        (
            field(json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "set"})),
            "openAPIV3Schema.properties[spec].x-kubernetes-list-type: a set's items",
        ),
        (
            field(json!({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"})),
            "openAPIV3Schema.properties[spec].x-kubernetes-list-map-keys: must not be empty",
        ),
        (
            field(json!({
                "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                "items": {"type": "object", "properties": {"name": {"type": "string"}}},
            })),
            "openAPIV3Schema.properties[spec].x-kubernetes-list-map-keys: \"name\" must be required or have a default",
        ),
        (
            field(json!({"type": "string", "x-kubernetes-embedded-resource": true})),
            "openAPIV3Schema.properties[spec].type: ",
        ),
    ];
    for (schema, wanted) in cases {
        let error = Schema::compile(&schema)
            .expect_err(&schema.to_string())
            .to_string();
        assert!(error.starts_with(wanted), "{schema}: {error}");
    }
}

#[test]
fn faults_are_worded_as_the_kubernetes_api_server_words_them() {
    let cases = [
        (
            json!({"type": "integer"}),
            json!("x"),
            r#"spec: Invalid value: "string": spec in body must be of type integer: "string""#,
        ),
        (
            json!({"type": "string"}),
            json!(1),
            r#"spec: Invalid value: "integer": spec in body must be of type string: "integer""#,
        ),
        (
            json!({"type": "integer"}),
            json!(1.5),
            r#"spec: Invalid value: "number": spec in body must be of type integer: "number"; <nil>: Invalid value: "": Checked value must be of type integer (default format) in spec"#,
        ),
        (
            json!({"type": "string", "enum": ["a", "b"]}),
            json!("c"),
            r#"spec: Unsupported value: "c": supported values: "a", "b""#,
        ),
        (
            json!({"type": "string", "pattern": "^a+$"}),
            json!("b"),
            r#"spec: Invalid value: "b": spec in body should match '^a+$'"#,
        ),
        (
            json!({"type": "string", "minLength": 2}),
            json!("é"),
            r#"spec: Invalid value: "é": spec in body should be at least 2 chars long"#,
        ),
        (
            json!({"type": "string", "maxLength": 2}),
            json!("abc"),
            "spec: Too long: may not be more than 2 bytes",
        ),
        (
            json!({"type": "integer", "minimum": 1.0}),
            json!(0),
            "spec: Invalid value: 0: spec in body should be greater than or equal to 1",
        ),
        (
            json!({"type": "number", "maximum": 1, "exclusiveMaximum": true}),
            json!(1),
            "spec: Invalid value: 1: spec in body should be less than 1",
        ),
        (
            json!({"type": "number", "multipleOf": 0.1}),
            json!(0.25),
            "spec: Invalid value: 0.25: spec in body should be a multiple of 0.1",
        ),
        (
            json!({"type": "string", "format": "date-time"}),
            json!("now"),
            r#"spec: Invalid value: "now": spec in body must be of type date-time: "now""#,
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "maxItems": 1}),
            json!(["a", "b"]),
            "spec: Too many: 2: must have at most 1 item",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "minItems": 1}),
            json!([]),
            "spec: Invalid value: []: spec in body should have at least 1 items",
        ),
        (
            json!({"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"}),
            json!(["a", "a"]),
            r#"spec[1]: Duplicate value: "a""#,
        ),
        (
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}),
            json!({}),
            "spec.a: Required value",
        ),
        (
            json!({"type": "object", "additionalProperties": {"type": "integer"}}),
            json!({"k": "v"}),
            r#"spec.k: Invalid value: "string": spec.k in body must be of type integer: "string""#,
        ),
        (
            json!({"x-kubernetes-int-or-string": true}),
            json!(true),
            r#"spec: Invalid value: "boolean": spec in body must be of type integer,string: "boolean""#,
        ),
        (
            json!({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}, "oneOf": [{"required": ["a"]}, {"required": ["b"]}]}),
            json!({"a": "1", "b": "2"}),
            r#"<nil>: Invalid value: "": "spec" must validate one and only one schema (oneOf). Found 2 valid alternatives"#,
        ),
        (
            json!({"type": "string", "not": {"enum": ["x"]}}),
            json!("x"),
            r#"<nil>: Invalid value: "": "spec" must not validate the schema (not)"#,
        ),
    ];
    for (spec, value, wanted) in cases {
        let errors = schema_with(&spec).validate(&json!({"spec": value}));
        let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(errors.join("; "), wanted, "{spec} {value}");
    }
}

#[test]
fn values_that_fit_are_accepted() {
    let cases = [
        (json!({"type": "integer"}), json!(3.0)),
        (json!({"type": "number"}), json!(3)),
        (
            json!({"type": "string", "nullable": true, "enum": ["a"]}),
            json!(null),
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!("10%"),
        ),
        (
            json!({"x-kubernetes-int-or-string": true, "allOf": [{"anyOf": [{"type": "integer"}, {"type": "string"}]}]}),
            json!(7),
        ),
        (
            json!({"x-kubernetes-preserve-unknown-fields": true}),
            json!([1, {"a": null}]),
        ),
        (json!({"type": "integer", "enum": [1, 2]}), json!(1.0)),
        (json!({"type": "string", "format": "something-new"}), json!("x")),
        (json!({"type": "string", "format": "duration"}), json!("1h30m")),
        (json!({"type": "number", "multipleOf": 0.1}), json!(0.7)),
        (
            json!({"type": "integer", "minimum": 0.0, "format": "uint64"}),
            json!(u64::MAX),
        ),
    ];
    for (spec, value) in cases {
        assert_eq!(
            schema_with(&spec).validate(&json!({"spec": value})),
            [],
            "{spec} {value}"
        );
    }
}

#[test]
fn formats_tell_good_from_bad() {
    let cases = [
        ("date", "2026-01-31", "2026-02-30"),
        ("duration", "1.5h", "1.5"),
        ("duration", "200ms", "5 s"),
        ("byte", "aGk=", "aGk"),
        ("ipv4", "10.0.0.1", "10.0.0.256"),
        ("ipv6", "::1", "10.0.0.1"),
        ("cidr", "10.0.0.0/8", "10.0.0.0/33"),
        ("mac", "00:1a:2B:3c:4d:5e", "00:1a"),
        ("uuid", "0190163d-8694-739b-aea5-966c26f8ad91", "0190163d"),
        ("email", "a@example.org", "example.org"),
        ("hostname", "a-b.example.org", "-a.example.org"),
        ("uri", "https://example.org/x?y", "example org"),
    ];
    for (format, good, bad) in cases {
        let schema = schema_with(&json!({"type": "string", "format": format}));
        assert_eq!(schema.validate(&json!({"spec": good})), [], "{format} {good}");
        assert_eq!(schema.validate(&json!({"spec": bad})).len(), 1, "{format} {bad}");
    }
}

#[test]
fn keyed_lists_may_not_repeat_a_key() {
    let schema = provider_schema();
    let object = json!({"spec": {"type": "openai", "targets": [{"name": "a"}, {"name": "b"}, {"name": "a", "weight": 2}]}});
    let errors = schema.validate(&object);
    assert_eq!(errors.len(), 1);
    assert_eq!(
        errors[0].to_string(),
        r#"spec.targets[2]: Duplicate value: {"name":"a"}"#
    );
    assert_eq!(errors[0].kind, FieldErrorKind::Duplicate);
}

#[test]
fn metadata_is_checked_without_being_in_the_schema() {
    let schema = Schema::any();
    let errors =
        schema.validate(&json!({"metadata": {"labels": {"a": 1}, "ownerReferences": [{"uid": "u"}]}}));
    let paths: Vec<&str> = errors.iter().map(|error| error.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "metadata.labels.a",
            "metadata.ownerReferences[0].apiVersion",
            "metadata.ownerReferences[0].kind",
            "metadata.ownerReferences[0].name"
        ]
    );
}

#[test]
fn restrictions_of_the_name_stay_in_force() {
    let schema = Schema::compile(&json!({
        "type": "object",
        "properties": {"metadata": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 3}}}},
    }))
    .expect("structural");
    assert_eq!(
        schema
            .validate(&json!({"metadata": {"name": "abcd", "labels": {}}}))
            .len(),
        1
    );
}

#[test]
fn unknown_fields_go_and_are_named_with_what_was_meant() {
    let schema = provider_schema();
    let mut object = json!({
        "apiVersion": "v1", "kind": "X", "metadata": {"name": "x", "lables": {"a": "b"}},
        "spec": {"baseURL": "u", "targets": [{"name": "a", "wieght": 1}], "anything": {"goes": 1}, "zzzz": 1, "template": {"kind": "K", "metadata": {"name": "n", "x": 1}, "free": 1}},
    });
    let unknown: Vec<_> = schema
        .prune(&mut object)
        .into_iter()
        .map(|field| (field.path, field.suggestion))
        .collect();
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(
        unknown,
        [
            ("metadata.lables".to_owned(), some("metadata.labels")),
            ("spec.baseURL".to_owned(), some("spec.baseUrl")),
            (
                "spec.targets[0].wieght".to_owned(),
                some("spec.targets[0].weight")
            ),
            ("spec.zzzz".to_owned(), None),
            ("spec.template.metadata.x".to_owned(), None),
        ]
    );
    assert_eq!(
        object,
        json!({
            "apiVersion": "v1", "kind": "X", "metadata": {"name": "x"},
            "spec": {"targets": [{"name": "a"}], "anything": {"goes": 1}, "template": {"kind": "K", "metadata": {"name": "n"}, "free": 1}},
        })
    );
}

#[test]
fn an_unknown_field_reads_as_the_kubernetes_api_server_says_it() {
    let mut object = json!({"spec": {"baseURL": "u"}});
    let unknown = provider_schema().prune(&mut object);
    assert_eq!(
        unknown[0].to_string(),
        r#"unknown field "spec.baseURL", did you mean "spec.baseUrl"?"#
    );
}

#[test]
fn defaults_fill_what_is_absent_at_every_depth() {
    let schema = provider_schema();
    let mut object = json!({"metadata": {"creationTimestamp": null}, "spec": {"baseUrl": null, "note": null, "targets": [{"name": "a"}]}});
    schema.default(&mut object);
    assert_eq!(
        object,
        json!({
            "metadata": {},
            "spec": {"note": null, "type": "openai", "targets": [{"name": "a", "weight": 1}], "retry": {"attempts": 3}},
        })
    );
}

proptest! {
    #[test]
    fn pruning_and_defaulting_twice_change_nothing_more(mut object in any_json()) {
        let schema = provider_schema();
        schema.prune(&mut object);
        let pruned = object.clone();
        prop_assert!(schema.prune(&mut object).is_empty());
        prop_assert_eq!(&object, &pruned);
        schema.default(&mut object);
        let defaulted = object.clone();
        schema.default(&mut object);
        prop_assert_eq!(&object, &defaulted);
        prop_assert!(schema.prune(&mut object).is_empty());
    }

    #[test]
    fn no_schema_and_no_object_make_it_panic(schema in any_json(), object in any_json()) {
        let nested = json!({"type": "object", "properties": {"spec": schema.clone()}});
        let compiled = [Schema::compile(&schema), Schema::compile(&nested), Ok(Schema::any()), Ok(provider_schema())];
        for schema in compiled.into_iter().flatten() {
            schema.validate(&object);
            schema.evaluate_rules(&object, Some(&object));
            let mut object = object.clone();
            schema.prune(&mut object);
            schema.default(&mut object);
        }
    }
}
