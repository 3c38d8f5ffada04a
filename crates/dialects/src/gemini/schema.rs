//! Google's `Schema` (a subset of OpenAPI 3.0) as JSON schema.
//!
//! `FunctionDeclaration.parameters` and `generationConfig.responseSchema` are of this type; the fields beside them,
//! `parametersJsonSchema` and `responseJsonSchema`, are JSON schema already.
//! <https://ai.google.dev/api/caching#Schema>

use serde_json::{Map, Value, json};

use crate::fields::camel;

/// Keywords whose value is a schema.
const SCHEMAS: [&str; 2] = ["items", "additionalProperties"];
/// Keywords whose value is an object of schemas.
const TABLES: [&str; 2] = ["properties", "defs"];
/// Keywords whose value is a whole number that Google's JSON mapping writes as a text.
const COUNTS: [&str; 6] = [
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
];

/// The JSON schema that says the same. Unknown keywords are kept.
pub(super) fn to_json_schema(schema: &Value) -> Value {
    let Value::Object(members) = schema else {
        return schema.clone();
    };
    let mut out = Map::new();
    let mut order = None;
    let mut is_nullable = false;
    for (key, value) in members {
        let key = camel(key);
        match key.as_str() {
            "type" => {
                if let Some(kind) = kind(value) {
                    out.insert(key, kind);
                }
            }
            "nullable" => is_nullable = value == &Value::Bool(true),
            "propertyOrdering" => order = value.as_array(),
            "example" => {
                out.insert("examples".to_owned(), json!([value]));
            }
            "ref" => {
                out.insert("$ref".to_owned(), value.clone());
            }
            _ => {
                let (key, value) = keyword(&key, value);
                out.insert(key, value);
            }
        }
    }
    if let Some(order) = order {
        reorder(&mut out, order);
    }
    if is_nullable {
        allow_null(&mut out);
    }
    Value::Object(out)
}

/// `STRING` becomes `string`; `TYPE_UNSPECIFIED` says nothing.
fn kind(value: &Value) -> Option<Value> {
    match value {
        Value::String(kind) if kind == "TYPE_UNSPECIFIED" => None,
        Value::String(kind) => Some(kind.to_lowercase().into()),
        other => Some(other.clone()),
    }
}

fn keyword(key: &str, value: &Value) -> (String, Value) {
    let translated = match value {
        Value::Object(_) if SCHEMAS.contains(&key) => to_json_schema(value),
        Value::Object(schemas) if TABLES.contains(&key) => Value::Object(
            schemas
                .iter()
                .map(|(name, schema)| (name.clone(), to_json_schema(schema)))
                .collect(),
        ),
        Value::Array(schemas) if key == "anyOf" => schemas.iter().map(to_json_schema).collect(),
        Value::String(text) if COUNTS.contains(&key) => {
            text.parse::<u64>().map_or_else(|_| value.clone(), Value::from)
        }
        other => other.clone(),
    };
    let key = if key == "defs" { "$defs" } else { key };
    (key.to_owned(), translated)
}

/// The order of properties is the order of members in JSON schema.
fn reorder(schema: &mut Map<String, Value>, order: &[Value]) {
    let Some(Value::Object(properties)) = schema.get_mut("properties") else {
        return;
    };
    let mut ordered = Map::new();
    for name in order.iter().filter_map(Value::as_str) {
        if let Some(property) = properties.get(name) {
            ordered.insert(name.to_owned(), property.clone());
        }
    }
    for (name, property) in std::mem::take(properties) {
        ordered.entry(name).or_insert(property);
    }
    *properties = ordered;
}

fn allow_null(schema: &mut Map<String, Value>) {
    if let Some(Value::Array(choices)) = schema.get_mut("anyOf") {
        choices.push(json!({"type": "null"}));
    }
    if let Some(Value::Array(values)) = schema.get_mut("enum") {
        values.push(Value::Null);
    }
    if let Some(kind) = schema.get_mut("type") {
        *kind = json!([kind.take(), "null"]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::to_json_schema;

    #[test]
    fn an_openapi_schema_becomes_json_schema() {
        let schema = json!({
            "type": "OBJECT",
            "properties": {
                "type": {"type": "STRING", "enum": ["a"], "nullable": true},
                "list": {"type": "ARRAY", "items": {"type": "INTEGER", "format": "int32"}, "max_items": "5"},
                "either": {"any_of": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": true}
            },
            "property_ordering": ["list", "type"],
            "required": ["list"],
            "example": {"type": "KEPT"}
        });
        let wanted = json!({
            "type": "object",
            "properties": {
                "list": {"type": "array", "items": {"type": "integer", "format": "int32"}, "maxItems": 5},
                "type": {"type": ["string", "null"], "enum": ["a", null]},
                "either": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]}
            },
            "required": ["list"],
            "examples": [{"type": "KEPT"}]
        });
        assert_eq!(to_json_schema(&schema).to_string(), wanted.to_string());
    }
}
