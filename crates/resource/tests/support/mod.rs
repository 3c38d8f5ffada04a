//! What the tests of this crate share.
#![allow(dead_code, reason = "each test binary uses a part")]

use proptest::prelude::*;
use serde_json::{Value, json};
use stead_resource::{Schema, apply::Manager};

/// A schema with every merge rule in it.
pub(crate) fn provider_schema() -> Schema {
    Schema::compile(&json!({
        "type": "object",
        "properties": {
            "spec": {
                "type": "object",
                "properties": {
                    "type": {"type": "string", "default": "openai", "enum": ["openai", "ollama"]},
                    "baseUrl": {"type": "string"},
                    "note": {"type": "string", "nullable": true},
                    "replicas": {"type": "integer", "minimum": 0},
                    "models": {"type": "array", "items": {"type": "string"}},
                    "tags": {"type": "array", "items": {"type": "string"}, "x-kubernetes-list-type": "set"},
                    "selector": {"type": "object", "additionalProperties": {"type": "string"}, "x-kubernetes-map-type": "atomic"},
                    "options": {"type": "object", "additionalProperties": {"type": "string"}},
                    "anything": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                    "template": {
                        "type": "object", "x-kubernetes-embedded-resource": true,
                        "x-kubernetes-preserve-unknown-fields": true,
                    },
                    "retry": {
                        "type": "object", "default": {},
                        "properties": {"attempts": {"type": "integer", "default": 3}},
                    },
                    "targets": {
                        "type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"],
                        "items": {
                            "type": "object", "required": ["name"],
                            "properties": {
                                "name": {"type": "string"},
                                "weight": {"type": "integer", "default": 1},
                                "model": {"type": "string"},
                            },
                        },
                    },
                },
            },
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    }))
    .expect("the test's schema is structural")
}

/// A manager of the object itself, at some time.
pub(crate) fn manager(name: &str) -> Manager<'_> {
    Manager {
        name,
        api_version: "stead.dev/v1alpha1",
        subresource: "",
        resets: &[],
        empty: &serde_json::Value::Null,
        now: "2026-01-02T03:04:05Z",
    }
}

/// Words that the code looks for.
const WORDS: &[&str] = &[
    "spec",
    "status",
    "metadata",
    "labels",
    "annotations",
    "managedFields",
    "ownerReferences",
    "uid",
    "name",
    "finalizers",
    "targets",
    "tags",
    "options",
    "selector",
    "type",
    "object",
    "array",
    "properties",
    "items",
    "anyOf",
    "allOf",
    "oneOf",
    "not",
    "required",
    "default",
    "enum",
    "pattern",
    "retry",
    "weight",
    "template",
    "x-kubernetes-list-type",
    "set",
    "map",
    "x-kubernetes-list-map-keys",
    "additionalProperties",
    "op",
    "path",
    "add",
    "$patch",
    "$retainKeys",
    "$deleteFromPrimitiveList/finalizers",
    "$setElementOrder/ownerReferences",
    "fieldsV1",
    "f:spec",
    "manager",
    "operation",
    "Apply",
    "fieldsType",
    "FieldsV1",
    "jsonPath",
    ".spec.x[*]",
    "x-kubernetes-preserve-unknown-fields",
    "creationTimestamp",
    "date",
    "anything",
    "/spec",
    "from",
    "copy",
];

/// Arbitrary JSON that often uses the words the code looks for.
pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        prop::sample::select(WORDS.to_vec()).prop_map(str::to_owned),
        ".{0,6}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((word.clone(), inner), 0..6)
                .prop_map(|members| members.into_iter().collect()),
        ]
    })
}
