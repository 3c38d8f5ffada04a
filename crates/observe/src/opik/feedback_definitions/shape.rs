//! Feedback definitions as the API spells them: `NumericalFeedbackDefinition_*`, `CategoricalFeedbackDefinition_*` and
//! `BooleanFeedbackDefinition_*` in Opik's OpenAPI document.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use stead_kernel::{Error, Result};

use crate::opik::shelf::{Stamps, Titled};

/// A definition as it is stored and told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Definition {
    pub(super) id: String,
    pub(super) name: String,
    #[serde(default)]
    pub(super) description: Option<String>,
    /// `numerical`, `categorical` or `boolean`.
    #[serde(rename = "type")]
    pub(super) sort: String,
    /// Which values there are.
    pub(super) details: Value,
    #[serde(flatten)]
    pub(super) stamps: Stamps,
}

/// A definition as a client sends it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(super) struct Write {
    pub(super) id: Option<String>,
    pub(super) name: String,
    pub(super) description: Option<String>,
    #[serde(rename = "type")]
    pub(super) sort: String,
    pub(super) details: Value,
}

impl Titled for Definition {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn project(&self) -> Option<&str> {
        None
    }

    fn stamps(&mut self) -> &mut Stamps {
        &mut self.stamps
    }
}

impl Write {
    /// Checks the rules of each type.
    pub(super) fn check(&self) -> Result<()> {
        let description = self.description.as_deref().unwrap_or_default();
        if self.name.trim().is_empty() {
            return Err(Error::invalid("name must not be blank"));
        }
        if description.chars().count() > 255 {
            return Err(Error::invalid("description cannot exceed 255 characters"));
        }
        let field = |name: &str| self.details.get(name);
        let good = match self.sort.as_str() {
            "numerical" => {
                let bound = |name: &str| field(name).and_then(Value::as_f64);
                bound("min").zip(bound("max")).is_some_and(|(min, max)| min < max)
            }
            "categorical" => {
                let categories = field("categories").and_then(Value::as_object);
                let numbers = categories.map(|all| all.values().all(Value::is_number));
                numbers == Some(true) && categories.is_some_and(|all| all.len() >= 2)
            }
            "boolean" => [["trueLabel", "true_label"], ["falseLabel", "false_label"]]
                .iter()
                .all(|names| {
                    let label = names.iter().find_map(|name| field(name)?.as_str());
                    label.is_some_and(|label| !label.trim().is_empty())
                }),
            _ => {
                return Err(Error::invalid(
                    "type must be `numerical`, `categorical` or `boolean`",
                ));
            }
        };
        if good {
            return Ok(());
        }
        Err(Error::invalid(match self.sort.as_str() {
            "numerical" => "details of a numerical definition must have a `min` that is less than its `max`",
            "categorical" => {
                "details of a categorical definition must have `categories`: two or more names with numbers"
            }
            _ => "details of a boolean definition must have a `trueLabel` and a `falseLabel`",
        }))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn details_must_fit_the_type() {
        for (body, good) in [
            (
                json!({"name": "n", "type": "numerical", "details": {"min": 0, "max": 1.5}}),
                true,
            ),
            (
                json!({"name": "n", "type": "numerical", "details": {"min": 1, "max": 1}}),
                false,
            ),
            (json!({"name": "n", "type": "numerical"}), false),
            (
                json!({"name": " ", "type": "numerical", "details": {"min": 0, "max": 1}}),
                false,
            ),
            (
                json!({"name": "n", "type": "categorical", "details": {"categories": {"a": 0, "b": 1}}}),
                true,
            ),
            (
                json!({"name": "n", "type": "categorical", "details": {"categories": {"a": "x", "b": 1}}}),
                false,
            ),
            (
                json!({"name": "n", "type": "boolean", "details": {"trueLabel": "y", "falseLabel": "n"}}),
                true,
            ),
            (
                json!({"name": "n", "type": "boolean", "details": {"true_label": "y", "false_label": "n"}}),
                true,
            ),
            (
                json!({"name": "n", "type": "boolean", "details": {"trueLabel": "y"}}),
                false,
            ),
            (json!({"name": "n", "type": "other", "details": {}}), false),
        ] {
            let write: Write = serde_json::from_value(body.clone()).unwrap();
            assert_eq!(write.check().is_ok(), good, "{body}");
        }
    }
}
