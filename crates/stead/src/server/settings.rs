//! `GET /api/settings`: what this server runs with, each value with its source. For administrators.
//!
//! *Invariant:* it tells, and changes nothing: a setting is changed where it comes from, and at the next start.

use std::sync::Arc;

use axum::{Json, Router, extract::State, routing::get};
use http::Extensions;
use schemars::schema_for;
use serde::Serialize;
use serde_json::{Value, json};
use stead_kernel::{Error, Identity, Settings, http::ApiError};

use crate::config::{self, Source};

/// The route, over the values as they were put together at the start.
pub(crate) fn routes(values: Vec<Given>) -> Router {
    Router::new()
        .route("/api/settings", get(list))
        .with_state(values.into())
}

/// One setting.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Setting {
    name: String,
    value: Value,
    /// What it is without anybody's doing.
    default: Value,
    /// Where it comes from: `default`, or `flag`, `environment` or `file` and which.
    source: String,
    /// The environment variable that sets it; `data` has one of its own.
    variable: String,
    /// What it is for.
    description: String,
    /// The words that it may be, where it is one of a few.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    choices: Vec<Value>,
}

/// A setting's name, value and source.
type Given = (String, Value, Source);

async fn list(State(values): State<Arc<[Given]>>, extensions: Extensions) -> Result<Json<Value>, ApiError> {
    let principal = Identity::require(&extensions)?;
    if !principal.is_admin() {
        return Err(Error::forbidden("settings are for administrators").into());
    }
    Ok(Json(json!({"items": items(&values)})))
}

/// Pure: the settings with what their own documentation says of them.
fn items(values: &[Given]) -> Vec<Setting> {
    let schema = Value::from(schema_for!(Settings));
    let defaults = serde_json::to_value(Settings::default()).unwrap_or_default();
    let item = |(name, value, source): &Given| {
        let field = schema.pointer(&format!("/properties/{name}"));
        let variable = match name.as_str() {
            "data" => "STEAD_HOME".to_owned(),
            name => config::variable(name),
        };
        Setting {
            default: defaults.get(name).cloned().unwrap_or_default(),
            source: source.to_string(),
            description: field.map(description).unwrap_or_default(),
            choices: field.map(|field| choices(&schema, field)).unwrap_or_default(),
            variable,
            value: value.clone(),
            name: name.clone(),
        }
    };
    values.iter().map(item).collect()
}

fn description(field: &Value) -> String {
    let text = field.get("description").and_then(Value::as_str);
    text.unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
}

/// The words of an enumeration, wherever its schema keeps them.
fn choices(schema: &Value, field: &Value) -> Vec<Value> {
    let target = field.get("$ref").and_then(Value::as_str);
    let target = target.and_then(|path| schema.pointer(path.strip_prefix('#')?));
    let target = target.unwrap_or(field);
    if let Some(words) = target.get("enum").and_then(Value::as_array) {
        return words.clone();
    }
    let variants = target
        .get("oneOf")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    variants
        .filter_map(|variant| variant.get("const").cloned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Setting> {
        let defaults = serde_json::to_value(Settings::default()).unwrap();
        let values = defaults.as_object().unwrap().iter();
        let values: Vec<Given> = values
            .map(|(name, value)| (name.clone(), value.clone(), Source::Default))
            .collect();
        items(&values)
    }

    #[test]
    fn every_setting_says_what_it_is_for_and_by_which_variable_it_is_set() {
        for setting in all() {
            assert!(!setting.description.is_empty(), "{} says nothing", setting.name);
            assert!(setting.variable.starts_with("STEAD_"));
            assert_eq!(setting.value, setting.default, "{}", setting.name);
        }
    }

    #[test]
    fn a_setting_of_a_few_words_names_them() {
        let settings = all();
        let capture = settings.iter().find(|setting| setting.name == "capture").unwrap();
        assert_eq!(capture.choices, ["full", "sampled", "errors", "none"]);
        let listen = settings.iter().find(|setting| setting.name == "listen").unwrap();
        assert!(listen.choices.is_empty());
    }
}
