//! Durations as people write them in resources: `200ms`, `20s`, `10m`, `1h30m`, `30d`.

use std::{borrow::Cow, fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A duration that is written as numbers with units: `ms`, `s`, `m`, `h`, `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Span(pub Duration);

/// Why a text is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration; write for example 200ms, 20s, 10m, 1h30m or 30d")]
pub(crate) struct InvalidSpan(String);

/// Units from the largest to the smallest, each in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

impl FromStr for Span {
    type Err = InvalidSpan;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        milliseconds(text)
            .map(|count| Self(Duration::from_millis(count)))
            .ok_or_else(|| InvalidSpan(text.chars().take(40).collect()))
    }
}

fn milliseconds(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut total = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail
            .find(|letter: char| letter.is_ascii_digit())
            .unwrap_or(tail.len());
        let (unit, next) = tail.split_at(letters);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.parse::<u64>().ok()?.checked_mul(*factor)?)?;
        rest = next;
    }
    (!text.is_empty()).then_some(total)
}

impl fmt::Display for Span {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return formatter.write_str("0s");
        }
        for (unit, factor) in UNITS {
            let count = rest / factor;
            if count > 0 {
                write!(formatter, "{count}{unit}")?;
            }
            rest %= factor;
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d))+$", "maxLength": 40})
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let good = [
            ("200ms", 200),
            ("20s", 20_000),
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("30d", 2_592_000_000),
            ("0s", 0),
        ];
        for (text, expected) in good {
            assert_eq!(milliseconds(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "5",
            "s",
            "-1s",
            "1 s",
            "1.5s",
            "1y",
            "99999999999999999999s",
            "9999999999999999999d",
        ] {
            assert_eq!(milliseconds(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(count in 0_u64..10_000_000_000) {
            let span = Span(Duration::from_millis(count));
            prop_assert_eq!(span.to_string().parse::<Span>().ok(), Some(span));
        }

        #[test]
        fn any_text_is_answered_without_a_panic(text in "\\PC{0,60}") {
            let _ = text.parse::<Span>();
        }
    }
}
