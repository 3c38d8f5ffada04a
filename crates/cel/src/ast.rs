//! Expressions as trees.

use crate::{functions::Overloads, value::Value};

/// An expression and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Expr {
    /// The place in the source that messages point at, in characters from the start.
    pub(crate) at: usize,
    pub(crate) node: Node,
}

/// What an expression is.
#[derive(Debug, Clone)]
pub(crate) enum Node {
    Literal(Value),
    /// A variable, or a part of a qualified name.
    Ident(String),
    Select(Box<Select>),
    /// `operand[index]`; `optional` for `operand[?index]`.
    Index(Box<Expr>, Box<Expr>, Presence),
    Call(Box<Call>),
    /// `a && b && …`, all at one level so that long chains stay flat.
    All(Vec<Expr>),
    /// `a || b || …`
    Any(Vec<Expr>),
    /// `condition ? then : else`
    Choice(Box<[Expr; 3]>),
    List(Vec<(Expr, Presence)>),
    Map(Vec<(Expr, Expr, Presence)>),
    Macro(Box<Macro>),
}

/// Whether something may be absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Presence {
    Required,
    Optional,
}

/// `operand.field`
#[derive(Debug, Clone)]
pub(crate) struct Select {
    pub(crate) operand: Expr,
    pub(crate) field: String,
    pub(crate) kind: SelectKind,
}

/// What is asked of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SelectKind {
    /// Its value.
    Value,
    /// Its value if it is there: `operand.?field`.
    Optional,
    /// Whether it is there: `has(operand.field)`.
    Test,
}

/// A call of a function or an operator.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The receiver is the first of `args`.
    pub(crate) member: bool,
    pub(crate) args: Vec<Expr>,
    /// Set by the checker.
    pub(crate) overloads: Option<&'static Overloads>,
}

/// A macro over the elements of a list, the entries of a map, or an optional value.
#[derive(Debug, Clone)]
pub(crate) struct Macro {
    pub(crate) kind: MacroKind,
    pub(crate) range: Expr,
    pub(crate) variable: String,
    /// The second variable, of the forms with an index or a key.
    pub(crate) second: Option<String>,
    /// The filter of the forms that have one.
    pub(crate) filter: Option<Expr>,
    pub(crate) body: Expr,
}

/// Which macro.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MacroKind {
    All,
    Exists,
    ExistsOne,
    Map,
    Filter,
    TransformList,
    TransformMap,
    TransformMapEntry,
    SortBy,
    OptMap,
    OptFlatMap,
}

impl Expr {
    /// The dotted name that an expression is, if it is one: `a.b.c`.
    pub(crate) fn qualified_name(&self) -> Option<String> {
        match &self.node {
            Node::Ident(name) => Some(name.clone()),
            Node::Select(select) if select.kind == SelectKind::Value => {
                Some(format!("{}.{}", select.operand.qualified_name()?, select.field))
            }
            _ => None,
        }
    }
}
