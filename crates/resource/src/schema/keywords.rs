//! Reading the keywords of one schema object, with errors that name the place.

use serde_json::{Map, Number, Value};

use super::{SchemaError, node::Bound};

/// Keywords that a `CustomResourceDefinition`'s schema may not have at all.
pub(super) const NOT_STRUCTURAL: &[&str] = &[
    "$ref",
    "definitions",
    "dependencies",
    "patternProperties",
    "additionalItems",
    "const",
    "$defs",
    "discriminator",
    "readOnly",
    "writeOnly",
    "xml",
    "deprecated",
    "uniqueItems",
];

/// Keywords that a branch of `allOf`, `anyOf`, `oneOf` or `not` may not have.
pub(super) const NOT_IN_BRANCHES: &[&str] = &[
    "type",
    "description",
    "title",
    "default",
    "nullable",
    "additionalProperties",
    "x-kubernetes-preserve-unknown-fields",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-type",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-map-type",
    "x-kubernetes-validations",
];

/// One schema object and where it stands.
pub(super) struct Keywords<'a> {
    members: &'a Map<String, Value>,
    path: &'a str,
}

impl<'a> Keywords<'a> {
    pub(super) fn new(schema: &'a Value, path: &'a str) -> Result<Self, SchemaError> {
        match schema {
            Value::Object(members) => Ok(Self { members, path }),
            _ => Err(SchemaError {
                path: path.to_owned(),
                message: "must be an object".to_owned(),
            }),
        }
    }

    pub(super) fn path_to(&self, word: &str) -> String {
        format!("{}.{word}", self.path)
    }

    pub(super) fn error(&self, word: &str, message: impl Into<String>) -> SchemaError {
        SchemaError {
            path: self.path_to(word),
            message: message.into(),
        }
    }

    /// Refuses keywords that must be absent (or `false`, their neutral value).
    pub(super) fn refuse(&self, words: &[&str]) -> Result<(), SchemaError> {
        for word in words {
            if self.get(word).is_some_and(|value| *value != Value::Bool(false)) {
                return Err(self.error(word, "must not be used in a structural schema here"));
            }
        }
        Ok(())
    }

    /// A keyword's value; `null` counts as absent.
    pub(super) fn get(&self, word: &str) -> Option<&'a Value> {
        self.members.get(word).filter(|value| !value.is_null())
    }

    fn typed<T>(
        &self,
        word: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, SchemaError> {
        match self.get(word) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(value) => Ok(Some(value)),
                None => Err(self.error(word, format!("must be {what}"))),
            },
        }
    }

    pub(super) fn flag(&self, word: &str) -> Result<bool, SchemaError> {
        Ok(self
            .typed(word, "true or false", Value::as_bool)?
            .unwrap_or(false))
    }

    pub(super) fn text(&self, word: &str) -> Result<Option<&'a str>, SchemaError> {
        self.typed(word, "a text", Value::as_str)
    }

    pub(super) fn count(&self, word: &str) -> Result<Option<u64>, SchemaError> {
        self.typed(word, "a whole number that is not negative", Value::as_u64)
    }

    pub(super) fn object(&self, word: &str) -> Result<Option<&'a Map<String, Value>>, SchemaError> {
        self.typed(word, "an object", Value::as_object)
    }

    pub(super) fn list(&self, word: &str) -> Result<Option<&'a Vec<Value>>, SchemaError> {
        self.typed(word, "a list", Value::as_array)
    }

    pub(super) fn texts(&self, word: &str) -> Result<Vec<String>, SchemaError> {
        let mut texts = Vec::new();
        for value in self.list(word)?.into_iter().flatten() {
            let Some(text) = value.as_str() else {
                return Err(self.error(word, "must be a list of texts"));
            };
            texts.push(text.to_owned());
        }
        Ok(texts)
    }

    pub(super) fn one_of(
        &self,
        word: &str,
        allowed: &[&'static str],
    ) -> Result<Option<&'static str>, SchemaError> {
        let Some(text) = self.text(word)? else {
            return Ok(None);
        };
        match allowed.iter().find(|value| **value == text) {
            Some(value) => Ok(Some(value)),
            None => Err(self.error(word, format!("{text:?} is not one of {}", allowed.join(", ")))),
        }
    }

    fn number(&self, word: &str) -> Result<Option<Number>, SchemaError> {
        self.typed(word, "a number", |value| match value {
            Value::Number(number) => Some(number.clone()),
            _ => None,
        })
    }

    pub(super) fn bound(&self, word: &str, exclusive: &str) -> Result<Option<Bound>, SchemaError> {
        let exclusive = self.flag(exclusive)?;
        Ok(self.number(word)?.map(|limit| Bound { limit, exclusive }))
    }

    pub(super) fn multiple_of(&self) -> Result<Option<Number>, SchemaError> {
        let number = self.number("multipleOf")?;
        match number.as_ref().and_then(Number::as_f64) {
            Some(value) if value <= 0.0 => Err(self.error("multipleOf", "must be greater than 0")),
            _ => Ok(number),
        }
    }
}
