//! The language in which people say which traces they mean: `model:qwen3 status:error latency>500ms`. Pure.
//!
//! Terms with spaces between them, of which all must hold. A term is a field, a relation and a value; `-` before it
//! denies it, commas in a value mean either. Words without a field are looked for as they stand.
//!
//! *Invariant:* what is not understood is refused by its name, never passed over.

use serde_json::Value;
use stead_kernel::{
    Error, Result,
    ports::traces::{Cell, Entry, Filter, Operator},
};

/// What a field holds, which decides how its values are read and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sort {
    /// A text: `:` is "contains".
    Text,
    /// One of a few words: `:` is "is".
    Word,
    /// A number.
    Number,
    /// A duration, in milliseconds.
    Millis,
    /// An amount of US dollars.
    Dollars,
}

/// A field that can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Known {
    /// As people write it.
    name: &'static str,
    /// As rows name it.
    field: &'static str,
    sort: Sort,
    /// As the store of traces names it, where it can decide by itself.
    stored: Option<&'static str>,
}

const fn known(name: &'static str, field: &'static str, sort: Sort, stored: Option<&'static str>) -> Known {
    Known {
        name,
        field,
        sort,
        stored,
    }
}

/// All fields; those whose name ends with a dot have a key after it.
const FIELDS: [Known; 30] = [
    known("model", "model", Sort::Text, Some("models")),
    known("provider", "provider", Sort::Text, Some("providers")),
    known("name", "name", Sort::Text, Some("name")),
    known("status", "status", Sort::Word, None),
    known("source", "source", Sort::Word, None),
    known("user", "user", Sort::Text, None),
    known("key", "key", Sort::Text, None),
    known("tag", "tag", Sort::Text, Some("tags")),
    known("thread", "thread", Sort::Text, Some("thread_id")),
    known("session", "thread", Sort::Text, Some("thread_id")),
    known("env", "environment", Sort::Text, Some("environment")),
    known("environment", "environment", Sort::Text, Some("environment")),
    known("application", "application", Sort::Text, None),
    known("id", "id", Sort::Text, None),
    known("trace", "trace", Sort::Text, None),
    known("error", "error", Sort::Text, None),
    known("code", "code", Sort::Number, None),
    known("latency", "latency", Sort::Millis, Some("duration")),
    known("duration", "latency", Sort::Millis, Some("duration")),
    known("ttft", "ttft", Sort::Millis, None),
    known("cost", "cost", Sort::Dollars, Some("total_estimated_cost")),
    known("tokens", "tokens", Sort::Number, None),
    known("tokens.input", "tokens.input", Sort::Number, None),
    known("tokens.output", "tokens.output", Sort::Number, None),
    known("spans", "spans", Sort::Number, Some("span_count")),
    known("label.", "label", Sort::Text, None),
    known("metadata.", "metadata", Sort::Text, Some("metadata")),
    known("input.", "input", Sort::Text, Some("input")),
    known("output.", "output", Sort::Text, Some("output")),
    known("score.", "score", Sort::Number, Some("feedback_scores")),
];
/// Fields that only the store of traces can decide on.
const ONLY_STORED: [&str; 4] = ["metadata", "input", "output", "score"];
/// The longest question, in bytes.
const LONGEST: usize = 4_096;

/// A condition: any of these holds, or, denied, none.
#[derive(Debug, Clone, PartialEq)]
struct Term {
    known: Known,
    any: Vec<Filter>,
    denied: bool,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Question {
    terms: Vec<Term>,
    /// The words without a field.
    pub(super) text: Option<String>,
}

impl Question {
    /// Reads a question.
    ///
    /// # Errors
    /// `Invalid` with what is not understood.
    pub(super) fn parse(asked: &str) -> Result<Self> {
        if asked.len() > LONGEST {
            return Err(wrong(format!("a question has at most {LONGEST} bytes")));
        }
        let mut question = Self::default();
        let mut words: Vec<String> = Vec::new();
        for token in tokens(asked)? {
            match split(&token) {
                Some((name, relation, value)) => question.terms.push(term(name, relation, value)?),
                None if token.denied => {
                    return Err(wrong(format!(
                        "-{}: only a term with a field can be denied",
                        token.text
                    )));
                }
                None => words.push(token.text),
            }
        }
        question.text = Some(words.join(" ")).filter(|text| !text.is_empty());
        Ok(question)
    }

    /// Whether a row with these cells is meant, as far as a row can tell.
    pub(super) fn holds<'a>(&self, cell: impl Fn(&str, &str) -> Cell<'a>) -> bool {
        self.terms.iter().all(|term| {
            if ONLY_STORED.contains(&term.known.field) {
                return true;
            }
            let any = term
                .any
                .iter()
                .any(|filter| filter.holds(&cell(&filter.field, &filter.key)));
            any != term.denied
        })
    }

