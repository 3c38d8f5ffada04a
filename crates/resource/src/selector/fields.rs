//! Field selectors.

use std::fmt;

use serde_json::Value;

use super::{SelectorError, refuse};

/// A field selector, as `metadata.name=x,metadata.namespace!=y`; prints in the form that it is read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    field: String,
    negated: bool,
    value: String,
}

impl FieldSelector {
    /// Reads the text form; the empty text selects everything. A backslash takes `,`, `=` and `\` as they are.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let parts = split_unescaped(text)
            .into_iter()
            .filter(|part| !part.trim().is_empty());
        let requirements = parts.map(|part| {
            read_field(part)
                .unwrap_or_else(|| refuse(format!("invalid selector: '{text}'; can't understand '{part}'")))
        });
        Ok(Self {
            requirements: requirements.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the object's fields satisfy every requirement; an absent field is the empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = requirement
                .field
                .split('.')
                .try_fold(object, |value, name| value.get(name));
            let is_equal = match found {
                None | Some(Value::Null) => requirement.value.is_empty(),
                Some(Value::String(text)) => *text == requirement.value,
                Some(other) => requirement.value == *other.to_string(),
            };
            is_equal != requirement.negated
        })
    }

    /// The fields that requirements name, for the caller to refuse those that a kind cannot be selected by.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.requirements
            .iter()
            .map(|requirement| requirement.field.as_str())
    }

    /// The value that the field must equal, when a requirement says so (to look up `metadata.name` directly).
    pub fn exact(&self, field: &str) -> Option<&str> {
        let mut requirements = self.requirements.iter();
        requirements
            .find(|requirement| requirement.field == field && !requirement.negated)
            .map(|requirement| requirement.value.as_str())
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let operator = if requirement.negated { "!=" } else { "=" };
            let value = requirement
                .value
                .replace('\\', r"\\")
                .replace(',', r"\,")
                .replace('=', r"\=");
            write!(formatter, "{comma}{}{operator}{value}", requirement.field)?;
        }
        Ok(())
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character: char| {
        let is_end = character == ',' && !escaped;
        escaped = character == '\\' && !escaped;
        is_end
    })
    .collect()
}

/// A requirement; `None` when it has no operator.
fn read_field(text: &str) -> Option<Result<FieldRequirement, SelectorError>> {
    let (field, value) = text.split_once('=')?;
    let (field, negated) = match field.strip_suffix('!') {
        Some(field) => (field, true),
        None => (field, false),
    };
    let value = if negated {
        value
    } else {
        value.strip_prefix('=').unwrap_or(value)
    };
    Some(unescape(value.trim()).map(|value| FieldRequirement {
        field: field.trim().to_owned(),
        negated,
        value,
    }))
}

fn unescape(text: &str) -> Result<String, SelectorError> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                other => {
                    let other = other.map(String::from).unwrap_or_default();
                    return refuse(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    ));
                }
            },
            '=' => return refuse("invalid field selector: unescaped character in value: ="),
            other => out.push(other),
        }
    }
    Ok(out)
}
