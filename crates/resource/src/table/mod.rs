//! The columns that `kubectl get` shows: the `Table` form of objects.

use serde_json::Value;

/// A printer column that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct ColumnError {
    /// Where, as `additionalPrinterColumns[0].jsonPath`.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

/// The columns of one version of a kind.
#[derive(Debug, Clone)]
pub struct Columns;

impl Columns {
    /// Columns from a CRD version's `additionalPrinterColumns` list: the name first, then the listed ones; with
    /// none listed, the age.
    ///
    /// # Errors
    /// Names the column that is malformed.
    pub fn from_crd_version(_additional_printer_columns: Option<&Value>) -> Result<Self, ColumnError> {
        Ok(Self)
    }

    /// The `columnDefinitions` of a `Table`.
    pub fn definitions(&self) -> Value {
        Value::Array(Vec::new())
    }

    /// The `cells` of the object's row; `now` in seconds since 1970.
    pub fn cells(&self, _object: &Value, _now: i64) -> Vec<Value> {
        Vec::new()
    }
}
