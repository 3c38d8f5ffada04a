//! Equality and order of JSON numbers and values, where 1 and 1.0 are the same.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// The order of two numbers, exact where both are integers.
pub(crate) fn compare(left: &Number, right: &Number) -> Ordering {
    match (integer(left), integer(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        _ => float(left).total_cmp(&float(right)),
    }
}

/// Whether `number` is a whole multiple of `factor`.
pub(crate) fn is_multiple(number: &Number, factor: &Number) -> bool {
    match (integer(number), integer(factor)) {
        (Some(number), Some(factor)) if factor != 0 => number % factor == 0,
        _ => {
            let ratio = float(number) / float(factor);
            // Decimal factors such as 0.1 have no exact binary form.
            (ratio - ratio.round()).abs() <= ratio.abs().max(1.0) * 1e-9
        }
    }
}

/// Whether two values are the same JSON value.
pub(crate) fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => compare(left, right).is_eq(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left
                    .iter()
                    .all(|(name, left)| right.get(name).is_some_and(|right| same(left, right)))
        }
        _ => left == right,
    }
}

fn integer(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}

fn float(number: &Number) -> f64 {
    // serde_json without arbitrary precision holds every number as i64, u64 or f64.
    number.as_f64().unwrap_or(f64::NAN)
}
