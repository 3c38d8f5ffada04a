//! Validation rules: what they see, when they are asked, and what they say. The cases follow Kubernetes' documentation of
//! validation rules and of ratcheting; messages are those of the API server in version 1.36.
#![expect(clippy::unwrap_used, reason = "tests")]

use serde_json::{Value, json};
use stead_resource::Schema;

fn schema(spec: &Value) -> Schema {
    let whole = json!({"type": "object", "properties": {"spec": spec}});
    let faults = Schema::faults(&whole, "openAPIV3Schema");
    assert!(faults.is_empty(), "{faults:?}");
    Schema::compile(&whole).unwrap()
}

fn faults(spec: &Value) -> Vec<String> {
    let whole = json!({"type": "object", "properties": {"spec": spec}});
    let faults = Schema::faults(&whole, "spec.validation.openAPIV3Schema");
    faults.iter().map(ToString::to_string).collect()
}

fn errors(schema: &Schema, spec: &Value, old: Option<&Value>) -> Vec<String> {
    let object =
        |spec: &Value| json!({"apiVersion": "g/v1", "kind": "K", "metadata": {"name": "n"}, "spec": spec});
    let old = old.map(object);
    let verdict = schema.evaluate_rules(&object(spec), old.as_ref());
    verdict.errors.iter().map(ToString::to_string).collect()
}

fn with_rule(properties: &Value, rule: &Value) -> Value {
    json!({"type": "object", "properties": properties, "x-kubernetes-validations": [rule]})
}

#[test]
fn a_rule_that_is_not_true_forbids_the_object() {
    let rule = json!({"rule": "self.minReplicas <= self.replicas", "message": "replicas must be enough"});
    let integer = json!({"type": "integer"});
    let schema = schema(&with_rule(
        &json!({"minReplicas": integer, "replicas": integer}),
        &rule,
    ));
    assert!(errors(&schema, &json!({"minReplicas": 1, "replicas": 2}), None).is_empty());
    assert_eq!(
        errors(&schema, &json!({"minReplicas": 3, "replicas": 2}), None),
        ["spec: Invalid value: replicas must be enough"]
    );
    assert_eq!(
        errors(&schema, &json!({"replicas": 2}), None),
        [
            "spec: Invalid value: \"object\": no such key: minReplicas evaluating rule: replicas must be enough"
        ]
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn values_are_seen_by_their_schema() {
    for (properties, rule, value, holds) in [
        (
            json!({"a": {"type": "number"}}),
            "self.a == 1.0",
            json!({"a": 1}),
            true,
        ),
        (
            json!({"a": {"x-kubernetes-int-or-string": true}}),
            "type(self.a) == string ? self.a == '5%' : self.a == 5",
            json!({"a": 5}),
            true,
        ),
        (
            json!({"a": {"x-kubernetes-int-or-string": true}}),
            "type(self.a) == string ? self.a == '5%' : self.a == 5",
            json!({"a": "5%"}),
            true,
        ),
        (
            json!({"a": {"type": "string", "format": "date-time"}}),
            "self.a > timestamp('2024-01-01T00:00:00Z')",
            json!({"a": "2025-01-01T00:00:00Z"}),
            true,
        ),
        (
            json!({"a": {"type": "string", "format": "date"}}),
            "self.a.getFullYear() == 2025",
            json!({"a": "2025-01-01"}),
            true,
        ),
        (
            json!({"a": {"type": "string", "format": "duration"}}),
            "self.a == duration('90s')",
            json!({"a": "1m30s"}),
            true,
        ),
        (
            json!({"a": {"type": "string", "format": "byte"}}),
            "self.a == b'hi'",
            json!({"a": "aGk="}),
            true,
        ),
        (
            json!({"a": {"type": "object", "additionalProperties": {"type": "integer"}}}),
            "self.a.all(k, self.a[k] > 0)",
            json!({"a": {"x": 1, "y": 0}}),
            false,
        ),
        (
            json!({"namespace": {"type": "string"}, "x-y": {"type": "integer"}, "a__b": {"type": "integer"}}),
            "self.__namespace__ == 'n' && self.x__dash__y == 1 && self.a__underscores__b == 2",
            json!({"namespace": "n", "x-y": 1, "a__b": 2}),
            true,
        ),
        (
            json!({"a": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}}}),
            "self.a == ['y', 'x']",
            json!({"a": ["x", "y"]}),
            true,
        ),
        (
            json!({"a": {"type": "object", "nullable": true, "properties": {"b": {"type": "string"}}}}),
            "self.a == null",
            json!({"a": null}),
            true,
        ),
        (
            json!({"a": {"type": "string", "default": "d"}}),
            "has(self.a)",
            json!({}),
            false,
        ),
    ] {
        let schema = schema(&with_rule(&properties, &json!({"rule": rule})));
        assert_eq!(
            errors(&schema, &value, None).is_empty(),
            holds,
            "{rule} {:?}",
            errors(&schema, &value, None)
        );
    }
}

