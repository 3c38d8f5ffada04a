//! Conditions on fields, decided on values. Pure.

use std::{borrow::Cow, cmp::Ordering};

use crate::Timestamp;

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The text is somewhere in it; a list has it in an item.
    Contains,
    /// It is not.
    NotContains,
    /// It begins with the text.
    StartsWith,
    /// It ends with it.
    EndsWith,
    /// It is equal.
    Equal,
    /// It is not.
    NotEqual,
    /// It is larger, or later.
    Greater,
    /// It is not smaller.
    GreaterOrEqual,
    /// It is smaller, or earlier.
    Less,
    /// It is not larger.
    LessOrEqual,
    /// It has no value.
    IsEmpty,
    /// It has one.
    IsNotEmpty,
    /// It is one of several, separated by commas.
    In,
    /// It is none of them.
    NotIn,
}

impl Operator {
    /// Each operator as it is written.
    pub const ALL: [(&'static str, Self); 14] = [
        ("contains", Self::Contains),
        ("not_contains", Self::NotContains),
        ("starts_with", Self::StartsWith),
        ("ends_with", Self::EndsWith),
        ("=", Self::Equal),
        ("!=", Self::NotEqual),
        (">", Self::Greater),
        (">=", Self::GreaterOrEqual),
        ("<", Self::Less),
        ("<=", Self::LessOrEqual),
        ("is_empty", Self::IsEmpty),
        ("is_not_empty", Self::IsNotEmpty),
        ("in", Self::In),
        ("not_in", Self::NotIn),
    ];

    /// The operator that is written so.
    pub fn parse(text: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(name, _)| *name == text).map(|(_, operator)| operator)
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// There is none.
    Absent,
    /// A text.
    Text(Cow<'a, str>),
    /// A number.
    Number(f64),
    /// A time.
    Time(Timestamp),
    /// Several texts.
    List(Cow<'a, [String]>),
}

impl Cell<'_> {
    /// A text that is not copied.
    pub fn text(text: Option<&str>) -> Cell<'_> {
        text.map_or(Cell::Absent, |text| Cell::Text(Cow::Borrowed(text)))
    }

    /// A number.
    pub fn number(number: Option<f64>) -> Cell<'static> {
        number.map_or(Cell::Absent, Cell::Number)
    }

    /// A time.
    pub fn time(time: Option<Timestamp>) -> Cell<'static> {
        time.map_or(Cell::Absent, Cell::Time)
    }

    fn is_empty(&self) -> bool {
        match self {
            Self::Absent => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Number(_) | Self::Time(_) => false,
        }
    }
}

/// A condition on one field.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    /// The field: `name`, `usage.total_tokens`, `feedback_scores`, `metadata`.
    pub field: String,
    /// The key in it: the name of a score, a path in a JSON document; or empty.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub value: String,
    lower: String,
    number: Option<f64>,
    time: Option<Timestamp>,
}

impl Filter {
    /// A condition.
    pub fn new(
        field: impl Into<String>,
        key: impl Into<String>,
        operator: Operator,
        value: impl Into<String>,
    ) -> Self {
        let value = value.into();
        Self {
            field: field.into(),
            key: key.into(),
            operator,
            lower: value.to_lowercase(),
            number: value.trim().parse().ok(),
            time: value.parse().ok(),
            value,
        }
    }

    /// The value as a number, if it is one.
    pub fn number(&self) -> Option<f64> {
        self.number
    }

    /// The value as a time, if it is one.
    pub fn time(&self) -> Option<Timestamp> {
        self.time
    }

    /// Whether a field with this value meets the condition. Texts are compared in any case but for equality; a field
    /// without a value meets only what denies something.
    pub fn holds(&self, cell: &Cell<'_>) -> bool {
        match self.operator {
            Operator::IsEmpty => cell.is_empty(),
            Operator::IsNotEmpty => !cell.is_empty(),
            Operator::NotContains => !self.contained(cell),
            Operator::Contains => self.contained(cell),
            Operator::NotEqual => !self.equals(cell),
            Operator::Equal => self.equals(cell),
            Operator::In => self.among(cell),
            Operator::NotIn => !self.among(cell),
            Operator::StartsWith => any(cell, |text| text.starts_with(&self.lower)),
            Operator::EndsWith => any(cell, |text| text.ends_with(&self.lower)),
            Operator::Greater => self.ordered(cell, Ordering::is_gt),
            Operator::GreaterOrEqual => self.ordered(cell, Ordering::is_ge),
            Operator::Less => self.ordered(cell, Ordering::is_lt),
            Operator::LessOrEqual => self.ordered(cell, Ordering::is_le),
        }
    }

