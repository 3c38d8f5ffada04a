//! Compiling the rules of a schema, with every fault at its path.

use stead_cel::{Program, Type as CelType};

use super::{Rule, types};
use crate::schema::{
    FieldError, FieldErrorKind,
    node::{ListType, Node, Type},
};

const REASONS: [&str; 4] = [
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueRequired",
];

/// Compiles all rules below a node; `path` is where its schema stands.
pub(in crate::schema) fn prepare(root: &mut Node, path: &str) -> Vec<FieldError> {
    let mut preparation = Preparation { errors: Vec::new() };
    preparation.node(root, path, None);
    preparation.errors
}

struct Preparation {
    errors: Vec<FieldError>,
}

impl Preparation {
    /// `uncorrelatable` is the list above whose elements cannot be found again after a change.
    fn node(&mut self, node: &mut Node, path: &str, uncorrelatable: Option<&str>) {
        for (name, property) in &mut node.properties {
            self.node(property, &format!("{path}.properties[{name}]"), uncorrelatable);
        }
        if let Some(values) = &mut node.additional {
            self.node(values, &format!("{path}.additionalProperties"), uncorrelatable);
        }
        let found_again = matches!(node.list, ListType::Map(_));
        if let Some(items) = &mut node.items {
            let uncorrelatable = if found_again { uncorrelatable } else { Some(path) };
            self.node(items, &format!("{path}.items"), uncorrelatable);
        }
        if node.validations.is_empty() {
            return;
        }
        let mut rules = std::mem::take(&mut node.validations);
        let kind = types::of(node);
        let before = self.errors.len();
        for (index, rule) in rules.iter_mut().enumerate() {
            let path = format!("{path}.x-kubernetes-validations[{index}]");
            self.words(node, rule, &path);
        }
        if self.errors.len() == before {
            for (index, rule) in rules.iter_mut().enumerate() {
                let path = format!("{path}.x-kubernetes-validations[{index}]");
                match &kind {
                    Some(kind) => self.compile(rule, kind, &path, uncorrelatable),
                    None => self.invalid(
                        &path,
                        "rule",
                        rule.written.as_value(),
                        "the schema has no type to check it with",
                    ),
                }
            }
        }
        node.validations = rules;
    }

    fn invalid(&mut self, path: &str, word: &str, value: impl std::fmt::Display, detail: impl Into<String>) {
        let error = FieldError::new(format!("{path}.{word}"), FieldErrorKind::Invalid, detail);
        self.errors.push(error.with_value(value));
    }

    fn required(&mut self, path: &str, word: &str, detail: &str) {
        let path = format!("{path}.{word}");
        self.errors
            .push(FieldError::new(path, FieldErrorKind::Required, detail));
    }

    /// What a rule must be before it is compiled.
    fn words(&mut self, node: &Node, rule: &mut Rule, path: &str) {
        let written = rule.written.clone();
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let (text, message) = (written.rule.trim(), written.message.trim());
        if text.is_empty() {
            self.required(path, "rule", "rule is not specified");
        } else if !written.message.is_empty() && message.is_empty() {
            self.invalid(
                path,
                "message",
                quoted(&written.message),
                "must be non-empty if specified",
            );
        } else if message.contains('\n') {
            self.invalid(
                path,
                "message",
                quoted(&written.message),
                "must not contain line breaks",
            );
        } else if text.contains('\n') && message.is_empty() {
            self.required(
                path,
                "message",
                "message must be specified if rule contains line breaks",
            );
        }
        if !written.message_expression.is_empty() && written.message_expression.trim().is_empty() {
            self.required(
                path,
                "messageExpression",
                "messageExpression must be non-empty if specified",
            );
        }
        if let Some(reason) = written
            .reason
            .as_deref()
            .filter(|reason| !REASONS.contains(reason))
        {
            let supported = REASONS.map(quoted).join(", ");
            let path = format!("{path}.reason");
            let error = FieldError::new(
                path,
                FieldErrorKind::NotSupported,
                format!("supported values: {supported}"),
            );
            self.errors.push(error.with_value(quoted(reason)));
        }
        if written.field_path.is_empty() {
            return;
        }
        let value = quoted(&written.field_path);
        if written.field_path.trim().is_empty() {
            self.invalid(path, "fieldPath", &value, "must be non-empty if specified");
        }
        if written.field_path.contains('\n') {
            self.invalid(path, "fieldPath", &value, "must not contain line breaks");
        }
        match field_path(node, &written.field_path) {
            Some(below) => rule.below = below,
            None => self.invalid(path, "fieldPath", value, "must be a valid path"),
        }
    }

