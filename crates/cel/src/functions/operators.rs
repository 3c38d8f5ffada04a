//! Operators (cel-spec, `doc/langdef.md`, List of Standard Definitions).

use std::cmp::Ordering;

use super::{Function, global, int, member};
use crate::{
    fault::{Budget, Fault},
    time::Timestamp,
    value::{Key, Value},
};

const COMPARISONS: &[&str] = &[
    "bool, bool -> bool",
    "int, int -> bool",
    "int, uint -> bool",
    "int, double -> bool",
    "uint, int -> bool",
    "uint, uint -> bool",
    "uint, double -> bool",
    "double, int -> bool",
    "double, uint -> bool",
    "double, double -> bool",
    "string, string -> bool",
    "bytes, bytes -> bool",
    "timestamp, timestamp -> bool",
    "duration, duration -> bool",
];
const NUMBERS: &[&str] = &[
    "int, int -> int",
    "uint, uint -> uint",
    "double, double -> double",
];

pub(super) const FUNCTIONS: &[Function] = &[
    global("_==_", &["A, A -> bool"], |args, budget| {
        equal(args, budget).map(Value::Bool)
    }),
    global("_!=_", &["A, A -> bool"], |args, budget| {
        equal(args, budget).map(|same| Value::Bool(!same))
    }),
    global("_<_", COMPARISONS, |args, budget| {
        compare(args, budget, Ordering::is_lt)
    }),
    global("_<=_", COMPARISONS, |args, budget| {
        compare(args, budget, Ordering::is_le)
    }),
    global("_>_", COMPARISONS, |args, budget| {
        compare(args, budget, Ordering::is_gt)
    }),
    global("_>=_", COMPARISONS, |args, budget| {
        compare(args, budget, Ordering::is_ge)
    }),
    global("_?_:_", &["bool, A, A -> A"], no_call),
    global(
        "_[_]",
        &[
            "list<A>, int -> A",
            "map<A, B>, A -> B",
            "optional<list<A>>, int -> optional<A>",
            "optional<map<A, B>>, A -> optional<B>",
        ],
        no_call,
    ),
    global(
        "_[?_]",
        &[
            "list<A>, int -> optional<A>",
            "map<A, B>, A -> optional<B>",
            "optional<list<A>>, int -> optional<A>",
            "optional<map<A, B>>, A -> optional<B>",
        ],
        no_call,
    ),
    global("@in", &["A, list<A> -> bool", "A, map<A, B> -> bool"], within),
    global("!_", &["bool -> bool"], |args, _| match args {
        [Value::Bool(value)] => Ok(Value::Bool(!value)),
        _ => Err(Fault::NoOverload),
    }),
    global(
        "-_",
        &["int -> int", "double -> double", "duration -> duration"],
        negate,
    ),
    global(
        "_+_",
        &[
            "int, int -> int",
            "uint, uint -> uint",
            "double, double -> double",
            "string, string -> string",
            "bytes, bytes -> bytes",
            "list<A>, list<A> -> list<A>",
            "timestamp, duration -> timestamp",
            "duration, timestamp -> timestamp",
            "duration, duration -> duration",
        ],
        add,
    ),
    global(
        "_-_",
        &[
            "int, int -> int",
            "uint, uint -> uint",
            "double, double -> double",
            "timestamp, timestamp -> duration",
            "timestamp, duration -> timestamp",
            "duration, duration -> duration",
        ],
        subtract,
    ),
    global("_*_", NUMBERS, |args, _| match args {
        [Value::Int(one), Value::Int(other)] => checked(one.checked_mul(*other).map(Value::Int)),
        [Value::Uint(one), Value::Uint(other)] => checked(one.checked_mul(*other).map(Value::Uint)),
        [Value::Double(one), Value::Double(other)] => Ok(Value::Double(one * other)),
        _ => Err(Fault::NoOverload),
    }),
    global("_/_", NUMBERS, divide),
    global(
        "_%_",
        &["int, int -> int", "uint, uint -> uint"],
        |args, _| match args {
            [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
                Err(Fault::new("modulus by zero"))
            }
            [Value::Int(one), Value::Int(other)] => checked(one.checked_rem(*other).map(Value::Int)),
            [Value::Uint(one), Value::Uint(other)] => Ok(Value::Uint(one % other)),
            _ => Err(Fault::NoOverload),
        },
    ),
    global("size", SIZES, size),
    member("size", SIZES, size),
];

const SIZES: &[&str] = &[
    "string -> int",
    "bytes -> int",
    "list<A> -> int",
    "map<A, B> -> int",
];

/// Evaluated by itself, since not all of its arguments are.
fn no_call(_: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    Err(Fault::NoOverload)
}

fn checked(value: Option<Value>) -> Result<Value, Fault> {
    value.ok_or_else(Fault::overflow)
}

