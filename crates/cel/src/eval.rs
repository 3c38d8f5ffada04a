//! Evaluation of checked expressions.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    ast::{Call, Expr, Macro, MacroKind, Node, Presence, Select, SelectKind},
    fault::{Budget, Fault},
    functions,
    value::{Identity, Key, List, Value},
};

/// The value of an expression under these variables.
pub(crate) fn evaluate(
    expr: &Expr,
    variables: &[(&str, Value)],
    budget: &mut Budget,
) -> Result<Value, Fault> {
    let mut evaluator = Evaluator {
        variables: variables
            .iter()
            .map(|(name, value)| (*name, value.clone()))
            .collect(),
        budget,
    };
    evaluator.expr(expr)
}

struct Evaluator<'a> {
    variables: Vec<(&'a str, Value)>,
    budget: &'a mut Budget,
}

impl<'a> Evaluator<'a> {
    fn expr(&mut self, expr: &'a Expr) -> Result<Value, Fault> {
        self.budget.charge(1)?;
        match &expr.node {
            Node::Literal(value) => Ok(value.clone()),
            Node::Ident(name) => {
                let found = self.variables.iter().rfind(|(known, _)| known == name);
                match found {
                    Some((_, value)) => Ok(value.clone()),
                    None => Err(Fault::new(format!("no such attribute: {name}"))),
                }
            }
            Node::Select(select) => self.select(select),
            Node::Index(operand, index, presence) => {
                let operand = self.expr(operand)?;
                let index = self.expr(index)?;
                at_index(&operand, &index, *presence)
            }
            Node::Call(call) => self.call(call),
            Node::All(list) => self.logical(list, false),
            Node::Any(list) => self.logical(list, true),
            Node::Choice(parts) => {
                let [condition, then, otherwise] = &**parts;
                match self.expr(condition)? {
                    Value::Bool(true) => self.expr(then),
                    Value::Bool(false) => self.expr(otherwise),
                    _ => Err(Fault::NoOverload),
                }
            }
            Node::List(items) => self.list(items),
            Node::Map(entries) => self.map(entries),
            Node::Macro(parts) => match parts.kind {
                MacroKind::OptMap | MacroKind::OptFlatMap => self.optional(parts),
                MacroKind::SortBy => self.sort_by(parts),
                _ => self.comprehension(parts),
            },
        }
    }

    fn select(&mut self, select: &'a Select) -> Result<Value, Fault> {
        let operand = self.expr(&select.operand)?;
        let (inner, wrapped) = match &operand {
            Value::Optional(None) if select.kind == SelectKind::Test => return Ok(Value::Bool(false)),
            Value::Optional(None) => return Ok(Value::Optional(None)),
            Value::Optional(Some(inner)) => (&**inner, true),
            other => (other, false),
        };
        let Value::Map(map) = inner else {
            return Err(Fault::NoOverload);
        };
        let found = map.get(&Key::String(select.field.as_str().into()));
        match (select.kind, found) {
            (SelectKind::Test, found) => Ok(Value::Bool(found.is_some())),
            (SelectKind::Value, Some(value)) if !wrapped => Ok(value.clone()),
            (SelectKind::Value, None) if !wrapped => Err(no_such_key(&select.field)),
            (_, Some(value @ Value::Optional(_))) if wrapped => Ok(value.clone()),
            (_, found) => Ok(Value::Optional(found.map(|value| Arc::new(value.clone())))),
        }
    }

    fn call(&mut self, call: &'a Call) -> Result<Value, Fault> {
        let mut args = Vec::with_capacity(call.args.len());
        for arg in &call.args {
            args.push(self.expr(arg)?);
        }
        let Some(overloads) = call.overloads else {
            return Err(Fault::NoOverload);
        };
        overloads.call(&args, self.budget)
    }

