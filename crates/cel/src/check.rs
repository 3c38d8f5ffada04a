//! Types of expressions: every name known, every call one that exists.

use std::sync::Arc;

use crate::{
    ast::{Call, Expr, Macro, MacroKind, Node, Presence, Select, SelectKind},
    functions::{self, Overloads},
    source::Issue,
    types::{Bindings, Type},
    value::Value,
};

/// How many issues are told.
const MOST_ISSUES: usize = 100;
/// The names of types, which are values.
const TYPE_NAMES: &[&str] = &[
    "bool",
    "int",
    "uint",
    "double",
    "string",
    "bytes",
    "list",
    "map",
    "null_type",
    "type",
    "google.protobuf.Timestamp",
    "google.protobuf.Duration",
    "optional_type",
    "kubernetes.URL",
    "net.IP",
    "net.CIDR",
    "kubernetes.Quantity",
    "kubernetes.Semver",
    "kubernetes.NamedFormat",
];

/// What checking found.
pub(crate) struct Checked {
    pub(crate) kind: Type,
    /// The variables that are used.
    pub(crate) used: Vec<String>,
}

/// Checks an expression and resolves its calls.
pub(crate) fn check(expr: &mut Expr, variables: &[(&str, Type)]) -> Result<Checked, Vec<Issue>> {
    let mut checker = Checker {
        scope: variables
            .iter()
            .map(|(name, kind)| ((*name).to_owned(), kind.clone()))
            .collect(),
        outer: variables.len(),
        used: Vec::new(),
        bindings: Bindings::default(),
        issues: Vec::new(),
    };
    let kind = checker.expr(expr);
    if checker.issues.is_empty() {
        Ok(Checked {
            kind: checker.bindings.resolve(&kind),
            used: checker.used,
        })
    } else {
        Err(checker.issues)
    }
}

struct Checker {
    scope: Vec<(String, Type)>,
    /// How many of the scope's variables come from outside.
    outer: usize,
    used: Vec<String>,
    bindings: Bindings,
    issues: Vec<Issue>,
}

impl Checker {
    /// Notes what is wrong; the type that then fits anything.
    fn wrong(&mut self, at: usize, message: String) -> Type {
        if self.issues.len() < MOST_ISSUES {
            self.issues.push(Issue::new(at, message));
        }
        Type::Dyn
    }

    fn expr(&mut self, expr: &mut Expr) -> Type {
        let at = expr.at;
        if let Some(kind) = self.qualified(expr) {
            return kind;
        }
        match &mut expr.node {
            Node::Literal(value) => literal(value),
            Node::Ident(name) => {
                let message = format!("undeclared reference to '{name}' (in container '')");
                self.wrong(at, message)
            }
            Node::Select(select) => self.select(at, select),
            Node::Index(operand, index, presence) => {
                let kinds = [self.expr(operand), self.expr(index)];
                let name = if *presence == Presence::Required {
                    "_[_]"
                } else {
                    "_[?_]"
                };
                self.resolve(at, name, false, &kinds).0
            }
            Node::Call(call) => self.call(at, call),
            Node::All(list) | Node::Any(list) => self.logical(list),
            Node::Choice(parts) => {
                let kinds: Vec<Type> = parts.iter_mut().map(|part| self.expr(part)).collect();
                self.resolve(at, "_?_:_", false, &kinds).0
            }
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Macro(parts) => self.comprehension(at, parts),
        }
    }

    /// A variable, or the name of a type.
    fn qualified(&mut self, expr: &mut Expr) -> Option<Type> {
        if let Node::Ident(name) = &expr.node
            && let Some(place) = self.scope.iter().rposition(|(known, _)| known == name)
        {
            if place < self.outer && !self.used.contains(name) {
                self.used.push(name.clone());
            }
            return self.scope.get(place).map(|(_, kind)| kind.clone());
        }
        if !matches!(expr.node, Node::Ident(_) | Node::Select(_)) {
            return None;
        }
        let name = expr.qualified_name()?;
        if !TYPE_NAMES.contains(&name.as_str()) {
            return None;
        }
        expr.node = Node::Literal(Value::Type(name.into()));
        Some(Type::Type)
    }

    fn select(&mut self, at: usize, select: &mut Select) -> Type {
        let operand = self.expr(&mut select.operand);
        let operand = self.bindings.resolve(&operand);
        let (inner, wrapped) = match &operand {
            Type::Optional(inner) => (self.bindings.resolve(inner), true),
            _ => (operand, false),
        };
        let field = match &inner {
            Type::Object(object) => match object.fields.get(&select.field) {
                Some(kind) => kind.clone(),
                None => self.wrong(at, format!("undefined field '{}'", select.field)),
            },
            Type::Map(_, value) => (**value).clone(),
            Type::Dyn | Type::Param(_) => Type::Dyn,
            other => self.wrong(at, format!("type '{other}' does not support field selection")),
        };
        match select.kind {
            SelectKind::Test => Type::Bool,
            SelectKind::Optional => field.optional(),
            SelectKind::Value if wrapped => match field {
                Type::Optional(_) => field,
                field => field.optional(),
            },
            SelectKind::Value => field,
        }
    }