fn equal(args: &[Value], budget: &mut Budget) -> Result<bool, Fault> {
    let [one, other] = args else {
        return Err(Fault::NoOverload);
    };
    let weight = one.weight().min(other.weight());
    budget.charge(weight.saturating_mul(cost_of_order(one)))?;
    Ok(one == other)
}

/// How much longer it takes to compare lists whose order does not count.
fn cost_of_order(value: &Value) -> u64 {
    match value {
        Value::List(list) if !matches!(list.identity, crate::value::Identity::Place) => {
            list.items.len() as u64
        }
        _ => 1,
    }
}

fn compare(args: &[Value], budget: &mut Budget, fits: fn(Ordering) -> bool) -> Result<Value, Fault> {
    let [one, other] = args else {
        return Err(Fault::NoOverload);
    };
    budget.charge(one.weight().min(other.weight()))?;
    match (one.order(other), one, other) {
        (Some(order), ..) => Ok(Value::Bool(fits(order))),
        // Not a number: no order, and so nothing fits.
        (None, Value::Double(_), _) | (None, _, Value::Double(_)) if is_number(one) && is_number(other) => {
            Ok(Value::Bool(false))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Int(_) | Value::Uint(_) | Value::Double(_))
}

fn within(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    match args {
        [value, Value::List(list)] => {
            budget.charge(value.weight().saturating_mul(list.items.len() as u64))?;
            Ok(Value::Bool(list.items.contains(value)))
        }
        [value, Value::Map(map)] => {
            let known = Key::of(value).is_some_and(|key| map.contains_key(&key));
            Ok(Value::Bool(known))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn negate(args: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Int(number)] => checked(number.checked_neg().map(Value::Int)),
        [Value::Double(number)] => Ok(Value::Double(-number)),
        [Value::Duration(nanos)] => checked(nanos.checked_neg().map(Value::Duration)),
        _ => Err(Fault::NoOverload),
    }
}

fn add(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Int(one), Value::Int(other)] => checked(one.checked_add(*other).map(Value::Int)),
        [Value::Uint(one), Value::Uint(other)] => checked(one.checked_add(*other).map(Value::Uint)),
        [Value::Double(one), Value::Double(other)] => Ok(Value::Double(one + other)),
        [Value::String(one), Value::String(other)] => {
            budget.charge_bytes(one.len() + other.len())?;
            Ok(format!("{one}{other}").into())
        }
        [Value::Bytes(one), Value::Bytes(other)] => {
            budget.charge_bytes(one.len() + other.len())?;
            Ok(Value::Bytes([&**one, &**other].concat().into()))
        }
        [Value::List(one), Value::List(other)] => {
            let factor = args.first().map_or(1, cost_of_order);
            let items = (one.items.len() + other.items.len()) as u64;
            budget.charge(items.saturating_mul(factor))?;
            Ok(Value::List(one.join(other)))
        }
        [Value::Timestamp(time), Value::Duration(nanos)]
        | [Value::Duration(nanos), Value::Timestamp(time)] => moved(*time, *nanos),
        [Value::Duration(one), Value::Duration(other)] => {
            checked(one.checked_add(*other).map(Value::Duration))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn moved(time: Timestamp, nanos: i64) -> Result<Value, Fault> {
    let moved = time.plus(nanos).map(Value::Timestamp);
    moved.ok_or_else(|| Fault::new("timestamp overflow"))
}

fn subtract(args: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Int(one), Value::Int(other)] => checked(one.checked_sub(*other).map(Value::Int)),
        [Value::Uint(one), Value::Uint(other)] => checked(one.checked_sub(*other).map(Value::Uint)),
        [Value::Double(one), Value::Double(other)] => Ok(Value::Double(one - other)),
        [Value::Timestamp(one), Value::Timestamp(other)] => checked(one.since(*other).map(Value::Duration)),
        [Value::Timestamp(time), Value::Duration(nanos)] => match nanos.checked_neg() {
            Some(nanos) => moved(*time, nanos),
            None => Err(Fault::overflow()),
        },
        [Value::Duration(one), Value::Duration(other)] => {
            checked(one.checked_sub(*other).map(Value::Duration))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn divide(args: &[Value], _: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::Int(_), Value::Int(0)] | [Value::Uint(_), Value::Uint(0)] => {
            Err(Fault::new("division by zero"))
        }
        [Value::Int(one), Value::Int(other)] => checked(one.checked_div(*other).map(Value::Int)),
        [Value::Uint(one), Value::Uint(other)] => Ok(Value::Uint(one / other)),
        [Value::Double(one), Value::Double(other)] => Ok(Value::Double(one / other)),
        _ => Err(Fault::NoOverload),
    }
}

fn size(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    match args {
        [Value::String(text)] => {
            budget.charge_bytes(text.len())?;
            Ok(int(text.chars().count()))
        }
        [Value::Bytes(bytes)] => Ok(int(bytes.len())),
        [Value::List(list)] => Ok(int(list.items.len())),
        [Value::Map(map)] => Ok(int(map.len())),
        _ => Err(Fault::NoOverload),
    }
}
