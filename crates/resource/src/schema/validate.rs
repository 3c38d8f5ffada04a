//! Checking values against the schema, with the Kubernetes API server's words.

use serde_json::{Map, Number, Value};

use super::{
    FieldError, FieldErrorKind,
    compare::{compare, is_multiple, same},
    format,
    node::{ListType, Node, Range, Rules, Type},
    path::Path,
};

/// More errors than this help nobody.
const MOST_ERRORS: usize = 100;

/// Every fault of the value, at most a hundred.
pub(super) fn check(node: &Node, value: &Value) -> Vec<FieldError> {
    let mut checker = Checker { errors: Vec::new() };
    checker.node(node, value, Path::Root);
    checker.errors
}

struct Checker {
    errors: Vec<FieldError>,
}

impl Checker {
    fn add(&mut self, error: FieldError) {
        if self.errors.len() < MOST_ERRORS {
            self.errors.push(error);
        }
    }

    fn invalid(&mut self, path: Path<'_>, value: &Value, detail: &str) {
        let detail = format!("{path} in body {detail}");
        self.add(FieldError::new(path.to_string(), FieldErrorKind::Invalid, detail).with_value(value));
    }

    fn node(&mut self, node: &Node, value: &Value, path: Path<'_>) {
        if value.is_null() && node.nullable {
            return;
        }
        if !has_type(node.kind, value) {
            self.wrong_type(node, value, path);
            return;
        }
        self.rules(&node.rules, value, path);
        match value {
            Value::Object(members) => self.members(node, members, path),
            Value::Array(elements) => self.elements(node, elements, path),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn wrong_type(&mut self, node: &Node, value: &Value, path: Path<'_>) {
        let (wanted, found) = (node.kind.name(), type_name(value));
        let detail = format!("{path} in body must be of type {wanted}: {found:?}");
        let error = FieldError::new(path.to_string(), FieldErrorKind::TypeInvalid, detail);
        self.add(error.with_value(format_args!("{found:?}")));
        if node.kind == Type::Integer && found == "number" {
            let detail = format!("Checked value must be of type integer (default format) in {path}");
            self.add(FieldError::new("<nil>", FieldErrorKind::Invalid, detail).with_value("\"\""));
        }
    }

    fn members(&mut self, node: &Node, members: &Map<String, Value>, path: Path<'_>) {
        for (name, member) in members {
            if let Some(known) = node.known_member(name) {
                self.node(known, member, path.field(name));
            }
        }
    }

    fn elements(&mut self, node: &Node, elements: &[Value], path: Path<'_>) {
        if let Some(items) = node.items.as_deref() {
            for (index, element) in elements.iter().enumerate() {
                self.node(items, element, path.index(index));
            }
        }
        match &node.list {
            ListType::Atomic => {}
            ListType::Set => self.duplicates(elements, path, Clone::clone),
            ListType::Map(keys) => self.duplicates(elements, path, |element| key_of(element, keys)),
        }
    }

    fn duplicates(&mut self, elements: &[Value], path: Path<'_>, key: impl Fn(&Value) -> Value) {
        let mut seen = std::collections::HashSet::new();
        for (index, element) in elements.iter().enumerate() {
            let key = key(element);
            if !seen.insert(crate::canonical::text(&key)) {
                let place = path.index(index).to_string();
                self.add(FieldError::new(place, FieldErrorKind::Duplicate, "").with_value(key));
            }
        }
    }

    fn rules(&mut self, rules: &Rules, value: &Value, path: Path<'_>) {
        if let Some(allowed) = &rules.allowed
            && !allowed.iter().any(|one| same(one, value))
        {
            let listed: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let detail = format!("supported values: {}", listed.join(", "));
            self.add(
                FieldError::new(path.to_string(), FieldErrorKind::NotSupported, detail).with_value(value),
            );
        }
        match value {
            Value::String(text) => self.text(rules, text, value, path),
            Value::Number(number) => self.number(rules, number, value, path),
            Value::Array(elements) => self.count(rules.items, elements.len(), value, path, "items"),
            Value::Object(members) => {
                self.count(rules.members, members.len(), value, path, "properties");
                self.required(rules, members, path);
            }
            Value::Null | Value::Bool(_) => {}
        }
        self.junctors(rules, value, path);
    }

    fn required(&mut self, rules: &Rules, members: &Map<String, Value>, path: Path<'_>) {
        for name in &rules.required {
            if !members.contains_key(name) {
                self.add(FieldError::new(
                    path.field(name).to_string(),
                    FieldErrorKind::Required,
                    "",
                ));
            }
        }
    }

    fn text(&mut self, rules: &Rules, text: &str, value: &Value, path: Path<'_>) {
        self.form(rules, text, value, path);
        if let Some(name) = rules
            .format
            .as_ref()
            .filter(|name| !format::text_fits(name, text))
        {
            let detail = format!("{path} in body must be of type {name}: {text:?}");
            self.add(
                FieldError::new(path.to_string(), FieldErrorKind::TypeInvalid, detail).with_value(value),
            );
        }
    }

    /// Length and pattern: only the first fault is told, as by the original.
    fn form(&mut self, rules: &Rules, text: &str, value: &Value, path: Path<'_>) {
        let length = if rules.length.min.is_some() || rules.length.max.is_some() {
            text.chars().count() as u64
        } else {
            0
        };
        if let Some(max) = rules.length.max.filter(|max| length > *max) {
            let bytes = if max == 1 { "byte" } else { "bytes" };
            let detail = format!("may not be more than {max} {bytes}");
            self.add(FieldError::new(path.to_string(), FieldErrorKind::TooLong, detail));
        } else if let Some(min) = rules.length.min.filter(|min| length < *min) {
            self.invalid(path, value, &format!("should be at least {min} chars long"));
        } else if let Some(pattern) = rules.pattern.as_ref().filter(|pattern| !pattern.is_match(text)) {
            self.invalid(path, value, &format!("should match '{}'", pattern.as_str()));
        }
    }

    fn number(&mut self, rules: &Rules, number: &Number, value: &Value, path: Path<'_>) {
        if let Some(bound) = &rules.minimum {
            let order = compare(number, &bound.limit);
            if order.is_lt() || (bound.exclusive && order.is_eq()) {
                let words = if bound.exclusive {
                    "greater than"
                } else {
                    "greater than or equal to"
                };
                self.invalid(path, value, &format!("should be {words} {}", plain(&bound.limit)));
            }
        }
        if let Some(bound) = &rules.maximum {
            let order = compare(number, &bound.limit);
            if order.is_gt() || (bound.exclusive && order.is_eq()) {
                let words = if bound.exclusive {
                    "less than"
                } else {
                    "less than or equal to"
                };
                self.invalid(path, value, &format!("should be {words} {}", plain(&bound.limit)));
            }
        }
        if let Some(factor) = rules
            .multiple_of
            .as_ref()
            .filter(|factor| !is_multiple(number, factor))
        {
            self.invalid(path, value, &format!("should be a multiple of {}", plain(factor)));
        }
        if let Some(name) = rules
            .format
            .as_ref()
            .filter(|name| !format::integer_fits(name, number))
        {
            self.invalid(path, value, &format!("must be of type {name}: {number}"));
        }
    }

    fn count(&mut self, range: Range, count: usize, value: &Value, path: Path<'_>, what: &str) {
        let count = count as u64;
        if let Some(max) = range.max.filter(|max| count > *max) {
            let items = if max == 1 { "item" } else { "items" };
            let detail = format!("must have at most {max} {items}");
            self.add(FieldError::new(path.to_string(), FieldErrorKind::TooMany, detail).with_value(count));
        }
        if let Some(min) = range.min.filter(|min| count < *min) {
            self.invalid(path, value, &format!("should have at least {min} {what}"));
        }
    }

    fn junctors(&mut self, rules: &Rules, value: &Value, path: Path<'_>) {
        for branch in &rules.all_of {
            self.node(branch, value, path);
        }
        if !rules.any_of.is_empty() && !rules.any_of.iter().any(|branch| fits(branch, value)) {
            self.junctor(path, "must validate at least one schema (anyOf)");
            self.closest(&rules.any_of, value, path);
        }
        if !rules.one_of.is_empty() {
            match rules.one_of.iter().filter(|branch| fits(branch, value)).count() {
                1 => {}
                0 => {
                    self.junctor(
                        path,
                        "must validate one and only one schema (oneOf). Found none valid",
                    );
                    self.closest(&rules.one_of, value, path);
                }
                found => {
                    let detail = format!(
                        "must validate one and only one schema (oneOf). Found {found} valid alternatives"
                    );
                    self.junctor(path, &detail);
                }
            }
        }
        if rules.not.as_ref().is_some_and(|branch| fits(branch, value)) {
            self.junctor(path, "must not validate the schema (not)");
        }
    }

    fn junctor(&mut self, path: Path<'_>, detail: &str) {
        // The original says the place in the text only.
        let detail = format!("{:?} {detail}", path.to_string());
        self.add(FieldError::new("<nil>", FieldErrorKind::Invalid, detail).with_value("\"\""));
    }

    /// Adds the errors of the branch that fits best, which is most likely what the author meant.
    fn closest(&mut self, branches: &[Node], value: &Value, path: Path<'_>) {
        let errors = branches.iter().map(|branch| {
            let mut checker = Checker { errors: Vec::new() };
            checker.node(branch, value, path);
            checker.errors
        });
        for error in errors.min_by_key(Vec::len).unwrap_or_default() {
            self.add(error);
        }
    }
}

fn fits(node: &Node, value: &Value) -> bool {
    check(node, value).is_empty()
}

fn key_of(element: &Value, keys: &[String]) -> Value {
    keys.iter()
        .filter_map(|key| Some((key.clone(), element.get(key)?.clone())))
        .collect::<Map<_, _>>()
        .into()
}

fn has_type(kind: Type, value: &Value) -> bool {
    match kind {
        Type::Any => true,
        Type::Object => value.is_object(),
        Type::Array => value.is_array(),
        Type::String => value.is_string(),
        Type::Integer => is_integer(value),
        Type::Number => value.is_number(),
        Type::Boolean => value.is_boolean(),
        Type::IntOrString => value.is_string() || is_integer(value),
    }
}

fn is_integer(value: &Value) -> bool {
    value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) if is_integer(value) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// A number as people write it: schemas from Rust types say `0.0` where they mean 0.
fn plain(number: &Number) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}
