//! What the resources of this program can say, read from their schemas: an import uses no field that is not there.

use serde_json::Value;
use stead_kernel::Kind;

/// The kinds of the gateway, as far as an import minds.
#[derive(Debug, Clone)]
pub(crate) struct Vocabulary {
    kinds: Vec<(String, Value)>,
}

impl Vocabulary {
    /// The vocabulary of these kinds.
    pub(crate) fn of(kinds: &[Kind]) -> Self {
        let kinds = kinds.iter().map(|kind| {
            let spec = &kind.definition.spec;
            let schema = spec.versions.first().and_then(|version| version.schema.as_ref());
            let schema = schema.and_then(|schema| schema.open_api_v3_schema.as_ref());
            let schema = serde_json::to_value(schema).unwrap_or_default();
            (spec.names.kind.clone(), schema)
        });
        Self {
            kinds: kinds.collect(),
        }
    }

    /// Whether there is such a kind.
    pub(super) fn has_kind(&self, kind: &str) -> bool {
        self.kinds.iter().any(|(known, _)| known == kind)
    }

    /// Whether the spec of a kind has a field.
    pub(super) fn has_field(&self, kind: &str, field: &str) -> bool {
        self.field(kind, field).is_some()
    }

    /// Whether a field of a kind's spec can have a value.
    pub(super) fn allows(&self, kind: &str, field: &str, value: &str) -> bool {
        self.field(kind, field).is_some_and(|field| {
            let plain = field.get("enum").and_then(Value::as_array);
            let documented = field.get("oneOf").and_then(Value::as_array);
            let documented = documented.into_iter().flatten().filter_map(|one| one.get("enum"));
            let mut all = plain
                .into_iter()
                .flatten()
                .chain(documented.filter_map(Value::as_array).flatten());
            all.any(|known| known == value)
        })
    }

    /// Whether a field of a kind's spec has, somewhere in it, a value of this name.
    pub(super) fn mentions(&self, kind: &str, field: &str, value: &str) -> bool {
        fn within(schema: &Value, value: &str) -> bool {
            match schema {
                Value::String(text) => text == value,
                Value::Array(items) => items.iter().any(|item| within(item, value)),
                Value::Object(fields) => fields.values().any(|inner| within(inner, value)),
                Value::Null | Value::Bool(_) | Value::Number(_) => false,
            }
        }
        self.field(kind, field)
            .is_some_and(|schema| within(schema, value))
    }

    fn field(&self, kind: &str, field: &str) -> Option<&Value> {
        let (_, schema) = self.kinds.iter().find(|(known, _)| known == kind)?;
        schema.pointer(&format!("/properties/spec/properties/{field}"))
    }
}
