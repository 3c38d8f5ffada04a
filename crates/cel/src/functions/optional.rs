//! Values that may be absent (cel-go, optional types in version 2).

use std::sync::Arc;

use super::{Function, global, member};
use crate::{
    fault::{Budget, Fault},
    value::Value,
};

pub(super) const FUNCTIONS: &[Function] = &[
    global("optional.of", &["A -> optional<A>"], |args, _| match args {
        [value] => Ok(Value::Optional(Some(Arc::new(value.clone())))),
        _ => Err(Fault::NoOverload),
    }),
    global(
        "optional.ofNonZeroValue",
        &["A -> optional<A>"],
        |args, _| match args {
            [value] => Ok(Value::Optional(
                (!is_zero(value)).then(|| Arc::new(value.clone())),
            )),
            _ => Err(Fault::NoOverload),
        },
    ),
    global("optional.none", &["-> optional<A>"], |args, _| match args {
        [] => Ok(Value::Optional(None)),
        _ => Err(Fault::NoOverload),
    }),
    member("hasValue", &["optional<A> -> bool"], |args, _| match args {
        [Value::Optional(value)] => Ok(Value::Bool(value.is_some())),
        _ => Err(Fault::NoOverload),
    }),
    member("value", &["optional<A> -> A"], |args, _| match args {
        [Value::Optional(Some(value))] => Ok((**value).clone()),
        [Value::Optional(None)] => Err(Fault::new("optional.none() dereference")),
        _ => Err(Fault::NoOverload),
    }),
    member(
        "or",
        &["optional<A>, optional<A> -> optional<A>"],
        |args, _| match args {
            [Value::Optional(Some(value)), Value::Optional(_)] => {
                Ok(Value::Optional(Some(Arc::clone(value))))
            }
            [Value::Optional(None), other @ Value::Optional(_)] => Ok(other.clone()),
            _ => Err(Fault::NoOverload),
        },
    ),
    member("orValue", &["optional<A>, A -> A"], |args, _| match args {
        [Value::Optional(Some(value)), _] => Ok((**value).clone()),
        [Value::Optional(None), other] => Ok(other.clone()),
        _ => Err(Fault::NoOverload),
    }),
    global("optional.unwrap", &["list<optional<A>> -> list<A>"], unwrap),
    member("unwrapOpt", &["list<optional<A>> -> list<A>"], unwrap),
];

fn unwrap(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let [Value::List(list)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.charge_items(list.items.len())?;
    let mut items = Vec::new();
    for item in list.items.iter() {
        match item {
            Value::Optional(inner) => items.extend(inner.as_deref().cloned()),
            _ => return Err(Fault::NoOverload),
        }
    }
    Ok(items.into())
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) | Value::Int(0) | Value::Uint(0) | Value::Duration(0) => true,
        Value::Double(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(list) => list.items.is_empty(),
        Value::Map(map) => map.is_empty(),
        Value::Optional(inner) => inner.is_none(),
        Value::Bool(true)
        | Value::Int(_)
        | Value::Uint(_)
        | Value::Duration(_)
        | Value::Timestamp(_)
        | Value::Type(_)
        | Value::Opaque(_) => false,
    }
}