    fn compile(&mut self, rule: &mut Rule, kind: &CelType, path: &str, uncorrelatable: Option<&str>) {
        let written = rule.written.clone();
        let old = match written.optional_old_self {
            Some(true) => kind.clone().optional(),
            _ => kind.clone(),
        };
        let variables = [("self", kind.clone()), ("oldSelf", old)];
        let program = match Program::compile(&written.rule, &variables) {
            Err(issues) => {
                self.invalid(
                    path,
                    "rule",
                    written.as_value(),
                    format!("compilation failed: {issues}"),
                );
                return;
            }
            Ok(program) if *program.result() != CelType::Bool => {
                self.invalid(
                    path,
                    "rule",
                    written.as_value(),
                    "cel expression must evaluate to a bool",
                );
                return;
            }
            Ok(program) => program,
        };
        match (program.uses("oldSelf"), uncorrelatable, written.optional_old_self) {
            (true, Some(list), _) => {
                let value = serde_json::Value::from(written.rule.as_str());
                let detail = format!(
                    "oldSelf cannot be used on the uncorrelatable portion of the schema within {list}"
                );
                self.invalid(path, "rule", value, detail);
            }
            (false, _, Some(optional)) => {
                let detail = "may not be set if oldSelf is not used in rule";
                self.invalid(path, "optionalOldSelf", optional, detail);
            }
            (true, None, _) | (false, _, None) => {}
        }
        rule.program = Some(program);
        if written.message_expression.is_empty() {
            return;
        }
        match Program::compile(&written.message_expression, &variables) {
            Ok(program) if *program.result() == CelType::String => rule.message = Some(program),
            Ok(_) => {
                let detail = "messageExpression must evaluate to a string";
                self.invalid(path, "messageExpression", written.as_value(), detail);
            }
            Err(issues) => {
                let detail = format!("messageExpression compilation failed: {issues}");
                self.invalid(path, "messageExpression", written.as_value(), detail);
            }
        }
    }
}

/// A path of fields and of keys of maps below a node, as messages write it; `None` when the schema has no such place.
fn field_path(node: &Node, path: &str) -> Option<String> {
    find(node, path).map(|(below, _)| below)
}

/// Whether selectors may name a field.
pub(in crate::schema) fn check_selectable(root: &Node, path: &str) -> Result<(), String> {
    if path.contains('[') {
        return Err("is an invalid path: array notation is not allowed".into());
    }
    let Some((below, node)) = find(root, path) else {
        return Err("is an invalid path: does not refer to a valid field".into());
    };
    if below == "metadata" || below.starts_with("metadata.") {
        // A definition's schema says nothing of the metadata that selectors know anyway.
        return Err("is an invalid path: does not refer to a valid field".into());
    }
    match node.kind {
        Type::String | Type::Boolean | Type::Integer => Ok(()),
        Type::Any | Type::Object | Type::Array | Type::Number | Type::IntOrString => Err(
            "must point to a field of type string, boolean or integer. Enum string fields and strings with formats are \
             allowed."
                .into(),
        ),
    }
}

/// The place below a node where a path leads, and how messages write it.
fn find<'a>(node: &'a Node, path: &str) -> Option<(String, &'a Node)> {
    let (mut node, mut rest, mut below) = (node, path, String::new());
    while !rest.is_empty() {
        let (name, after) = if let Some(inner) = rest.strip_prefix("['") {
            quoted_name(inner)?
        } else {
            let inner = rest.strip_prefix('.')?;
            let end = inner.find(['.', '[', ']']).unwrap_or(inner.len());
            let (name, after) = inner.split_at(end);
            (name.to_owned(), after)
        };
        if name.is_empty() {
            return None;
        }
        if node.properties.is_empty() {
            node = node.additional.as_deref()?;
            below.extend(["[", &name, "]"]);
        } else {
            node = node.properties.get(&name)?;
            if !below.is_empty() {
                below.push('.');
            }
            below.push_str(&name);
        }
        rest = after;
    }
    Some((below, node))
}

/// A name in single quotes and what follows its bracket.
fn quoted_name(inner: &str) -> Option<(String, &str)> {
    let mut name = String::new();
    let mut letters = inner.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '\\' => name.push(match letters.next()?.1 {
                'a' => '\u{7}',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'v' => '\u{b}',
                plain @ ('\'' | '\\') => plain,
                _ => return None,
            }),
            '\'' => return Some((name, inner.get(place + 1..)?.strip_prefix(']')?)),
            letter => name.push(letter),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_paths_lead_to_fields_and_keys_of_maps() {
        let map = Node::map(Node::of(Type::String));
        let node = Node::object([("a", Node::object([("b.c", map)])), ("d", Node::of(Type::String))]);
        for (path, below) in [
            (".a", Some("a")),
            (".a['b.c']", Some("a.b.c")),
            (".a['b.c']['k\\'ey']", Some("a.b.c[k'ey]")),
            (".d", Some("d")),
            (".x", None),
            ("a", None),
            (".a.", None),
            (".a[b]", None),
            (".a['b.c'", None),
            (".d.e", None),
        ] {
            assert_eq!(field_path(&node, path).as_deref(), below, "{path}");
        }
    }
}
