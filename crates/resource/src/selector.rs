//! Label and field selectors of lists and watches.

use std::fmt;

use serde_json::Value;

/// Why a selector could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unable to parse the selector: {0}")]
pub struct SelectorError(String);

fn refuse<T>(message: impl Into<String>) -> Result<T, SelectorError> {
    Err(SelectorError(message.into()))
}

/// What a label must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Exists,
    Absent,
    Equals(String),
    Differs(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Greater(i64),
    Less(i64),
}

/// A label selector, as `a=b,c!=d,e in (x,y),f notin (z),g,!h`; prints in the form that it is read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LabelSelector {
    requirements: Vec<(String, Test)>,
}

impl LabelSelector {
    /// Reads the text form; the empty text selects everything.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let requirements = split_outside_parentheses(text)?.into_iter().map(read_requirement);
        Ok(Self {
            requirements: requirements.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the object's `metadata.labels` satisfy every requirement.
    pub fn matches(&self, object: &Value) -> bool {
        let labels = object.get("metadata").and_then(|metadata| metadata.get("labels"));
        self.requirements.iter().all(|(key, test)| {
            let value = labels.and_then(|labels| labels.get(key)).and_then(Value::as_str);
            test.holds(value)
        })
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl Test {
    fn holds(&self, label: Option<&str>) -> bool {
        let number = || label.and_then(|label| label.parse::<i64>().ok());
        match self {
            Self::Exists => label.is_some(),
            Self::Absent => label.is_none(),
            Self::Equals(value) => label == Some(value),
            Self::Differs(value) => label != Some(value),
            Self::In(values) => label.is_some_and(|label| values.iter().any(|value| value == label)),
            Self::NotIn(values) => !label.is_some_and(|label| values.iter().any(|value| value == label)),
            Self::Greater(limit) => number().is_some_and(|number| number > *limit),
            Self::Less(limit) => number().is_some_and(|number| number < *limit),
        }
    }
}

impl fmt::Display for LabelSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (key, test)) in self.requirements.iter().enumerate() {
            if position > 0 {
                formatter.write_str(",")?;
            }
            match test {
                Test::Exists => write!(formatter, "{key}")?,
                Test::Absent => write!(formatter, "!{key}")?,
                Test::Equals(value) => write!(formatter, "{key}={value}")?,
                Test::Differs(value) => write!(formatter, "{key}!={value}")?,
                Test::In(values) => write!(formatter, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) => write!(formatter, "{key} notin ({})", values.join(","))?,
                Test::Greater(limit) => write!(formatter, "{key}>{limit}")?,
                Test::Less(limit) => write!(formatter, "{key}<{limit}")?,
            }
        }
        Ok(())
    }
}

fn split_outside_parentheses(text: &str) -> Result<Vec<&str>, SelectorError> {
    let mut parts = Vec::new();
    let mut start = 0;
    let mut inside = false;
    for (position, character) in text.char_indices() {
        match character {
            '(' if inside => return refuse("a parenthesis inside of parentheses"),
            '(' => inside = true,
            ')' if !inside => return refuse("a parenthesis that nothing opens"),
            ')' => inside = false,
            ',' if !inside => {
                parts.push(text.get(start..position).unwrap_or_default());
                start = position + 1;
            }
            _ => {}
        }
    }
    if inside {
        return refuse("a parenthesis is not closed");
    }
    parts.push(text.get(start..).unwrap_or_default());
    Ok(parts)
}

fn read_requirement(text: &str) -> Result<(String, Test), SelectorError> {
    let text = text.trim();
    if let Some(key) = text.strip_prefix('!') {
        return Ok((label_key(key)?, Test::Absent));
    }
    if let Some((left, values)) = text.split_once('(') {
        return read_set(left.trim(), values);
    }
    let Some(position) = text.find(['=', '!', '<', '>']) else {
        return Ok((label_key(text)?, Test::Exists));
    };
    let (key, rest) = text.split_at(position);
    let key = label_key(key)?;
    let test = if let Some(value) = rest.strip_prefix("!=") {
        Test::Differs(label_value(value)?)
    } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        Test::Equals(label_value(value)?)
    } else if let Some(limit) = rest.strip_prefix('>') {
        Test::Greater(integer(limit)?)
    } else if let Some(limit) = rest.strip_prefix('<') {
        Test::Less(integer(limit)?)
    } else {
        return refuse(format!("{text:?} has no operator (=, ==, !=, in, notin, <, >)"));
    };
    Ok((key, test))
}

fn read_set(left: &str, values: &str) -> Result<(String, Test), SelectorError> {
    let Some(values) = values.strip_suffix(')') else {
        return refuse(format!("something follows the parenthesis after {left:?}"));
    };
    let Some((key, operator)) = left.rsplit_once(char::is_whitespace) else {
        return refuse(format!(
            "expected in or notin before the parenthesis after {left:?}"
        ));
    };
    let values = values
        .split(',')
        .map(label_value)
        .collect::<Result<Vec<_>, _>>()?;
    let test = match operator {
        "in" => Test::In(values),
        "notin" => Test::NotIn(values),
        other => return refuse(format!("{other:?} is not an operator; use in or notin")),
    };
    Ok((label_key(key)?, test))
}

