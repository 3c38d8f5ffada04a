//! Templates in a sandbox: no files, no other templates, bounded time and size. Nothing here performs I/O.
//!
//! *Invariant:* a template cannot grow a text without bound: it has no variables of its own, and what it can join is
//! bounded before it runs.

use std::collections::{BTreeSet, HashSet};

use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value as Jinja, filters, syntax::SyntaxConfig};
use serde_json::{Map, Value};

use super::Template;

/// The most bytes of all texts of a template.
pub(crate) const TEMPLATE_LIMIT: usize = 64 << 10;
/// The most bytes of all variables together, as JSON.
const VARIABLES_LIMIT: usize = 1 << 20;
/// The most bytes of a rendered text.
const OUTPUT_LIMIT: usize = 4 << 20;
/// The most bytes that the operators of a template could make of its variables.
const JOINED_LIMIT: usize = 64 << 20;
/// The most steps of a template.
const FUEL: u64 = 500_000;
/// Statements that a template may have; others name things, which can be made to grow, or lead elsewhere.
const STATEMENTS: [&str; 9] = [
    "if", "elif", "else", "endif", "for", "endfor", "break", "continue", "raw",
];

/// Why a template cannot be used, or not with these variables.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RenderError {
    /// It is no template.
    #[error("the template is not right: {0}")]
    Malformed(String),
    /// It has a statement that is not allowed.
    #[error("the template has the statement `{0}`; it may have if and for only")]
    Statement(String),
    /// It, or its variables, are too large.
    #[error("{0}")]
    TooLarge(&'static str),
    /// Variables are missing.
    #[error("the variables {} are missing", .0.join(", "))]
    Missing(Vec<String>),
    /// It failed.
    #[error("the template cannot be rendered: {0}")]
    Failed(String),
}

fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    if let Ok(syntax) = SyntaxConfig::builder().keep_trailing_newline(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::None);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("upper", filters::upper);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("title", filters::title);
    environment.add_filter("capitalize", filters::capitalize);
    environment.add_filter("trim", filters::trim);
    environment.add_filter("default", filters::default);
    environment.add_filter("length", filters::length);
    environment.add_filter("first", filters::first);
    environment.add_filter("last", filters::last);
    environment.add_filter("join", filters::join);
    environment.add_filter("tojson", filters::tojson);
    environment.add_test("defined", minijinja::tests::is_defined);
    environment.add_test("undefined", minijinja::tests::is_undefined);
    environment.add_test("none", minijinja::tests::is_none);
    environment
}

/// Checks a template before it is kept.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(template: &Template) -> Result<(), RenderError> {
    let texts = template.texts();
    if texts.iter().map(|text| text.len()).sum::<usize>() > TEMPLATE_LIMIT {
        return Err(RenderError::TooLarge("a template has at most 64 KiB"));
    }
    let environment = environment();
    for text in texts {
        allowed(text)?;
        environment
            .template_from_str(text)
            .map_err(|error| RenderError::Malformed(plain(&error)))?;
    }
    Ok(())
}

/// Whether a text has only statements that it may have.
fn allowed(text: &str) -> Result<(), RenderError> {
    for (at, _) in text.match_indices("{%") {
        let rest = text.get(at + 2..).unwrap_or_default();
        let rest = rest.trim_start_matches(['-', '+']).trim_start();
        let end = rest
            .find(|letter: char| !letter.is_alphanumeric() && letter != '_')
            .unwrap_or(rest.len());
        let word = rest.get(..end).unwrap_or_default();
        if word == "endraw" || STATEMENTS.contains(&word) {
            continue;
        }
        return Err(RenderError::Statement(word.chars().take(40).collect()));
    }
    Ok(())
}

/// The variables that a template needs.
pub(crate) fn variables(template: &Template) -> BTreeSet<String> {
    let environment = environment();
    let parsed = template.texts().into_iter().filter_map(|text| {
        let template = environment.template_from_str(text).ok()?;
        Some(template.undeclared_variables(false))
    });
    parsed.flatten().collect()
}

