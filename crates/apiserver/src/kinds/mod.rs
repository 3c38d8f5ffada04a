//! The kinds that are served: those of Kubernetes' core that everything needs, and those of definitions.

mod access;
mod check;
mod core;
mod custom;
mod events;
mod printing;
mod registry;
mod roles;
pub(crate) mod rules;
mod secrets;

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::Admit;
pub(crate) use stead_resource::names;
use stead_resource::{Schema, table::Columns};

use crate::object;
pub(crate) use check::check_definition;
pub(crate) use core::{DEFINITIONS, EVENTS, LEASES, NAMESPACES, core_kinds, object_meta};
pub(crate) use custom::{Definition, Scale};
pub(crate) use registry::Registry;
pub(crate) use roles::{ACCOUNTS, CLUSTER_BINDINGS, CLUSTER_ROLES, ROLE_BINDINGS, ROLES};

/// One version of a kind, ready to serve.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what a kind can and cannot, as discovery lists it; none implies another"
)]
pub(crate) struct ResourceType {
    pub(crate) group: String,
    pub(crate) version: String,
    /// The version as which the original would store it.
    pub(crate) stored_version: String,
    pub(crate) kind: String,
    pub(crate) list_kind: String,
    pub(crate) plural: String,
    /// Whether a definition describes it, and not this program.
    pub(crate) defined: bool,
    pub(crate) singular: String,
    pub(crate) short_names: Vec<String>,
    pub(crate) categories: Vec<String>,
    pub(crate) namespaced: bool,
    /// The resource part of the store's keys; the same for all versions of a kind.
    pub(crate) storage: Arc<str>,
    pub(crate) schema: Schema,
    /// The schema as the OpenAPI document shows it.
    pub(crate) open_api: Value,
    pub(crate) columns: Columns,
    /// Prepares an object for the columns of a core kind, which show what no path can say.
    pub(crate) view: Option<fn(&Value) -> Value>,
    /// Whether the status is a subresource.
    pub(crate) status: bool,
    /// Where a scale is read from and written to, if there is one.
    pub(crate) scale: Option<custom::Scale>,
    /// Whether `metadata.generation` counts changes of the specification.
    pub(crate) counted: bool,
    /// The fields that field selectors may name, beside the name and the namespace.
    pub(crate) fields: Vec<String>,
    pub(crate) form: Form,
    pub(crate) rules: rules::Rules,
    pub(crate) admit: Option<Admit>,
    /// Whether strategic merge patches are understood.
    pub(crate) strategic: bool,
    /// What an object holds before anything is set: fields that the original always writes.
    pub(crate) empty: Value,
    /// Said with every answer.
    pub(crate) warning: Option<String>,
}

/// How an object is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// As it is.
    Plain,
    /// Encrypted as a whole.
    Sealed,
    /// In the shape of the core group's events, to which the newer group's are converted.
    NewEvent,
}

impl ResourceType {
    /// `group/version`, or `v1` for the core group.
    pub(crate) fn api_version(&self) -> String {
        api_version(&self.group, &self.version)
    }

    /// `plural.group`, as messages name resources.
    pub(crate) fn qualified(&self) -> String {
        qualified(&self.plural, &self.group)
    }

    /// The group that messages about its objects name: the original knows events by their core form only.
    pub(crate) fn told_group(&self) -> &str {
        if self.form == Form::NewEvent {
            ""
        } else {
            &self.group
        }
    }

    /// Whether an object may have any name that can stand in a path, as `system:discovery`.
    pub(crate) fn names_are_segments(&self) -> bool {
        match self.rules {
            rules::Rules::Role | rules::Rules::Binding => true,
            rules::Rules::Event => self.form == Form::Plain,
            rules::Rules::None
            | rules::Rules::Namespace
            | rules::Rules::Secret
            | rules::Rules::ConfigMap
            | rules::Rules::Lease
            | rules::Rules::Definition
            | rules::Rules::Account => false,
        }
    }

    /// The name of the definition that it comes from; `None` for core kinds.
    pub(crate) fn definition(&self) -> Option<String> {
        self.defined.then(|| self.qualified())
    }

    /// The part of an object that selectors look at.
    pub(crate) fn selectable(&self, object: &Value) -> Value {
        let mut reduced = json!({"metadata": {
            "name": object::name(object),
            "namespace": object::namespace(object),
        }});
        if let Some(labels) = object::metadata(object).and_then(|metadata| metadata.get("labels")) {
            object::metadata_mut(&mut reduced).insert("labels".into(), labels.clone());
        }
        for field in &self.fields {
            let pointer = format!("/{}", field.replace('.', "/"));
            if let Some(value) = object.pointer(&pointer) {
                put(&mut reduced, field, value.clone());
            }
        }
        reduced
    }
}

/// Puts a value under a dotted path.
fn put(object: &mut Value, path: &str, value: Value) {
    match path.split_once('.') {
        Some((first, rest)) => {
            let inner = object::root_mut(object).entry(first).or_insert(Value::Null);
            put(inner, rest, value);
        }
        None => {
            object::root_mut(object).insert(path.into(), value);
        }
    }
}

/// `group/version`, or the version alone for the core group.
pub(crate) fn api_version(group: &str, version: &str) -> String {
    if group.is_empty() {
        version.into()
    } else {
        format!("{group}/{version}")
    }
}

/// `word.group`, or the word alone for the core group.
pub(crate) fn qualified(word: &str, group: &str) -> String {
    if group.is_empty() {
        word.into()
    } else {
        format!("{word}.{group}")
    }
}

pub(crate) use events::{from_newer, to_newer};
