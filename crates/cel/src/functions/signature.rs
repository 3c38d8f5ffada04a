//! Signatures as they stand in the tables: `list<A>, int -> A`.

use std::sync::Arc;

use crate::types::Type;

/// What a form of a function takes and gives.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) parameters: Vec<Type>,
    pub(crate) result: Type,
}

impl Signature {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (parameters, result) = text.split_once("->")?;
        let mut reader = Reader {
            rest: parameters.trim(),
        };
        let mut list = Vec::new();
        while !reader.rest.is_empty() {
            list.push(reader.kind()?);
            reader.skip(',');
        }
        let mut reader = Reader { rest: result.trim() };
        let result = reader.kind()?;
        reader.rest.is_empty().then_some(Self {
            parameters: list,
            result,
        })
    }
}

struct Reader<'a> {
    rest: &'a str,
}

impl Reader<'_> {
    fn skip(&mut self, letter: char) -> bool {
        match self.rest.strip_prefix(letter) {
            Some(rest) => {
                self.rest = rest.trim_start();
                true
            }
            None => false,
        }
    }

    fn kind(&mut self) -> Option<Type> {
        let end = self
            .rest
            .find(|letter: char| !letter.is_ascii_alphabetic())
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest.trim_start();
        let inner = if self.skip('<') {
            let first = self.kind()?;
            let second = if self.skip(',') { Some(self.kind()?) } else { None };
            if !self.skip('>') {
                return None;
            }
            Some((first, second))
        } else {
            None
        };
        Some(match (word, inner) {
            ("list", Some((item, None))) => item.list(),
            ("optional", Some((item, None))) => item.optional(),
            ("map", Some((key, Some(value)))) => Type::Map(Arc::new(key), Arc::new(value)),
            (word, None) => plain(word)?,
            _ => return None,
        })
    }
}

fn plain(word: &str) -> Option<Type> {
    Some(match word {
        "dyn" => Type::Dyn,
        "bool" => Type::Bool,
        "int" => Type::Int,
        "uint" => Type::Uint,
        "double" => Type::Double,
        "string" => Type::String,
        "bytes" => Type::Bytes,
        "timestamp" => Type::Timestamp,
        "duration" => Type::Duration,
        "type" => Type::Type,
        "url" => Type::Opaque("kubernetes.URL"),
        "ip" => Type::Opaque("net.IP"),
        "cidr" => Type::Opaque("net.CIDR"),
        "quantity" => Type::Opaque("kubernetes.Quantity"),
        "semver" => Type::Opaque("kubernetes.Semver"),
        "format" => Type::Opaque("kubernetes.NamedFormat"),
        "A" => Type::Param(0),
        "B" => Type::Param(1),
        _ => return None,
    })
}