#[test]
fn the_root_sees_its_name_and_nothing_else_of_its_metadata() {
    let whole = |rule: &str| json!({"type": "object", "x-kubernetes-validations": [{"rule": rule}]});
    let schema = Schema::compile(&whole(
        "self.metadata.name == 'n' && self.kind == 'K' && self.apiVersion == 'g/v1'",
    ))
    .unwrap();
    assert!(errors(&schema, &json!({}), None).is_empty());
    let faults = Schema::faults(&whole("has(self.metadata.labels)"), "openAPIV3Schema");
    assert!(
        faults[0].to_string().contains("undefined field 'labels'"),
        "{}",
        faults[0]
    );
    let schema = Schema::compile(&whole("self.metadata.name == 'other'")).unwrap();
    assert_eq!(
        errors(&schema, &json!({}), None),
        ["<nil>: Invalid value: failed rule: self.metadata.name == 'other'"]
    );
}

#[test]
fn transition_rules_are_asked_when_there_was_something_before() {
    let fixed = json!({"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "field is immutable"}]});
    let schema = schema(&json!({"type": "object", "properties": {
        "a": fixed,
        "list": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["k"],
            "items": {"type": "object", "required": ["k"], "properties": {"k": {"type": "string"}, "v": fixed}}},
    }}));
    assert!(errors(&schema, &json!({"a": "x"}), None).is_empty());
    assert!(errors(&schema, &json!({"a": "x"}), Some(&json!({}))).is_empty());
    assert_eq!(
        errors(&schema, &json!({"a": "x"}), Some(&json!({"a": "y"}))),
        ["spec.a: Invalid value: \"x\": field is immutable"]
    );
    let list = |v: &str| json!({"list": [{"k": "new", "v": "n"}, {"k": "old", "v": v}]});
    let old = json!({"list": [{"k": "old", "v": "o"}]});
    assert!(errors(&schema, &list("o"), Some(&old)).is_empty());
    assert_eq!(
        errors(&schema, &list("changed"), Some(&old)),
        ["spec.list[1].v: Invalid value: \"changed\": field is immutable"]
    );
}

#[test]
fn an_optional_old_self_is_asked_at_creation_too() {
    let rule = json!({"rule": "oldSelf.hasValue() || self.a == 'first'", "optionalOldSelf": true});
    let schema = schema(&with_rule(&json!({"a": {"type": "string"}}), &rule));
    assert!(errors(&schema, &json!({"a": "first"}), None).is_empty());
    assert_eq!(errors(&schema, &json!({"a": "other"}), None).len(), 1);
    assert!(errors(&schema, &json!({"a": "other"}), Some(&json!({"a": "first"}))).is_empty());
}

#[test]
fn what_did_not_change_may_stay_and_is_warned_of() {
    let spec = json!({"type": "object", "properties": {
        "a": {"type": "integer", "x-kubernetes-validations": [{"rule": "self > 5"}]},
        "b": {"type": "string"},
    }});
    let schema = schema(&spec);
    let object = |spec: Value| json!({"spec": spec});
    let (old, same, worse) = (
        object(json!({"a": 1, "b": "x"})),
        object(json!({"a": 1, "b": "y"})),
        object(json!({"a": 2, "b": "x"})),
    );
    let verdict = schema.evaluate_rules(&same, Some(&old));
    assert!(verdict.errors.is_empty());
    assert_eq!(
        verdict.warnings[0].to_string(),
        "spec.a: Invalid value: 1: failed rule: self > 5"
    );
    assert_eq!(schema.evaluate_rules(&worse, Some(&old)).errors.len(), 1);
}

#[test]
fn messages_reasons_and_paths_are_the_authors() {
    let properties = json!({"x": {"type": "integer"}, "labels": {"type": "object", "additionalProperties": {"type": "string"}}});
    for (rule, expected) in [
        (
            json!({"rule": "self.x < 3", "messageExpression": "'x is ' + string(self.x)"}),
            "spec: Invalid value: x is 5",
        ),
        (
            json!({"rule": "self.x < 3", "message": "plain", "messageExpression": "string(1 / (self.x - 5))"}),
            "spec: Invalid value: plain",
        ),
        (
            json!({"rule": "self.x < 3", "message": "plain", "messageExpression": "' '"}),
            "spec: Invalid value: plain",
        ),
        (
            json!({"rule": "self.x < 3", "fieldPath": ".x", "reason": "FieldValueForbidden"}),
            "spec.x: Forbidden: failed rule: self.x < 3",
        ),
        (
            json!({"rule": "self.x < 3", "message": "needed", "fieldPath": ".labels['a/b']", "reason": "FieldValueRequired"}),
            "spec.labels[a/b]: Required value: needed",
        ),
        (
            json!({"rule": "self.x < 3", "reason": "FieldValueDuplicate"}),
            "spec: Duplicate value",
        ),
    ] {
        let schema = schema(&with_rule(&properties, &rule));
        assert_eq!(errors(&schema, &json!({"x": 5}), None), [expected], "{rule}");
    }
}

#[test]
fn rules_are_refused_with_the_place_and_the_reason() {
    let integer = json!({"a": {"type": "integer"}});
    for (rule, expected) in [
        (
            json!({"rule": "self.b > 1"}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: \
             {\"Rule\":\"self.b \\u003e 1\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: \
             compilation failed: ERROR: <input>:1:5: undefined field 'b'\n | self.b > 1\n | ....^",
        ),
        (
            json!({"rule": "frobnicate(self.a)"}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Invalid value: \
             {\"Rule\":\"frobnicate(self.a)\",\"Message\":\"\",\"MessageExpression\":\"\",\"Reason\":null,\"FieldPath\":\"\",\"OptionalOldSelf\":null}: \
             compilation failed: ERROR: <input>:1:11: undeclared reference to 'frobnicate' (in container '')\n | frobnicate(self.a)\n | ..........^",
        ),
        (
            json!({"rule": " "}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].rule: Required value: rule is not specified",
        ),
        (
            json!({"rule": "true\n&& true"}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].message: Required value: message must be specified if rule contains line breaks",
        ),
        (
            json!({"rule": "true", "fieldPath": ".nope"}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].fieldPath: Invalid value: \".nope\": must be a valid path",
        ),
        (
            json!({"rule": "true", "optionalOldSelf": true}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].optionalOldSelf: Invalid value: true: may not be set if oldSelf is not used in rule",
        ),
        (
            json!({"rule": "true", "reason": "Nope"}),
            "spec.validation.openAPIV3Schema.properties[spec].x-kubernetes-validations[0].reason: Unsupported value: \"Nope\": supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"",
        ),
    ] {
        assert_eq!(faults(&with_rule(&integer, &rule)), [expected]);
    }
    let number = faults(&with_rule(&integer, &json!({"rule": "self.a"})));
    assert!(
        number[0].ends_with("cel expression must evaluate to a bool"),
        "{number:?}"
    );
    let message = faults(&with_rule(
        &integer,
        &json!({"rule": "true", "messageExpression": "self.a"}),
    ));
    assert!(
        message[0].ends_with("messageExpression must evaluate to a string"),
        "{message:?}"
    );
    let list = json!({"type": "array", "items": {"type": "string", "x-kubernetes-validations": [{"rule": "self == oldSelf"}]}});
    assert_eq!(
        faults(&list),
        [
            "spec.validation.openAPIV3Schema.properties[spec].items.x-kubernetes-validations[0].rule: Invalid value: \
          \"self == oldSelf\": oldSelf cannot be used on the uncorrelatable portion of the schema within \
          spec.validation.openAPIV3Schema.properties[spec]"
        ]
    );
}

#[test]
fn a_rule_that_takes_too_long_ends_and_forbids() {
    let rule = json!({"rule": "self.a.all(x, self.a.all(y, self.a.all(z, x + y + z >= 0)))", "message": "m"});
    let schema = schema(&with_rule(
        &json!({"a": {"type": "array", "items": {"type": "integer"}}}),
        &rule,
    ));
    let many: Vec<u32> = (0..500).collect();
    assert_eq!(
        errors(&schema, &json!({"a": many}), None),
        [
            "spec: Invalid value: \"object\": 'operation cancelled: actual cost limit exceeded': no further validation rules \
          will be run due to call cost exceeds limit for rule: m"
        ]
    );
}