    fn call(&mut self, at: usize, call: &mut Call) -> Type {
        self.flatten(call);
        let mixed = call.member && call.name == "format";
        let mut kinds = Vec::with_capacity(call.args.len());
        for (place, arg) in call.args.iter_mut().enumerate() {
            kinds.push(match &mut arg.node {
                Node::List(items) if mixed && place == 1 => self.mixed_list(items),
                _ => self.expr(arg),
            });
        }
        if functions::find(&call.name, call.member).is_none() {
            let message = format!("undeclared reference to '{}' (in container '')", call.name);
            return self.wrong(at, message);
        }
        let (kind, overloads) = self.resolve(at, &call.name, call.member, &kinds);
        call.overloads = overloads;
        if let Some(message) = functions::check_literals(call) {
            return self.wrong(call.args.first().map_or(at, |arg| arg.at), message);
        }
        kind
    }

    /// Makes `sets.contains(a, b)` a call of the function of that name, unless `sets` is a variable.
    fn flatten(&self, call: &mut Call) {
        if !call.member {
            return;
        }
        let Some(receiver) = call.args.first().and_then(Expr::qualified_name) else {
            return;
        };
        let first = receiver.split('.').next().unwrap_or_default();
        let name = format!("{receiver}.{}", call.name);
        if self.scope.iter().all(|(known, _)| known != first) && functions::find(&name, false).is_some() {
            call.args.remove(0);
            call.name = name;
            call.member = false;
        }
    }

    /// The result of a call; every form that fits counts, since what is dynamic may be any.
    fn resolve(
        &mut self,
        at: usize,
        name: &str,
        member: bool,
        kinds: &[Type],
    ) -> (Type, Option<&'static Overloads>) {
        let overloads = functions::find(name, member);
        let mut results: Vec<(Bindings, Type)> = Vec::new();
        for overload in overloads.into_iter().flat_map(|found| &found.signatures) {
            if overload.parameters.len() != kinds.len() {
                continue;
            }
            let mut bindings = self.bindings.clone();
            let from = bindings.fresh();
            let fits = overload
                .parameters
                .iter()
                .zip(kinds)
                .all(|(wanted, found)| bindings.accepts(&wanted.instantiate(from), found));
            if fits {
                let result = bindings.resolve(&overload.result.instantiate(from));
                results.push((bindings, result));
            }
        }
        let mut results = results.into_iter();
        let Some((bindings, result)) = results.next() else {
            let applied: Vec<String> = kinds
                .iter()
                .map(|kind| self.bindings.resolve(kind).to_string())
                .collect();
            let signature = match applied.split_first() {
                Some((receiver, rest)) if member => format!("{receiver}.({})", rest.join(", ")),
                _ => format!("({})", applied.join(", ")),
            };
            let message = format!("found no matching overload for '{name}' applied to '{signature}'");
            return (self.wrong(at, message), None);
        };
        self.bindings.keep(&bindings);
        if results.all(|(_, other)| other == result) {
            self.bindings = bindings;
            (result, overloads)
        } else {
            (Type::Dyn, overloads)
        }
    }

    fn logical(&mut self, list: &mut [Expr]) -> Type {
        for expr in list {
            let kind = self.expr(expr);
            if !self.bindings.accepts(&Type::Bool, &kind) {
                let kind = self.bindings.resolve(&kind);
                let message = format!("expected type 'bool' but found '{kind}'");
                self.wrong(expr.at, message);
            }
        }
        Type::Bool
    }

    /// The type that all elements have.
    fn joined(&mut self, at: usize, known: Option<Type>, found: Type) -> Type {
        let Some(known) = known else {
            return found;
        };
        let mut bindings = self.bindings.clone();
        if bindings.accepts(&known, &found) {
            self.bindings = bindings;
            return if known == Type::Null || found == Type::Dyn {
                found
            } else {
                known
            };
        }
        let (known_text, found) = (self.bindings.resolve(&known), self.bindings.resolve(&found));
        self.wrong(at, format!("expected type '{known_text}' but found '{found}'"));
        known
    }

    /// The type inside of an optional element.
    fn unwrapped(&mut self, at: usize, kind: Type, presence: Presence) -> Type {
        match (presence, self.bindings.resolve(&kind)) {
            (Presence::Required, _) => kind,
            (Presence::Optional, Type::Optional(inner)) => (*inner).clone(),
            (Presence::Optional, Type::Dyn) => Type::Dyn,
            (Presence::Optional, other) => self.wrong(
                at,
                format!("expected type 'optional_type({other})' but found '{other}'"),
            ),
        }
    }

    fn free(&mut self) -> Type {
        Type::Param(self.bindings.fresh())
    }

