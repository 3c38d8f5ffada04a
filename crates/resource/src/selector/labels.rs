//! Label selectors.

use std::fmt;

use serde_json::Value;

use super::{SelectorError, refuse};
use crate::names;

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
        let requirements = Reader::new(text).requirements()?;
        Ok(Self { requirements })
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

/// A word of a selector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    End,
    Comma,
    Open,
    Close,
    Not,
    Operator,
    Identifier,
    Unknown,
}

fn is_special(letter: char) -> bool {
    matches!(letter, '=' | '!' | '(' | ')' | ',' | '>' | '<')
}

fn is_blank(letter: char) -> bool {
    matches!(letter, ' ' | '\t' | '\r' | '\n')
}

fn token_of(text: &str) -> Option<Token> {
    Some(match text {
        "," => Token::Comma,
        "(" => Token::Open,
        ")" => Token::Close,
        "!" => Token::Not,
        "=" | "==" | "!=" | ">" | "<" => Token::Operator,
        _ => return None,
    })
}

/// The words of a text, the end included.
fn words(text: &str) -> Vec<(Token, &str)> {
    let (mut words, mut rest) = (Vec::new(), text.trim_start_matches(is_blank));
    while let Some(first) = rest.chars().next() {
        let (token, length) = if is_special(first) {
            symbol(rest)
        } else {
            let end = rest.find(|letter| is_special(letter) || is_blank(letter));
            (Token::Identifier, end.unwrap_or(rest.len()))
        };
        let (word, after) = rest.split_at(length);
        words.push((token, word));
        rest = after.trim_start_matches(is_blank);
    }
    words.push((Token::End, ""));
    words
}

/// The longest symbol that the text begins with, and its length.
fn symbol(text: &str) -> (Token, usize) {
    let special = text.find(|letter| !is_special(letter)).unwrap_or(text.len());
    let known = (1..=special.min(2)).rev().find_map(|length| {
        let token = token_of(text.get(..length)?)?;
        Some((token, length))
    });
    known.unwrap_or((Token::Unknown, special))
}

/// Reads the requirements of a selector, and says what it found instead of them in the words of the original.
struct Reader<'a> {
    words: std::iter::Peekable<std::vec::IntoIter<(Token, &'a str)>>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            words: words(text).into_iter().peekable(),
        }
    }

    fn peek(&mut self) -> (Token, &'a str) {
        self.words.peek().copied().unwrap_or((Token::End, ""))
    }

    fn next(&mut self) -> (Token, &'a str) {
        self.words.next().unwrap_or((Token::End, ""))
    }

    fn requirements(mut self) -> Result<Vec<(String, Test)>, SelectorError> {
        let mut requirements = Vec::new();
        loop {
            match self.peek() {
                (Token::End, _) => return Ok(requirements),
                (Token::Identifier | Token::Not, _) => {}
                (_, found) => {
                    return refuse(format!(
                        "found '{found}', expected: !, identifier, or 'end of string'"
                    ));
                }
            }
            let read = self.requirement();
            requirements
                .push(read.map_err(|why| SelectorError(format!("unable to parse requirement: {why}")))?);
            match self.next() {
                (Token::End, _) => return Ok(requirements),
                (Token::Comma, _) => match self.peek() {
                    (Token::Identifier | Token::Not, _) => {}
                    (_, found) => return refuse(format!("found '{found}', expected: identifier after ','")),
                },
                (_, found) => return refuse(format!("found '{found}', expected: ',' or 'end of string'")),
            }
        }
    }

    fn requirement(&mut self) -> Result<(String, Test), SelectorError> {
        let negated = self.peek().0 == Token::Not;
        if negated {
            self.next();
        }
        let key = match self.next() {
            (Token::Identifier, key) => key,
            (_, found) => return refuse(format!("found '{found}', expected: identifier")),
        };
        let faults = names::faults_of_key(key, "label key");
        if !faults.is_empty() {
            return refuse(format!("<nil>: Invalid value: {key:?}: {}", faults.join("; ")));
        }
        if negated {
            return Ok((key.to_owned(), Test::Absent));
        }
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok((key.to_owned(), Test::Exists));
        }
        let test = self.test(key)?;
        Ok((key.to_owned(), test))
    }

    fn test(&mut self, key: &str) -> Result<Test, SelectorError> {
        Ok(match self.next() {
            (Token::Identifier, "in") => Test::In(checked(key, self.values()?)?),
            (Token::Identifier, "notin") => Test::NotIn(checked(key, self.values()?)?),
            (Token::Operator, "=" | "==") => Test::Equals(checked_one(key, self.exact_value()?)?),
            (Token::Operator, "!=") => Test::Differs(checked_one(key, self.exact_value()?)?),
            (Token::Operator, ">") => Test::Greater(integer(&self.exact_value()?)?),
            (Token::Operator, "<") => Test::Less(integer(&self.exact_value()?)?),
            (_, found) => {
                return refuse(format!("found '{found}', expected: in, notin, =, ==, !=, gt, lt"));
            }
        })
    }

    fn exact_value(&mut self) -> Result<String, SelectorError> {
        if matches!(self.peek().0, Token::End | Token::Comma) {
            return Ok(String::new());
        }
        match self.next() {
            (Token::Identifier, value) => Ok(value.to_owned()),
            (_, found) => refuse(format!("found '{found}', expected: identifier")),
        }
    }

    fn values(&mut self) -> Result<Vec<String>, SelectorError> {
        match self.next() {
            (Token::Open, _) => {}
            (_, found) => return refuse(format!("found '{found}' expected: '('")),
        }
        match self.peek() {
            (Token::Close, _) => {
                self.next();
                Ok(vec![String::new()])
            }
            (Token::Identifier | Token::Comma, _) => self.list(),
            (_, found) => refuse(format!("found '{found}', expected: ',', ')' or identifier")),
        }
    }

    /// The values up to the parenthesis that ends them; nothing between two commas is the empty value.
    fn list(&mut self) -> Result<Vec<String>, SelectorError> {
        let (mut values, mut is_open) = (Vec::new(), true);
        loop {
            match self.next() {
                (Token::Identifier, value) if is_open => {
                    values.push(value.to_owned());
                    is_open = false;
                }
                (Token::Comma, _) if is_open => values.push(String::new()),
                (Token::Comma, _) => is_open = true,
                (Token::Close, _) => {
                    if is_open {
                        values.push(String::new());
                    }
                    values.sort_unstable();
                    values.dedup();
                    return Ok(values);
                }
                (_, found) if is_open => {
                    return refuse(format!("found '{found}', expected: ',', or identifier"));
                }
                (_, found) => return refuse(format!("found '{found}', expected: ',' or ')'")),
            }
        }
    }
}

