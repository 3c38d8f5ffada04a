//! Conversions between types (cel-spec, `doc/langdef.md`).

use super::{Function, global};
use crate::{
    fault::{Budget, Fault},
    time::{Timestamp, parse_duration, show_duration},
    value::{Opaque, Value},
};

pub(super) const FUNCTIONS: &[Function] = &[
    global(
        "int",
        &[
            "int -> int",
            "uint -> int",
            "double -> int",
            "string -> int",
            "timestamp -> int",
            "duration -> int",
        ],
        to_int,
    ),
    global(
        "uint",
        &["uint -> uint", "int -> uint", "double -> uint", "string -> uint"],
        to_uint,
    ),
    global(
        "double",
        &[
            "double -> double",
            "int -> double",
            "uint -> double",
            "string -> double",
        ],
        to_double,
    ),
    global(
        "string",
        &[
            "string -> string",
            "bool -> string",
            "int -> string",
            "uint -> string",
            "double -> string",
            "bytes -> string",
            "timestamp -> string",
            "duration -> string",
            "ip -> string",
            "cidr -> string",
        ],
        to_string,
    ),
    global(
        "bytes",
        &["bytes -> bytes", "string -> bytes"],
        |args, budget| match args {
            [Value::Bytes(bytes)] => Ok(Value::Bytes(bytes.clone())),
            [Value::String(text)] => {
                budget.charge_bytes(text.len())?;
                Ok(Value::Bytes(text.as_bytes().into()))
            }
            _ => Err(Fault::NoOverload),
        },
    ),
    global(
        "bool",
        &["bool -> bool", "string -> bool"],
        |args, _| match args {
            [Value::Bool(value)] => Ok(Value::Bool(*value)),
            [Value::String(text)] => match &**text {
                "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(Value::Bool(true)),
                "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(Value::Bool(false)),
                text => Err(Fault::new(format!(
                    "strconv.ParseBool: parsing {text:?}: invalid syntax"
                ))),
            },
            _ => Err(Fault::NoOverload),
        },
    ),
    global("dyn", &["A -> dyn"], |args, _| match args {
        [value] => Ok(value.clone()),
        _ => Err(Fault::NoOverload),
    }),
    global("type", &["A -> type"], |args, _| match args {
        [value] => Ok(Value::Type(value.type_name().into())),
        _ => Err(Fault::NoOverload),
    }),
    global(
        "timestamp",
        &[
            "timestamp -> timestamp",
            "string -> timestamp",
            "int -> timestamp",
        ],
        |args, _| match args {
            [Value::Timestamp(time)] => Ok(Value::Timestamp(*time)),
            [Value::Int(seconds)] => Timestamp::new(*seconds, 0)
                .map(Value::Timestamp)
                .ok_or_else(|| Fault::new("timestamp overflow")),
            [Value::String(text)] => Timestamp::parse(text)
                .map(Value::Timestamp)
                .ok_or_else(|| Fault::new(format!("parsing time {text:?}: not an RFC 3339 time"))),
            _ => Err(Fault::NoOverload),
        },
    ),
    global(
        "duration",
        &["duration -> duration", "string -> duration", "int -> duration"],
        |args, _| match args {
            [Value::Duration(nanos) | Value::Int(nanos)] => Ok(Value::Duration(*nanos)),
            [Value::String(text)] => parse_duration(text)
                .map(Value::Duration)
                .ok_or_else(|| Fault::new(format!("time: invalid duration {text:?}"))),
            _ => Err(Fault::NoOverload),
        },
    ),
];

/// The greatest double below which every whole number fits 63 bits.
const INT_LIMIT: f64 = 9_223_372_036_854_775_808.0;
const UINT_LIMIT: f64 = 18_446_744_073_709_551_616.0;

fn not_a_number(function: &str, text: &str, error: std::num::IntErrorKind) -> Fault {
    let why = match error {
        std::num::IntErrorKind::PosOverflow | std::num::IntErrorKind::NegOverflow => "value out of range",
        _ => "invalid syntax",
    };
    Fault::new(format!("strconv.{function}: parsing {text:?}: {why}"))
}

