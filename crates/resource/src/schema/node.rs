//! The compiled form of a schema.

use std::collections::BTreeMap;

use regex::Regex;
use serde_json::{Number, Value};

use super::cel::Rule;

/// The JSON type that a value must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Type {
    /// Any type: preserved values, and the branches of `allOf`, `anyOf`, `oneOf` and `not`.
    #[default]
    Any,
    Object,
    Array,
    String,
    Integer,
    Number,
    Boolean,
    /// `x-kubernetes-int-or-string`.
    IntOrString,
}

impl Type {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::IntOrString => "integer,string",
        }
    }
}

/// How the elements of a list are told apart (`x-kubernetes-list-type`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum ListType {
    /// Not at all: the list is one value.
    #[default]
    Atomic,
    /// By value.
    Set,
    /// By the values of these fields.
    Map(Vec<String>),
}

/// Whether the members of a map are owned one by one (`x-kubernetes-map-type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum MapType {
    #[default]
    Granular,
    /// The map is one value.
    Atomic,
}

/// One place of the schema.
#[derive(Debug, Clone, Default)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "what a schema says with true and false; none implies another"
)]
pub(crate) struct Node {
    pub(crate) kind: Type,
    pub(crate) nullable: bool,
    pub(crate) default: Option<Value>,
    pub(crate) properties: BTreeMap<String, Node>,
    /// The schema of members that are not in `properties`.
    pub(crate) additional: Option<Box<Node>>,
    pub(crate) items: Option<Box<Node>>,
    pub(crate) list: ListType,
    pub(crate) map: MapType,
    /// Members outside of `properties` are kept.
    pub(crate) preserve_unknown: bool,
    /// A whole object with `apiVersion`, `kind` and `metadata`.
    pub(crate) embedded: bool,
    pub(crate) rules: Rules,
    /// Expressions that must be true of it.
    pub(crate) validations: Vec<Rule>,
    /// Whether it or anything below it has such expressions.
    pub(crate) has_validations: bool,
}

/// What a value must satisfy beyond its type.
#[derive(Debug, Clone, Default)]
pub(crate) struct Rules {
    pub(crate) required: Vec<String>,
    pub(crate) allowed: Option<Vec<Value>>,
    pub(crate) pattern: Option<Regex>,
    pub(crate) format: Option<String>,
    pub(crate) minimum: Option<Bound>,
    pub(crate) maximum: Option<Bound>,
    pub(crate) multiple_of: Option<Number>,
    pub(crate) length: Range,
    pub(crate) items: Range,
    pub(crate) members: Range,
    pub(crate) all_of: Vec<Node>,
    pub(crate) any_of: Vec<Node>,
    pub(crate) one_of: Vec<Node>,
    pub(crate) not: Option<Box<Node>>,
}

/// A limit of a number.
#[derive(Debug, Clone)]
pub(crate) struct Bound {
    pub(crate) limit: Number,
    pub(crate) exclusive: bool,
}

/// Limits of a count, both inclusive.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range {
    pub(crate) min: Option<u64>,
    pub(crate) max: Option<u64>,
}

static ANY: Node = Node::any();

impl Node {
    /// A place where everything is kept and nothing is checked.
    pub(crate) const fn any() -> Self {
        Self {
            kind: Type::Any,
            nullable: true,
            default: None,
            properties: BTreeMap::new(),
            additional: None,
            items: None,
            list: ListType::Atomic,
            map: MapType::Granular,
            preserve_unknown: true,
            embedded: false,
            rules: Rules {
                required: Vec::new(),
                allowed: None,
                pattern: None,
                format: None,
                minimum: None,
                maximum: None,
                multiple_of: None,
                length: Range { min: None, max: None },
                items: Range { min: None, max: None },
                members: Range { min: None, max: None },
                all_of: Vec::new(),
                any_of: Vec::new(),
                one_of: Vec::new(),
                not: None,
            },
            validations: Vec::new(),
            has_validations: false,
        }
    }

    pub(crate) fn of(kind: Type) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    pub(crate) fn list(items: Self, list: ListType) -> Self {
        Self {
            items: Some(Box::new(items)),
            list,
            ..Self::of(Type::Array)
        }
    }

    pub(crate) fn map(values: Self) -> Self {
        Self {
            additional: Some(Box::new(values)),
            ..Self::of(Type::Object)
        }
    }

    pub(crate) fn object<const N: usize>(properties: [(&str, Self); N]) -> Self {
        let properties = properties
            .into_iter()
            .map(|(name, node)| (name.to_owned(), node))
            .collect();
        Self {
            properties,
            ..Self::of(Type::Object)
        }
    }

    /// The schema of a member; the one that allows anything where the schema does not say.
    pub(crate) fn member(&self, name: &str) -> &Self {
        self.known_member(name).unwrap_or(&ANY)
    }

    /// The schema of a member, when the schema has one.
    pub(crate) fn known_member(&self, name: &str) -> Option<&Self> {
        self.properties.get(name).or(self.additional.as_deref())
    }

    /// The schema of the elements; the one that allows anything where the schema does not say.
    pub(crate) fn element(&self) -> &Self {
        self.items.as_deref().unwrap_or(&ANY)
    }
}