fn integer(text: &str) -> Result<i64, SelectorError> {
    text.trim()
        .parse()
        .map_err(|_| SelectorError(format!("{:?} is not an integer", text.trim())))
}

/// A qualified name: an optional DNS prefix with a slash, and at most 63 characters.
fn label_key(text: &str) -> Result<String, SelectorError> {
    let text = text.trim();
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let is_prefix = |prefix: &str| {
        (1..=253).contains(&prefix.len())
            && prefix.split('.').all(|label| {
                is_bounded(label)
                    && label
                        .bytes()
                        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            })
    };
    if !name.is_empty() && is_label_text(name) && prefix.is_none_or(is_prefix) {
        return Ok(text.to_owned());
    }
    refuse(format!("{text:?} is not a label key"))
}

fn label_value(text: &str) -> Result<String, SelectorError> {
    let text = text.trim();
    if text.is_empty() || is_label_text(text) {
        return Ok(text.to_owned());
    }
    refuse(format!("{text:?} is not a label value"))
}

fn is_label_text(text: &str) -> bool {
    text.len() <= 63
        && is_bounded(text)
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

/// Starts and ends with a letter or digit.
fn is_bounded(text: &str) -> bool {
    let is_end = |character: char| character.is_ascii_alphanumeric();
    text.starts_with(is_end) && text.ends_with(is_end)
}

/// A field selector, as `metadata.name=x,metadata.namespace!=y`; prints in the form that it is read from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSelector {
    requirements: Vec<FieldRequirement>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct FieldRequirement {
    field: String,
    negated: bool,
    value: String,
}

impl FieldSelector {
    /// Reads the text form; the empty text selects everything. A backslash takes `,`, `=` and `\` as they are.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        let requirements = split_unescaped(text).into_iter().map(read_field);
        Ok(Self {
            requirements: requirements.collect::<Result<_, _>>()?,
        })
    }

    /// Whether the object's fields satisfy every requirement; an absent field is the empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.requirements.iter().all(|requirement| {
            let found = requirement
                .field
                .split('.')
                .try_fold(object, |value, name| value.get(name));
            let is_equal = match found {
                None | Some(Value::Null) => requirement.value.is_empty(),
                Some(Value::String(text)) => *text == requirement.value,
                Some(other) => requirement.value == *other.to_string(),
            };
            is_equal != requirement.negated
        })
    }

    /// The fields that requirements name, for the caller to refuse those that a kind cannot be selected by.
    pub fn fields(&self) -> impl Iterator<Item = &str> {
        self.requirements
            .iter()
            .map(|requirement| requirement.field.as_str())
    }

    /// The value that the field must equal, when a requirement says so (to look up `metadata.name` directly).
    pub fn exact(&self, field: &str) -> Option<&str> {
        let mut requirements = self.requirements.iter();
        requirements
            .find(|requirement| requirement.field == field && !requirement.negated)
            .map(|requirement| requirement.value.as_str())
    }

    /// Whether it selects everything.
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }
}

impl fmt::Display for FieldSelector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, requirement) in self.requirements.iter().enumerate() {
            let comma = if position > 0 { "," } else { "" };
            let operator = if requirement.negated { "!=" } else { "=" };
            let value = requirement
                .value
                .replace('\\', r"\\")
                .replace(',', r"\,")
                .replace('=', r"\=");
            write!(formatter, "{comma}{}{operator}{value}", requirement.field)?;
        }
        Ok(())
    }
}

fn split_unescaped(text: &str) -> Vec<&str> {
    let mut escaped = false;
    text.split(|character: char| {
        let is_end = character == ',' && !escaped;
        escaped = character == '\\' && !escaped;
        is_end
    })
    .collect()
}

fn read_field(text: &str) -> Result<FieldRequirement, SelectorError> {
    let Some((field, value)) = text.split_once('=') else {
        return refuse(format!("{text:?} has no operator (=, ==, !=)"));
    };
    let (field, negated) = match field.strip_suffix('!') {
        Some(field) => (field, true),
        None => (field, false),
    };
    let value = if negated {
        value
    } else {
        value.strip_prefix('=').unwrap_or(value)
    };
    let field = field.trim();
    let is_name = |character: char| character.is_ascii_alphanumeric() || "._-/".contains(character);
    if field.is_empty() || !field.chars().all(is_name) {
        return refuse(format!("{field:?} is not a field"));
    }
    Ok(FieldRequirement {
        field: field.to_owned(),
        negated,
        value: unescape(value.trim())?,
    })
}

fn unescape(text: &str) -> Result<String, SelectorError> {
    let mut out = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => out.push(escaped),
                _ => {
                    return refuse(format!(
                        "{text:?} has a backslash before something else than , = and \\"
                    ));
                }
            },
            '=' => return refuse(format!("{text:?} has an = that is not escaped")),
            other => out.push(other),
        }
    }
    Ok(out)
}
