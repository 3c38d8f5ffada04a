//! Whether a model called the tools that it should have, with the right arguments.
//!
//! Calls are compared as trees, not as texts, as in S. G. Patil, T. Zhang, X. Wang, J. E. Gonzalez, "Gorilla: large language
//! model connected with massive APIs" (2023) and its function-calling leaderboard: names must be equal, arguments are equal
//! as JSON, and numbers by their value.

use serde_json::Value;

use crate::{
    definition::CallOrder,
    number::{number, ratio},
    sample::ToolCall,
};

/// How right the calls are, from 0 to 1: each expected call counts by the share of its arguments that are as expected (an
/// argument that was not expected counts as a wrong one), calls that are too many count as wrong ones.
///
/// With [`CallOrder::Same`] the first call is compared with the first one that was expected, and so on; with
/// [`CallOrder::Any`] each expected call with the best one that is left. No calls are right when none was expected.
pub fn tool_call_accuracy(calls: &[ToolCall], expected: &[ToolCall], order: CallOrder) -> f64 {
    let most = calls.len().max(expected.len());
    if most == 0 {
        return 1.0;
    }
    let points: f64 = match order {
        CallOrder::Same => calls
            .iter()
            .zip(expected)
            .map(|(call, wanted)| rightness(call, wanted))
            .sum(),
        CallOrder::Any => in_any_order(calls, expected),
    };
    points / number(most)
}

/// The best pairs first, so that an exact call is never spent on another one.
fn in_any_order(calls: &[ToolCall], expected: &[ToolCall]) -> f64 {
    let mut pairs: Vec<(f64, usize, usize)> = Vec::new();
    for (wanted_place, wanted) in expected.iter().enumerate() {
        for (place, call) in calls.iter().enumerate() {
            pairs.push((rightness(call, wanted), wanted_place, place));
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0).then((a.1, a.2).cmp(&(b.1, b.2))));
    let (mut used_wanted, mut used) = (vec![false; expected.len()], vec![false; calls.len()]);
    let mut points = 0.0;
    for (point, wanted, call) in pairs {
        let (Some(wanted), Some(call)) = (used_wanted.get_mut(wanted), used.get_mut(call)) else {
            continue;
        };
        if !*wanted && !*call {
            (*wanted, *call) = (true, true);
            points += point;
        }
    }
    points
}

/// How right one call is: 0 for another tool, else the share of arguments that are as expected.
fn rightness(call: &ToolCall, expected: &ToolCall) -> f64 {
    if call.name != expected.name {
        return 0.0;
    }
    match (&call.arguments, &expected.arguments) {
        (Value::Object(own), Value::Object(wanted)) => {
            let right = wanted
                .iter()
                .filter(|(name, value)| own.get(*name).is_some_and(|own| equal(own, value)));
            let extra = own.keys().filter(|name| !wanted.contains_key(*name)).count();
            match wanted.len() + extra {
                0 => 1.0,
                all => ratio(right.count(), all),
            }
        }
        (own, wanted) => f64::from(u8::from(equal(own, wanted))),
    }
}

/// Whether two JSON values are equal, numbers by their value: 1 is 1.0.
pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(a), Value::Number(b)) => {
            a == b
                || a.as_f64()
                    .zip(b.as_f64())
                    .is_some_and(|(a, b)| a.total_cmp(&b).is_eq())
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| equal(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(name, a)| b.get(name).is_some_and(|b| equal(a, b)))
        }
        _ => left == right,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(name: &str, arguments: Value) -> ToolCall {
        ToolCall {
            name: name.into(),
            arguments,
        }
    }

    #[test]
    fn calls_count_by_their_names_and_arguments() {
        let weather = |city: &str| call("weather", json!({"city": city, "days": 3}));
        let time = || call("time", json!({}));
        for (calls, expected, same, any) in [
            (vec![], vec![], 1.0, 1.0),
            (vec![weather("Rome")], vec![], 0.0, 0.0),
            (vec![], vec![weather("Rome")], 0.0, 0.0),
            (vec![weather("Rome")], vec![weather("Rome")], 1.0, 1.0),
            (vec![weather("Oslo")], vec![weather("Rome")], 0.5, 0.5),
            (
                vec![time(), weather("Rome")],
                vec![weather("Rome"), time()],
                0.0,
                1.0,
            ),
            (vec![time(), time()], vec![time()], 0.5, 0.5),
            (
                vec![weather("Oslo"), weather("Rome")],
                vec![weather("Rome"), weather("Oslo")],
                0.5,
                1.0,
            ),
            (vec![call("time", json!({"zone": "UTC"}))], vec![time()], 0.0, 0.0),
            (
                vec![call("weather", json!({"days": 3.0, "city": "Rome"}))],
                vec![weather("Rome")],
                1.0,
                1.0,
            ),
        ] {
            let score = |order| tool_call_accuracy(&calls, &expected, order);
            assert!(
                (score(CallOrder::Same) - same).abs() < 1e-12,
                "{calls:?} {expected:?}"
            );
            assert!(
                (score(CallOrder::Any) - any).abs() < 1e-12,
                "{calls:?} {expected:?}"
            );
        }
    }
}
