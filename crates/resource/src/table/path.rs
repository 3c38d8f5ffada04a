//! The part of `JSONPath` that printer columns use.
//!
//! `.a.b`, `.a\.b`, `['a']`, `[0]`, `[-1]`, `[*]`, `.*` and filters `[?(@.type=="Ready")]`.

use std::cmp::Ordering;

use serde_json::Value;

use crate::schema::compare::{compare, same};

/// A compiled path.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    /// From the end when negative.
    Element(i64),
    Every,
    Filter(Filter),
}

#[derive(Debug, Clone, PartialEq)]
struct Filter {
    path: JsonPath,
    /// Without one, it is enough that there is something.
    test: Option<(Operator, Value)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Longer ones first, so that `<=` is not read as `<`.
const OPERATORS: [(&str, Operator); 6] = [
    ("==", Operator::Equal),
    ("!=", Operator::NotEqual),
    ("<=", Operator::LessOrEqual),
    (">=", Operator::GreaterOrEqual),
    ("<", Operator::Less),
    (">", Operator::Greater),
];

impl JsonPath {
    /// Reads a path that starts with `.` or `[`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with(['.', '[']) {
            return Err(format!("{text:?} is not a JSON path starting with a dot"));
        }
        Self::steps(text)
    }

    fn steps(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (step, after) = if let Some(inside) = rest.strip_prefix('[') {
                let (inside, after) = bracket(inside)?;
                (bracketed(inside)?, after)
            } else if let Some(after) = rest.strip_prefix('.') {
                if after.starts_with('.') {
                    return Err("recursive descent (..) is not supported".to_owned());
                }
                // `.[0]` is the same as `[0]`, and a lone `.` is the object itself.
                if after.starts_with('[') || (after.is_empty() && steps.is_empty()) {
                    rest = after;
                    continue;
                }
                member(after)?
            } else {
                return Err(format!("expected . or [ before {rest:?}"));
            };
            steps.push(step);
            rest = after;
        }
        Ok(Self { steps })
    }

    /// Every value at the path.
    pub(super) fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        self.steps.iter().fold(vec![value], |found, step| {
            found.into_iter().flat_map(|value| step.find(value)).collect()
        })
    }
}

impl Step {
    fn find<'a>(&self, value: &'a Value) -> Vec<&'a Value> {
        match self {
            Self::Member(name) => value.get(name).into_iter().collect(),
            Self::Element(index) => element(value, *index).into_iter().collect(),
            Self::Every => children(value),
            Self::Filter(filter) => children(value)
                .into_iter()
                .filter(|child| filter.accepts(child))
                .collect(),
        }
    }
}

impl Filter {
    fn accepts(&self, value: &Value) -> bool {
        let found = self.path.find(value);
        match &self.test {
            None => !found.is_empty(),
            Some((operator, wanted)) => found.first().is_some_and(|found| operator.holds(found, wanted)),
        }
    }
}

impl Operator {
    fn holds(self, found: &Value, wanted: &Value) -> bool {
        let order = match (found, wanted) {
            (Value::Number(found), Value::Number(wanted)) => Some(compare(found, wanted)),
            (Value::String(found), Value::String(wanted)) => Some(found.cmp(wanted)),
            _ => None,
        };
        match self {
            Self::Equal => same(found, wanted),
            Self::NotEqual => !same(found, wanted),
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => order.is_some_and(Ordering::is_le),
            Self::Greater => order == Some(Ordering::Greater),
            Self::GreaterOrEqual => order.is_some_and(Ordering::is_ge),
        }
    }
}

fn children(value: &Value) -> Vec<&Value> {
    match value {
        Value::Array(elements) => elements.iter().collect(),
        Value::Object(members) => members.values().collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

fn element(value: &Value, index: i64) -> Option<&Value> {
    let elements = value.as_array()?;
    let index = match usize::try_from(index) {
        Ok(index) => index,
        Err(_) => elements
            .len()
            .checked_sub(usize::try_from(index.unsigned_abs()).ok()?)?,
    };
    elements.get(index)
}

/// A member's name after a dot; a backslash takes the next character as it is.
fn member(text: &str) -> Result<(Step, &str), String> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((position, character)) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some((_, escaped)) => name.push(escaped),
                None => return Err("the path ends in a backslash".to_owned()),
            },
            '.' | '[' => {
                end = position;
                break;
            }
            ']' | '{' | '}' | '(' | ')' | '"' | '\'' => {
                return Err(format!("unexpected {character} in {text:?}"));
            }
            other => name.push(other),
        }
    }
    let after = text.get(end..).unwrap_or_default();
    match name.as_str() {
        "" => Err("the path has an empty field name".to_owned()),
        "*" => Ok((Step::Every, after)),
        _ => Ok((Step::Member(name), after)),
    }
}

