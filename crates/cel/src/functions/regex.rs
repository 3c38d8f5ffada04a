//! Regular expressions: the standard `matches`, and Kubernetes' `find` and `findAll`.

use std::{cell::RefCell, collections::HashMap};

use regex::{Regex, RegexBuilder};

use super::{Function, global, member};
use crate::{
    fault::{Budget, Fault},
    value::Value,
};

/// How much memory a compiled expression may take, in bytes.
const SIZE: usize = 1 << 20;
/// How many compiled expressions a thread keeps.
const KEPT: usize = 128;

const MATCHES: &[&str] = &["string, string -> bool"];

pub(super) const FUNCTIONS: &[Function] = &[
    member("matches", MATCHES, matches),
    global("matches", MATCHES, matches),
    member("find", &["string, string -> string"], |args, budget| {
        let [Value::String(text), Value::String(pattern)] = args else {
            return Err(Fault::NoOverload);
        };
        let regex = prepared(text, pattern, budget)?;
        Ok(regex
            .find(text)
            .map(|found| found.as_str())
            .unwrap_or_default()
            .into())
    }),
    member(
        "findAll",
        &[
            "string, string -> list<string>",
            "string, string, int -> list<string>",
        ],
        |args, budget| {
            let (text, pattern, limit) = match args {
                [Value::String(text), Value::String(pattern)] => (text, pattern, -1),
                [Value::String(text), Value::String(pattern), Value::Int(limit)] => (text, pattern, *limit),
                _ => return Err(Fault::NoOverload),
            };
            let regex = prepared(text, pattern, budget)?;
            budget.charge_items(text.len())?;
            let limit = usize::try_from(limit).unwrap_or(usize::MAX);
            let found = regex
                .find_iter(text)
                .take(limit)
                .map(|found| found.as_str().into());
            Ok(found.collect::<Vec<Value>>().into())
        },
    ),
];

thread_local! {
    static COMPILED: RefCell<HashMap<String, Regex>> = RefCell::default();
}

/// Compiles an expression of RE2's syntax.
pub(super) fn compile(pattern: &str) -> Result<Regex, Fault> {
    RegexBuilder::new(pattern)
        .size_limit(SIZE)
        .build()
        .map_err(|_| Fault::new(format!("error parsing regexp: `{pattern}`")))
}

/// The compiled expression, after what matching will cost was paid.
fn prepared(text: &str, pattern: &str, budget: &mut Budget) -> Result<Regex, Fault> {
    let cost = (text.len() as u64 / 10 + 1).saturating_mul(pattern.len() as u64 / 4 + 1);
    budget.charge(cost)?;
    COMPILED.with_borrow_mut(|known| {
        if let Some(regex) = known.get(pattern) {
            return Ok(regex.clone());
        }
        budget.charge(pattern.len() as u64)?;
        let regex = compile(pattern)?;
        if known.len() >= KEPT {
            known.clear();
        }
        known.insert(pattern.to_owned(), regex.clone());
        Ok(regex)
    })
}

fn matches(args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
    let [Value::String(text), Value::String(pattern)] = args else {
        return Err(Fault::NoOverload);
    };
    Ok(Value::Bool(prepared(text, pattern, budget)?.is_match(text)))
}
