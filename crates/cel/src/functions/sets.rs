//! Lists as sets (cel-go, `ext/sets.go`).

use super::{Function, global};
use crate::{
    fault::{Budget, Fault},
    value::{List, Value},
};

pub(super) const FUNCTIONS: &[Function] = &[
    global("sets.contains", &["list<A>, list<A> -> bool"], |args, budget| {
        let (list, other) = both(args, budget)?;
        Ok(Value::Bool(has_all(list, other)))
    }),
    global(
        "sets.equivalent",
        &["list<A>, list<A> -> bool"],
        |args, budget| {
            let (list, other) = both(args, budget)?;
            Ok(Value::Bool(has_all(list, other) && has_all(other, list)))
        },
    ),
    global(
        "sets.intersects",
        &["list<A>, list<A> -> bool"],
        |args, budget| {
            let (list, other) = both(args, budget)?;
            Ok(Value::Bool(
                other.items.iter().any(|item| list.items.contains(item)),
            ))
        },
    ),
];

fn both<'a>(args: &'a [Value], budget: &mut Budget) -> Result<(&'a List, &'a List), Fault> {
    let [one @ Value::List(list), Value::List(other)] = args else {
        return Err(Fault::NoOverload);
    };
    budget.charge(one.weight().saturating_mul(other.items.len() as u64))?;
    Ok((list, other))
}

fn has_all(list: &List, wanted: &List) -> bool {
    wanted.items.iter().all(|item| list.items.contains(item))
}