    /// Whether a trace is meant by what its row does not show, as the store of traces would decide.
    pub(super) fn holds_apart(&self, entry: &Entry) -> bool {
        let terms = self.terms.iter().all(|term| {
            let [only] = term.any.as_slice() else { return true };
            !ONLY_STORED.contains(&term.known.field)
                || only.holds(&apart(entry, &only.field, &only.key)) != term.denied
        });
        terms && self.text.as_deref().is_none_or(|text| has_text(entry, text))
    }

    /// What the store of traces can decide on by itself.
    pub(super) fn stored(&self) -> Vec<Filter> {
        self.terms.iter().filter_map(Term::stored).collect()
    }

    /// Whether the store of traces can decide on all of it.
    pub(super) fn is_stored(&self) -> bool {
        self.terms.iter().all(|term| term.stored().is_some())
    }

    /// Whether it asks for what only applications' traces have.
    pub(super) fn is_of_applications(&self) -> bool {
        let only = |term: &Term| ONLY_STORED.contains(&term.known.field) && !term.denied;
        self.terms.iter().any(only) || self.only("source") == Some("application")
    }

    /// Whether it asks for requests of the gateway alone.
    pub(super) fn is_of_requests(&self) -> bool {
        self.only("source") == Some("gateway")
    }

    /// The one text that a field must be equal to, where it is asked for so.
    pub(super) fn only(&self, field: &str) -> Option<&str> {
        self.terms.iter().find_map(|term| match term.any.as_slice() {
            [only] if term.known.field == field && !term.denied && only.operator == Operator::Equal => {
                Some(only.value.as_str())
            }
            _ => None,
        })
    }
}

impl Term {
    fn stored(&self) -> Option<Filter> {
        let [only] = self.any.as_slice() else { return None };
        if self.known.field == "status" && only.operator == Operator::Equal && only.value == "error" {
            let operator = if self.denied {
                Operator::IsEmpty
            } else {
                Operator::IsNotEmpty
            };
            return Some(Filter::new("error_info", "", operator, ""));
        }
        let stored = self.known.stored?;
        let operator = match (self.denied, only.operator) {
            (false, operator) => operator,
            (true, Operator::Contains) => Operator::NotContains,
            (true, Operator::Equal) => Operator::NotEqual,
            (true, Operator::NotEqual) => Operator::Equal,
            (true, _) => return None,
        };
        Some(Filter::new(
            stored,
            only.key.as_str(),
            operator,
            only.value.as_str(),
        ))
    }
}

/// The value of a field that no row shows.
fn apart<'a>(entry: &'a Entry, field: &str, key: &str) -> Cell<'a> {
    let document = match field {
        "metadata" => entry.fields.metadata.as_ref(),
        "input" => entry.fields.input.as_ref(),
        "output" => entry.fields.output.as_ref(),
        _ => {
            let values = entry.scores.iter().filter(|score| score.name == key);
            let (sum, count) =
                values.fold((0.0, 0.0), |(sum, count), score| (sum + score.value, count + 1.0));
            return Cell::number((count > 0.0).then(|| sum / count));
        }
    };
    let document: Option<Value> = document.and_then(|json| serde_json::from_str(json.get()).ok());
    let Some(document) = document else {
        return Cell::Absent;
    };
    // A key may itself have dots in it, as those of OpenTelemetry have.
    let found = document.get(key).or_else(|| {
        key.split('.')
            .try_fold(&document, |value, part| match part.parse::<usize>() {
                Ok(index) if value.is_array() => value.get(index),
                _ => value.get(part),
            })
    });
    match found {
        None | Some(Value::Null) => Cell::Absent,
        Some(Value::String(text)) => Cell::Text(text.clone().into()),
        Some(Value::Number(number)) => Cell::number(number.as_f64()),
        Some(other) => Cell::Text(other.to_string().into()),
    }
}

fn has_text(entry: &Entry, text: &str) -> bool {
    let (text, fields) = (text.to_lowercase(), &entry.fields);
    let documents = [&fields.input, &fields.output, &fields.metadata]
        .into_iter()
        .flatten();
    let own = [Some(entry.id.to_string()), fields.name.clone()]
        .into_iter()
        .flatten();
    documents
        .map(|json| json.get().to_owned())
        .chain(own)
        .any(|own| own.to_lowercase().contains(&text))
}

/// A piece between spaces.
#[derive(Debug)]
struct Token {
    text: String,
    denied: bool,
    /// How many bytes of the text come before its first quote; a field has none in it.
    plain: usize,
}

