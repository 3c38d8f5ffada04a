//! Functions and operators, as tables by library: name, signatures, implementation.
//!
//! What Kubernetes 1.36 offers to rules of custom resource definitions: the standard library, the extensions for
//! strings (version 2), sets, lists (version 3), two variables and optional values of cel-go, and Kubernetes' own lists,
//! regex, URLs, quantities, IP addresses, formats and semantic versions.

pub(crate) mod cidr;
mod convert;
mod format;
mod formats;
mod ip;
mod lists;
mod operators;
mod optional;
pub(crate) mod quantity;
mod regex;
pub(crate) mod semver;
mod sets;
mod signature;
mod strings;
mod times;
pub(crate) mod url;

use std::{collections::HashMap, sync::LazyLock};

use crate::{
    ast::{Call, Node},
    fault::{Budget, Fault},
    value::Value,
};
pub(crate) use convert::text;
pub(crate) use lists::sort;
pub(crate) use signature::Signature;

/// What a function does with its arguments; the receiver of a member call is the first.
type Implementation = fn(&[Value], &mut Budget) -> Result<Value, Fault>;

/// A function of a library.
pub(crate) struct Function {
    name: &'static str,
    form: Form,
    /// As `list<A>, int -> A`.
    signatures: &'static [&'static str],
    call: Implementation,
}

/// How a function is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// `name(a)`
    Global,
    /// `a.name()`
    Member,
}

const fn global(name: &'static str, signatures: &'static [&'static str], call: Implementation) -> Function {
    Function {
        name,
        form: Form::Global,
        signatures,
        call,
    }
}

const fn member(name: &'static str, signatures: &'static [&'static str], call: Implementation) -> Function {
    Function {
        name,
        form: Form::Member,
        signatures,
        call,
    }
}

/// All forms of one function.
#[derive(Debug)]
pub(crate) struct Overloads {
    pub(crate) signatures: Vec<Signature>,
    calls: Vec<Implementation>,
}

impl Overloads {
    /// Calls the form that takes these values.
    pub(crate) fn call(&self, args: &[Value], budget: &mut Budget) -> Result<Value, Fault> {
        for call in &self.calls {
            match call(args, budget) {
                Err(Fault::NoOverload) => {}
                result => return result,
            }
        }
        Err(Fault::NoOverload)
    }
}

const LIBRARIES: &[&[Function]] = &[
    operators::FUNCTIONS,
    convert::FUNCTIONS,
    strings::FUNCTIONS,
    lists::FUNCTIONS,
    sets::FUNCTIONS,
    times::FUNCTIONS,
    regex::FUNCTIONS,
    optional::FUNCTIONS,
    url::FUNCTIONS,
    ip::FUNCTIONS,
    cidr::FUNCTIONS,
    quantity::FUNCTIONS,
    semver::FUNCTIONS,
    formats::FUNCTIONS,
];

/// Forms by name.
type Index = HashMap<&'static str, Overloads>;

static GLOBALS: LazyLock<Index> = LazyLock::new(|| index(Form::Global));
static MEMBERS: LazyLock<Index> = LazyLock::new(|| index(Form::Member));

fn index(form: Form) -> Index {
    let mut index = Index::new();
    let all = LIBRARIES.iter().flat_map(|library| library.iter());
    for function in all.filter(|function| function.form == form) {
        let entry = index.entry(function.name).or_insert_with(|| Overloads {
            signatures: Vec::new(),
            calls: Vec::new(),
        });
        entry.signatures.extend(
            function
                .signatures
                .iter()
                .filter_map(|text| Signature::parse(text)),
        );
        entry.calls.push(function.call);
    }
    index
}

/// The forms of a function; `member` for those called on a value.
pub(crate) fn find(name: &str, member: bool) -> Option<&'static Overloads> {
    let index: &'static Index = if member { &MEMBERS } else { &GLOBALS };
    index.get(name)
}

/// What is wrong with arguments that are written out: patterns, times, lengths of time.
pub(crate) fn check_literals(call: &Call) -> Option<String> {
    let text = |place: usize| match call.args.get(place).map(|arg| &arg.node) {
        Some(Node::Literal(Value::String(text))) => Some(text),
        _ => None,
    };
    let pattern = match (call.name.as_str(), call.member) {
        ("matches" | "find" | "findAll", _) => text(1),
        _ => None,
    };
    if let Some(pattern) = pattern {
        return regex::compile(pattern)
            .err()
            .map(|_| "invalid matches argument".to_owned());
    }
    match (call.name.as_str(), text(0)) {
        ("timestamp", Some(text)) if crate::time::Timestamp::parse(text).is_none() => {
            Some("invalid timestamp argument".to_owned())
        }
        ("duration", Some(text)) if crate::time::parse_duration(text).is_none() => {
            Some("invalid duration argument".to_owned())
        }
        _ => None,
    }
}

/// A count as a number of the language.
fn int(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_signature_can_be_read() {
        for function in LIBRARIES.iter().flat_map(|library| library.iter()) {
            for text in function.signatures {
                assert!(Signature::parse(text).is_some(), "{} {text}", function.name);
            }
        }
    }
}
