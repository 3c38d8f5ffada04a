//! What is looked for: a table of detectors, each an expression that begins a match and a check that ends it.

use std::{
    ops::Range,
    sync::{LazyLock, OnceLock},
};

use regex::Regex;

use crate::{pii, secrets};

/// Sorts of detectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// What identifies a person.
    Pii,
    /// What lets somebody in.
    Secret,
}

/// Looks for one sort of value.
///
/// *Invariant:* whether a match begins at a byte follows from the four bytes before it and the `longest` bytes (and one
/// letter) after it; a [`crate::Feed`] relies on it.
#[derive(Clone, Copy)]
pub struct Detector {
    /// As rules name it: `credit-card`.
    pub name: &'static str,
    /// As placeholders name it: `CREDIT_CARD`.
    pub label: &'static str,
    /// What sort it is.
    pub family: Family,
    /// Finds the beginning of a candidate, or all of it.
    pub(crate) pattern: &'static str,
    /// Decides about a candidate, and says how far it goes.
    pub(crate) check: Check,
    /// What a match consists of, or may consist of while it has no `open` beginning.
    pub(crate) inside: fn(char) -> bool,
    /// Finds the beginning of a match that `inside` does not cover and that the text's end may have cut.
    pub(crate) open: Option<Open>,
    /// The most bytes of a match.
    pub(crate) longest: usize,
}

/// What a check says: how far the match goes, and which part of it is the value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) end: usize,
    pub(crate) value: Range<usize>,
}

impl Extent {
    /// A match that is all value.
    pub(crate) fn whole(start: usize, end: usize) -> Self {
        Self {
            end,
            value: start..end,
        }
    }
}

/// Finds where a match begins that goes up to the end of a text and may go on.
#[derive(Clone, Copy)]
pub(crate) enum Open {
    /// By an expression that ends in `\z`.
    Pattern(&'static str),
    /// By a function.
    Function(fn(&str) -> Option<usize>),
}

/// Decides about a candidate in a text: `None` when it is nothing.
pub(crate) type Check = fn(&str, &regex::Captures<'_>) -> Option<Extent>;

/// Takes the candidate as it is: its first group where it has one, else all of it.
pub(crate) fn as_found(_: &str, found: &regex::Captures<'_>) -> Option<Extent> {
    let whole = found.get(0)?;
    let value = found.get(1).unwrap_or(whole);
    Some(Extent {
        end: whole.end(),
        value: value.range(),
    })
}

/// A detector is not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no detector `{0}`; there are the groups pii and secrets, and {list}", list = names())]
pub struct UnknownDetector(pub String);

fn names() -> String {
    let names: Vec<&str> = detectors().map(|detector| detector.name).collect();
    names.join(", ")
}

/// Every detector, in the order in which they win over each other.
pub fn detectors() -> impl Iterator<Item = &'static Detector> {
    secrets::TABLE.iter().chain(pii::TABLE)
}

/// The detectors that names mean: a detector's name, `pii` or `secrets`; each once, in the order of the table.
///
/// # Errors
/// When a name is none.
pub fn select<S: AsRef<str>>(names: &[S]) -> Result<Vec<&'static Detector>, UnknownDetector> {
    let matches = |name: &str, detector: &Detector| match name {
        "pii" => detector.family == Family::Pii,
        "secrets" => detector.family == Family::Secret,
        name => detector.name == name,
    };
    for name in names {
        if !detectors().any(|detector| matches(name.as_ref(), detector)) {
            return Err(UnknownDetector(name.as_ref().to_owned()));
        }
    }
    let wanted = |detector: &&Detector| names.iter().any(|name| matches(name.as_ref(), detector));
    Ok(detectors().filter(wanted).collect())
}

/// A detector's expressions, compiled once per process.
#[derive(Debug, Clone)]
pub(crate) struct Compiled {
    pub(crate) pattern: Regex,
    pub(crate) open: Option<Regex>,
}

/// The expressions of a detector of the table.
pub(crate) fn compiled(detector: &Detector) -> Compiled {
    static TABLE: LazyLock<Vec<(&'static str, OnceLock<Compiled>)>> = LazyLock::new(|| {
        detectors()
            .map(|detector| (detector.name, OnceLock::new()))
            .collect()
    });
    let cell = TABLE.iter().find(|(name, _)| *name == detector.name);
    match cell {
        Some((_, cell)) => cell.get_or_init(|| compile(detector)).clone(),
        None => compile(detector),
    }
}

fn compile(detector: &Detector) -> Compiled {
    let regex = |text| Regex::new(text).expect("a test compiles every expression of the table");
    Compiled {
        pattern: regex(detector.pattern),
        open: match detector.open {
            Some(Open::Pattern(text)) => Some(regex(text)),
            Some(Open::Function(_)) | None => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_expression_compiles_and_every_name_is_its_own() {
        let (mut names, mut labels) = (HashSet::new(), HashSet::new());
        for detector in detectors() {
            compiled(detector);
            assert!(names.insert(detector.name), "{}", detector.name);
            assert!(labels.insert(detector.label), "{}", detector.label);
            let placeholder = format!("[{}_1]", detector.label);
            assert!(crate::is_placeholder(&placeholder), "{placeholder}");
        }
    }

    #[test]
    fn groups_and_names_select_each_detector_once() {
        let all = select(&["secrets", "pii", "email"]).unwrap();
        assert_eq!(all.len(), detectors().count());
        let some: Vec<&str> = select(&["phone", "email"])
            .unwrap()
            .iter()
            .map(|detector| detector.name)
            .collect();
        assert_eq!(some, ["email", "phone"]);
        let error = select(&["e-mail"]).err().unwrap();
        assert!(error.to_string().contains("`e-mail`") && error.to_string().contains("email"));
    }
}
