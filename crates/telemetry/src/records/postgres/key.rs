//! Values of fields as bytes that sort and compare as the values do.
//!
//! A byte says the type: null (or an absent field) before booleans, numbers, texts, and what is none of these. Numbers are
//! the nearest double in an order-preserving form and what it is off by, so that integers beyond 2⁵³ stay apart.

use serde_json::{Number, Value};

const NULL: u8 = 0;
const BOOLEAN: u8 = 1;
const NUMBER: u8 = 2;
const TEXT: u8 = 3;
const OTHER: u8 = 4;

/// The bytes of a value; of an absent one as of null.
pub(super) fn key(value: Option<&Value>) -> Vec<u8> {
    match value {
        None | Some(Value::Null) => vec![NULL],
        Some(Value::Bool(value)) => vec![BOOLEAN, u8::from(*value)],
        Some(Value::Number(value)) => number(value),
        Some(Value::String(value)) => text(value),
        Some(value @ (Value::Array(_) | Value::Object(_))) => tagged(OTHER, value.to_string().as_bytes()),
    }
}

/// The bytes of a text.
pub(super) fn text(value: &str) -> Vec<u8> {
    tagged(TEXT, value.as_bytes())
}

fn tagged(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(bytes.len() + 1);
    key.push(tag);
    key.extend_from_slice(bytes);
    key
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "what the double loses is the second part of the key"
)]
fn number(value: &Number) -> Vec<u8> {
    let whole = value
        .as_i64()
        .map(i128::from)
        .or_else(|| value.as_u64().map(i128::from));
    // Adding zero makes one zero of the two.
    let double = whole.map_or_else(|| value.as_f64().unwrap_or_default(), |whole| whole as f64) + 0.0;
    // The nearest double of a 64-bit integer is less than 2¹² away.
    let rest = whole.map_or(0, |whole| (whole - double as i128) as i64);
    let bits = double.to_bits();
    let ordered = if double.is_sign_negative() {
        !bits
    } else {
        bits | (1 << 63)
    };
    let mut key = tagged(NUMBER, &ordered.to_be_bytes());
    key.extend_from_slice(&rest.wrapping_sub(i64::MIN).cast_unsigned().to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn types_are_apart_and_in_order() {
        let values = [
            json!(null),
            json!(false),
            json!(true),
            json!(-1.5),
            json!(0),
            json!(1),
            json!(9_007_199_254_740_992_i64),
            json!(9_007_199_254_740_993_i64),
            json!(i64::MAX - 1),
            json!(i64::MAX),
            json!(u64::MAX),
            json!(""),
            json!("1"),
            json!("a"),
            json!([]),
        ];
        let keys: Vec<Vec<u8>> = values.iter().map(|value| key(Some(value))).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert_eq!(key(None), key(Some(&json!(null))));
        assert_eq!(key(Some(&json!(1))), key(Some(&json!(1.0))));
        assert_eq!(key(Some(&json!(0))), key(Some(&json!(-0.0))));
    }

    proptest! {
        #[test]
        fn keys_of_integers_and_doubles_sort_as_they_do(a in any::<i64>(), b in any::<i64>(), c in -1e300f64..1e300, d in -1e3f64..1e3) {
            prop_assert_eq!(a.cmp(&b), key(Some(&json!(a))).cmp(&key(Some(&json!(b)))));
            prop_assert_eq!(c.partial_cmp(&d), Some(key(Some(&json!(c))).cmp(&key(Some(&json!(d))))));
        }
    }
}
