//! JSON and YAML with what their author may not have meant: members that occur twice. The last one counts.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Below this, whole numbers are written without a fraction, whatever they were sent as.
const WHOLE: f64 = 1e15;

/// A parsed text.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    pub(super) value: Value,
    /// What is said of members that occur twice, in the order of the text.
    pub(super) duplicates: Vec<String>,
}

/// Parses a text that is one JSON value.
pub(super) fn parse(bytes: &[u8]) -> Result<Parsed, serde_json::Error> {
    let duplicates = RefCell::new(Vec::new());
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Place {
        path: String::new(),
        language: Language::Json,
        duplicates: &duplicates,
    }
    .deserialize(&mut reader)?;
    reader.end()?;
    Ok(Parsed {
        value,
        duplicates: duplicates.into_inner(),
    })
}

/// Parses a text that is one YAML document.
pub(super) fn parse_yaml(text: &str) -> Result<Parsed, serde_saphyr::Error> {
    let duplicates = RefCell::new(Vec::new());
    let options = serde_saphyr::options! {
        duplicate_keys: serde_saphyr::options::DuplicateKeyPolicy::LastWins,
    };
    let place = Place {
        path: String::new(),
        language: Language::Yaml,
        duplicates: &duplicates,
    };
    let value = serde_saphyr::with_deserializer_from_str_with_options(text, options, |reader| {
        place.deserialize(reader)
    })?;
    Ok(Parsed {
        value,
        duplicates: duplicates.into_inner(),
    })
}

/// What a text is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Language {
    Json,
    Yaml,
}

/// One value within the text.
struct Place<'a> {
    path: String,
    language: Language,
    duplicates: &'a RefCell<Vec<String>>,
}

impl Language {
    /// The next member's name, and the line that it is in, where that is known.
    fn next_key<'de, A: MapAccess<'de>>(self, map: &mut A) -> Result<Option<(String, u64)>, A::Error> {
        Ok(match self {
            Self::Json => map.next_key::<String>()?.map(|name| (name, 0)),
            Self::Yaml => map
                .next_key::<serde_saphyr::Spanned<String>>()?
                .map(|name| (name.value, name.referenced.line())),
        })
    }
}

impl<'de> DeserializeSeed<'de> for Place<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Place<'_> {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "Kubernetes keeps integers of 64 bits with a sign, and larger ones as floats"
    )]
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(i64::try_from(value).map_or_else(|_| (value as f64).into(), Value::from))
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "it is whole, and well within the range"
    )]
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        if value.fract() == 0.0 && value.abs() < WHOLE {
            return Ok((value as i64).into());
        }
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut elements = Vec::new();
        loop {
            let place = Place {
                path: format!("{}[{}]", self.path, elements.len()),
                language: self.language,
                duplicates: self.duplicates,
            };
            match list.next_element_seed(place)? {
                Some(element) => elements.push(element),
                None => return Ok(elements.into()),
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = Map::new();
        while let Some((name, line)) = self.language.next_key(&mut map)? {
            let separator = if self.path.is_empty() { "" } else { "." };
            let path = format!("{}{separator}{name}", self.path);
            if members.contains_key(&name) {
                self.duplicates.borrow_mut().push(match self.language {
                    Language::Json => format!("duplicate field {path:?}"),
                    Language::Yaml => format!("line {line}: key {name:?} already set in map"),
                });
            }
            let place = Place {
                path,
                language: self.language,
                duplicates: self.duplicates,
            };
            let member = map.next_value_seed(place)?;
            members.insert(name, member);
        }
        Ok(members.into())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_that_occur_twice_are_told_and_the_last_one_counts() {
        let text = br#"{"a": 1, "b": {"c": [1, {"d": 1, "d": 2}], "c": [{"d": 1, "d": 3}]}, "a": null, "x": [-1.5e0, 1e3, 2.0]}"#;
        let parsed = parse(text).expect("JSON");
        assert_eq!(
            parsed.value,
            json!({"a": null, "b": {"c": [{"d": 3}]}, "x": [-1.5, 1000, 2]})
        );
        let told = ["b.c[1].d", "b.c", "b.c[0].d", "a"].map(|path| format!("duplicate field {path:?}"));
        assert_eq!(parsed.duplicates, told);
    }

    #[test]
    fn members_of_yaml_that_occur_twice_are_told_with_their_lines() {
        let parsed = parse_yaml("a: 1\nb:\n  c: [x]\n  c: {d: 1e3}\na: null\n").expect("YAML");
        assert_eq!(parsed.value, json!({"a": null, "b": {"c": {"d": 1000}}}));
        let told = [
            "line 4: key \"c\" already set in map",
            "line 5: key \"a\" already set in map",
        ];
        assert_eq!(parsed.duplicates, told);
    }

    #[test]
    fn what_is_no_json_is_an_error() {
        for text in ["", "{", "{} {}", "{\"a\"}", "[1,]"] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
    }
}
