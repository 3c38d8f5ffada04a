//! Metadata values.

use super::cursor::Cursor;
use crate::error::{Error, Result};

/// The longest text, in bytes.
const MAX_TEXT: u64 = 16 << 20;
/// The most elements of a list; vocabularies and merges have a few hundred thousand.
const MAX_ELEMENTS: u64 = 1 << 22;

/// A metadata value, with the file's thirteen types folded into what the engine tells apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Integers of every width.
    Integer(i128),
    /// Numbers of both precisions.
    Number(f64),
    /// Truth values.
    Bool(bool),
    /// Texts.
    Text(String),
    /// Lists.
    List(List),
}

/// A list, by what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum List {
    /// Texts.
    Texts(Vec<String>),
    /// Integers of every width, truth values as 0 and 1.
    Integers(Vec<i64>),
    /// Numbers of both precisions.
    Numbers(Vec<f32>),
}

impl Value {
    /// The text, if it is one.
    pub(crate) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Integer(_) | Self::Number(_) | Self::Bool(_) | Self::List(_) => None,
        }
    }

    /// The integer, if it is one that counts something.
    pub(crate) fn as_integer(&self) -> Option<usize> {
        match self {
            Self::Integer(integer) => usize::try_from(*integer).ok(),
            Self::Number(_) | Self::Text(_) | Self::Bool(_) | Self::List(_) => None,
        }
    }

    /// The number, if it is one.
    #[expect(
        clippy::cast_precision_loss,
        reason = "no sensible integer here is beyond 2^53"
    )]
    pub(crate) fn as_number(&self) -> Option<f64> {
        match self {
            Self::Integer(integer) => Some(*integer as f64),
            Self::Number(number) => Some(*number),
            Self::Text(_) | Self::Bool(_) | Self::List(_) => None,
        }
    }

    /// The truth value, if it is one.
    pub(crate) fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            Self::Integer(_) | Self::Number(_) | Self::Text(_) | Self::List(_) => None,
        }
    }
}

/// Reads a value with its type before it.
pub(super) fn read(cursor: &mut Cursor<'_>) -> Result<Value> {
    match cursor.u32()? {
        9 => read_list(cursor).map(Value::List),
        kind => read_scalar(cursor, kind),
    }
}

fn read_scalar(cursor: &mut Cursor<'_>, kind: u32) -> Result<Value> {
    Ok(match kind {
        0 => Value::Integer(u8::from_le_bytes(cursor.bytes()?).into()),
        1 => Value::Integer(i8::from_le_bytes(cursor.bytes()?).into()),
        2 => Value::Integer(u16::from_le_bytes(cursor.bytes()?).into()),
        3 => Value::Integer(i16::from_le_bytes(cursor.bytes()?).into()),
        4 => Value::Integer(cursor.u32()?.into()),
        5 => Value::Integer(i32::from_le_bytes(cursor.bytes()?).into()),
        6 => Value::Number(f32::from_le_bytes(cursor.bytes()?).into()),
        7 => Value::Bool(cursor.bytes::<1>()? != [0]),
        8 => Value::Text(cursor.text(MAX_TEXT)?),
        10 => Value::Integer(cursor.u64()?.into()),
        11 => Value::Integer(i64::from_le_bytes(cursor.bytes()?).into()),
        12 => Value::Number(f64::from_le_bytes(cursor.bytes()?)),
        _ => return Err(Error::damaged(format!("it has a value of unknown type {kind}"))),
    })
}

/// The fewest bytes that an element of a type takes; `None` for types that are no element.
fn element_size(kind: u32) -> Option<u64> {
    Some(match kind {
        0 | 1 | 7 => 1,
        2 | 3 => 2,
        4..=6 => 4,
        8 | 10..=12 => 8,
        _ => return None,
    })
}

fn read_list(cursor: &mut Cursor<'_>) -> Result<List> {
    let kind = cursor.u32()?;
    let Some(size) = element_size(kind) else {
        return Err(Error::damaged(format!("it has a list of unknown type {kind}")));
    };
    let count = cursor.count("elements of a list", MAX_ELEMENTS, size)?;
    let mut list = match kind {
        8 => List::Texts(Vec::new()),
        6 | 12 => List::Numbers(Vec::new()),
        _ => List::Integers(Vec::new()),
    };
    for _ in 0..count {
        push(&mut list, read_scalar(cursor, kind)?);
    }
    Ok(list)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "scores and offsets are single precision in every file"
)]
fn push(list: &mut List, value: Value) {
    match (list, value) {
        (List::Texts(texts), Value::Text(text)) => texts.push(text),
        (List::Numbers(numbers), Value::Number(number)) => numbers.push(number as f32),
        (List::Integers(integers), Value::Integer(integer)) => {
            integers.push(i64::try_from(integer).unwrap_or(i64::MAX));
        }
        (List::Integers(integers), Value::Bool(value)) => integers.push(value.into()),
        (List::Texts(_) | List::Numbers(_) | List::Integers(_), _) => {}
    }
}
