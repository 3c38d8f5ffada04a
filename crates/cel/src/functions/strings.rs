//! Texts: the standard functions, and cel-go's extension for strings in version 2.

use super::{Function, format, global, int, member};
use crate::{
    fault::{Budget, Fault},
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    member("contains", &["string, string -> bool"], |args, budget| {
        let (text, other) = two(args)?;
        budget.charge_bytes(text.len().saturating_add(other.len()))?;
        Ok(Value::Bool(text.contains(other)))
    }),
    member("startsWith", &["string, string -> bool"], |args, budget| {
        let (text, other) = two(args)?;
        budget.charge_bytes(other.len())?;
        Ok(Value::Bool(text.starts_with(other)))
    }),
    member("endsWith", &["string, string -> bool"], |args, budget| {
        let (text, other) = two(args)?;
        budget.charge_bytes(other.len())?;
        Ok(Value::Bool(text.ends_with(other)))
    }),
    member("charAt", &["string, int -> string"], char_at),
    member(
        "indexOf",
        &["string, string -> int", "string, string, int -> int"],
        index_of,
    ),
    member(
        "lastIndexOf",
        &["string, string -> int", "string, string, int -> int"],
        last_index_of,
    ),
    member("lowerAscii", &["string -> string"], |args, budget| {
        let text = one(args, budget)?;
        Ok(text.to_ascii_lowercase().into())
    }),
    member("upperAscii", &["string -> string"], |args, budget| {
        let text = one(args, budget)?;
        Ok(text.to_ascii_uppercase().into())
    }),
    member("trim", &["string -> string"], |args, budget| {
        let text = one(args, budget)?;
        Ok(text.trim().into())
    }),
    member(
        "replace",
        &[
            "string, string, string -> string",
            "string, string, string, int -> string",
        ],
        replace,
    ),
    member(
        "split",
        &[
            "string, string -> list<string>",
            "string, string, int -> list<string>",
        ],
        split,
    ),
    member(
        "substring",
        &["string, int -> string", "string, int, int -> string"],
        substring,
    ),
    member(
        "join",
        &["list<string> -> string", "list<string>, string -> string"],
        join,
    ),
    member("format", &["string, list<dyn> -> string"], format::format),
    global("strings.quote", &["string -> string"], |args, budget| {
        let text = one(args, budget)?;
        Ok(quote(text).into())
    }),
];

fn one<'a>(args: &'a [Value], budget: &mut Budget) -> Result<&'a str, Fault> {
    match args {
        [Value::String(text)] => {
            budget.charge_bytes(text.len())?;
            Ok(text)
        }
        _ => Err(Fault::NoOverload),
    }
}

fn two(args: &[Value]) -> Result<(&str, &str), Fault> {
    match args {
        [Value::String(text), Value::String(other)] => Ok((text, other)),
        _ => Err(Fault::NoOverload),
    }
}

fn out_of_range(index: i64) -> Fault {
    Fault::new(format!("index out of range: {index}"))
}

/// The place in bytes of a character, or of the end.
fn byte_of(text: &str, index: i64) -> Result<usize, Fault> {
    let wanted = usize::try_from(index).map_err(|_| out_of_range(index))?;
    let mut places = text.char_indices().map(|(place, _)| place).chain([text.len()]);
    places.nth(wanted).ok_or_else(|| out_of_range(index))
}

