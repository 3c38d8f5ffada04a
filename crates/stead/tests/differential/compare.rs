//! What differs between two answers, and which differences are right.

use std::{collections::BTreeSet, path::Path};

use regex::Regex;
use serde_json::Value;

use crate::server::Answer;

/// One difference: where, what Kubernetes has, what Stead has.
#[derive(Debug, Clone)]
pub(crate) struct Difference {
    /// `status`, `warnings`, `type`, or a pointer into the body.
    pub(crate) place: String,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

/// Compares two answers; a body is looked into only where the statuses are the same.
pub(crate) fn differences(theirs: &Answer, ours: &Answer) -> Vec<Difference> {
    let mut found = Vec::new();
    if theirs.status != ours.status {
        found.push(Difference {
            place: "status".into(),
            theirs: format!("{} {}", theirs.status, theirs.body),
            ours: format!("{} {}", ours.status, ours.body),
        });
        return found;
    }
    if theirs.warnings != ours.warnings {
        found.push(Difference {
            place: "warnings".into(),
            theirs: format!("{:?}", theirs.warnings),
            ours: format!("{:?}", ours.warnings),
        });
    }
    if theirs.media_type != ours.media_type {
        found.push(Difference {
            place: "type".into(),
            theirs: theirs.media_type.clone(),
            ours: ours.media_type.clone(),
        });
    }
    walk(Some(&theirs.body), Some(&ours.body), String::new(), &mut found);
    found
}

fn walk(theirs: Option<&Value>, ours: Option<&Value>, place: String, found: &mut Vec<Difference>) {
    match (theirs, ours) {
        (Some(Value::Object(a)), Some(Value::Object(b))) => {
            let names: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
            for name in names {
                let step = name.replace('~', "~0").replace('/', "~1");
                walk(a.get(name), b.get(name), format!("{place}/{step}"), found);
            }
        }
        (Some(Value::Array(a)), Some(Value::Array(b))) => {
            for index in 0..a.len().max(b.len()) {
                walk(a.get(index), b.get(index), format!("{place}/{index}"), found);
            }
        }
        (theirs, ours) if theirs == ours => {}
        (Some(Value::Number(a)), Some(Value::Number(b))) if a.as_f64() == b.as_f64() => {}
        (theirs, ours) => {
            let shown = |value: Option<&Value>| value.map_or("(absent)".to_owned(), ToString::to_string);
            found.push(Difference {
                place,
                theirs: shown(theirs),
                ours: shown(ours),
            });
        }
    }
}

/// The differences that are right.
pub(crate) struct Accepted(Vec<Rule>);

struct Rule {
    case: Regex,
    place: Regex,
    /// What Kubernetes' value must look like, if it matters.
    when: Option<Regex>,
    reason: String,
    /// Whether it shows in some runs only.
    sometimes: bool,
    used: std::sync::atomic::AtomicBool,
}

impl Accepted {
    /// Reads the list: each entry says in which cases (`theme: name`), where, and why.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file).expect("a list of differences");
        let rules = crate::script::read_yaml(&text).expect("a list");
        let read = |rule: &Value| {
            let pattern = |key: &str| {
                let text = rule[key].as_str().unwrap_or_else(|| panic!("{key} in {rule}"));
                Regex::new(&format!("^(?:{text})$")).expect("a valid pattern")
            };
            Rule {
                case: pattern("case"),
                place: pattern("place"),
                when: rule
                    .get("when")
                    .and_then(Value::as_str)
                    .map(|text| Regex::new(text).expect("a valid pattern")),
                reason: rule["reason"].as_str().expect("a reason").to_owned(),
                sometimes: rule.get("sometimes").is_some(),
                used: std::sync::atomic::AtomicBool::new(false),
            }
        };
        Self(rules.iter().map(read).collect())
    }

    /// Whether the difference is one of them.
    pub(crate) fn has(&self, case: &str, difference: &Difference) -> bool {
        let rule = self.0.iter().find(|rule| {
            rule.case.is_match(case)
                && rule.place.is_match(&difference.place)
                && rule
                    .when
                    .as_ref()
                    .is_none_or(|when| when.is_match(&difference.theirs))
        });
        if let Some(rule) = rule {
            rule.used.store(true, std::sync::atomic::Ordering::Relaxed);
        }
        rule.is_some()
    }

    /// No differences.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    /// The reasons of those that some case must show and none has shown.
    pub(crate) fn unused(&self) -> Vec<&str> {
        self.0
            .iter()
            .filter(|rule| !rule.sometimes && !rule.used.load(std::sync::atomic::Ordering::Relaxed))
            .map(|rule| rule.reason.as_str())
            .collect()
    }
}
