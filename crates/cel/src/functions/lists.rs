//! Lists: Kubernetes' library, and cel-go's extension for lists.

use std::{cmp::Ordering, sync::Arc};

use super::{Function, global, int, member};
use crate::{
    fault::{Budget, Fault},
    value::{List, Value},
};

/// The types whose values have an order, as lists.
const SORTABLE: &[&str] = &[
    "list<int> -> bool",
    "list<uint> -> bool",
    "list<double> -> bool",
    "list<bool> -> bool",
    "list<duration> -> bool",
    "list<timestamp> -> bool",
    "list<string> -> bool",
    "list<bytes> -> bool",
];
const EXTREMES: &[&str] = &[
    "list<int> -> int",
    "list<uint> -> uint",
    "list<double> -> double",
    "list<bool> -> bool",
    "list<duration> -> duration",
    "list<timestamp> -> timestamp",
    "list<string> -> string",
    "list<bytes> -> bytes",
];
const SORTED: &[&str] = &[
    "list<int> -> list<int>",
    "list<uint> -> list<uint>",
    "list<double> -> list<double>",
    "list<bool> -> list<bool>",
    "list<duration> -> list<duration>",
    "list<timestamp> -> list<timestamp>",
    "list<string> -> list<string>",
    "list<bytes> -> list<bytes>",
];
/// How deep `flatten` goes when it is told no depth.
const FLATTEN: i64 = 1;

pub(super) const FUNCTIONS: &[Function] = &[
    member("isSorted", SORTABLE, is_sorted),
    member(
        "sum",
        &[
            "list<int> -> int",
            "list<uint> -> uint",
            "list<double> -> double",
            "list<duration> -> duration",
        ],
        sum,
    ),
    member("min", EXTREMES, |args, budget| {
        extreme(args, budget, Ordering::Less, "min")
    }),
    member("max", EXTREMES, |args, budget| {
        extreme(args, budget, Ordering::Greater, "max")
    }),
    member("indexOf", &["list<A>, A -> int"], |args, budget| {
        place(args, budget, |mut places| places.next())
    }),
    member("lastIndexOf", &["list<A>, A -> int"], |args, budget| {
        place(args, budget, |mut places| places.next_back())
    }),
    member("slice", &["list<A>, int, int -> list<A>"], slice),
    member(
        "flatten",
        &["list<list<A>> -> list<A>", "list<dyn>, int -> list<dyn>"],
        |args, budget| {
            let (list, depth) = match args {
                [Value::List(list)] => (list, FLATTEN),
                [Value::List(list), Value::Int(depth)] => (list, *depth),
                _ => return Err(Fault::NoOverload),
            };
            if depth < 0 {
                return Err(Fault::new("level must be non-negative"));
            }
            let mut flat = Vec::new();
            flatten(list, depth, &mut flat, budget)?;
            Ok(flat.into())
        },
    ),
    member("sort", SORTED, |args, budget| {
        let list = of(args)?;
        let mut items = (*list.items).clone();
        sort(&mut items, |item| item, budget)?;
        Ok(items.into())
    }),
    member("reverse", &["list<A> -> list<A>"], |args, budget| {
        let list = of(args)?;
        budget.charge_items(list.items.len())?;
        Ok(list.items.iter().rev().cloned().collect::<Vec<_>>().into())
    }),
    member("distinct", &["list<A> -> list<A>"], |args, budget| {
        let list = of(args)?;
        let mut distinct: Vec<Value> = Vec::new();
        for item in list.items.iter() {
            budget.charge(item.weight().saturating_mul(distinct.len() as u64 + 1))?;
            if !distinct.contains(item) {
                distinct.push(item.clone());
            }
        }
        Ok(distinct.into())
    }),
    global("lists.range", &["int -> list<int>"], |args, budget| match args {
        [Value::Int(count)] => {
            budget.charge(u64::try_from(*count).unwrap_or_default())?;
            Ok((0..*count).map(Value::Int).collect::<Vec<_>>().into())
        }
        _ => Err(Fault::NoOverload),
    }),
    member("first", &["list<A> -> optional<A>"], |args, _| {
        Ok(Value::Optional(
            of(args)?.items.first().map(|item| Arc::new(item.clone())),
        ))
    }),
    member("last", &["list<A> -> optional<A>"], |args, _| {
        Ok(Value::Optional(
            of(args)?.items.last().map(|item| Arc::new(item.clone())),
        ))
    }),
];

fn of(args: &[Value]) -> Result<&List, Fault> {
    match args {
        [Value::List(list)] => Ok(list),
        _ => Err(Fault::NoOverload),
    }
}

