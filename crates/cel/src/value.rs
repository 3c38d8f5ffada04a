//! Values of expressions.

use std::{cmp::Ordering, collections::BTreeMap, net::IpAddr, sync::Arc};

use crate::{
    functions::{cidr::Cidr, quantity::Quantity, semver::Semver, url::Url},
    time::Timestamp,
};

/// A value; cheap to clone.
#[derive(Debug, Clone)]
pub enum Value {
    /// `null`
    Null,
    /// `true` or `false`
    Bool(bool),
    /// A signed number.
    Int(i64),
    /// An unsigned number.
    Uint(u64),
    /// A floating-point number.
    Double(f64),
    /// A text.
    String(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A point in time.
    Timestamp(Timestamp),
    /// A length of time in nanoseconds.
    Duration(i64),
    /// A list.
    List(List),
    /// A map, or an object by its escaped field names.
    Map(Arc<BTreeMap<Key, Value>>),
    /// A type, by its name.
    Type(Arc<str>),
    /// A value that may be absent.
    Optional(Option<Arc<Value>>),
    /// A value that only functions look into.
    Opaque(Opaque),
}

/// A value of a type that a library brings.
#[derive(Debug, Clone, PartialEq)]
pub enum Opaque {
    /// `kubernetes.URL`
    Url(Arc<Url>),
    /// `net.IP`
    Ip(IpAddr),
    /// `net.CIDR`
    Cidr(Cidr),
    /// `kubernetes.Quantity`
    Quantity(Quantity),
    /// `kubernetes.Semver`
    Semver(Arc<Semver>),
    /// `kubernetes.NamedFormat`, by its name.
    Format(&'static str),
}

/// A list, with what makes two elements the same one.
#[derive(Debug, Clone, Default)]
pub struct List {
    /// The elements.
    pub items: Arc<Vec<Value>>,
    /// How elements are told apart.
    pub identity: Identity,
}

/// What makes two elements of a list the same (`x-kubernetes-list-type`).
#[derive(Debug, Clone, Default)]
pub enum Identity {
    /// Their place.
    #[default]
    Place,
    /// Their value: the order does not count.
    Value,
    /// The values of these fields, by escaped name: the order does not count.
    Fields(Arc<[String]>),
}

/// A key of a map.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Key {
    /// A truth value.
    Bool(bool),
    /// A whole number, signed or not.
    Number(i128),
    /// A text.
    String(Arc<str>),
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::String(text.into())
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.into())
    }
}

impl From<Vec<Value>> for Value {
    fn from(items: Vec<Value>) -> Self {
        Self::List(List {
            items: Arc::new(items),
            identity: Identity::Place,
        })
    }
}

impl Key {
    /// The key that a value is, if it can be one.
    pub fn of(value: &Value) -> Option<Self> {
        Some(match value {
            Value::Bool(value) => Self::Bool(*value),
            Value::Int(number) => Self::Number((*number).into()),
            Value::Uint(number) => Self::Number((*number).into()),
            Value::String(text) => Self::String(Arc::clone(text)),
            Value::Double(number) if number.fract() == 0.0 && number.abs() < 9e18 => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "whole and within range, as just checked"
                )]
                let whole = *number as i64;
                Self::Number(whole.into())
            }
            _ => return None,
        })
    }

    /// The value that it is; a number that fits is signed.
    pub fn value(&self) -> Value {
        match self {
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => i64::try_from(*number).map_or_else(
                |_| Value::Uint(u64::try_from(*number).unwrap_or(u64::MAX)),
                Value::Int,
            ),
            Self::String(text) => Value::String(Arc::clone(text)),
        }
    }
}

