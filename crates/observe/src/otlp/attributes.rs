//! What is said of a span as names and values, of which each is taken once. Pure.
//!
//! *Invariant:* what nobody takes is still there at the end, so that nothing that was told is dropped.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value as Any};
use serde_json::{Map, Value};

/// Names and values, in the order of the names: so many names are looked for in each span, of which it has few, that
/// looking is what counts. What was taken leaves its name without a value.
#[derive(Debug, Clone, Default)]
pub(super) struct Attributes(Vec<(String, Option<Value>)>);

impl Attributes {
    /// As they came; of a name that came twice the last value counts.
    pub(super) fn new(pairs: Vec<KeyValue>) -> Self {
        Self::from_pairs(object(pairs))
    }

    fn from_pairs(pairs: impl Iterator<Item = (String, Value)>) -> Self {
        let mut all: Vec<(String, Option<Value>)> = pairs.map(|(name, value)| (name, Some(value))).collect();
        // Stable, so that the last of a name comes last.
        all.sort_by(|(own, _), (other, _)| own.cmp(other));
        all.dedup_by(|(next, value), (kept, last)| {
            let is_same = next == kept;
            if is_same {
                *last = value.take();
            }
            is_same
        });
        Self(all)
    }

    fn place(&self, name: &str) -> Result<usize, usize> {
        self.0.binary_search_by(|(own, _)| own.as_str().cmp(name))
    }

    /// Whether there is such a name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// A value that stays.
    pub(super) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(self.place(name).ok()?)?.1.as_ref()
    }

    /// A text that stays, unless it is blank.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str().filter(|text| !text.trim().is_empty())
    }

    /// A value.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        let place = self.place(name).ok()?;
        self.0.get_mut(place)?.1.take()
    }

    /// The first of these texts that there is; the others stay.
    pub(super) fn take_text(&mut self, names: &[&str]) -> Option<String> {
        let name = names.iter().find(|name| self.text(name).is_some())?;
        match self.take(name)? {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The first of these values that there is, with its name; the others stay.
    pub(super) fn take_first<'a>(&mut self, names: &[&'a str]) -> Option<(&'a str, Value)> {
        names.iter().find_map(|name| Some((*name, self.take(name)?)))
    }

    /// All whose names begin so, without that beginning.
    pub(super) fn take_below(&mut self, prefix: &str) -> Vec<(String, Value)> {
        let (Ok(first) | Err(first)) = self.place(prefix);
        let all = self.0.get_mut(first..).unwrap_or_default().iter_mut();
        all.map_while(|(name, value)| Some((name.strip_prefix(prefix)?, value)))
            .filter_map(|(rest, value)| Some((rest.to_owned(), value.take()?)))
            .collect()
    }

    /// Puts a value back, or another one in its place.
    pub(super) fn put(&mut self, name: impl Into<String>, value: Value) {
        let name = name.into();
        match self.place(&name) {
            Ok(place) => {
                if let Some((_, own)) = self.0.get_mut(place) {
                    *own = Some(value);
                }
            }
            Err(place) => self.0.insert(place, (name, Some(value))),
        }
    }

    /// What is left; texts that are JSON are read, as Opik does.
    pub(super) fn rest(self) -> Map<String, Value> {
        let left = self.0.into_iter();
        left.filter_map(|(name, value)| Some((name, parsed(value?))))
            .collect()
    }
}

/// A text that is JSON as what it says; all else as it is.
pub(super) fn parsed(value: Value) -> Value {
    match value {
        Value::String(text) if text.starts_with(['{', '[', '"']) => match serde_json::from_str(&text) {
            // Some write JSON into JSON.
            Ok(Value::String(inner)) if inner.starts_with(['{', '[']) => {
                serde_json::from_str(&inner).unwrap_or(Value::String(inner))
            }
            Ok(value) => value,
            Err(_) => Value::String(text),
        },
        other => other,
    }
}

