//! Types of values, and whether one fits where another is wanted.

use std::{collections::BTreeMap, fmt, sync::Arc};

/// A type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// Known at evaluation only.
    Dyn,
    /// `null`
    Null,
    /// `bool`
    Bool,
    /// 64 bits, signed.
    Int,
    /// 64 bits, unsigned.
    Uint,
    /// IEEE 754, 64 bits.
    Double,
    /// Unicode text.
    String,
    /// Bytes.
    Bytes,
    /// A point in time.
    Timestamp,
    /// A length of time.
    Duration,
    /// Elements of one type.
    List(Arc<Type>),
    /// Keys and values of one type each.
    Map(Arc<Type>, Arc<Type>),
    /// Fields with types of their own.
    Object(Arc<ObjectType>),
    /// A value that may be absent.
    Optional(Arc<Type>),
    /// A type itself.
    Type,
    /// A type that only functions look into, by its name.
    Opaque(&'static str),
    /// A type parameter: of a signature below [`FRESH`], of one call from there on.
    #[doc(hidden)]
    Param(u32),
}

/// The fields of an object, by the names that expressions use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ObjectType {
    /// What messages call it.
    pub name: String,
    /// By escaped name ([`crate::escape`]).
    pub fields: BTreeMap<String, Type>,
}

/// From here on, parameters are those of calls.
pub(crate) const FRESH: u32 = 100;

impl Type {
    /// A list of this type.
    #[must_use]
    pub fn list(self) -> Self {
        Self::List(Arc::new(self))
    }

    /// A map of texts to this type.
    #[must_use]
    pub fn map(self) -> Self {
        Self::Map(Arc::new(Self::String), Arc::new(self))
    }

    /// This type, or nothing.
    #[must_use]
    pub fn optional(self) -> Self {
        Self::Optional(Arc::new(self))
    }

    /// Whether null may stand for a value of it.
    fn takes_null(&self) -> bool {
        matches!(
            self,
            Self::Null
                | Self::Object(_)
                | Self::Timestamp
                | Self::Duration
                | Self::Opaque(_)
                | Self::Optional(_)
        )
    }

    /// Renames the parameters of a signature to those of one call.
    pub(crate) fn instantiate(&self, from: u32) -> Self {
        match self {
            Self::Param(number) if *number < FRESH => Self::Param(from + number),
            Self::List(inner) => Self::List(Arc::new(inner.instantiate(from))),
            Self::Optional(inner) => Self::Optional(Arc::new(inner.instantiate(from))),
            Self::Map(key, value) => {
                Self::Map(Arc::new(key.instantiate(from)), Arc::new(value.instantiate(from)))
            }
            other => other.clone(),
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dyn | Self::Param(_) => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::String => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::Type => "type",
            Self::Opaque(name) => name,
            Self::Object(object) => &object.name,
            Self::List(inner) => return write!(formatter, "list({inner})"),
            Self::Map(key, value) => return write!(formatter, "map({key}, {value})"),
            Self::Optional(inner) => return write!(formatter, "optional_type({inner})"),
        };
        formatter.write_str(name)
    }
}

/// What the parameters of calls stand for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bindings {
    bound: BTreeMap<u32, Type>,
    next: u32,
}

impl Bindings {
    /// The number from which a signature's parameters can be renamed.
    pub(crate) fn fresh(&mut self) -> u32 {
        self.next += 10;
        FRESH + self.next
    }

    /// Keeps the numbers that another set has given out, so that they are not given out twice.
    pub(crate) fn keep(&mut self, other: &Self) {
        self.next = self.next.max(other.next);
    }

    /// The type with every parameter that is known replaced.
    pub(crate) fn resolve(&self, kind: &Type) -> Type {
        match kind {
            Type::Param(number) => match self.bound.get(number) {
                Some(bound) => self.resolve(bound),
                None => kind.clone(),
            },
            Type::List(inner) => Type::List(Arc::new(self.resolve(inner))),
            Type::Optional(inner) => Type::Optional(Arc::new(self.resolve(inner))),
            Type::Map(key, value) => Type::Map(Arc::new(self.resolve(key)), Arc::new(self.resolve(value))),
            other => other.clone(),
        }
    }

    /// Whether a value of `found` may stand where `wanted` is; binds parameters that this decides.
    pub(crate) fn accepts(&mut self, wanted: &Type, found: &Type) -> bool {
        let (wanted, found) = (self.resolve(wanted), self.resolve(found));
        match (&wanted, &found) {
            (Type::Param(one), Type::Param(other)) if one == other => true,
            (Type::Param(number), other) | (other, Type::Param(number)) => {
                if mentions(other, *number) {
                    return false;
                }
                self.bound.insert(*number, other.clone());
                true
            }
            (Type::Dyn, _) | (_, Type::Dyn) => true,
            (wanted, Type::Null) => wanted.takes_null(),
            (Type::Null, found) => found.takes_null(),
            (Type::List(wanted), Type::List(found)) | (Type::Optional(wanted), Type::Optional(found)) => {
                self.accepts(wanted, found)
            }
            (Type::Map(key, value), Type::Map(found_key, found_value)) => {
                self.accepts(key, found_key) && self.accepts(value, found_value)
            }
            (wanted, found) => wanted == found,
        }
    }
}

fn mentions(kind: &Type, number: u32) -> bool {
    match kind {
        Type::Param(other) => *other == number,
        Type::List(inner) | Type::Optional(inner) => mentions(inner, number),
        Type::Map(key, value) => mentions(key, number) || mentions(value, number),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_stands_for_one_type() {
        let mut bindings = Bindings::default();
        let from = bindings.fresh();
        let list = Type::Param(0).list().instantiate(from);
        assert!(bindings.accepts(&list, &Type::Int.list()));
        assert!(!bindings.accepts(&Type::Param(from), &Type::String));
        assert_eq!(bindings.resolve(&list), Type::Int.list());
    }

    #[test]
    fn null_fits_objects_and_not_plain_values() {
        let mut bindings = Bindings::default();
        assert!(bindings.accepts(&Type::Object(Arc::default()), &Type::Null));
        assert!(!bindings.accepts(&Type::Int, &Type::Null));
    }
}
