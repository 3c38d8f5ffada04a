//! Structural OpenAPI v3 schemas, as `CustomResourceDefinition`s carry them.
//!
//! The order for a write is [`Schema::prune`], [`Schema::default`], [`Schema::validate`].

pub(crate) mod compare;
mod compile;
mod default;
mod error;
mod format;
mod keywords;
pub(crate) mod metadata;
pub(crate) mod node;
mod path;
mod prune;
mod validate;

use std::sync::Arc;

use serde_json::Value;

pub use error::{FieldError, FieldErrorKind, SchemaError, UnknownField};
use node::{Node, Type};

/// The compiled schema of one version of a kind; cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Arc<Node>,
    cel: Arc<[String]>,
}

impl Schema {
    /// Compiles an OpenAPI v3 schema (`spec.versions[].schema.openAPIV3Schema` of a CRD) and checks that it is
    /// structural, as Kubernetes requires it of `apiextensions.k8s.io/v1`.
    ///
    /// `apiVersion`, `kind` and `metadata` (with the merge rules of `ObjectMeta`) need not be in it.
    ///
    /// # Errors
    /// Names the schema's field that breaks a rule.
    pub fn compile(open_api_v3: &Value) -> Result<Self, SchemaError> {
        let compiled = compile::compile(open_api_v3)?;
        Ok(Self {
            root: Arc::new(compiled.root),
            cel: compiled.cel.into(),
        })
    }

    /// The schema of kinds without one: every field is known and nothing but the metadata is checked.
    pub fn any() -> Self {
        let mut root = Node {
            preserve_unknown: true,
            ..Node::of(Type::Object)
        };
        metadata::complete(&mut root);
        Self {
            root: Arc::new(root),
            cel: Arc::default(),
        }
    }

    /// Fills absent fields with the schema's defaults, after removing nulls that the schema does not allow.
    pub fn default(&self, object: &mut Value) {
        default::fill(&self.root, object);
    }

    /// Removes the fields that the schema does not know and returns them, each with what was probably meant.
    pub fn prune(&self, object: &mut Value) -> Vec<UnknownField> {
        prune::prune(&self.root, object)
    }

    /// Checks the object and returns every fault, at most a hundred; empty when it is valid.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        validate::check(&self.root, object)
    }

    /// Where the schema has `x-kubernetes-validations`, which are not evaluated.
    pub fn unevaluated_rules(&self) -> &[String] {
        &self.cel
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}