/// Renders every text of a template.
///
/// # Errors
/// Names the variables that are missing, all at once; or says why else it cannot be rendered.
pub(crate) fn render(
    template: &Template,
    variables: &Map<String, Value>,
) -> Result<Vec<String>, RenderError> {
    let size = Value::Object(variables.clone()).to_string().len();
    if size > VARIABLES_LIMIT {
        return Err(RenderError::TooLarge("the variables have at most 1 MiB"));
    }
    let environment = environment();
    let missing = missing(&environment, template, variables);
    if !missing.is_empty() {
        return Err(RenderError::Missing(missing));
    }
    let context = Jinja::from_pairs(
        variables
            .iter()
            .map(|(name, value)| (name.as_str(), jinja(value))),
    );
    let mut left = OUTPUT_LIMIT;
    let mut rendered = Vec::new();
    for text in template.texts() {
        let operators = text.bytes().filter(|byte| b"~+*".contains(byte)).count();
        if size.saturating_mul(operators) > JOINED_LIMIT {
            return Err(RenderError::TooLarge(
                "the variables are too large for a template with so many operators",
            ));
        }
        let parsed = environment
            .template_from_str(text)
            .map_err(|error| RenderError::Malformed(plain(&error)))?;
        let mut output = Bounded {
            text: Vec::new(),
            left,
        };
        match parsed.render_captured_to(context.clone(), &mut output) {
            Ok(_) => {}
            Err(_) if output.left == 0 => {
                return Err(RenderError::TooLarge("a rendered prompt has at most 4 MiB"));
            }
            Err(error) => return Err(failed(&error)),
        }
        left = output.left;
        rendered.push(String::from_utf8(output.text).unwrap_or_default());
    }
    Ok(rendered)
}

/// A JSON value as templates see it.
fn jinja(value: &Value) -> Jinja {
    match value {
        Value::Null => Jinja::from(()),
        Value::Bool(value) => Jinja::from(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Jinja::from(number),
            (None, Some(number)) => Jinja::from(number),
            (None, None) => Jinja::from(number.as_f64().unwrap_or_default()),
        },
        Value::String(text) => Jinja::from(text.as_str()),
        Value::Array(elements) => Jinja::from(elements.iter().map(jinja).collect::<Vec<_>>()),
        Value::Object(members) => {
            Jinja::from_pairs(members.iter().map(|(name, value)| (name.as_str(), jinja(value))))
        }
    }
}

/// The variables that no template asks about before it uses them, and that are not there.
fn missing(environment: &Environment<'_>, template: &Template, given: &Map<String, Value>) -> Vec<String> {
    let mut missing = BTreeSet::new();
    for text in template.texts() {
        let Ok(parsed) = environment.template_from_str(text) else {
            continue;
        };
        let needed: HashSet<String> = parsed.undeclared_variables(false);
        let absent = needed.into_iter().filter(|name| !given.contains_key(name));
        // What a template has a default for, or asks about, it can do without.
        missing.extend(absent.filter(|name| !is_optional(text, name)));
    }
    missing.into_iter().collect()
}

fn is_optional(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let rest = text.get(at + name.len()..).unwrap_or_default().trim_start();
        let rest = rest
            .strip_prefix('|')
            .map(str::trim_start)
            .or_else(|| rest.strip_prefix("is").map(str::trim_start));
        rest.is_some_and(|rest| {
            ["default", "defined", "not defined", "undefined"]
                .iter()
                .any(|word| rest.starts_with(word))
        })
    })
}

fn failed(error: &minijinja::Error) -> RenderError {
    match error.kind() {
        ErrorKind::OutOfFuel => RenderError::TooLarge("the template takes too many steps"),
        _ => RenderError::Failed(plain(error)),
    }
}

/// What an error says, without the template's or a variable's text.
fn plain(error: &minijinja::Error) -> String {
    let line = error
        .line()
        .map(|line| format!(" (line {line})"))
        .unwrap_or_default();
    let detail = match error.kind() {
        ErrorKind::SyntaxError
        | ErrorKind::UnknownFilter
        | ErrorKind::UnknownTest
        | ErrorKind::UnknownFunction => error.detail().map(|detail| format!(": {detail}")),
        _ => None,
    };
    format!("{}{}{line}", error.kind(), detail.unwrap_or_default())
}

