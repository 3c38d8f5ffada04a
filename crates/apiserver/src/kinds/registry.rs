//! The set of kinds that are served at one moment.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, OnceLock},
};

use kube::core::Version;
use serde_json::Value;
use stead_kernel::Admit;

use super::{Definition, ResourceType, api_version, custom};
use crate::{
    http::{Document, Documents},
    object,
};

/// An immutable set of kinds; a change makes a new one.
#[derive(Default)]
pub(crate) struct Registry {
    core: Arc<[Arc<ResourceType>]>,
    /// By the definition's name.
    definitions: BTreeMap<String, Arc<Definition>>,
    /// By `group/version/plural`.
    paths: HashMap<String, Arc<ResourceType>>,
    /// All, in the order of discovery.
    types: Vec<Arc<ResourceType>>,
    /// The OpenAPI documents, once someone has asked for them.
    pub(crate) documents: OnceLock<Documents>,
    /// The old one, likewise.
    pub(crate) swagger: OnceLock<Document>,
}

impl Registry {
    /// A set of core kinds.
    pub(crate) fn new(core: Vec<ResourceType>) -> Self {
        let core: Vec<_> = core.into_iter().map(Arc::new).collect();
        Self {
            core: core.into(),
            ..Self::default()
        }
        .indexed()
    }

    /// The same core kinds with these definitions; those that did not change are kept as they are.
    pub(crate) fn with_definitions(&self, definitions: &[Value], admit: &HashMap<String, Admit>) -> Self {
        let mut read = BTreeMap::new();
        for definition in definitions.iter().filter(|definition| is_accepted(definition)) {
            let name = object::name(definition);
            let source = (object::uid(definition).to_owned(), object::version(definition));
            let known = self.definitions.get(name).filter(|known| known.source == source);
            let entry = match known {
                Some(known) => Arc::clone(known),
                None => match custom::read_definition(definition, admit.get(name).copied()) {
                    Ok(definition) => Arc::new(definition),
                    Err(error) => {
                        tracing::error!(name, %error, "a stored definition cannot be served");
                        continue;
                    }
                },
            };
            read.insert(name.to_owned(), entry);
        }
        self.serving(read)
    }

    /// The same kinds but those of one definition.
    pub(crate) fn without(&self, definition: &str) -> Self {
        let mut definitions = self.definitions.clone();
        definitions.remove(definition);
        self.serving(definitions)
    }

    /// The same core kinds with those of other definitions.
    fn serving(&self, definitions: BTreeMap<String, Arc<Definition>>) -> Self {
        Self {
            core: Arc::clone(&self.core),
            definitions,
            ..Self::default()
        }
        .indexed()
    }

    fn indexed(mut self) -> Self {
        let custom = self
            .definitions
            .values()
            .flat_map(|definition| definition.types.iter());
        self.types = self.core.iter().chain(custom).map(Arc::clone).collect();
        self.paths = self
            .types
            .iter()
            .map(|kind| (path(&kind.group, &kind.version, &kind.plural), Arc::clone(kind)))
            .collect();
        self
    }

    /// The kind at a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<ResourceType>> {
        self.paths.get(&path(group, version, plural))
    }

    /// Any served version of the kind that is stored there.
    pub(crate) fn stored_at(&self, storage: &str) -> Option<&Arc<ResourceType>> {
        self.types.iter().find(|kind| *kind.storage == *storage)
    }

    /// All kinds, in the order of discovery.
    pub(crate) fn types(&self) -> &[Arc<ResourceType>] {
        &self.types
    }

    /// The groups and their versions, the preferred one first; the core group is the empty one.
    pub(crate) fn groups(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for kind in &self.types {
            let versions = groups.entry(&kind.group).or_default();
            if !versions.contains(&kind.version.as_str()) {
                versions.push(&kind.version);
            }
        }
        for versions in groups.values_mut() {
            versions.sort_by_key(|version| std::cmp::Reverse(Version::parse(version).priority()));
        }
        groups
    }

    /// The kinds of one version of a group.
    pub(crate) fn of_version(&self, group: &str, version: &str) -> impl Iterator<Item = &Arc<ResourceType>> {
        self.types
            .iter()
            .filter(move |kind| kind.group == group && kind.version == version)
    }

    /// The definition other than `name` in the same group that has one of the names this one wants.
    pub(crate) fn name_conflict(&self, definition: &Value) -> Option<(&'static str, String)> {
        let group = definition.pointer("/spec/group").and_then(Value::as_str)?;
        let names = custom::wanted_names(definition);
        let own = object::name(definition);
        let others = self
            .definitions
            .iter()
            .filter(|(name, _)| *name != own)
            .flat_map(|(_, definition)| &definition.types)
            .chain(self.core.iter())
            .filter(|kind| kind.group == group);
        for kind in others {
            if kind.kind == object::top(&names, "kind") || kind.list_kind == object::top(&names, "kind") {
                return Some(("KindConflict", format!("{:?} is already in use", kind.kind)));
            }
            let taken = [&kind.plural, &kind.singular]
                .into_iter()
                .chain(&kind.short_names);
            for word in taken {
                if *word == object::top(&names, "plural") || *word == object::top(&names, "singular") {
                    return Some(("NameConflict", format!("{word:?} is already in use")));
                }
            }
        }
        None
    }
}

/// A definition whose names are taken is not served, nor is one that is going away: only its objects are removed.
fn is_accepted(definition: &Value) -> bool {
    let conditions = definition.pointer("/status/conditions").and_then(Value::as_array);
    conditions.into_iter().flatten().any(|condition| {
        object::top(condition, "type") == "Established" && object::top(condition, "status") == "True"
    })
}

fn path(group: &str, version: &str, plural: &str) -> String {
    format!("{}/{plural}", api_version(group, version))
}