fn is_sorted(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let list = of(args)?;
    let mut previous: Option<&Value> = None;
    for item in list.items.iter() {
        budget.charge(item.weight())?;
        if let Some(previous) = previous {
            match previous.order(item) {
                Some(Ordering::Greater) => return Ok(Value::Bool(false)),
                Some(_) => {}
                None => return Err(Fault::NoOverload),
            }
        }
        previous = Some(item);
    }
    Ok(Value::Bool(true))
}

fn sum(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let list = of(args)?;
    budget.charge_items(list.items.len())?;
    let mut total = match list.items.first() {
        Some(Value::Uint(_)) => Value::Uint(0),
        Some(Value::Double(_)) => Value::Double(0.0),
        Some(Value::Duration(_)) => Value::Duration(0),
        _ => Value::Int(0),
    };
    for item in list.items.iter() {
        let next = match (&total, item) {
            (Value::Int(sum), Value::Int(item)) => sum.checked_add(*item).map(Value::Int),
            (Value::Uint(sum), Value::Uint(item)) => sum.checked_add(*item).map(Value::Uint),
            (Value::Double(sum), Value::Double(item)) => Some(Value::Double(sum + item)),
            (Value::Duration(sum), Value::Duration(item)) => sum.checked_add(*item).map(Value::Duration),
            _ => return Err(Fault::NoOverload),
        };
        total = next.ok_or_else(Fault::overflow)?;
    }
    Ok(total)
}

fn extreme(args: &[Value], budget: &mut Budget, wanted: Ordering, name: &str) -> Result<Value, Fault> {
    let list = of(args)?;
    let mut items = list.items.iter();
    let Some(mut best) = items.next() else {
        return Err(Fault::new(format!("{name} called on empty list")));
    };
    for item in items {
        budget.charge(item.weight())?;
        match item.order(best) {
            Some(order) if order == wanted => best = item,
            Some(_) => {}
            None => return Err(Fault::NoOverload),
        }
    }
    Ok(best.clone())
}

fn place(
    args: &[Value],
    budget: &mut Budget,
    choose: fn(std::vec::IntoIter<usize>) -> Option<usize>,
) -> Result<Value, Fault> {
    let [Value::List(list), item] = args else {
        return Err(Fault::NoOverload);
    };
    budget.charge(item.weight().saturating_mul(list.items.len() as u64))?;
    let places: Vec<usize> = list
        .items
        .iter()
        .enumerate()
        .filter(|(_, known)| *known == item)
        .map(|(place, _)| place)
        .collect();
    Ok(choose(places.into_iter()).map_or(Value::Int(-1), int))
}

fn slice(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let [Value::List(list), Value::Int(start), Value::Int(end)] = args else {
        return Err(Fault::NoOverload);
    };
    let wrong = |why: &str| Fault::new(format!("cannot slice({start}, {end}), {why}"));
    if *start < 0 || *end < 0 {
        return Err(wrong("negative indexes not supported"));
    }
    if start > end {
        return Err(wrong("start index must be less than or equal to end index"));
    }
    let range = usize::try_from(*start).unwrap_or(usize::MAX)..usize::try_from(*end).unwrap_or(usize::MAX);
    let Some(part) = list.items.get(range) else {
        return Err(wrong(&format!("list is length {}", list.items.len())));
    };
    budget.charge_items(part.len())?;
    Ok(part.to_vec().into())
}

fn flatten(list: &List, depth: i64, flat: &mut Vec<Value>, budget: &mut Budget) -> Result<(), Fault> {
    for item in list.items.iter() {
        budget.charge(1)?;
        match item {
            Value::List(inner) if depth > 0 => flatten(inner, depth - 1, flat, budget)?,
            item => flat.push(item.clone()),
        }
    }
    Ok(())
}

/// Sorts by a key, keeping the order of equal ones.
pub(crate) fn sort<T>(items: &mut [T], key: impl Fn(&T) -> &Value, budget: &mut Budget) -> Result<(), Fault> {
    let rounds = u64::from(usize::BITS - items.len().leading_zeros());
    let weight: u64 = items.iter().map(|item| key(item).weight()).sum();
    budget.charge(weight.saturating_mul(rounds))?;
    let mut comparable = items.windows(2).all(|pair| match pair {
        [one, other] => key(one).order(key(other)).is_some(),
        _ => true,
    });
    items.sort_by(|one, other| {
        key(one).order(key(other)).unwrap_or_else(|| {
            comparable = false;
            Ordering::Equal
        })
    });
    if comparable {
        Ok(())
    } else {
        Err(Fault::new("list elements must be comparable"))
    }
}