    fn contained(&self, cell: &Cell<'_>) -> bool {
        any(cell, |text| text.contains(&self.lower))
    }

    fn equals(&self, cell: &Cell<'_>) -> bool {
        match cell {
            Cell::Absent => false,
            Cell::Text(text) => *text == self.value,
            Cell::List(items) => items.contains(&self.value),
            Cell::Number(_) | Cell::Time(_) => self.ordered(cell, Ordering::is_eq),
        }
    }

    fn among(&self, cell: &Cell<'_>) -> bool {
        let mut options = self.value.split(',').map(str::trim);
        match cell {
            Cell::Absent => false,
            Cell::Text(text) => options.any(|option| option == text),
            Cell::List(items) => options.any(|option| items.iter().any(|item| item == option)),
            Cell::Number(number) => options.any(|option| option.parse() == Ok(*number)),
            Cell::Time(time) => options.any(|option| option.parse().ok() == Some(*time)),
        }
    }

    fn ordered(&self, cell: &Cell<'_>, wanted: impl Fn(Ordering) -> bool) -> bool {
        let order = match cell {
            Cell::Absent | Cell::List(_) => None,
            // What a number is compared with is a number, wherever it lies.
            Cell::Text(text) => match (text.parse::<f64>(), self.number) {
                (Ok(own), Some(other)) => own.partial_cmp(&other),
                _ => Some(text.as_ref().cmp(&self.value)),
            },
            Cell::Number(own) => self.number.and_then(|other| own.partial_cmp(&other)),
            Cell::Time(own) => self.time.map(|other| own.cmp(&other)),
        };
        order.is_some_and(wanted)
    }
}

/// Whether the text, or any text of the list, does; in lower case.
fn any(cell: &Cell<'_>, test: impl Fn(&str) -> bool) -> bool {
    match cell {
        Cell::Absent => false,
        Cell::Text(text) => test(&text.to_lowercase()),
        Cell::List(items) => items.iter().any(|item| test(&item.to_lowercase())),
        Cell::Number(number) => test(&number.to_string()),
        Cell::Time(time) => test(&time.to_string().to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operator_decides_on_every_sort_of_value() {
        let text = || Cell::Text("GPT-4o".into());
        let list = || Cell::List(vec!["a".to_owned(), "Beta".to_owned()].into());
        let time = || Cell::Time("2026-01-02T00:00:00Z".parse().unwrap());
        for (cell, operator, value, expected) in [
            (text(), "contains", "gpt", true),
            (text(), "not_contains", "gpt", false),
            (text(), "starts_with", "gp", true),
            (text(), "ends_with", "4O", true),
            (text(), "=", "gpt-4o", false),
            (text(), "=", "GPT-4o", true),
            (text(), "!=", "x", true),
            (text(), "in", "x, GPT-4o", true),
            (text(), "not_in", "x,y", true),
            (text(), "is_empty", "", false),
            (text(), ">", "A", true),
            (Cell::Text("10".into()), ">", "9", true),
            (list(), "contains", "bet", true),
            (list(), "contains", "c", false),
            (list(), "=", "a", true),
            (list(), "is_not_empty", "", true),
            (list(), ">", "a", false),
            (Cell::Number(0.5), ">", "0.4", true),
            (Cell::Number(0.5), "<=", "0.5", true),
            (Cell::Number(0.5), "=", "0.50", true),
            (Cell::Number(0.5), "<", "x", false),
            (Cell::Number(5.0), "in", "1,5", true),
            (time(), ">=", "2026-01-02T00:00:00Z", true),
            (time(), "<", "2026-01-02T00:00:00Z", false),
            (time(), ">", "2026-01-01T23:59:59.999999Z", true),
            (Cell::Absent, "is_empty", "", true),
            (Cell::Absent, "!=", "x", true),
            (Cell::Absent, "not_contains", "x", true),
            (Cell::Absent, "=", "", false),
            (Cell::Absent, "<", "1", false),
        ] {
            let parsed = Operator::parse(operator).unwrap();
            let filter = Filter::new("f", "", parsed, value);
            assert_eq!(filter.holds(&cell), expected, "{cell:?} {operator} {value}");
        }
        assert_eq!(Operator::parse("like"), None);
    }
}