fn integer(text: &str) -> Result<i64, SelectorError> {
    text.parse().map_err(|_| {
        let why = "for 'Gt', 'Lt' operators, the value must be an integer";
        SelectorError(format!("values[0]: Invalid value: {text:?}: {why}"))
    })
}

fn checked_one(key: &str, value: String) -> Result<String, SelectorError> {
    checked(key, vec![value]).map(|values| values.into_iter().next().unwrap_or_default())
}

fn checked(key: &str, values: Vec<String>) -> Result<Vec<String>, SelectorError> {
    for (index, value) in values.iter().enumerate() {
        let faults = names::faults_of_label_value(value);
        if !faults.is_empty() {
            return refuse(format!(
                "values[{index}][{key}]: Invalid value: {value:?}: {}",
                faults.join("; ")
            ));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_told_as_by_kubernetes() {
        for (text, told) in [
            ("x=1=2", "found '=', expected: ',' or 'end of string'"),
            (",", "found ',', expected: !, identifier, or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            ("x in", "unable to parse requirement: found '' expected: '('"),
            (
                "x in (a b)",
                "unable to parse requirement: found 'b', expected: ',' or ')'",
            ),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("!", "unable to parse requirement: found '', expected: identifier"),
            (
                "a=(",
                "unable to parse requirement: found '(', expected: identifier",
            ),
            (
                "a>b",
                "unable to parse requirement: values[0]: Invalid value: \"b\": for 'Gt', 'Lt' operators, the value must \
                 be an integer",
            ),
        ] {
            let error = LabelSelector::parse(text).expect_err(text);
            assert_eq!(error.to_string(), told, "{text}");
        }
    }

    #[test]
    fn empty_values_are_values() {
        for (text, read) in [
            ("a=", "a="),
            ("a in ()", "a in ()"),
            ("a in (,b)", "a in (,b)"),
            ("a in (b,,c)", "a in (,b,c)"),
            ("in in (in)", "in in (in)"),
            (" a == b , !c", "a=b,!c"),
        ] {
            let selector = LabelSelector::parse(text).expect(text);
            assert_eq!(selector.to_string(), read, "{text}");
        }
    }
}