fn char_at(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let [Value::String(text), Value::Int(index)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.charge_bytes(text.len())?;
    let place = byte_of(text, *index)?;
    let letter = text.get(place..).and_then(|rest| rest.chars().next());
    Ok(letter.map(String::from).unwrap_or_default().into())
}

fn index_of(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let (text, other, from) = match args {
        [Value::String(text), Value::String(other)] => (text, other, 0),
        [Value::String(text), Value::String(other), Value::Int(from)] => (text, other, *from),
        _ => return Err(Fault::NoOverload),
    };
    budget.charge_bytes(text.len().saturating_add(other.len()))?;
    let start = byte_of(text, from)?;
    let found = text.get(start..).and_then(|rest| rest.find(&**other));
    Ok(match found.and_then(|found| text.get(..start + found)) {
        Some(before) => int(before.chars().count()),
        None => Value::Int(-1),
    })
}

fn last_index_of(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let (text, other, until) = match args {
        [Value::String(text), Value::String(other)] => (text, other, None),
        [Value::String(text), Value::String(other), Value::Int(until)] => (text, other, Some(*until)),
        _ => return Err(Fault::NoOverload),
    };
    budget.charge_bytes(text.len().saturating_add(other.len()))?;
    let end = match until {
        Some(until) => (byte_of(text, until)? + other.len()).min(text.len()),
        None => text.len(),
    };
    let end = (end..=text.len())
        .find(|end| text.is_char_boundary(*end))
        .unwrap_or(text.len());
    let found = text.get(..end).and_then(|part| part.rfind(&**other));
    Ok(match found.and_then(|found| text.get(..found)) {
        Some(before) => int(before.chars().count()),
        None => Value::Int(-1),
    })
}

fn replace(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let (text, from, to, limit) = match args {
        [Value::String(text), Value::String(from), Value::String(to)] => (text, from, to, -1),
        [
            Value::String(text),
            Value::String(from),
            Value::String(to),
            Value::Int(limit),
        ] => (text, from, to, *limit),
        _ => return Err(Fault::NoOverload),
    };
    budget.charge_bytes(text.len().saturating_add(from.len()))?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let count = text.matches(&**from).count().min(limit);
    budget.charge_bytes(count.saturating_mul(to.len()))?;
    Ok(text.replacen(&**from, to, limit).into())
}

fn split(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let (text, by, limit) = match args {
        [Value::String(text), Value::String(by)] => (text, by, -1),
        [Value::String(text), Value::String(by), Value::Int(limit)] => (text, by, *limit),
        _ => return Err(Fault::NoOverload),
    };
    budget.charge_items(text.len())?;
    let limit = match limit {
        0 => return Ok(Vec::new().into()),
        limit => usize::try_from(limit).unwrap_or(usize::MAX),
    };
    let parts: Vec<Value> = if by.is_empty() {
        letters(text, limit)
    } else {
        text.splitn(limit, &**by).map(Value::from).collect()
    };
    Ok(parts.into())
}

/// Each character for itself, and what is over the limit in the last part.
fn letters(text: &str, limit: usize) -> Vec<Value> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        if parts.len() + 1 == limit {
            parts.push(rest.into());
            return parts;
        }
        let (first, after) = rest.split_at(letter.len_utf8());
        parts.push(first.into());
        rest = after;
    }
    parts
}

fn substring(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let (text, from, to) = match args {
        [Value::String(text), Value::Int(from)] => (text, *from, None),
        [Value::String(text), Value::Int(from), Value::Int(to)] => (text, *from, Some(*to)),
        _ => return Err(Fault::NoOverload),
    };
    budget.charge_bytes(text.len())?;
    let start = byte_of(text, from)?;
    let end = to.map_or(Ok(text.len()), |to| byte_of(text, to))?;
    match text.get(start..end) {
        Some(part) => Ok(part.into()),
        None => Err(Fault::new(format!(
            "invalid substring range. start: {from}, end: {}",
            to.unwrap_or_default()
        ))),
    }
}

fn join(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let (list, separator) = match args {
        [Value::List(list)] => (list, ""),
        [Value::List(list), Value::String(separator)] => (list, &**separator),
        _ => return Err(Fault::NoOverload),
    };
    let mut joined = String::new();
    for (place, item) in list.items.iter().enumerate() {
        let Value::String(text) = item else {
            return Err(Fault::NoOverload);
        };
        budget.charge(1)?;
        budget.charge_bytes(text.len() + separator.len())?;
        if place > 0 {
            joined.push_str(separator);
        }
        joined.push_str(text);
    }
    Ok(joined.into())
}

/// A text as a literal.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{c}' => quoted.push_str("\\f"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{b}' => quoted.push_str("\\v"),
            '\\' => quoted.push_str("\\\\"),
            '"' => quoted.push_str("\\\""),
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}
