//! Label and field selectors of lists and watches.

use serde_json::Value;

/// Why a selector could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SelectorError(String);

/// A label selector, as `a=b,c!=d,e in (x,y),f notin (z),g,!h`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector;

impl LabelSelector {
    /// Reads the text form; the empty text selects everything.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        Ok(Self)
    }

    /// Whether the object's `metadata.labels` satisfy every requirement.
    pub fn matches(&self, _object: &Value) -> bool {
        true
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        true
    }
}

/// A field selector, as `metadata.name=x,metadata.namespace!=y`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector;

impl FieldSelector {
    /// Reads the text form; the empty text selects everything.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(_text: &str) -> Result<Self, SelectorError> {
        Ok(Self)
    }

    /// Whether the object's fields satisfy every requirement; an absent field is the empty text.
    pub fn matches(&self, _object: &Value) -> bool {
        true
    }

    /// The fields that requirements name, for the caller to refuse those that a kind cannot be selected by.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        std::iter::empty()
    }

    /// The value that the field must equal, when a requirement says so (to look up `metadata.name` directly).
    pub fn exact(&self, _field: &str) -> Option<&str> {
        None
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        true
    }
}
