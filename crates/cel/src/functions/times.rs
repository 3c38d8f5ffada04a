//! Parts of times and of lengths of time (cel-spec, `doc/langdef.md`).

use super::{Function, member};
use crate::{
    fault::Fault,
    time::{Civil, Timestamp, offset},
    value::Value,
};

const IN_ZONE: &[&str] = &["timestamp -> int", "timestamp, string -> int"];
const IN_ZONE_OR_LENGTH: &[&str] = &["timestamp -> int", "timestamp, string -> int", "duration -> int"];

pub(super) const FUNCTIONS: &[Function] = &[
    member("getFullYear", IN_ZONE, |args, _| part(args, |at| at.year)),
    member("getMonth", IN_ZONE, |args, _| part(args, |at| at.month - 1)),
    member("getDate", IN_ZONE, |args, _| part(args, |at| at.day)),
    member("getDayOfMonth", IN_ZONE, |args, _| part(args, |at| at.day - 1)),
    member("getDayOfWeek", IN_ZONE, |args, _| part(args, |at| at.weekday)),
    member("getDayOfYear", IN_ZONE, |args, _| part(args, |at| at.day_of_year)),
    member("getHours", IN_ZONE_OR_LENGTH, |args, _| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 3_600_000_000_000)),
        args => part(args, |at| at.hour),
    }),
    member("getMinutes", IN_ZONE_OR_LENGTH, |args, _| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 60_000_000_000)),
        args => part(args, |at| at.minute),
    }),
    member("getSeconds", IN_ZONE_OR_LENGTH, |args, _| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 1_000_000_000)),
        args => part(args, |at| at.second),
    }),
    member("getMilliseconds", IN_ZONE_OR_LENGTH, |args, _| match args {
        [Value::Duration(nanos)] => Ok(Value::Int(nanos / 1_000_000)),
        args => in_zone(args).map(|(time, _)| Value::Int(i64::from(time.nanos() / 1_000_000))),
    }),
];

fn in_zone(args: &[Value]) -> Result<(Timestamp, i64), Fault> {
    match args {
        [Value::Timestamp(time)] => Ok((*time, 0)),
        [Value::Timestamp(time), Value::String(zone)] => match offset(zone, *time) {
            Some(offset) => Ok((*time, offset)),
            None => Err(Fault::new(format!("unknown time zone {zone}"))),
        },
        _ => Err(Fault::NoOverload),
    }
}

fn part(args: &[Value], choose: fn(Civil) -> i64) -> Result<Value, Fault> {
    let (time, offset) = in_zone(args)?;
    Ok(Value::Int(choose(time.civil(offset))))
}