    fn list(&mut self, items: &mut [(Expr, Presence)]) -> Type {
        let mut joined = None;
        for (item, presence) in items {
            let kind = self.expr(item);
            let kind = self.unwrapped(item.at, kind, *presence);
            joined = Some(self.joined(item.at, joined, kind));
        }
        joined.unwrap_or_else(|| self.free()).list()
    }

    /// The values to fill into a text, which may be of any types.
    fn mixed_list(&mut self, items: &mut [(Expr, Presence)]) -> Type {
        for (item, presence) in items {
            let kind = self.expr(item);
            self.unwrapped(item.at, kind, *presence);
        }
        Type::Dyn.list()
    }

    fn map(&mut self, entries: &mut [(Expr, Expr, Presence)]) -> Type {
        let (mut keys, mut values) = (None, None);
        for (key, value, presence) in entries {
            let kind = self.expr(key);
            keys = Some(self.joined(key.at, keys, kind));
            let kind = self.expr(value);
            let kind = self.unwrapped(value.at, kind, *presence);
            values = Some(self.joined(value.at, values, kind));
        }
        let key = keys.unwrap_or_else(|| self.free());
        let value = values.unwrap_or_else(|| self.free());
        Type::Map(Arc::new(key), Arc::new(value))
    }

    fn comprehension(&mut self, at: usize, parts: &mut Macro) -> Type {
        let range = self.expr(&mut parts.range);
        let range = self.bindings.resolve(&range);
        let optional = matches!(parts.kind, MacroKind::OptMap | MacroKind::OptFlatMap);
        let (first, second) = match (&range, optional) {
            (Type::Optional(inner), true) => ((**inner).clone(), Type::Dyn),
            (Type::List(item), false) if parts.second.is_some() => (Type::Int, (**item).clone()),
            (Type::List(item), false) => ((**item).clone(), Type::Dyn),
            (Type::Map(key, value), false) => ((**key).clone(), (**value).clone()),
            (Type::Dyn | Type::Param(_), _) => (Type::Dyn, Type::Dyn),
            (other, true) => {
                let message = format!("expected type 'optional_type({other})' but found '{other}'");
                (self.wrong(at, message), Type::Dyn)
            }
            (other, false) => {
                let message = format!(
                    "expression of type '{other}' cannot be range of a comprehension (must be list, map, or dynamic)"
                );
                (self.wrong(parts.range.at, message), Type::Dyn)
            }
        };
        let depth = self.scope.len();
        self.scope.push((parts.variable.clone(), first.clone()));
        if let Some(name) = &parts.second {
            self.scope.push((name.clone(), second));
        }
        if let Some(filter) = &mut parts.filter {
            self.predicate(filter);
        }
        let result = match parts.kind {
            MacroKind::All | MacroKind::Exists | MacroKind::ExistsOne => {
                self.predicate(&mut parts.body);
                Type::Bool
            }
            MacroKind::Filter => {
                self.predicate(&mut parts.body);
                first.list()
            }
            _ => self.transformed(parts, &range),
        };
        self.scope.truncate(depth);
        result
    }

    fn transformed(&mut self, parts: &mut Macro, range: &Type) -> Type {
        let at = parts.body.at;
        let body = self.expr(&mut parts.body);
        match parts.kind {
            MacroKind::TransformMap => match range {
                Type::Map(key, _) => Type::Map(Arc::clone(key), Arc::new(body)),
                Type::List(_) => Type::Map(Arc::new(Type::Int), Arc::new(body)),
                _ => Type::Map(Arc::new(Type::Dyn), Arc::new(body)),
            },
            MacroKind::TransformMapEntry => match self.bindings.resolve(&body) {
                kind @ (Type::Map(..) | Type::Dyn) => kind,
                other => self.wrong(at, format!("expected type 'map(dyn, dyn)' but found '{other}'")),
            },
            MacroKind::SortBy => range.clone(),
            MacroKind::OptMap => body.optional(),
            MacroKind::OptFlatMap => match self.bindings.resolve(&body) {
                kind @ (Type::Optional(_) | Type::Dyn) => kind,
                other => self.wrong(
                    at,
                    format!("expected type 'optional_type({other})' but found '{other}'"),
                ),
            },
            MacroKind::Map
            | MacroKind::TransformList
            | MacroKind::Filter
            | MacroKind::All
            | MacroKind::Exists
            | MacroKind::ExistsOne => body.list(),
        }
    }

    fn predicate(&mut self, expr: &mut Expr) {
        let kind = self.expr(expr);
        if !self.bindings.accepts(&Type::Bool, &kind) {
            let kind = self.bindings.resolve(&kind);
            self.wrong(expr.at, format!("expected type 'bool' but found '{kind}'"));
        }
    }
}

fn literal(value: &Value) -> Type {
    match value {
        Value::Null => Type::Null,
        Value::Bool(_) => Type::Bool,
        Value::Int(_) => Type::Int,
        Value::Uint(_) => Type::Uint,
        Value::Double(_) => Type::Double,
        Value::String(_) => Type::String,
        Value::Bytes(_) => Type::Bytes,
        Value::Type(_) => Type::Type,
        _ => Type::Dyn,
    }
}