fn to_int(args: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Int(number)] => Ok(Value::Int(*number)),
        [Value::Uint(number)] => i64::try_from(*number)
            .map(Value::Int)
            .map_err(|_| Fault::overflow()),
        [Value::Double(number)] if *number > -INT_LIMIT && *number < INT_LIMIT => {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "within range, and meant to be cut"
            )]
            let whole = *number as i64;
            Ok(Value::Int(whole))
        }
        [Value::Double(_)] => Err(Fault::overflow()),
        [Value::String(text)] => text
            .parse()
            .map(Value::Int)
            .map_err(|error: std::num::ParseIntError| not_a_number("ParseInt", text, *error.kind())),
        [Value::Timestamp(time)] => Ok(Value::Int(time.seconds())),
        [Value::Duration(nanos)] => Ok(Value::Int(*nanos)),
        _ => Err(Fault::NoOverload),
    }
}

fn to_uint(args: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Uint(number)] => Ok(Value::Uint(*number)),
        [Value::Int(number)] => u64::try_from(*number)
            .map(Value::Uint)
            .map_err(|_| Fault::new("unsigned integer overflow")),
        [Value::Double(number)] if *number >= 0.0 && *number < UINT_LIMIT => {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "within range, and meant to be cut"
            )]
            let whole = *number as u64;
            Ok(Value::Uint(whole))
        }
        [Value::Double(_)] => Err(Fault::new("unsigned integer overflow")),
        [Value::String(text)] => text
            .parse()
            .map(Value::Uint)
            .map_err(|error: std::num::ParseIntError| not_a_number("ParseUint", text, *error.kind())),
        _ => Err(Fault::NoOverload),
    }
}

#[expect(clippy::cast_precision_loss, reason = "as the language says")]
fn to_double(args: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Double(number)] => Ok(Value::Double(*number)),
        [Value::Int(number)] => Ok(Value::Double(*number as f64)),
        [Value::Uint(number)] => Ok(Value::Double(*number as f64)),
        [Value::String(text)] => text
            .parse()
            .map(Value::Double)
            .map_err(|_| Fault::new(format!("strconv.ParseFloat: parsing {text:?}: invalid syntax"))),
        _ => Err(Fault::NoOverload),
    }
}

fn to_string(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Bytes(bytes)] => {
            budget.charge_bytes(bytes.len())?;
            match std::str::from_utf8(bytes) {
                Ok(text) => Ok(text.into()),
                Err(_) => Err(Fault::new("invalid UTF-8 in bytes, cannot convert to string")),
            }
        }
        [Value::Null | Value::List(_) | Value::Map(_) | Value::Optional(_) | Value::Type(_)] => {
            Err(Fault::NoOverload)
        }
        [Value::Opaque(Opaque::Ip(_) | Opaque::Cidr(_))] => {
            args.first().map(text).map(Value::from).ok_or(Fault::NoOverload)
        }
        [Value::Opaque(_)] => Err(Fault::NoOverload),
        [value] => Ok(text(value).into()),
        _ => Err(Fault::NoOverload),
    }
}

/// A value as text; of lists and maps, nothing but that they are.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Uint(number) => number.to_string(),
        Value::Double(number) => double(*number),
        Value::String(text) => (**text).to_owned(),
        Value::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Value::Timestamp(time) => time.to_string(),
        Value::Duration(nanos) => show_duration(*nanos),
        Value::Type(name) => (**name).to_owned(),
        Value::List(_) => "list".into(),
        Value::Map(_) => "map".into(),
        Value::Optional(_) => "optional".into(),
        Value::Opaque(Opaque::Ip(address)) => address.to_string(),
        Value::Opaque(Opaque::Cidr(cidr)) => cidr.to_string(),
        Value::Opaque(_) => value.type_name().into(),
    }
}

/// A double as Go's `strconv.FormatFloat` writes it in its shortest form `g`.
pub(super) fn double(number: f64) -> String {
    if number.is_nan() {
        return "NaN".into();
    }
    if number.is_infinite() {
        return if number > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        };
    }
    let size = number.abs();
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        let text = format!("{number:e}");
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, digits) = match exponent.strip_prefix('-') {
            Some(digits) => ('-', digits),
            None => ('+', exponent),
        };
        return format!("{mantissa}e{sign}{digits:0>2}");
    }
    number.to_string()
}