/// A text that may not grow beyond a limit.
struct Bounded {
    text: Vec<u8>,
    left: usize,
}

impl std::io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if bytes.len() > self.left {
            self.left = 0;
            return Err(std::io::ErrorKind::FileTooLarge.into());
        }
        self.left -= bytes.len();
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(text: &str) -> Template {
        Template::Text(text.to_owned())
    }

    fn rendered(template: &str, variables: &Value) -> Result<String, RenderError> {
        let variables = variables.as_object().unwrap();
        check(&text(template))?;
        render(&text(template), variables).map(|mut texts| texts.remove(0))
    }

    #[test]
    fn variables_lists_and_conditions_are_rendered() {
        let cases = [
            (
                "Hello {{ name }}!\n",
                json!({"name": "Ada <3"}),
                "Hello Ada <3!\n",
            ),
            (
                "{% for x in list %}{{ x|upper }};{% endfor %}",
                json!({"list": ["a", "b"]}),
                "A;B;",
            ),
            (
                "{% if a is defined %}{{ a }}{% else %}none{% endif %}",
                json!({}),
                "none",
            ),
            (
                "{{ a|default('x') }} {{ b.c }} {{ b|tojson }}",
                json!({"b": {"c": 1}}),
                "x 1 {\"c\": 1}",
            ),
            ("{% raw %}{{ a }}{% endraw %}", json!({}), "{{ a }}"),
        ];
        for (template, variables, expected) in cases {
            assert_eq!(
                rendered(template, &variables).as_deref(),
                Ok(expected),
                "{template}"
            );
        }
    }

    #[test]
    fn all_missing_variables_are_named_at_once() {
        let error = rendered("{{ a }} {{ b }} {{ c }}", &json!({"b": 1})).unwrap_err();
        assert_eq!(error.to_string(), "the variables a, c are missing");
    }

    #[test]
    fn a_template_reaches_nothing() {
        for template in [
            "{% include '/etc/passwd' %}",
            "{% set a = b ~ b %}",
            "{%- with a = b %}{% endwith %}",
            "{% macro f() %}{% endmacro %}",
            "{% extends 'x' %}",
            "{% import 'x' as y %}",
            "{% filter upper %}{% endfilter %}",
            "{% block a %}{% endblock %}",
        ] {
            assert!(
                matches!(
                    check(&text(template)),
                    Err(RenderError::Statement(_) | RenderError::Malformed(_))
                ),
                "{template}"
            );
        }
        for template in [
            "{{ range(1000000) }}",
            "{{ a|indent(100000000) }}",
            "{{ a|replace('', a) }}",
        ] {
            assert!(rendered(template, &json!({"a": "x"})).is_err(), "{template}");
        }
    }

    #[test]
    fn a_template_does_not_grow_without_bound() {
        let list: Vec<u32> = (0..2_000).collect();
        let nested = "{% for a in l %}{% for b in l %}x{% endfor %}{% endfor %}";
        assert!(matches!(
            rendered(nested, &json!({"l": list})),
            Err(RenderError::TooLarge(_))
        ));
        let long = "{{ a }}".repeat(9_000);
        assert!(matches!(
            rendered(&long, &json!({"a": "x".repeat(1_000)})),
            Err(RenderError::TooLarge(_))
        ));
        let joined = format!("{{{{ a{} }}}}", "~a".repeat(1_000));
        assert!(matches!(
            rendered(&joined, &json!({"a": "x".repeat(1_000_000)})),
            Err(RenderError::TooLarge(_))
        ));
        assert!(matches!(
            check(&text(&"x".repeat(TEMPLATE_LIMIT + 1))),
            Err(RenderError::TooLarge(_))
        ));
        assert!(matches!(check(&text("{{ a")), Err(RenderError::Malformed(_))));
        assert!(matches!(
            rendered("{{ a.b.c }}", &json!({"a": {}})),
            Err(RenderError::Failed(_))
        ));
    }

    #[test]
    fn a_template_says_what_it_needs() {
        let needed = variables(&text("{{ a }} {% for x in list %}{{ x }}{% endfor %}"));
        assert_eq!(needed.into_iter().collect::<Vec<_>>(), ["a", "list"]);
    }
}
