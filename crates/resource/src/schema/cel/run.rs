//! Evaluating the rules of a schema on an object.

use serde_json::{Map, Value};
use stead_cel::{Budget, Fault, Value as Cel};

use super::{Rule, Verdict, values};
use crate::schema::{
    FieldError, FieldErrorKind,
    node::{ListType, Node, Type},
    path::Path,
};

/// How many steps one expression may take.
const PER_CALL: u64 = 1_000_000;
/// How many steps all expressions on one object may take together.
const IN_ALL: u64 = 10_000_000;
/// How long a message that an expression makes may be, in bytes.
const MESSAGE: usize = 5 * 1024;
/// More errors than this help nobody.
const MOST_ERRORS: usize = 100;

/// Evaluates all rules on an object, and on what it was.
pub(in crate::schema) fn check(root: &Node, object: &Value, old: Option<&Value>) -> Verdict {
    let mut run = Run {
        verdict: Verdict::default(),
        left: Some(IN_ALL),
    };
    run.node(
        root,
        object,
        Before {
            own: old,
            above: old.map(|old| (object, old)),
        },
        Path::Root,
    );
    run.verdict
}

/// What stood at a place before.
#[derive(Clone, Copy)]
struct Before<'a> {
    /// The value that this one replaces, where one can be told.
    own: Option<&'a Value>,
    /// The nearest place above (or this one) that can be told, as it is and as it was.
    above: Option<(&'a Value, &'a Value)>,
}

impl<'a> Before<'a> {
    fn below(self, value: &'a Value, old: Option<&'a Value>) -> Self {
        Self {
            own: old,
            above: old.map(|old| (value, old)).or(self.above),
        }
    }

    /// Whether nothing changed here.
    fn is_same(self) -> bool {
        self.above.is_some_and(|(now, old)| now == old)
    }
}

struct Run {
    verdict: Verdict,
    /// `None` when the budget was used up.
    left: Option<u64>,
}