impl Value {
    /// The name of its type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Null => "null_type",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint",
            Self::Double(_) => "double",
            Self::String(_) => "string",
            Self::Bytes(_) => "bytes",
            Self::Timestamp(_) => "google.protobuf.Timestamp",
            Self::Duration(_) => "google.protobuf.Duration",
            Self::List(_) => "list",
            Self::Map(_) => "map",
            Self::Type(_) => "type",
            Self::Optional(_) => "optional_type",
            Self::Opaque(opaque) => match opaque {
                Opaque::Url(_) => "kubernetes.URL",
                Opaque::Ip(_) => "net.IP",
                Opaque::Cidr(_) => "net.CIDR",
                Opaque::Quantity(_) => "kubernetes.Quantity",
                Opaque::Semver(_) => "kubernetes.Semver",
                Opaque::Format(_) => "kubernetes.NamedFormat",
            },
        }
    }

    /// About how much it holds: one for each value in it, and one for ten bytes of text.
    pub(crate) fn weight(&self) -> u64 {
        match self {
            Self::String(text) => 1 + text.len() as u64 / 10,
            Self::Bytes(bytes) => 1 + bytes.len() as u64 / 10,
            Self::List(list) => 1 + list.items.iter().map(Self::weight).sum::<u64>(),
            Self::Map(map) => 1 + map.values().map(|value| 1 + value.weight()).sum::<u64>(),
            Self::Optional(Some(value)) => 1 + value.weight(),
            Self::Null
            | Self::Bool(_)
            | Self::Int(_)
            | Self::Uint(_)
            | Self::Double(_)
            | Self::Timestamp(_)
            | Self::Duration(_)
            | Self::Type(_)
            | Self::Optional(None)
            | Self::Opaque(_) => 1,
        }
    }

    /// Which of two values comes first; `None` when they have no order.
    pub(crate) fn order(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Bool(one), Self::Bool(other)) => Some(one.cmp(other)),
            (Self::String(one), Self::String(other)) => Some(one.cmp(other)),
            (Self::Bytes(one), Self::Bytes(other)) => Some(one.cmp(other)),
            (Self::Timestamp(one), Self::Timestamp(other)) => Some(one.cmp(other)),
            (Self::Duration(one), Self::Duration(other)) => Some(one.cmp(other)),
            (one, other) => order_numbers(one, other),
        }
    }
}

fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::Int(number) => Some((*number).into()),
        Value::Uint(number) => Some((*number).into()),
        _ => None,
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "numbers of different types are compared as the language says, as doubles"
)]
fn order_numbers(one: &Value, other: &Value) -> Option<Ordering> {
    match (one, other) {
        (Value::Double(one), Value::Double(other)) => one.partial_cmp(other),
        (Value::Double(one), other) => one.partial_cmp(&(whole(other)? as f64)),
        (one, Value::Double(other)) => (whole(one)? as f64).partial_cmp(other),
        (one, other) => Some(whole(one)?.cmp(&whole(other)?)),
    }
}

/// Values of different types are different, but for numbers.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Map(one), Self::Map(other)) => one == other,
            (Self::Type(one), Self::Type(other)) => one == other,
            (Self::Optional(one), Self::Optional(other)) => one == other,
            (Self::Opaque(one), Self::Opaque(other)) => one == other,
            (one, other) => one.order(other) == Some(Ordering::Equal),
        }
    }
}

impl PartialEq for List {
    fn eq(&self, other: &Self) -> bool {
        if self.items.len() != other.items.len() {
            return false;
        }
        match &self.identity {
            Identity::Place => self.items == other.items,
            Identity::Value => self.items.iter().all(|item| other.items.contains(item)),
            Identity::Fields(fields) => self.items.iter().all(|item| {
                let found = other.items.iter().find(|other| same_fields(item, other, fields));
                found == Some(item)
            }),
        }
    }
}

fn same_fields(one: &Value, other: &Value, fields: &[String]) -> bool {
    let (Value::Map(one), Value::Map(other)) = (one, other) else {
        return false;
    };
    fields.iter().all(|field| {
        let key = Key::String(field.as_str().into());
        one.get(&key) == other.get(&key)
    })
}

impl List {
    /// Both lists' elements; of a set or a map, each only once, in the place it had first.
    pub(crate) fn join(&self, other: &Self) -> Self {
        let mut items = Vec::with_capacity(self.items.len() + other.items.len());
        items.extend(self.items.iter().cloned());
        for item in other.items.iter() {
            let known = match &self.identity {
                Identity::Place => None,
                Identity::Value => items.iter_mut().find(|known| *known == item),
                Identity::Fields(fields) => items.iter_mut().find(|known| same_fields(known, item, fields)),
            };
            match known {
                Some(known) => known.clone_from(item),
                None => items.push(item.clone()),
            }
        }
        Self {
            items: Arc::new(items),
            identity: self.identity.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_across_types() {
        assert_eq!(Value::Int(1), Value::Double(1.0));
        assert_eq!(Value::Uint(7), Value::Int(7));
        assert_ne!(Value::Int(-1), Value::Uint(u64::MAX));
        assert_ne!(Value::Int(1), Value::from("1"));
        assert_ne!(Value::Double(f64::NAN), Value::Double(f64::NAN));
    }

    #[test]
    fn sets_are_equal_in_any_order_and_joined_without_repeats() {
        let list = |numbers: &[i64], identity| List {
            items: Arc::new(numbers.iter().map(|number| Value::Int(*number)).collect()),
            identity,
        };
        assert_eq!(list(&[1, 2], Identity::Value), list(&[2, 1], Identity::Value));
        assert_ne!(list(&[1, 2], Identity::Place), list(&[2, 1], Identity::Place));
        let joined = list(&[1, 2], Identity::Value).join(&list(&[2, 3], Identity::Value));
        assert_eq!(joined.items.len(), 3);
    }
}