    /// `&&` and `||`: what decides wins over a fault elsewhere.
    fn logical(&mut self, list: &'a [Expr], decides: bool) -> Result<Value, Fault> {
        let mut fault = None;
        for expr in list {
            match self.expr(expr) {
                Ok(Value::Bool(value)) if value == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => fault = fault.or(Some(Fault::NoOverload)),
                Err(Fault::Cost) => return Err(Fault::Cost),
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        fault.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn list(&mut self, items: &'a [(Expr, Presence)]) -> Result<Value, Fault> {
        let mut list = Vec::with_capacity(items.len());
        for (item, presence) in items {
            let value = self.expr(item)?;
            list.extend(present(value, *presence)?);
        }
        Ok(list.into())
    }

    fn map(&mut self, entries: &'a [(Expr, Expr, Presence)]) -> Result<Value, Fault> {
        let mut map = BTreeMap::new();
        for (key, value, presence) in entries {
            let key = self.expr(key)?;
            let value = self.expr(value)?;
            let Some(value) = present(value, *presence)? else {
                continue;
            };
            let key = Key::of(&key).ok_or_else(|| Fault::new("unsupported key type"))?;
            if map.insert(key.clone(), value).is_some() {
                return Err(Fault::new(format!(
                    "insert failed: key {} already exists",
                    functions::text(&key.value())
                )));
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn optional(&mut self, parts: &'a Macro) -> Result<Value, Fault> {
        let Value::Optional(range) = self.expr(&parts.range)? else {
            return Err(Fault::NoOverload);
        };
        let Some(inner) = range else {
            return Ok(Value::Optional(None));
        };
        self.variables.push((&parts.variable, (*inner).clone()));
        let value = self.expr(&parts.body);
        self.variables.pop();
        match (parts.kind, value?) {
            (MacroKind::OptFlatMap, value @ Value::Optional(_)) => Ok(value),
            (MacroKind::OptFlatMap, _) => Err(Fault::NoOverload),
            (_, value) => Ok(Value::Optional(Some(Arc::new(value)))),
        }
    }

    /// The pairs that a macro's variables take.
    fn pairs(&mut self, parts: &'a Macro) -> Result<Vec<(Value, Value)>, Fault> {
        let range = self.expr(&parts.range)?;
        let two = parts.second.is_some();
        match &range {
            Value::List(list) => {
                self.budget.charge_items(list.items.len())?;
                let indexed = list.items.iter().enumerate();
                Ok(indexed
                    .map(|(place, item)| {
                        if two {
                            (Value::Int(i64::try_from(place).unwrap_or(i64::MAX)), item.clone())
                        } else {
                            (item.clone(), Value::Null)
                        }
                    })
                    .collect())
            }
            Value::Map(map) => {
                self.budget.charge_items(map.len())?;
                Ok(map
                    .iter()
                    .map(|(key, value)| (key.value(), value.clone()))
                    .collect())
            }
            _ => Err(Fault::NoOverload),
        }
    }

    fn bound(&mut self, parts: &'a Macro, pair: &(Value, Value), expr: &'a Expr) -> Result<Value, Fault> {
        let depth = self.variables.len();
        self.variables.push((&parts.variable, pair.0.clone()));
        if let Some(second) = &parts.second {
            self.variables.push((second, pair.1.clone()));
        }
        let value = self.expr(expr);
        self.variables.truncate(depth);
        value
    }

    fn comprehension(&mut self, parts: &'a Macro) -> Result<Value, Fault> {
        let pairs = self.pairs(parts)?;
        match parts.kind {
            MacroKind::All => self.quantifier(parts, &pairs, false),
            MacroKind::Exists => self.quantifier(parts, &pairs, true),
            MacroKind::ExistsOne => {
                let mut count = 0_usize;
                for pair in &pairs {
                    count += usize::from(truth(&self.bound(parts, pair, &parts.body)?)?);
                }
                Ok(Value::Bool(count == 1))
            }
            MacroKind::TransformMap | MacroKind::TransformMapEntry => self.collect_map(parts, &pairs),
            _ => self.collect_list(parts, &pairs),
        }
    }

    fn quantifier(
        &mut self,
        parts: &'a Macro,
        pairs: &[(Value, Value)],
        decides: bool,
    ) -> Result<Value, Fault> {
        let mut fault = None;
        for pair in pairs {
            match self.bound(parts, pair, &parts.body) {
                Ok(Value::Bool(value)) if value == decides => return Ok(Value::Bool(decides)),
                Ok(Value::Bool(_)) => {}
                Ok(_) => fault = fault.or(Some(Fault::NoOverload)),
                Err(Fault::Cost) => return Err(Fault::Cost),
                Err(other) => fault = fault.or(Some(other)),
            }
        }
        fault.map_or(Ok(Value::Bool(!decides)), Err)
    }

    fn passes(&mut self, parts: &'a Macro, pair: &(Value, Value)) -> Result<bool, Fault> {
        match &parts.filter {
            Some(filter) => truth(&self.bound(parts, pair, filter)?),
            None => Ok(true),
        }
    }

    fn collect_list(&mut self, parts: &'a Macro, pairs: &[(Value, Value)]) -> Result<Value, Fault> {
        let mut list = Vec::new();
        for pair in pairs {
            if !self.passes(parts, pair)? {
                continue;
            }
            let value = self.bound(parts, pair, &parts.body)?;
            if parts.kind != MacroKind::Filter {
                list.push(value);
            } else if truth(&value)? {
                list.push(pair.0.clone());
            }
        }
        Ok(list.into())
    }

    fn collect_map(&mut self, parts: &'a Macro, pairs: &[(Value, Value)]) -> Result<Value, Fault> {
        let mut map = BTreeMap::new();
        for pair in pairs {
            if !self.passes(parts, pair)? {
                continue;
            }
            let value = self.bound(parts, pair, &parts.body)?;
            if parts.kind == MacroKind::TransformMap {
                map.insert(Key::of(&pair.0).ok_or(Fault::NoOverload)?, value);
                continue;
            }
            let Value::Map(entries) = value else {
                return Err(Fault::NoOverload);
            };
            self.budget.charge_items(entries.len())?;
            for (key, value) in entries.iter() {
                if map.insert(key.clone(), value.clone()).is_some() {
                    let key = functions::text(&key.value());
                    return Err(Fault::new(format!("insert failed: key {key} already exists")));
                }
            }
        }
        Ok(Value::Map(Arc::new(map)))
    }

    fn sort_by(&mut self, parts: &'a Macro) -> Result<Value, Fault> {
        let pairs = self.pairs(parts)?;
        let mut keyed = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let key = self.bound(parts, &pair, &parts.body)?;
            keyed.push((key, pair.0));
        }
        functions::sort(&mut keyed, |(key, _)| key, self.budget)?;
        Ok(Value::List(List {
            items: Arc::new(keyed.into_iter().map(|(_, item)| item).collect()),
            identity: Identity::Place,
        }))
    }
}

/// An element of a list, or the value of a key.
fn at_index(operand: &Value, index: &Value, presence: Presence) -> Result<Value, Fault> {
    let (operand, optional) = match operand {
        Value::Optional(None) => return Ok(Value::Optional(None)),
        Value::Optional(Some(inner)) => (&**inner, true),
        operand => (operand, presence == Presence::Optional),
    };
    let found = match operand {
        Value::List(list) => {
            let Some(Key::Number(place)) = Key::of(index) else {
                return Err(Fault::NoOverload);
            };
            let found = usize::try_from(place)
                .ok()
                .and_then(|place| list.items.get(place));
            found.ok_or_else(|| Fault::new(format!("index out of bounds: {place}")))
        }
        Value::Map(map) => {
            let key = Key::of(index).ok_or(Fault::NoOverload)?;
            map.get(&key).ok_or_else(|| no_such_key(&functions::text(index)))
        }
        _ => return Err(Fault::NoOverload),
    };
    match (found, optional) {
        (Ok(value), true) => Ok(Value::Optional(Some(Arc::new(value.clone())))),
        (Err(_), true) => Ok(Value::Optional(None)),
        (found, false) => found.cloned(),
    }
}

fn no_such_key(key: &str) -> Fault {
    Fault::new(format!("no such key: {key}"))
}

fn truth(value: &Value) -> Result<bool, Fault> {
    match value {
        Value::Bool(value) => Ok(*value),
        _ => Err(Fault::NoOverload),
    }
}

/// The value of an element or entry; `None` when it is optional and absent.
fn present(value: Value, presence: Presence) -> Result<Option<Value>, Fault> {
    match (presence, value) {
        (Presence::Required, value) => Ok(Some(value)),
        (Presence::Optional, Value::Optional(inner)) => Ok(inner.map(|inner| (*inner).clone())),
        (Presence::Optional, _) => Err(Fault::NoOverload),
    }
}
