//! Structural OpenAPI v3 schemas, as `CustomResourceDefinition`s carry them.
//!
//! The order for a write is [`Schema::prune`], [`Schema::default`], [`Schema::validate`].

mod cel;
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
mod review;
mod validate;

use std::sync::Arc;

use serde_json::Value;

pub use cel::Verdict;
pub use error::{FieldError, FieldErrorKind, SchemaError, UnknownField};
use node::{Node, Type};

/// The compiled schema of one version of a kind; cheap to clone.
#[derive(Debug, Clone)]
pub struct Schema {
    root: Arc<Node>,
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
        let mut root = compile::compile(open_api_v3)?;
        // Whoever wrote a rule that cannot be compiled was told so, by `faults`.
        let _ = cel::prepare(&mut root, "openAPIV3Schema");
        Ok(Self { root: Arc::new(root) })
    }

    /// What is wrong with the schema of a definition, in the words of the Kubernetes API server; with its validation
    /// rules only if there is nothing else. `path` is where it stands, as `spec.validation.openAPIV3Schema`.
    pub fn faults(open_api_v3: &Value, path: &str) -> Vec<FieldError> {
        let faults = review::review(open_api_v3, path);
        if !faults.is_empty() {
            return faults;
        }
        match compile::compile(open_api_v3) {
            Ok(mut root) => cel::prepare(&mut root, path),
            Err(error) => {
                let below = error.path.trim_start_matches("openAPIV3Schema");
                // What is wrong with a default is worded already.
                let detail = error.message.trim_start_matches("Invalid value: ");
                vec![FieldError::new(
                    format!("{path}{below}"),
                    FieldErrorKind::Invalid,
                    detail,
                )]
            }
        }
    }

    /// Whether selectors may name a field (`selectableFields`): a text, number or truth value outside of the metadata.
    ///
    /// # Errors
    /// What is wrong with the path.
    pub fn check_selectable(&self, json_path: &str) -> Result<(), String> {
        cel::check_selectable(&self.root, json_path)
    }

    /// The schema of kinds without one: every field is known and nothing but the metadata is checked.
    pub fn any() -> Self {
        let mut root = Node {
            preserve_unknown: true,
            ..Node::of(Type::Object)
        };
        metadata::complete(&mut root);
        Self { root: Arc::new(root) }
    }

    /// Fills absent fields with the schema's defaults, after removing nulls that the schema does not allow.
    pub fn default(&self, object: &mut Value) {
        default::fill(&self.root, object);
    }

    /// Fills absent fields with the schema's defaults and keeps every null.
    pub fn complete(&self, object: &mut Value) {
        default::complete(&self.root, object);
    }

    /// Removes the fields that the schema does not know and returns them, each with what was probably meant.
    pub fn prune(&self, object: &mut Value) -> Vec<UnknownField> {
        prune::prune(&self.root, object)
    }

    /// Checks the object and returns every fault, at most a hundred; empty when it is valid.
    pub fn validate(&self, object: &Value) -> Vec<FieldError> {
        validate::check(&self.root, object)
    }

    /// Whether there are validation rules.
    pub fn has_rules(&self) -> bool {
        self.root.has_validations
    }

    /// Evaluates the validation rules on an object that [`Self::validate`] found nothing wrong with; `old` is what it
    /// replaces. Steps are limited as in Kubernetes, for each expression and for all together.
    pub fn evaluate_rules(&self, object: &Value, old: Option<&Value>) -> Verdict {
        if self.root.has_validations {
            cel::check(&self.root, object, old)
        } else {
            Verdict::default()
        }
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }
}