impl Run {
    fn node(&mut self, node: &Node, value: &Value, before: Before<'_>, path: Path<'_>) {
        if value.is_null() || self.left.is_none() {
            return;
        }
        self.rules(node, value, before, path);
        match value {
            Value::Object(members) => self.members(node, members, before, path),
            Value::Array(items) => {
                let Some(element) = node.items.as_deref().filter(|element| element.has_validations) else {
                    return;
                };
                let old = before.own.and_then(Value::as_array);
                for (index, item) in items.iter().enumerate() {
                    let old = old.and_then(|old| same_item(&node.list, old, item));
                    self.node(element, item, before.below(item, old), path.index(index));
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn members(&mut self, node: &Node, members: &Map<String, Value>, before: Before<'_>, path: Path<'_>) {
        for (name, member) in members {
            let Some(known) = node.known_member(name).filter(|known| known.has_validations) else {
                continue;
            };
            let old = before.own.and_then(|old| old.get(name));
            let path = if node.additional.is_some() {
                path.key(name)
            } else {
                path.field(name)
            };
            self.node(known, member, before.below(member, old), path);
        }
    }

    fn rules(&mut self, node: &Node, value: &Value, before: Before<'_>, path: Path<'_>) {
        if node.validations.is_empty() {
            return;
        }
        let this = values::of(node, value);
        let old = before
            .own
            .filter(|old| !old.is_null())
            .map(|old| values::of(node, old));
        for rule in &node.validations {
            let Some(left) = self.left else { return };
            let Some(program) = &rule.program else {
                let detail = "rule compile error: the rule cannot be compiled by this server";
                self.fault(node, path, detail.to_owned());
                continue;
            };
            let uses_old = program.uses("oldSelf");
            let optional = rule.written.optional_old_self == Some(true);
            if uses_old && old.is_none() && !optional {
                continue;
            }
            let old = match (&old, optional) {
                (old, true) => Cel::Optional(old.clone().map(std::sync::Arc::new)),
                (Some(old), false) => old.clone(),
                (None, false) => Cel::Null,
            };
            let variables = [("self", this.clone()), ("oldSelf", old)];
            let mut budget = Budget::new(PER_CALL.min(left));
            let start = budget.left();
            let result = program.evaluate(&variables, &mut budget);
            self.left = Some(left - (start - budget.left()));
            match result {
                Ok(Cel::Bool(true)) => {}
                Ok(_) => {
                    let error = self.broken(rule, node, value, &variables, path);
                    self.tell(error, uses_old, before);
                }
                Err(fault) => self.failed(rule, &fault, left, node, path),
            }
        }
    }

    fn tell(&mut self, error: FieldError, uses_old: bool, before: Before<'_>) {
        let list = if !uses_old && before.is_same() {
            &mut self.verdict.warnings
        } else {
            &mut self.verdict.errors
        };
        if list.len() < MOST_ERRORS {
            list.push(error);
        }
    }

    /// Adds what is wrong with an evaluation, rather than with the value.
    fn fault(&mut self, node: &Node, path: Path<'_>, detail: String) {
        if self.verdict.errors.len() < MOST_ERRORS {
            let error = FieldError::new(place(path), FieldErrorKind::Invalid, detail);
            self.verdict
                .errors
                .push(error.with_value(format_args!("{:?}", kind_name(node))));
        }
    }

    fn failed(&mut self, rule: &Rule, fault: &Fault, left: u64, node: &Node, path: Path<'_>) {
        let shown = rule.written.shown();
        let detail = match fault {
            Fault::Cost if left < PER_CALL => {
                "validation failed due to running out of cost budget, no further validation rules will be run"
                    .to_owned()
            }
            Fault::Cost => format!(
                "'{fault}': no further validation rules will be run due to call cost exceeds limit for rule: {shown}"
            ),
            Fault::NoOverload => format!(
                "'{fault}': call arguments did not match a supported operator, function or macro signature for rule: \
                 {shown}"
            ),
            Fault::Other(_) => format!("{fault} evaluating rule: {shown}"),
        };
        if *fault == Fault::Cost {
            self.left = None;
        }
        self.fault(node, path, detail);
    }

    fn broken(
        &mut self,
        rule: &Rule,
        node: &Node,
        value: &Value,
        variables: &[(&str, Cel)],
        path: Path<'_>,
    ) -> FieldError {
        let detail = self
            .message(rule, variables)
            .unwrap_or_else(|| rule.written.complaint());
        let mut place = place(path);
        match (rule.below.is_empty(), place.is_empty() || place == ROOT) {
            (true, _) => {}
            (false, true) => place.clone_from(&rule.below),
            (false, false) if rule.below.starts_with('[') => place.push_str(&rule.below),
            (false, false) => {
                place.push('.');
                place.push_str(&rule.below);
            }
        }
        let kind = match rule.written.reason.as_deref() {
            Some("FieldValueForbidden") => FieldErrorKind::Forbidden,
            Some("FieldValueRequired") => FieldErrorKind::Required,
            Some("FieldValueDuplicate") => FieldErrorKind::Duplicate,
            _ => FieldErrorKind::Invalid,
        };
        let detail = if kind == FieldErrorKind::Duplicate {
            String::new()
        } else {
            detail
        };
        let error = FieldError::new(place, kind, detail);
        let has_value = matches!(kind, FieldErrorKind::Invalid | FieldErrorKind::Duplicate);
        if has_value && !matches!(node.kind, Type::Object | Type::Array) {
            return error.with_value(value);
        }
        error
    }

    /// What the rule's own expression says.
    fn message(&mut self, rule: &Rule, variables: &[(&str, Cel)]) -> Option<String> {
        let program = rule.message.as_ref()?;
        let left = self.left?;
        let mut budget = Budget::new(PER_CALL.min(left));
        let start = budget.left();
        let result = program.evaluate(variables, &mut budget);
        self.left = Some(left - (start - budget.left()));
        let Ok(Cel::String(text)) = result else {
            return None;
        };
        let text = text.trim();
        let fits = !text.is_empty() && text.len() <= MESSAGE && !text.contains('\n');
        fits.then(|| text.to_owned())
    }
}

/// How messages write the whole object.
const ROOT: &str = "<nil>";

fn place(path: Path<'_>) -> String {
    match path {
        Path::Root => ROOT.to_owned(),
        path => path.to_string(),
    }
}

const fn kind_name(node: &Node) -> &'static str {
    match node.kind {
        Type::IntOrString | Type::Any => "",
        kind => kind.name(),
    }
}

/// The element of an old list that an element of the new one replaces.
fn same_item<'a>(list: &ListType, old: &'a [Value], item: &Value) -> Option<&'a Value> {
    let ListType::Map(keys) = list else { return None };
    old.iter()
        .find(|old| keys.iter().all(|key| old.get(key) == item.get(key)))
}
