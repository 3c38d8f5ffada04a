//! What a judge answered.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::Verdict;
use crate::definition::{Scale, ScaleSort};

/// What a judge answered says nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unparsable {
    /// There is no text.
    #[error("the judge answered without a text")]
    NoText,
    /// There is no JSON object in it.
    #[error("the judge's answer holds no JSON object")]
    NoObject,
    /// Something is missing.
    #[error("the judge's answer has no usable {0:?}")]
    Missing(String),
    /// A score is where none can be.
    #[error("the judge's score {0:?} is outside of its range")]
    OutOfRange(String),
}

/// The text of a choice.
///
/// # Errors
/// When there is none, as in a refusal.
pub fn answer_of(choice: &Value) -> Result<String, Unparsable> {
    let content = choice.pointer("/message/content").and_then(Value::as_str);
    content.map(str::to_owned).ok_or(Unparsable::NoText)
}

/// The JSON object in a text: the text itself, else from its first brace to its last one, else the first whole object from
/// the first brace on (models fence objects, and some repeat them).
pub(super) fn object(text: &str) -> Result<Map<String, Value>, Unparsable> {
    if let Ok(Value::Object(object)) = serde_json::from_str(text) {
        return Ok(object);
    }
    let begun = text
        .find('{')
        .and_then(|start| text.get(start..))
        .ok_or(Unparsable::NoObject)?;
    let ended = begun
        .rfind('}')
        .and_then(|end| begun.get(..=end))
        .ok_or(Unparsable::NoObject)?;
    if let Ok(object) = serde_json::from_str(ended) {
        return Ok(object);
    }
    let mut objects = serde_json::Deserializer::from_str(begun).into_iter();
    match objects.next() {
        Some(Ok(Value::Object(object))) => Ok(object),
        _ => Err(Unparsable::NoObject),
    }
}

/// A score and its reason.
pub(super) fn verdict(text: &str, key: &str, range: RangeInclusive<f64>) -> Result<Verdict, Unparsable> {
    let answer = object(text)?;
    let value = answer
        .get(key)
        .and_then(as_number)
        .ok_or_else(|| Unparsable::Missing(key.into()))?;
    if !range.contains(&value) {
        return Err(Unparsable::OutOfRange(key.into()));
    }
    Ok(Verdict {
        name: None,
        value,
        reason: reason(&answer)?,
        decides: false,
    })
}

/// One of the scores of a judge of one's own: `{"NAME": {"score", "reason"}}`.
pub(super) fn scaled(answer: &Map<String, Value>, scale: &Scale) -> Result<Verdict, Unparsable> {
    let missing = || Unparsable::Missing(scale.name.clone());
    let told = answer
        .get(&scale.name)
        .and_then(Value::as_object)
        .ok_or_else(missing)?;
    let decides = scale.sort == ScaleSort::Boolean;
    let value = told.get("score").and_then(as_number).ok_or_else(missing)?;
    let fits = match scale.sort {
        ScaleSort::Boolean => value.fract() == 0.0 && (0.0..=1.0).contains(&value),
        ScaleSort::Integer => value.fract() == 0.0,
        ScaleSort::Number => value.is_finite(),
    };
    let bounded =
        decides || scale.min.is_none_or(|min| value >= min) && scale.max.is_none_or(|max| value <= max);
    if !fits || !bounded {
        return Err(Unparsable::OutOfRange(scale.name.clone()));
    }
    Ok(Verdict {
        name: Some(scale.name.clone()),
        value,
        reason: reason(told)?,
        decides,
    })
}

/// A number, also one that is written as a text, and yes and no.
fn as_number(value: &Value) -> Option<f64> {
    let number = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        Value::Bool(yes) => f64::from(u8::from(*yes)),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    number.is_finite().then_some(number)
}

/// Why, with a line per reason where there are several.
fn reason(answer: &Map<String, Value>) -> Result<String, Unparsable> {
    let reason = answer
        .get("reason")
        .ok_or_else(|| Unparsable::Missing("reason".into()))?;
    Ok(match reason {
        Value::Array(reasons) => reasons.iter().map(crate::text_of).collect::<Vec<_>>().join("\n"),
        other => crate::text_of(other),
    })
}
