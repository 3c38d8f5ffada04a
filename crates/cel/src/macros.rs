//! The macros of the language, of its extension for two variables, and of optional values.
//!
//! Forms: cel-spec `doc/langdef.md` (Macros), cel-go `ext` (`TwoVarComprehensions`, `Lists`), and optional types.

use crate::{
    ast::{Expr, Macro, MacroKind, Node, Select, SelectKind},
    source::Issue,
};

/// Arguments that are no macro's, given back.
type Given<T> = Result<Expr, T>;

/// A macro that is called like a function: `has(a.b)`.
pub(crate) fn global(at: usize, name: &str, mut args: Vec<Expr>) -> Result<Given<Vec<Expr>>, Issue> {
    if name != "has" || args.len() != 1 {
        return Ok(Err(args));
    }
    match args.pop().map(|arg| arg.node) {
        Some(Node::Select(select)) if select.kind == SelectKind::Value => Ok(Ok(Expr {
            at,
            node: Node::Select(Box::new(Select {
                kind: SelectKind::Test,
                ..*select
            })),
        })),
        _ => Err(Issue::new(at, "invalid argument to has() macro")),
    }
}

/// Which macro a member call is; by name and number of arguments, with whether it has a filter and two variables.
fn find(name: &str, count: usize) -> Option<(MacroKind, usize, bool)> {
    Some(match (name, count) {
        ("all", 2) => (MacroKind::All, 1, false),
        ("all", 3) => (MacroKind::All, 2, false),
        ("exists", 2) => (MacroKind::Exists, 1, false),
        ("exists", 3) => (MacroKind::Exists, 2, false),
        ("exists_one" | "existsOne", 2) => (MacroKind::ExistsOne, 1, false),
        ("exists_one" | "existsOne", 3) => (MacroKind::ExistsOne, 2, false),
        ("map", 2) => (MacroKind::Map, 1, false),
        ("map", 3) => (MacroKind::Map, 1, true),
        ("filter", 2) => (MacroKind::Filter, 1, false),
        ("transformList", 3) => (MacroKind::TransformList, 2, false),
        ("transformList", 4) => (MacroKind::TransformList, 2, true),
        ("transformMap", 3) => (MacroKind::TransformMap, 2, false),
        ("transformMap", 4) => (MacroKind::TransformMap, 2, true),
        ("transformMapEntry", 3) => (MacroKind::TransformMapEntry, 2, false),
        ("transformMapEntry", 4) => (MacroKind::TransformMapEntry, 2, true),
        ("sortBy", 2) => (MacroKind::SortBy, 1, false),
        ("optMap", 2) => (MacroKind::OptMap, 1, false),
        ("optFlatMap", 2) => (MacroKind::OptFlatMap, 1, false),
        _ => return None,
    })
}

/// A macro that is called on something: `list.all(x, x > 0)`.
pub(crate) fn member(
    at: usize,
    range: Expr,
    name: &str,
    args: Vec<Expr>,
) -> Result<Given<(Expr, Vec<Expr>)>, Issue> {
    let Some((kind, variables, filtered)) = find(name, args.len()) else {
        return Ok(Err((range, args)));
    };
    let mut rest = args.into_iter();
    let mut variable = || match rest.next().map(|arg| (arg.at, arg.node)) {
        Some((_, Node::Ident(name))) if name != "__result__" => Ok(name),
        Some((at, _)) => Err(Issue::new(at, "argument is not an identifier")),
        None => Err(Issue::new(at, "argument is not an identifier")),
    };
    let first = variable()?;
    let second = if variables == 2 { Some(variable()?) } else { None };
    if second.as_ref() == Some(&first) {
        return Err(Issue::new(at, format!("duplicate variable name: {first}")));
    }
    let filter = if filtered { rest.next() } else { None };
    let Some(body) = rest.next() else {
        return Err(Issue::new(at, format!("{name} needs an expression")));
    };
    Ok(Ok(Expr {
        at,
        node: Node::Macro(Box::new(Macro {
            kind,
            range,
            variable: first,
            second,
            filter,
            body,
        })),
    }))
}
