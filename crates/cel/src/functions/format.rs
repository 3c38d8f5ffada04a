//! `"…".format([…])` (cel-go, `ext/strings.go`).

use std::fmt::Write as _;

use super::{convert::text, strings::quote};
use crate::{
    fault::{Budget, Fault},
    value::{Key, Value},
};

/// How many digits after the point there may be.
const PRECISION: usize = 1000;

/// Fills the clauses of a text, as `%s` and `%.3f`, with a list's values.
pub(super) fn format(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let [Value::String(pattern), Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    let mut values = list.items.iter();
    let mut out = String::new();
    let mut rest = &**pattern;
    budget.charge_bytes(pattern.len())?;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('%') {
            out.push('%');
            rest = after;
            continue;
        }
        let (clause, precision, after) = read(after)?;
        rest = after;
        let Some(value) = values.next() else {
            return Err(Fault::new(format!("index {} out of range", list.items.len())));
        };
        budget.charge(value.weight())?;
        budget.charge_bytes(precision.unwrap_or_default() + 64)?;
        out.push_str(&fill(clause, precision, value)?);
    }
    out.push_str(rest);
    if values.next().is_some() {
        return Err(Fault::new("too many arguments supplied to string.format"));
    }
    Ok(out.into())
}

/// The letter of a clause, its precision, and what follows.
fn read(text: &str) -> Result<(char, Option<usize>, &str), Fault> {
    let (precision, rest) = match text.strip_prefix('.') {
        None => (None, text),
        Some(rest) => {
            let end = rest
                .find(|letter: char| !letter.is_ascii_digit())
                .unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            let precision = digits.parse().ok().filter(|precision| *precision <= PRECISION);
            let wrong = || Fault::new("could not parse formatting clause: invalid precision");
            (Some(precision.ok_or_else(wrong)?), rest)
        }
    };
    let mut letters = rest.chars();
    match letters.next() {
        Some(letter) => Ok((letter, precision, letters.as_str())),
        None => Err(Fault::new("unexpected end of string")),
    }
}

fn fill(clause: char, precision: Option<usize>, value: &Value) -> Result<String, Fault> {
    let wrong = || {
        Fault::new(format!(
            "error during formatting: %{clause} does not take a value of type {}",
            value.type_name()
        ))
    };
    let digits = precision.unwrap_or(6);
    Ok(match (clause, value) {
        ('s', value) => show(value)?,
        ('d', Value::Int(_) | Value::Uint(_)) => text(value),
        ('d' | 'f' | 'e', Value::Double(number)) if !number.is_finite() => {
            match (number.is_nan(), *number > 0.0) {
                (true, _) => "NaN".into(),
                (false, true) => "Infinity".into(),
                (false, false) => "-Infinity".into(),
            }
        }
        ('f', Value::Double(number)) => format!("{number:.digits$}"),
        ('e', Value::Double(number)) => exponent(*number, digits),
        ('b', Value::Bool(value)) => u8::from(*value).to_string(),
        ('b' | 'o' | 'x' | 'X', Value::Int(number)) => {
            let sign = if *number < 0 { "-" } else { "" };
            format!("{sign}{}", in_base(clause, number.unsigned_abs()))
        }
        ('b' | 'o' | 'x' | 'X', Value::Uint(number)) => in_base(clause, *number),
        ('x', Value::String(text)) => hexadecimal(text.as_bytes()),
        ('X', Value::String(text)) => hexadecimal(text.as_bytes()).to_ascii_uppercase(),
        ('x', Value::Bytes(bytes)) => hexadecimal(bytes),
        ('X', Value::Bytes(bytes)) => hexadecimal(bytes).to_ascii_uppercase(),
        ('d' | 'f' | 'e' | 'b' | 'o' | 'x' | 'X', _) => return Err(wrong()),
        (other, _) => {
            return Err(Fault::new(format!(
                "could not parse formatting clause: unrecognized formatting clause {other:?}"
            )));
        }
    })
}

fn exponent(number: f64, digits: usize) -> String {
    let shown = format!("{number:.digits$e}");
    let (mantissa, exponent) = shown.split_once('e').unwrap_or((&shown, "0"));
    let (sign, exponent) = match exponent.strip_prefix('-') {
        Some(exponent) => ('-', exponent),
        None => ('+', exponent),
    };
    let raised: String = format!("{sign}{exponent:0>2}")
        .chars()
        .filter_map(superscript)
        .collect();
    format!("{mantissa}×10{raised}")
}

fn superscript(letter: char) -> Option<char> {
    Some(match letter {
        '0' => '⁰',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        '-' => '⁻',
        _ => return None,
    })
}

fn in_base(clause: char, number: u64) -> String {
    match clause {
        'b' => format!("{number:b}"),
        'o' => format!("{number:o}"),
        'X' => format!("{number:X}"),
        _ => format!("{number:x}"),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A value as `%s` shows it.
fn show(value: &Value) -> Result<String, Fault> {
    Ok(match value {
        Value::List(list) => {
            let items: Vec<String> = list.items.iter().map(inner).collect::<Result<_, _>>()?;
            format!("[{}]", items.join(", "))
        }
        Value::Map(map) => {
            let entry =
                |(key, value): (&Key, &Value)| Ok(format!("{}:{}", inner(&key.value())?, inner(value)?));
            let entries: Vec<String> = map.iter().map(entry).collect::<Result<_, Fault>>()?;
            format!("{{{}}}", entries.join(", "))
        }
        Value::Optional(_) | Value::Opaque(_) => {
            return Err(Fault::new(format!(
                "error during formatting: string clause can only be used on strings, bools, bytes, ints, doubles, maps, \
                 lists, types, durations, and timestamps, was given {}",
                value.type_name()
            )));
        }
        other => text(other),
    })
}

/// A value within a list or a map.
fn inner(value: &Value) -> Result<String, Fault> {
    Ok(match value {
        Value::String(text) => quote(text),
        Value::Bytes(_) => format!("b{}", quote(&text(value))),
        Value::Timestamp(_) => format!("timestamp({})", quote(&text(value))),
        Value::Duration(_) => format!("duration({})", quote(&text(value))),
        Value::Double(number) if number.is_finite() => format!("{number:.6}"),
        other => show(other)?,
    })
}
