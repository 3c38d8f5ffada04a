//! The kinds as TypeScript, so that the console knows of each field what the server knows.
//!
//! A structural schema becomes a type: an object its properties, a map a `Record`, an enumeration the union of its
//! values. What a schema leaves open is `unknown`. What every status has (conditions, the generation) is left out: the
//! console's type of an object has it.

use std::fmt::Write as _;

use serde_json::Value;

use super::required;

/// What every status may have.
const COMMON: [&str; 2] = ["conditions", "observedGeneration"];

/// `export type ApiKeySpec = …`, and the like for the status, of a kind with this schema.
pub(super) fn write(text: &mut String, kind: &str, schema: &Value) {
    for (part, suffix) in [("spec", "Spec"), ("status", "Status")] {
        let Some(schema) = schema.pointer(&format!("/properties/{part}")) else {
            continue;
        };
        let _ = writeln!(text, "\nexport type {kind}{suffix} = {};", bare_type(schema, 0));
    }
}

fn type_of(schema: &Value, depth: usize) -> String {
    let bare = bare_type(schema, depth);
    match schema.get("nullable").and_then(Value::as_bool) {
        Some(true) => format!("{bare} | null"),
        _ => bare,
    }
}

fn bare_type(schema: &Value, depth: usize) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        let values: Vec<String> = values
            .iter()
            .filter(|value| !value.is_null())
            .map(Value::to_string)
            .collect();
        return values.join(" | ");
    }
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return "number | string".to_owned();
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => "string".to_owned(),
        Some("integer" | "number") => "number".to_owned(),
        Some("boolean") => "boolean".to_owned(),
        Some("array") => {
            let items = schema.get("items").map(|items| type_of(items, depth));
            format!("Array<{}>", items.as_deref().unwrap_or("unknown"))
        }
        Some("object") => object(schema, depth),
        _ => "unknown".to_owned(),
    }
}

fn object(schema: &Value, depth: usize) -> String {
    let open = schema.get("x-kubernetes-preserve-unknown-fields").is_some();
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        let values = schema
            .get("additionalProperties")
            .filter(|values| values.is_object())
            .map(|values| type_of(values, depth));
        return format!("Record<string, {}>", values.as_deref().unwrap_or("unknown"));
    };
    let required = required(schema);
    let indent = "  ".repeat(depth + 1);
    let mut text = "{\n".to_owned();
    for (name, field) in properties {
        if depth == 0 && COMMON.contains(&name.as_str()) {
            continue;
        }
        if let Some(what) = field.get("description").and_then(Value::as_str) {
            let line = what.split_whitespace().collect::<Vec<_>>().join(" ");
            let _ = writeln!(text, "{indent}/** {} */", line.replace("*/", "* /"));
        }
        let mark = if required.contains(&name.as_str()) {
            ""
        } else {
            "?"
        };
        let _ = writeln!(
            text,
            "{indent}{}{mark}: {};",
            key(name),
            type_of(field, depth + 1)
        );
    }
    if open {
        let _ = writeln!(text, "{indent}[field: string]: unknown;");
    }
    let _ = write!(text, "{}}}", "  ".repeat(depth));
    text
}

/// A field's name, quoted where TypeScript wants it.
fn key(name: &str) -> String {
    let plain = name
        .chars()
        .all(|letter| letter.is_ascii_alphanumeric() || letter == '_');
    if plain {
        name.to_owned()
    } else {
        format!("{name:?}")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_becomes_a_type() {
        let schema = json!({"properties": {"spec": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "a-b": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
                "any": {},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "mode": {"type": "string", "enum": ["On", "Off", null], "nullable": true},
                "name": {"type": "string", "description": "What it\nis called."},
                "open": {"type": "object", "properties": {"n": {"type": "integer"}}, "x-kubernetes-preserve-unknown-fields": true},
                "ports": {"type": "array", "items": {"type": "object", "properties": {"port": {"x-kubernetes-int-or-string": true}}}}
            }
        }}});
        let mut text = String::new();
        write(&mut text, "Thing", &schema);
        assert_eq!(
            text,
            r#"
export type ThingSpec = {
  "a-b"?: Record<string, unknown>;
  any?: unknown;
  labels?: Record<string, string>;
  mode?: "On" | "Off" | null;
  /** What it is called. */
  name: string;
  open?: {
    n?: number;
    [field: string]: unknown;
  };
  ports?: Array<{
    port?: number | string;
  }>;
};
"#
        );
    }
}
