//! Whether an answer is JSON of a given schema.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

/// The most violations that are told.
const TOLD: usize = 5;

/// A JSON schema (draft 2020-12 unless it names another), compiled.
#[derive(Debug, Clone)]
pub struct Schema {
    validator: Validator,
}

/// Why a schema cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is no usable JSON schema: {0}")]
pub struct BadSchema(String);

impl Schema {
    /// Compiles a schema. References lead only into the schema itself; nothing is fetched.
    ///
    /// # Errors
    /// When it is no schema, or refers to somewhere else.
    pub fn new(schema: &Value) -> Result<Self, BadSchema> {
        let validator = jsonschema::options()
            // Without backtracking, so that no text takes long.
            .with_pattern_options(PatternOptions::regex())
            .build(schema)
            .map_err(|error| BadSchema(error.to_string()))?;
        Ok(Self { validator })
    }

    /// Checks a text.
    ///
    /// # Errors
    /// What is wrong, at most five things, each with its place; values are not told.
    pub fn check(&self, text: &str) -> Result<(), Vec<String>> {
        let value: Value = serde_json::from_str(text.trim()).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            vec![format!("it is not JSON ({place})")]
        })?;
        let wrong: Vec<String> = self
            .validator
            .iter_errors(&value)
            .take(TOLD)
            .map(|error| {
                let place = error.instance_path().to_string();
                let place = if place.is_empty() { "the answer" } else { &place };
                format!("{place}: {}", error.masked())
            })
            .collect();
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn violations_are_told_without_values() {
        let schema = Schema::new(&json!({
            "type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}, "age": {"type": "integer"}},
        }))
        .unwrap();
        assert_eq!(schema.check(r#" {"name": "ada", "age": 36} "#), Ok(()));
        let wrong = schema
            .check(r#"{"name": "S3CRET", "age": "S3CRET"}"#)
            .unwrap_err();
        assert_eq!(wrong.len(), 2);
        assert!(wrong.iter().all(|text| !text.contains("S3CRET")), "{wrong:?}");
        assert!(wrong.iter().any(|text| text.starts_with("/age: ")), "{wrong:?}");
        assert!(schema.check("Sure! Here it is").unwrap_err()[0].contains("not JSON"));
    }

    #[test]
    fn a_schema_that_refers_elsewhere_or_is_none_is_refused() {
        for schema in [
            json!({"type": "strange"}),
            json!({"$ref": "https://example.com/schema.json"}),
            json!({"$ref": "file:///etc/passwd"}),
        ] {
            assert!(Schema::new(&schema).is_err(), "{schema}");
        }
    }
}