/// Splits at the bracket that closes, outside of quotes and inner brackets.
fn bracket(text: &str) -> Result<(&str, &str), String> {
    let mut quote = None;
    let mut depth = 0_usize;
    let mut escaped = false;
    for (position, character) in text.char_indices() {
        match (quote, character) {
            _ if escaped => escaped = false,
            (_, '\\') => escaped = true,
            (Some(open), _) => quote = quote.filter(|_| character != open),
            (None, '\'' | '"') => quote = Some(character),
            (None, '[') => depth += 1,
            (None, ']') if depth > 0 => depth -= 1,
            (None, ']') => {
                let (inside, rest) = text.split_at(position);
                return Ok((inside.trim(), rest.strip_prefix(']').unwrap_or_default()));
            }
            _ => {}
        }
    }
    Err(format!("a bracket is not closed: [{text}"))
}

fn bracketed(inside: &str) -> Result<Step, String> {
    if inside == "*" {
        return Ok(Step::Every);
    }
    if let Some(filter) = inside.strip_prefix("?(").and_then(|rest| rest.strip_suffix(')')) {
        return Ok(Step::Filter(parse_filter(filter.trim())?));
    }
    if let Some(name) = quoted(inside) {
        return Ok(Step::Member(name));
    }
    inside.parse().map(Step::Element).map_err(|_| {
        format!("[{inside}] is not supported; use an index, *, a quoted name or a filter such as ?(@.type==\"Ready\")")
    })
}

fn parse_filter(text: &str) -> Result<Filter, String> {
    let Some(path) = text.strip_prefix('@') else {
        return Err(format!("a filter must start with @, this one is {text:?}"));
    };
    let Some((position, symbol, operator)) = operator(path) else {
        return Ok(Filter {
            path: JsonPath::steps(path.trim_end())?,
            test: None,
        });
    };
    let (left, right) = path.split_at(position);
    let right = right.strip_prefix(symbol).unwrap_or_default().trim();
    let wanted = match quoted(right) {
        Some(text) => Value::String(text),
        None => {
            serde_json::from_str(right).map_err(|_| format!("{right:?} is not a text, number or boolean"))?
        }
    };
    Ok(Filter {
        path: JsonPath::steps(left.trim_end())?,
        test: Some((operator, wanted)),
    })
}

/// The first operator outside of quotes.
fn operator(text: &str) -> Option<(usize, &'static str, Operator)> {
    let mut quote = None;
    for (position, character) in text.char_indices() {
        match (quote, character) {
            (Some(open), _) => quote = quote.filter(|_| character != open),
            (None, '\'' | '"') => quote = Some(character),
            (None, _) => {
                let rest = text.get(position..).unwrap_or_default();
                if let Some((symbol, operator)) =
                    OPERATORS.into_iter().find(|(symbol, _)| rest.starts_with(symbol))
                {
                    return Some((position, symbol, operator));
                }
            }
        }
    }
    None
}

/// The content of a quoted text, with backslashes taking the next character as it is.
fn quoted(text: &str) -> Option<String> {
    let open = text.chars().next().filter(|open| matches!(open, '\'' | '"'))?;
    let inside = text.strip_prefix(open)?.strip_suffix(open)?;
    let mut out = String::new();
    let mut characters = inside.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => out.push(characters.next()?),
            other if other == open => return None,
            other => out.push(other),
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::JsonPath;

    #[test]
    fn paths_find_what_they_name() {
        let object = json!({
            "a": {"b": [10, {"c": 1}], "d.e": "dot", "x y": 2},
            "conditions": [{"type": "Ready", "status": "True", "n": 1}, {"type": "Old]", "status": "False", "n": 2.0}],
        });
        let cases = [
            (".a.b[0]", json!([10])),
            (".a.b[-1].c", json!([1])),
            (".a.b[-3]", json!([])),
            (".a['b'][1]['c']", json!([1])),
            (r".a.d\.e", json!(["dot"])),
            (r#".a["x y"]"#, json!([2])),
            (".a.missing.deep", json!([])),
            (".conditions[*].type", json!(["Ready", "Old]"])),
            (".a.b[1].*", json!([1])),
            (r#".conditions[?(@.type=="Ready")].status"#, json!(["True"])),
            (".conditions[?(@.type == 'Old]')].status", json!(["False"])),
            (r#".conditions[?(@.type!="Ready")].status"#, json!(["False"])),
            (".conditions[?(@.n>1)].n", json!([2.0])),
            (".conditions[?(@.n<=2)].n", json!([1, 2.0])),
            (".conditions[?(@.missing)].n", json!([])),
            (".conditions[?(@.status)].n", json!([1, 2.0])),
            (".", json!([object])),
        ];
        for (path, wanted) in cases {
            let found = JsonPath::parse(path).map(|path| json!(path.find(&object)));
            assert_eq!(found, Ok(wanted), "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused() {
        for path in [
            "",
            "a.b",
            "$.a",
            ".a..b",
            ".a[",
            ".a[x]",
            ".a[1:2]",
            ".a['b]",
            ".a.",
            r".a\",
            ".a[?(type==1)]",
            ".a[?(@.b==)]",
            ".a[?(@.b==nope)]",
            "{.a}",
            ".a]",
            ".[",
        ] {
            assert!(JsonPath::parse(path).is_err(), "{path}");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_the_parser_panic(path in r#"[.\[\]a0-9?@()='"*\\é<>! -]{0,24}"#) {
            if let Ok(path) = JsonPath::parse(&path) {
                path.find(&json!({"a": [{"a": 1}, "a"]}));
            }
        }
    }
}
