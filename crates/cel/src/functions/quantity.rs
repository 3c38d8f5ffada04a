//! Kubernetes' quantities, as `1.5Gi` and `200m` (`apimachinery/pkg/api/resource`).

use std::{cmp::Ordering, fmt};

use super::{Function, global, member};
use crate::{
    fault::Fault,
    value::{Opaque, Value},
};

/// A quantity in billionths, the finest step there is; finer ones are rounded up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Quantity(i128);

const UNIT: i128 = 1_000_000_000;

pub(super) const FUNCTIONS: &[Function] = &[
    global("quantity", &["string -> quantity"], |args, _| match args {
        [Value::String(text)] => match Quantity::parse(text) {
            Some(quantity) => Ok(of(quantity)),
            None => Err(Fault::new(
                "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
            )),
        },
        _ => Err(Fault::NoOverload),
    }),
    global("isQuantity", &["string -> bool"], |args, _| match args {
        [Value::String(text)] => Ok(Value::Bool(Quantity::parse(text).is_some())),
        _ => Err(Fault::NoOverload),
    }),
    global("sign", &["quantity -> int"], |args, _| {
        one(args).map(|quantity| Value::Int(i64::try_from(quantity.0.signum()).unwrap_or_default()))
    }),
    member("isGreaterThan", &["quantity, quantity -> bool"], |args, _| {
        compared(args).map(|order| Value::Bool(order.is_gt()))
    }),
    member("isLessThan", &["quantity, quantity -> bool"], |args, _| {
        compared(args).map(|order| Value::Bool(order.is_lt()))
    }),
    member("compareTo", &["quantity, quantity -> int"], |args, _| {
        compared(args).map(|order| Value::Int(order as i64))
    }),
    member("asApproximateFloat", &["quantity -> double"], |args, _| {
        #[expect(clippy::cast_precision_loss, reason = "approximate, as its name says")]
        one(args).map(|quantity| Value::Double(quantity.0 as f64 / UNIT as f64))
    }),
    member("asInteger", &["quantity -> int"], |args, _| {
        match one(args)?.whole() {
            Some(number) => Ok(Value::Int(number)),
            None => Err(Fault::new("cannot convert value to integer")),
        }
    }),
    member("isInteger", &["quantity -> bool"], |args, _| {
        one(args).map(|quantity| Value::Bool(quantity.whole().is_some()))
    }),
    member(
        "add",
        &["quantity, quantity -> quantity", "quantity, int -> quantity"],
        |args, _| combined(args, i128::checked_add),
    ),
    member(
        "sub",
        &["quantity, quantity -> quantity", "quantity, int -> quantity"],
        |args, _| combined(args, i128::checked_sub),
    ),
];

fn of(quantity: Quantity) -> Value {
    Value::Opaque(Opaque::Quantity(quantity))
}

fn one(args: &[Value]) -> Result<Quantity, Fault> {
    match args {
        [Value::Opaque(Opaque::Quantity(quantity))] => Ok(*quantity),
        _ => Err(Fault::NoOverload),
    }
}

fn compared(args: &[Value]) -> Result<Ordering, Fault> {
    match args {
        [
            Value::Opaque(Opaque::Quantity(one)),
            Value::Opaque(Opaque::Quantity(other)),
        ] => Ok(one.cmp(other)),
        _ => Err(Fault::NoOverload),
    }
}

fn combined(args: &[Value], combine: fn(i128, i128) -> Option<i128>) -> Result<Value, Fault> {
    let [Value::Opaque(Opaque::Quantity(one)), other] = args else {
        return Err(Fault::NoOverload);
    };
    let other = match other {
        Value::Opaque(Opaque::Quantity(other)) => other.0,
        Value::Int(number) => i128::from(*number) * UNIT,
        _ => return Err(Fault::NoOverload),
    };
    let sum = combine(one.0, other).ok_or_else(Fault::overflow)?;
    Ok(of(Quantity(sum)))
}

impl Quantity {
    /// Reads a number with a decimal or binary suffix, or an exponent.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let end = unsigned
            .find(|letter: char| !letter.is_ascii_digit() && letter != '.')
            .unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(end);
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        if (whole.is_empty() && part.is_empty()) || part.contains('.') {
            return None;
        }
        let (factor, tens) = scale(suffix)?;
        let digits = format!("{whole}{part}");
        let digits = digits.trim_start_matches('0');
        let mut amount: i128 = if digits.is_empty() {
            0
        } else {
            digits.get(..38.min(digits.len()))?.parse().ok()?
        };
        // Beyond 38 digits nothing changes but the scale.
        let dropped = i32::try_from(digits.len().saturating_sub(38)).ok()?;
        amount = amount.checked_mul(factor)?;
        let power = tens
            .checked_sub(i32::try_from(part.len()).ok()?)?
            .checked_add(9 + dropped)?;
        let amount = shifted(amount, power)?;
        Some(Self(if text.starts_with('-') { -amount } else { amount }))
    }

    fn whole(self) -> Option<i64> {
        (self.0 % UNIT == 0)
            .then(|| i64::try_from(self.0 / UNIT).ok())
            .flatten()
    }
}

/// A number times a power of ten, rounded up.
fn shifted(amount: i128, power: i32) -> Option<i128> {
    if amount == 0 {
        return Some(0);
    }
    let size = 10_i128.checked_pow(power.unsigned_abs());
    match (power >= 0, size) {
        (true, size) => amount.checked_mul(size?),
        (false, Some(size)) => Some(amount / size + i128::from(amount % size != 0)),
        (false, None) => Some(1),
    }
}

/// What a suffix multiplies with: a factor, and a power of ten.
fn scale(suffix: &str) -> Option<(i128, i32)> {
    Some(match suffix {
        "" => (1, 0),
        "Ki" => (1 << 10, 0),
        "Mi" => (1 << 20, 0),
        "Gi" => (1 << 30, 0),
        "Ti" => (1 << 40, 0),
        "Pi" => (1 << 50, 0),
        "Ei" => (1 << 60, 0),
        "n" => (1, -9),
        "u" => (1, -6),
        "m" => (1, -3),
        "k" => (1, 3),
        "M" => (1, 6),
        "G" => (1, 9),
        "T" => (1, 12),
        "P" => (1, 15),
        "E" => (1, 18),
        exponent => {
            let digits = exponent.strip_prefix(['e', 'E'])?;
            (1, digits.parse().ok()?)
        }
    })
}

impl fmt::Display for Quantity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0.abs() / UNIT, self.0.abs() % UNIT);
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(formatter, "{sign}{whole}")?;
        if part > 0 {
            let digits = format!("{part:09}");
            write!(formatter, ".{}", digits.trim_end_matches('0'))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_with_every_suffix() {
        for (text, billionths) in [
            ("1", UNIT),
            ("1.5Gi", UNIT * 3 * (1 << 29)),
            ("200m", UNIT / 5),
            ("-1k", -1000 * UNIT),
            ("1e3", 1000 * UNIT),
            ("1E", 1_000_000_000_000_000_000 * UNIT),
            ("0.0000000001", 1),
            (".5", UNIT / 2),
            ("5.", 5 * UNIT),
        ] {
            assert_eq!(Quantity::parse(text), Some(Quantity(billionths)), "{text}");
        }
        for text in [
            "",
            "a",
            "1.5.5",
            "1Kib",
            "Ki",
            "1 k",
            "--1",
            "1e",
            "1e99999999999",
        ] {
            assert_eq!(Quantity::parse(text), None, "{text}");
        }
    }
}
