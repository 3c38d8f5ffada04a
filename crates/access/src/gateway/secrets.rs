//! Which Secrets the gateway's resources name: learnt from watches, so that the question costs a look into memory.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use futures::{StreamExt, pin_mut};
use kube::{
    Api, Client, ResourceExt,
    core::{ApiResource, DynamicObject, GroupVersionKind},
    runtime::{
        WatchStreamExt,
        watcher::{self, Event, watcher},
    },
};
use serde_json::Value;
use stead_kernel::{GROUP, Tasks, VERSION};

/// The gateway's kinds that name Secrets for it, with their plurals. A test of the composition root holds this list
/// against the schemas.
pub const NAMING: [(&str, &str); 1] = [("ModelProvider", "modelproviders")];

/// A project and a name in it.
type Id = (String, String);

/// The names of Secrets, by kind and object that names them.
type Named = HashMap<(&'static str, Id), BTreeSet<String>>;

/// Which Secrets are named.
#[derive(Debug, Clone, Default)]
pub(super) struct NamedSecrets(Arc<RwLock<Named>>);

impl NamedSecrets {
    /// Whether some object of the project names the Secret.
    pub(super) fn contains(&self, project: &str, secret: &str) -> bool {
        let named = self.0.read().unwrap_or_else(PoisonError::into_inner);
        named
            .iter()
            .any(|((_, (owner, _)), names)| owner == project && names.contains(secret))
    }

    /// Watches the kinds that name Secrets until shutdown.
    pub(super) fn follow(&self, client: &Client, tasks: &Tasks) {
        for (kind, plural) in NAMING {
            let resource =
                ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(GROUP, VERSION, kind), plural);
            let api: Api<DynamicObject> = Api::all_with(client.clone(), &resource);
            let named = self.clone();
            tasks.spawn_until_stopped("secrets of gateways", async move {
                let events = watcher(api, watcher::Config::default()).default_backoff();
                pin_mut!(events);
                let mut listed = Vec::new();
                while let Some(event) = events.next().await {
                    if let Ok(event) = event {
                        named.take(kind, event, &mut listed);
                    }
                }
            });
        }
    }

    fn take(&self, kind: &'static str, event: Event<DynamicObject>, listed: &mut Vec<DynamicObject>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => listed.push(object),
            Event::InitDone => {
                let mut named = self.0.write().unwrap_or_else(PoisonError::into_inner);
                named.retain(|(of, _), _| *of != kind);
                named.extend(
                    listed
                        .drain(..)
                        .map(|object| ((kind, id(&object)), names(&object))),
                );
            }
            Event::Apply(object) => self.put(kind, &object),
            Event::Delete(object) => {
                let mut named = self.0.write().unwrap_or_else(PoisonError::into_inner);
                named.remove(&(kind, id(&object)));
            }
        }
    }

    /// Takes in one object.
    pub(super) fn put(&self, kind: &'static str, object: &DynamicObject) {
        let mut named = self.0.write().unwrap_or_else(PoisonError::into_inner);
        named.insert((kind, id(object)), names(object));
    }
}

fn id(object: &DynamicObject) -> Id {
    (object.namespace().unwrap_or_default(), object.name_any())
}

fn names(object: &DynamicObject) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    if let Some(spec) = object.data.get("spec") {
        collect(spec, &mut found);
    }
    found
}

/// Every `secretRef: {name}`, however deep. A Secret that is written to (`writeToSecretRef`) is none to be read.
fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (field, inner) in fields {
                let name = inner.get("name").and_then(Value::as_str);
                if let (true, Some(name)) = (is_reference(field), name) {
                    found.insert(name.to_owned());
                }
                collect(inner, found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Whether a field of a spec refers to a Secret that is read.
pub fn is_reference(field: &str) -> bool {
    field.eq_ignore_ascii_case("secretRef") || (field.ends_with("SecretRef") && !field.starts_with("writeTo"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_secret_that_is_read_is_found_and_one_that_is_written_is_not() {
        let mut found = BTreeSet::new();
        let spec = json!({
            "credential": {"secretRef": {"name": "a", "key": "k"}},
            "list": [{"clientSecretRef": {"name": "b"}}, {"secretRef": {"key": "no name"}}],
            "writeToSecretRef": {"name": "c"},
            "secretRefs": {"name": "d"},
            "name": "e",
        });
        collect(&spec, &mut found);
        assert_eq!(found, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }
}