fn tokens(asked: &str) -> Result<Vec<Token>> {
    let mut all = Vec::new();
    let mut letters = asked.chars().peekable();
    while let Some(first) = letters.peek() {
        if first.is_whitespace() {
            letters.next();
            continue;
        }
        let denied = letters.next_if_eq(&'-').is_some();
        let (mut text, mut plain, mut quoted) = (String::new(), None, false);
        for letter in letters.by_ref() {
            match letter {
                '"' => {
                    plain.get_or_insert(text.len());
                    quoted = !quoted;
                }
                letter if letter.is_whitespace() && !quoted => break,
                letter => text.push(letter),
            }
        }
        if quoted {
            return Err(wrong("a quote is opened and not closed"));
        }
        let plain = plain.unwrap_or(text.len());
        all.push(Token { text, denied, plain });
    }
    Ok(all)
}

/// Relations as they are written, longer ones first.
const RELATIONS: [(&str, Operator); 7] = [
    (">=", Operator::GreaterOrEqual),
    ("<=", Operator::LessOrEqual),
    ("!=", Operator::NotEqual),
    (":", Operator::Contains),
    ("=", Operator::Equal),
    (">", Operator::Greater),
    ("<", Operator::Less),
];

/// Field, relation and value of a token that has them.
fn split(token: &Token) -> Option<(&str, Asked, &str)> {
    let plain = token.text.get(..token.plain)?;
    let at = plain.find([':', '=', '<', '>', '!'])?;
    let (name, rest) = token.text.split_at_checked(at)?;
    let (written, operator) = RELATIONS
        .into_iter()
        .find(|(written, _)| rest.starts_with(written))?;
    let asked = Asked {
        operator,
        denied: token.denied,
    };
    Some((name, asked, rest.get(written.len()..)?))
}

#[derive(Debug, Clone, Copy)]
struct Asked {
    operator: Operator,
    denied: bool,
}

fn term(name: &str, asked: Asked, value: &str) -> Result<Term> {
    let (known, key) = field(name)?;
    if value.is_empty() {
        return Err(wrong(format!("{name}: a value must follow")));
    }
    let is_text = known.sort == Sort::Text;
    let operator = match asked.operator {
        Operator::Contains if !is_text => Operator::Equal,
        operator => operator,
    };
    let ordered = !matches!(
        operator,
        Operator::Contains | Operator::Equal | Operator::NotEqual
    );
    if ordered && known.sort == Sort::Word {
        return Err(wrong(format!("{name}: this has no order")));
    }
    // `!=` with several is none of them, as a denied `=` is.
    let (operator, denied) = match operator {
        Operator::NotEqual => (Operator::Equal, !asked.denied),
        operator => (operator, asked.denied),
    };
    let values: Vec<&str> = if ordered {
        vec![value]
    } else {
        value.split(',').filter(|value| !value.is_empty()).collect()
    };
    if values.is_empty() || (values.len() > 1 && ONLY_STORED.contains(&known.field)) {
        return Err(wrong(format!("{name}: this takes one value")));
    }
    let mut any = Vec::with_capacity(values.len());
    for value in values {
        let value = read(name, known.sort, value)?;
        any.push(Filter::new(known.field, key, operator, value));
    }
    Ok(Term { known, any, denied })
}

fn field(name: &str) -> Result<(Known, &str)> {
    for known in FIELDS {
        if known.name == name && !name.ends_with('.') {
            return Ok((known, ""));
        }
        let key = known.name.ends_with('.').then(|| name.strip_prefix(known.name));
        if let Some(key) = key.flatten().filter(|key| !key.is_empty()) {
            return Ok((known, key));
        }
    }
    let names: Vec<&str> = FIELDS.iter().map(|known| known.name).collect();
    Err(wrong(format!("there is no field {name:?}")).hint(format!(
        "fields are {}; put a text that holds such a sign into quotes",
        names.join(", ")
    )))
}

/// A value in the unit in which the field is compared.
fn read(name: &str, sort: Sort, value: &str) -> Result<String> {
    let number = |text: &str| {
        text.trim()
            .parse::<f64>()
            .ok()
            .filter(|number| number.is_finite())
    };
    let found = match sort {
        Sort::Text | Sort::Word => Some(value.to_owned()),
        Sort::Number => number(value).map(|number| number.to_string()),
        Sort::Dollars => number(value.trim_start_matches('$')).map(|number| number.to_string()),
        Sort::Millis => {
            let units = [
                ("us", 0.001),
                ("µs", 0.001),
                ("ms", 1.0),
                ("s", 1e3),
                ("m", 6e4),
                ("h", 3.6e6),
            ];
            let unit = units.into_iter().find(|(unit, _)| {
                value
                    .strip_suffix(unit)
                    .is_some_and(|rest| number(rest).is_some())
            });
            let (rest, factor) = unit.map_or((value, 1.0), |(unit, factor)| {
                (value.strip_suffix(unit).unwrap_or(value), factor)
            });
            number(rest).map(|number| (number * factor).to_string())
        }
    };
    found.ok_or_else(|| {
        let wanted = match sort {
            Sort::Millis => "a duration such as 500ms, 1.5s or 2m",
            Sort::Dollars => "an amount of dollars",
            Sort::Number | Sort::Text | Sort::Word => "a number",
        };
        wrong(format!("{name}: {value:?} is not {wanted}"))
    })
}

