//! Namespaces that are being deleted: what is in them goes first, and their conditions tell how far that is.

use std::{collections::BTreeMap, sync::Arc};

use serde_json::Value;
use stead_kernel::Verb;

use super::{Engine, Part, Target, definitions::set_condition, janitor::caller};
use crate::{
    failure::Outcome,
    object::{self, map_mut},
    store::{Action, Key, StoreError, Write},
};

/// The finalizer by which the server waits for a namespace's content.
const CONTENT: &str = "kubernetes";

/// What is left in a namespace.
#[derive(Debug, Default)]
struct Remaining {
    /// How many objects of each resource, by `plural.group`.
    resources: BTreeMap<String, usize>,
    finalizers: BTreeMap<String, usize>,
}

impl Engine {
    /// Removes what is in a namespace, and then the namespace.
    pub(super) async fn finish_namespace(self: &Arc<Self>, target: &Target, object: Value) -> Outcome<()> {
        let mut content = self.content(&target.name).await?;
        if !content.is_empty() {
            self.remove_all(content).await?;
            content = self.content(&target.name).await?;
        }
        let remaining = self.remaining(&content)?;
        let mut new = object.clone();
        tell(&mut new, &remaining, &self.now());
        if new != object {
            let status = Target {
                part: Part::Status,
                ..target.clone()
            };
            // What is written wakes the next sweep.
            return self.change(&status, object, new).await;
        }
        if !content.is_empty() {
            return Ok(());
        }
        let finalizers = finalizers(&object);
        let others: Vec<&str> = finalizers
            .iter()
            .copied()
            .filter(|name| *name != CONTENT)
            .collect();
        let held = !others.is_empty() || !object::finalizers(&object).is_empty();
        if held && others.len() < finalizers.len() {
            let mut new = object.clone();
            set_finalizers(&mut new, &others);
            let part = Target {
                part: Part::Finalize,
                ..target.clone()
            };
            return self.change(&part, object, new).await;
        }
        if held {
            return Ok(());
        }
        let write = Write {
            key: target.key(),
            action: Action::RemoveEmpty {
                expected: object::version(&object),
            },
            audit: self.audit(&caller(), Verb::Delete, target, ""),
            was: None,
        };
        match self.store.write(write).await {
            Ok(_) | Err(StoreError::NotEmpty | StoreError::Conflict | StoreError::Missing) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// The keys of what is in a namespace.
    async fn content(&self, namespace: &str) -> Outcome<Vec<Key>> {
        let registry = self.registry.load_full();
        let (mut content, mut seen) = (Vec::new(), Vec::new());
        for kind in registry.types().iter().filter(|kind| kind.namespaced) {
            if !seen.contains(&&*kind.storage) {
                seen.push(&kind.storage);
                content.extend(self.store.keys_of(&kind.storage, Some(namespace)).await?);
            }
        }
        Ok(content)
    }

    fn remaining(&self, content: &[Key]) -> Outcome<Remaining> {
        let mut remaining = Remaining::default();
        for key in content {
            let Some((target, object)) = self.found(key)? else {
                continue;
            };
            // The original writes a dot after a kind of the core group, too.
            let name = format!("{}.{}", target.kind.plural, target.kind.group);
            *remaining.resources.entry(name).or_default() += 1;
            for finalizer in object::finalizers(&object) {
                *remaining.finalizers.entry(finalizer.to_owned()).or_default() += 1;
            }
        }
        Ok(remaining)
    }
}

fn finalizers(namespace: &Value) -> Vec<&str> {
    let list = namespace.pointer("/spec/finalizers").and_then(Value::as_array);
    list.into_iter().flatten().filter_map(Value::as_str).collect()
}

fn set_finalizers(namespace: &mut Value, list: &[&str]) {
    let spec = map_mut(namespace, "spec");
    if list.is_empty() {
        spec.shift_remove("finalizers");
    } else {
        spec.insert("finalizers".into(), list.into());
    }
}

/// Writes the conditions of a namespace that is being deleted.
fn tell(namespace: &mut Value, remaining: &Remaining, now: &str) {
    let list = |counts: &BTreeMap<String, usize>, joint: &str| {
        let texts: Vec<String> = counts
            .iter()
            .map(|(name, count)| format!("{name} {joint} {count} resource instances"))
            .collect();
        texts.join(", ")
    };
    let fixed = [
        (
            "NamespaceDeletionDiscoveryFailure",
            "ResourcesDiscovered",
            "All resources successfully discovered",
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed",
        ),
        (
            "NamespaceDeletionContentFailure",
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization",
        ),
    ];
    for (kind, reason, message) in fixed {
        set_condition(namespace, kind, ("False", reason, message), now);
    }
    let resources = list(&remaining.resources, "has");
    let message = format!("Some resources are remaining: {resources}");
    let content = if remaining.resources.is_empty() {
        ("False", "ContentRemoved", "All content successfully removed")
    } else {
        ("True", "SomeResourcesRemain", message.as_str())
    };
    set_condition(namespace, "NamespaceContentRemaining", content, now);
    let finalizers = list(&remaining.finalizers, "in");
    let message = format!("Some content in the namespace has finalizers remaining: {finalizers}");
    let held = if remaining.finalizers.is_empty() {
        (
            "False",
            "ContentHasNoFinalizers",
            "All content-preserving finalizers finished",
        )
    } else {
        ("True", "SomeFinalizersRemain", message.as_str())
    };
    set_condition(namespace, "NamespaceFinalizersRemaining", held, now);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn conditions_tell_what_is_left() {
        let mut namespace = json!({});
        let remaining = Remaining {
            resources: BTreeMap::from([("configmaps.".into(), 2), ("widgets.x.dev".into(), 1)]),
            finalizers: BTreeMap::from([("x.dev/a".into(), 3)]),
        };
        tell(&mut namespace, &remaining, "t");
        let messages: Vec<&str> = namespace["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|condition| condition["status"] == "True")
            .filter_map(|condition| condition["message"].as_str())
            .collect();
        assert_eq!(
            messages,
            [
                "Some resources are remaining: configmaps. has 2 resource instances, widgets.x.dev has 1 resource \
                 instances",
                "Some content in the namespace has finalizers remaining: x.dev/a in 3 resource instances",
            ]
        );
        let before = namespace.clone();
        tell(&mut namespace, &remaining, "later");
        assert_eq!(namespace, before, "what has not changed keeps its time");
    }
}
