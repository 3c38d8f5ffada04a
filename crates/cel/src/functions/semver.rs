//! Semantic versions (semver.org, 2.0.0).

use std::{cmp::Ordering, fmt, sync::Arc};

use super::{Function, global, member};
use crate::{
    fault::Fault,
    value::{Opaque, Value},
};

/// A version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Semver {
    numbers: [u64; 3],
    pre: Vec<String>,
    build: Vec<String>,
}

impl fmt::Display for Semver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(formatter, "{major}.{minor}.{patch}")?;
        if !self.pre.is_empty() {
            write!(formatter, "-{}", self.pre.join("."))?;
        }
        if !self.build.is_empty() {
            write!(formatter, "+{}", self.build.join("."))?;
        }
        Ok(())
    }
}

pub(super) const FUNCTIONS: &[Function] = &[
    global(
        "semver",
        &["string -> semver", "string, bool -> semver"],
        |args, _| {
            let (text, parsed) = read(args)?;
            match parsed {
                Some(version) => Ok(Value::Opaque(Opaque::Semver(Arc::new(version)))),
                None => Err(Fault::new(format!("{text:?} is no semantic version"))),
            }
        },
    ),
    global(
        "isSemver",
        &["string -> bool", "string, bool -> bool"],
        |args, _| {
            let (_, parsed) = read(args)?;
            Ok(Value::Bool(parsed.is_some()))
        },
    ),
    member("isGreaterThan", &["semver, semver -> bool"], |args, _| {
        compared(args).map(|order| Value::Bool(order.is_gt()))
    }),
    member("isLessThan", &["semver, semver -> bool"], |args, _| {
        compared(args).map(|order| Value::Bool(order.is_lt()))
    }),
    member("compareTo", &["semver, semver -> int"], |args, _| {
        compared(args).map(|order| Value::Int(order as i64))
    }),
    member("major", &["semver -> int"], |args, _| {
        number(args, |[major, _, _]| major)
    }),
    member("minor", &["semver -> int"], |args, _| {
        number(args, |[_, minor, _]| minor)
    }),
    member("patch", &["semver -> int"], |args, _| {
        number(args, |[_, _, patch]| patch)
    }),
];

fn read(args: &[Value]) -> Result<(&str, Option<Semver>), Fault> {
    match args {
        [Value::String(text)] | [Value::String(text), Value::Bool(false)] => Ok((text, Semver::parse(text))),
        [Value::String(text), Value::Bool(true)] => {
            let parsed = normalize(text).and_then(|normal| Semver::parse(&normal));
            Ok((text, parsed))
        }
        _ => Err(Fault::NoOverload),
    }
}

fn number(args: &[Value], choose: fn([u64; 3]) -> u64) -> Result<Value, Fault> {
    match args {
        [Value::Opaque(Opaque::Semver(version))] => Ok(Value::Int(
            i64::try_from(choose(version.numbers)).unwrap_or(i64::MAX),
        )),
        _ => Err(Fault::NoOverload),
    }
}

fn compared(args: &[Value]) -> Result<Ordering, Fault> {
    match args {
        [
            Value::Opaque(Opaque::Semver(one)),
            Value::Opaque(Opaque::Semver(other)),
        ] => Ok(one.order(other)),
        _ => Err(Fault::NoOverload),
    }
}

impl Semver {
    fn parse(text: &str) -> Option<Self> {
        let (rest, build) = match text.split_once('+') {
            Some((rest, build)) => (rest, parts(build)?),
            None => (text, Vec::new()),
        };
        let (core, pre) = match rest.split_once('-') {
            Some((core, pre)) => (core, parts(pre)?),
            None => (rest, Vec::new()),
        };
        if pre.iter().any(|part| is_number(part) && has_leading_zero(part)) {
            return None;
        }
        let mut numbers = core.split('.').map(|number| {
            let valid = is_number(number) && !has_leading_zero(number);
            valid.then(|| number.parse::<u64>().ok()).flatten()
        });
        let found = [numbers.next()??, numbers.next()??, numbers.next()??];
        numbers.next().is_none().then_some(Self {
            numbers: found,
            pre,
            build,
        })
    }

    /// Which comes first; what was built does not count.
    fn order(&self, other: &Self) -> Ordering {
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
                (true, true) => Ordering::Equal,
                (true, false) => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) => {
                    let pairs = self.pre.iter().zip(&other.pre);
                    let different = pairs
                        .map(|(one, other)| order_parts(one, other))
                        .find(|order| order.is_ne());
                    different.unwrap_or_else(|| self.pre.len().cmp(&other.pre.len()))
                }
            })
    }
}

fn order_parts(one: &str, other: &str) -> Ordering {
    match (is_number(one), is_number(other)) {
        // Without leading zeros, the longer number is the greater.
        (true, true) => one.len().cmp(&other.len()).then_with(|| one.cmp(other)),
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => one.cmp(other),
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn has_leading_zero(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0')
}

fn parts(text: &str) -> Option<Vec<String>> {
    let valid = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.split('.')
        .map(|part| valid(part).then(|| part.to_owned()))
        .collect()
}

/// Takes a `v` away, and leading zeros, and adds the numbers that are not there.
fn normalize(text: &str) -> Option<String> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let mut numbers: Vec<String> = text
        .splitn(3, '.')
        .map(|part| {
            let trimmed = part.trim_start_matches('0');
            if trimmed.starts_with(|letter: char| letter.is_ascii_digit()) || part.len() <= 1 {
                if part.len() <= 1 {
                    part.to_owned()
                } else {
                    trimmed.to_owned()
                }
            } else {
                format!("0{trimmed}")
            }
        })
        .collect();
    if numbers.len() < 3 && numbers.last().is_some_and(|last| last.contains(['+', '-'])) {
        return None;
    }
    numbers.resize(3, "0".to_owned());
    Some(numbers.join("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_the_specification_says() {
        let order = [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.2.0",
        ];
        for pair in order.windows(2) {
            let [one, other] = [&pair[0], &pair[1]].map(|text| Semver::parse(text).unwrap());
            assert_eq!(one.order(&other), Ordering::Less, "{pair:?}");
        }
        for text in ["1.0", "01.0.0", "1.0.0-", "1.0.0-01", "v1.0.0", "", "1.0.0+"] {
            assert!(Semver::parse(text).is_none(), "{text}");
        }
        assert_eq!(normalize("v01.2").as_deref(), Some("1.2.0"));
    }
}
