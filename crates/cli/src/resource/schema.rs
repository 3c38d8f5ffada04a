//! What the server says about the fields of a kind: its OpenAPI document.

use serde_json::Value;
use stead_kernel::{Error, Result};

use super::Resource;
use crate::{
    json::{at, items_at},
    server::{Api, segment},
};

/// How many references are followed before a schema counts as circular.
const LONGEST_CHAIN: usize = 16;

/// The schemas of one group and version.
#[derive(Debug, Clone)]
pub(crate) struct Schemas(Value);

impl Schemas {
    /// Asks the server.
    pub(crate) async fn load(api: &Api, resource: &Resource) -> Result<Self> {
        let (root, group) = if resource.group.is_empty() {
            ("api", String::new())
        } else {
            ("apis", format!("{}/", segment(&resource.group)))
        };
        let mut document = api
            .get(&format!("/openapi/v3/{root}/{group}{}", resource.version))
            .await?;
        let schemas = document.pointer_mut("/components/schemas").map(Value::take);
        schemas
            .map(Self)
            .ok_or_else(|| Error::internal("the server's schemas cannot be understood"))
    }

    /// The schema of a kind.
    pub(crate) fn kind(&self, resource: &Resource) -> Option<Field<'_>> {
        let is_it = |schema: &&Value| {
            items_at(schema, "/x-kubernetes-group-version-kind")
                .iter()
                .any(|kind| {
                    at(kind, "/kind") == resource.kind.as_str()
                        && at(kind, "/group") == resource.group.as_str()
                        && at(kind, "/version") == resource.version.as_str()
                })
        };
        let outer = self.0.as_object()?.values().find(is_it)?;
        Some(Field {
            schemas: self,
            outer,
            required: false,
        })
    }
}

/// A place in an object, as its schema describes it.
#[derive(Clone, Copy)]
pub(crate) struct Field<'a> {
    schemas: &'a Schemas,
    /// The schema as it stands there, possibly a reference.
    outer: &'a Value,
    required: bool,
}

impl<'a> Field<'a> {
    fn at(self, outer: &'a Value) -> Self {
        Self {
            outer,
            required: false,
            ..self
        }
    }

    /// What a schema refers to: `$ref`, or an `allOf` of one.
    fn target(schema: &'a Value) -> Option<&'a str> {
        let direct = at(schema, "/$ref").as_str();
        let only = at(schema, "/allOf").as_array().filter(|all| all.len() == 1);
        direct.or_else(|| only?.first()?["$ref"].as_str())
    }

    /// The schema behind all references.
    fn schema(self) -> &'a Value {
        let mut schema = self.outer;
        for _ in 0..LONGEST_CHAIN {
            let name = Self::target(schema).and_then(|target| target.rsplit('/').next());
            match name.and_then(|name| self.schemas.0.get(name)) {
                Some(next) => schema = next,
                None => break,
            }
        }
        schema
    }

    /// The schema that holds the fields: of an array its items', of a map its values'.
    fn body(self) -> Self {
        let mut field = self;
        for _ in 0..LONGEST_CHAIN {
            let schema = field.schema();
            if at(schema, "/items").is_object() {
                field = field.at(at(schema, "/items"));
            } else if at(schema, "/additionalProperties").is_object() {
                field = field.at(at(schema, "/additionalProperties"));
            } else {
                break;
            }
        }
        field
    }

    /// Whether an object must have it.
    pub(crate) fn is_required(self) -> bool {
        self.required
    }

    /// What it is for.
    pub(crate) fn description(self) -> &'a str {
        let own = at(self.outer, "/description").as_str();
        own.or_else(|| at(self.schema(), "/description").as_str())
            .unwrap_or_default()
    }

    /// The values that are allowed, when they are listed.
    pub(crate) fn values(self) -> Vec<&'a str> {
        items_at(self.body().schema(), "/enum")
            .iter()
            .filter_map(Value::as_str)
            .collect()
    }

    /// Its default, when it has one.
    pub(crate) fn default(self) -> Option<&'a Value> {
        self.outer.get("default").or_else(|| self.schema().get("default"))
    }

    /// The name of its type: `string`, `[]Object`, `map[string]integer`, `ObjectMeta`.
    pub(crate) fn type_name(self) -> String {
        self.type_name_within(LONGEST_CHAIN)
    }

    fn type_name_within(self, depth: usize) -> String {
        let schema = self.schema();
        let Some(depth) = depth.checked_sub(1) else {
            return "Object".into();
        };
        if at(schema, "/items").is_object() {
            return format!("[]{}", self.at(at(schema, "/items")).type_name_within(depth));
        }
        if at(schema, "/additionalProperties").is_object() {
            return format!(
                "map[string]{}",
                self.at(at(schema, "/additionalProperties"))
                    .type_name_within(depth)
            );
        }
        let referred = Self::target(self.outer).and_then(|target| target.rsplit(['/', '.']).next());
        match at(schema, "/type").as_str() {
            Some("object") | None if at(schema, "/properties").is_object() => {
                referred.unwrap_or("Object").into()
            }
            Some("object") => referred.unwrap_or("Object").into(),
            Some(name) => name.into(),
            None if at(schema, "/x-kubernetes-int-or-string") == true => "integer or string".into(),
            None => referred.unwrap_or("any").into(),
        }
    }

    /// Its fields, in the order of the schema.
    pub(crate) fn fields(self) -> Vec<(&'a str, Self)> {
        let body = self.body();
        let schema = body.schema();
        let required = |name: &str| {
            at(schema, "/required")
                .as_array()
                .is_some_and(|all| all.iter().any(|own| own == name))
        };
        let properties = at(schema, "/properties").as_object().into_iter().flatten();
        properties
            .map(|(name, outer)| {
                (
                    name.as_str(),
                    Self {
                        schemas: self.schemas,
                        outer,
                        required: required(name),
                    },
                )
            })
            .collect()
    }

    /// One of its fields.
    pub(crate) fn field(self, name: &str) -> Option<Self> {
        self.fields()
            .into_iter()
            .find(|(known, _)| *known == name)
            .map(|(_, field)| field)
    }

    /// A number that is the same for the same schema, to notice circles.
    pub(crate) fn identity(self) -> usize {
        std::ptr::from_ref(self.body().schema()) as usize
    }
}
