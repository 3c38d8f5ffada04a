//! What can be wrong with a schema or with an object.

use std::fmt;

/// A schema that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct SchemaError {
    /// Where in the schema, as `openAPIV3Schema.properties[spec].items`.
    pub path: String,
    /// What is wrong there, and what is needed instead.
    pub message: String,
}

/// A field that the schema does not know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// Where, as `spec.targets[0].baseURL`.
    pub path: String,
    /// The path of the known field that was probably meant.
    pub suggestion: Option<String>,
}

/// `unknown field "spec.baseURL"`, as the Kubernetes API server words it in errors and warnings.
impl fmt::Display for UnknownField {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "unknown field {:?}", self.path)?;
        match &self.suggestion {
            Some(suggestion) => write!(formatter, ", did you mean {suggestion:?}?"),
            None => Ok(()),
        }
    }
}

/// What is wrong with a field's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldErrorKind {
    /// A required field is absent.
    Required,
    /// The value breaks a rule.
    Invalid,
    /// The value is not one of the allowed ones.
    NotSupported,
    /// The value has the wrong JSON type.
    TypeInvalid,
    /// The text is too long.
    TooLong,
    /// The list or map has too many entries.
    TooMany,
    /// The value occurs twice where it may occur once.
    Duplicate,
    /// The field may not be set.
    Forbidden,
}

impl FieldErrorKind {
    /// The reason in `details.causes` of a Kubernetes `Status`.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::Duplicate => "FieldValueDuplicate",
            Self::Forbidden => "FieldValueForbidden",
        }
    }

    const fn words(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Duplicate => "Duplicate value",
            Self::Forbidden => "Forbidden",
        }
    }
}

/// One thing that is wrong with an object; prints as `spec.size: Invalid value: -1: should be greater than …`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// Where, as `spec.targets[0].weight`; `<root>` never: the whole object has the empty path.
    pub path: String,
    /// What kind of fault.
    pub kind: FieldErrorKind,
    /// The offending value as JSON, where it helps.
    pub value: Option<String>,
    /// What is wrong and what is allowed; may be empty.
    pub detail: String,
}

impl FieldError {
    /// An error without a value.
    pub fn new(path: impl Into<String>, kind: FieldErrorKind, detail: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            kind,
            value: None,
            detail: detail.into(),
        }
    }

    /// Adds the offending value, as JSON.
    #[must_use]
    pub fn with_value(mut self, value: impl fmt::Display) -> Self {
        self.value = Some(value.to_string());
        self
    }

    /// The text without the path: the `message` of a cause in a Kubernetes `Status`.
    pub fn message(&self) -> String {
        let mut text = self.kind.words().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(value);
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message())
    }
}