/// A value as JSON: bytes in base64, numbers that JSON does not know as texts.
pub(super) fn value(any: AnyValue) -> Value {
    match any.value {
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(value)) => Value::Bool(value),
        Some(Any::IntValue(number)) => number.into(),
        Some(Any::DoubleValue(number)) => serde_json::Number::from_f64(number)
            .map_or_else(|| Value::String(number.to_string()), Value::Number),
        Some(Any::ArrayValue(array)) => array.values.into_iter().map(value).collect(),
        Some(Any::KvlistValue(list)) => Value::Object(object(list.values).collect()),
        Some(Any::BytesValue(bytes)) => Value::String(STANDARD.encode(bytes)),
        // A place in a table of texts, which only profiles have.
        Some(Any::StringValueStrindex(_)) | None => Value::Null,
    }
}

/// Names and values as those of an object.
pub(super) fn object(pairs: Vec<KeyValue>) -> impl Iterator<Item = (String, Value)> {
    pairs
        .into_iter()
        .map(|pair| (pair.key, pair.value.map_or(Value::Null, value)))
}

/// A whole number, also one that is written as a text.
pub(super) fn whole(value: &Value) -> Option<i64> {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a count; what is larger is cut at the largest"
    )]
    let rounded = |number: f64| number.is_finite().then(|| number.round() as i64);
    match value {
        Value::Number(number) => number.as_i64().or_else(|| number.as_f64().and_then(rounded)),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A number, also one that is written as a text.
pub(super) fn real(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    number.filter(|number| number.is_finite())
}

#[cfg(test)]
impl Attributes {
    /// Of a JSON object.
    pub(super) fn of(object: Value) -> Self {
        match object {
            Value::Object(object) => Self::from_pairs(object.into_iter()),
            other => panic!("{other} is no object"),
        }
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
    use serde_json::json;

    use super::*;

    #[test]
    fn values_become_json() {
        let any = |value| AnyValue { value: Some(value) };
        let pair = KeyValue {
            key: "k".into(),
            value: Some(any(Any::IntValue(i64::MIN))),
            key_strindex: 0,
        };
        for (told, expected) in [
            (Any::StringValue("é".into()), json!("é")),
            (Any::BoolValue(true), json!(true)),
            (Any::DoubleValue(0.5), json!(0.5)),
            (Any::DoubleValue(f64::NAN), json!("NaN")),
            (Any::BytesValue(vec![1, 2, 255]), json!("AQL/")),
            (
                Any::ArrayValue(ArrayValue {
                    values: vec![any(Any::IntValue(1)), AnyValue { value: None }],
                }),
                json!([1, null]),
            ),
            (
                Any::KvlistValue(KeyValueList { values: vec![pair] }),
                json!({"k": i64::MIN}),
            ),
        ] {
            assert_eq!(value(any(told)), expected);
        }
    }

    #[test]
    fn what_is_taken_is_gone_and_what_is_not_taken_is_left() {
        let mut told =
            Attributes::of(json!({"a.b": 1, "a.c": "[1]", "a": 2, "ab": 3, "x": " ", "y": "t", "z": "{"}));
        assert_eq!(
            told.take_below("a."),
            [("b".into(), json!(1)), ("c".into(), json!("[1]"))]
        );
        assert_eq!(told.take_text(&["missing", "x", "y"]), Some("t".into()));
        assert_eq!(told.take_first(&["missing", "a", "ab"]), Some(("a", json!(2))));
        assert_eq!(Value::Object(told.rest()), json!({"ab": 3, "x": " ", "z": "{"}));
    }

    #[test]
    fn texts_that_are_json_are_read() {
        for (told, expected) in [
            (json!("{\"a\": 1}"), json!({"a": 1})),
            (json!("\"[1, 2]\""), json!([1, 2])),
            (json!("\"plain\""), json!("plain")),
            (json!("[not json"), json!("[not json")),
            (json!("12"), json!("12")),
        ] {
            assert_eq!(parsed(told), expected);
        }
        assert_eq!(
            (whole(&json!("12")), whole(&json!(2.6)), whole(&json!("x"))),
            (Some(12), Some(3), None)
        );
        assert_eq!(
            (real(&json!("0.5")), real(&json!("NaN")), real(&json!([]))),
            (Some(0.5), None, None)
        );
    }
}
