//! A mapping of which every field is looked at: what nobody takes is noted.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::Notes;

/// A mapping at a path.
pub(super) struct Section<'a> {
    pub(super) path: String,
    fields: Option<&'a Map<String, Value>>,
    taken: BTreeSet<&'a str>,
}

impl<'a> Section<'a> {
    /// The mapping; what is none is noted and counts as empty.
    pub(super) fn of(path: impl Into<String>, value: Option<&'a Value>, notes: &mut Notes) -> Self {
        let path = path.into();
        let fields = match value {
            Some(Value::Object(fields)) => Some(fields),
            None | Some(Value::Null) => None,
            Some(_) => {
                notes.missing(path.clone(), "a mapping was expected here");
                None
            }
        };
        Self {
            path,
            fields,
            taken: BTreeSet::new(),
        }
    }

    /// The path of a field.
    pub(super) fn at(&self, name: &str) -> String {
        if self.path.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.path)
        }
    }

    /// A field, which counts as looked at.
    pub(super) fn take(&mut self, name: &str) -> Option<&'a Value> {
        let (name, value) = self.fields?.get_key_value(name)?;
        self.taken.insert(name.as_str());
        Some(value).filter(|value| !value.is_null())
    }

    /// A text; another sort of value is noted.
    pub(super) fn text(&mut self, name: &str, notes: &mut Notes) -> Option<String> {
        match self.take(name)? {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
                notes.missing(self.at(name), "a text was expected here");
                None
            }
        }
    }

    /// A number that is not negative; another sort of value is noted.
    pub(super) fn number(&mut self, name: &str, notes: &mut Notes) -> Option<f64> {
        let value = self.take(name)?;
        let number = match value {
            Value::Number(number) => number.as_f64(),
            Value::String(text) => text.trim().parse().ok(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        };
        let usable = number.filter(|number| number.is_finite() && *number >= 0.0);
        if usable.is_none() {
            notes.missing(self.at(name), "a number that is not negative was expected here");
        }
        usable
    }

    /// A list of texts; another sort of value is noted.
    pub(super) fn texts(&mut self, name: &str, notes: &mut Notes) -> Vec<String> {
        let Some(value) = self.take(name) else {
            return Vec::new();
        };
        let list = value.as_array().map(|items| {
            let texts = items.iter().filter_map(Value::as_str).map(str::to_owned);
            (items.len(), texts.collect::<Vec<_>>())
        });
        match list {
            Some((count, texts)) if texts.len() == count => texts,
            Some(_) | None => {
                notes.missing(self.at(name), "a list of texts was expected here");
                Vec::new()
            }
        }
    }

    /// Notes every field that nobody took, with the reason from the table.
    pub(super) fn rest(self, reasons: &[(&str, &str)], otherwise: &str, notes: &mut Notes) {
        for (name, value) in self.fields.into_iter().flatten() {
            if self.taken.contains(name.as_str()) || value.is_null() {
                continue;
            }
            let reason = reasons.iter().find(|(known, _)| known == name);
            notes.missing(self.at(name), reason.map_or(otherwise, |(_, reason)| reason));
        }
    }
}