fn wrong(what: impl AsRef<str>) -> Error {
    Error::invalid(format!("q: {}", what.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(field: &str, key: &str) -> Cell<'static> {
        match (field, key) {
            ("model", _) => Cell::List(vec!["qwen3-32b".to_owned(), "gpt-4o".to_owned()].into()),
            ("name", _) => Cell::Text("Answer a question".into()),
            ("status", _) => Cell::Text("error".into()),
            ("latency", _) => Cell::Number(1_500.0),
            ("cost", _) => Cell::Number(0.02),
            ("tokens", _) => Cell::Number(120.0),
            ("label", "team") => Cell::Text("blue".into()),
            _ => Cell::Absent,
        }
    }

    #[test]
    fn every_term_must_hold_on_a_row() {
        for (asked, expected) in [
            ("", true),
            ("model:QWEN3", true),
            ("model:qwen3 status:error latency>500ms", true),
            ("model=qwen3", false),
            ("model=qwen3-32b", true),
            ("model!=gpt-4o", false),
            ("model:llama,gpt", true),
            ("-model:llama,mistral", true),
            ("-model:llama,gpt", false),
            ("name:\"a question\"", true),
            ("status:ok,error", true),
            ("-status:error", false),
            ("latency>1.5s", false),
            ("latency>=1.5s latency<2m latency>1400", true),
            ("cost>$0.01 cost<0.03", true),
            ("tokens:120", true),
            ("label.team:blue", true),
            ("label.team:red", false),
            ("ttft>1ms", false),
            ("-ttft>1ms", true),
            ("user:ada", false),
            ("score.quality>0.5 metadata.a.b:c", true),
        ] {
            let question = Question::parse(asked).unwrap();
            assert_eq!(question.holds(cell), expected, "{asked}");
        }
    }

    #[test]
    fn words_are_a_phrase_and_quotes_hide_signs() {
        for (asked, text) in [
            ("refund order", Some("refund order")),
            ("  model:x  refund  \"a : b\" ", Some("refund a : b")),
            ("model:x", None),
            ("\"model:x\"", Some("model:x")),
        ] {
            assert_eq!(Question::parse(asked).unwrap().text.as_deref(), text, "{asked}");
        }
    }

    #[test]
    fn what_is_not_understood_is_refused_by_its_name() {
        for (asked, message) in [
            ("colour:red", "q: there is no field \"colour\""),
            (
                "latency>soon",
                "q: latency: \"soon\" is not a duration such as 500ms, 1.5s or 2m",
            ),
            ("tokens:many", "q: tokens: \"many\" is not a number"),
            ("status>ok", "q: status: this has no order"),
            ("name:", "q: name: a value must follow"),
            ("\"open", "q: a quote is opened and not closed"),
            ("-word", "q: -word: only a term with a field can be denied"),
            ("metadata.a:b,c", "q: metadata.a: this takes one value"),
            ("label.:x", "q: there is no field \"label.\""),
        ] {
            let error = Question::parse(asked).unwrap_err();
            assert_eq!(error.message(), message, "{asked}");
        }
    }

    #[test]
    fn the_store_decides_on_what_it_knows() {
        let stored = |asked: &str| {
            let question = Question::parse(asked).unwrap();
            let filters = question.stored();
            let shown = filters.iter().map(|filter| {
                format!(
                    "{}.{} {:?} {}",
                    filter.field, filter.key, filter.operator, filter.value
                )
            });
            (shown.collect::<Vec<_>>().join("; "), question.is_stored())
        };
        assert_eq!(
            stored("status:error latency>1s"),
            ("error_info. IsNotEmpty ; duration. Greater 1000".into(), true)
        );
        assert_eq!(
            stored("-name:x user:ada score.q>=1"),
            (
                "name. NotContains x; feedback_scores.q GreaterOrEqual 1".into(),
                false
            )
        );
        assert_eq!(stored("model:a,b"), (String::new(), false));
        let of = |asked| Question::parse(asked).unwrap();
        assert!(of("metadata.a:b").is_of_applications() && !of("-metadata.a:b").is_of_applications());
        assert!(of("source:gateway").is_of_requests());
        assert_eq!(of("model=x").only("model"), Some("x"));
        assert_eq!(of("model:x").only("model"), None);
    }
}
