//! Definitions: their status, and the kinds that follow from them.

use std::sync::Arc;

use serde_json::{Value, json};
use stead_kernel::Verb;

use super::{Caller, Engine, ListOptions, Part, Target, WriteOptions, draft::Tracking};
use crate::{
    failure::Outcome,
    kinds::{DEFINITIONS, ResourceType, rules::Rules},
    object::{self, map_mut, root_mut},
};

impl Engine {
    /// Decides whether a definition's names are free, and writes that into its status.
    pub(super) fn complete_definition(
        &self,
        target: &Target,
        old: Option<&Value>,
        definition: &mut Value,
        now: &str,
    ) {
        if target.kind.rules != Rules::Definition || target.part != Part::Main {
            return;
        }
        let conflict = self.registry.load().name_conflict(definition);
        let names = definition.pointer("/spec/names").cloned().unwrap_or(Value::Null);
        let (accepted, reason, message) = match &conflict {
            None => ("True", "NoConflicts", "no conflicts found".to_owned()),
            Some((reason, message)) => ("False", *reason, message.clone()),
        };
        let storage_version = definition
            .pointer("/spec/versions")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .find(|version| version.get("storage").and_then(Value::as_bool) == Some(true))
            .map(|version| object::top(version, "name").to_owned());
        let status = map_mut(definition, "status");
        if conflict.is_none() {
            status.insert("acceptedNames".into(), names);
        }
        let stored = status.entry("storedVersions").or_insert_with(|| json!([]));
        if let (Some(stored), Some(version)) = (stored.as_array_mut(), storage_version)
            && !stored.iter().any(|known| known.as_str() == Some(&version))
        {
            stored.push(version.into());
        }
        let established = match (accepted, old.is_some_and(is_established)) {
            // Objects may exist: a kind that was served stays served.
            (_, true) | ("True", _) => (
                "True",
                "InitialNamesAccepted",
                "the initial names have been accepted",
            ),
            _ => ("False", "NotAccepted", "not all names are accepted"),
        };
        set_condition(definition, "NamesAccepted", (accepted, reason, &message), now);
        set_condition(definition, "Established", established, now);
    }

    /// Serves what the stored definitions say, if the write was to one of them.
    pub(super) async fn definitions_changed(self: &Engine, target: &Target) {
        if target.kind.rules != Rules::Definition {
            return;
        }
        if let Err(failure) = self.reload().await {
            tracing::error!(
                message = failure.message(),
                "the definitions could not be read again"
            );
        }
    }

    /// Stops serving the kinds of a definition that is about to go, so that whoever hears that it is gone finds none.
    pub(super) fn retire(&self, definition: &str) {
        let current = self.registry.load_full();
        self.registry.store(Arc::new(current.without(definition)));
    }

    /// Reads the stored definitions and serves their kinds.
    pub(crate) async fn reload(&self) -> Outcome<()> {
        let kind = self.definition_kind();
        let mut definitions = Vec::new();
        for key in self.store.keys_of(DEFINITIONS, None).await? {
            if let Some(row) = self.store.get(&key)? {
                definitions.push(self.decode(&kind, &row)?);
            }
        }
        let current = self.registry.load_full();
        self.registry
            .store(Arc::new(current.with_definitions(&definitions, &self.admit)));
        Ok(())
    }

    pub(crate) fn definition_kind(&self) -> Arc<ResourceType> {
        let registry = self.registry.load();
        let kind = registry.stored_at(DEFINITIONS);
        Arc::clone(kind.expect("definitions are a core kind"))
    }

    /// Makes a built-in definition what the program says, whatever is stored.
    pub(crate) async fn install(self: &Arc<Self>, caller: &Caller, mut definition: Value) -> Outcome<()> {
        let target = Target {
            kind: self.definition_kind(),
            namespace: String::new(),
            name: object::name(&definition).into(),
            part: Part::Main,
        };
        let options = WriteOptions {
            manager: "stead".into(),
            ..WriteOptions::default()
        };
        root_mut(&mut definition).shift_remove("status");
        let Some(old) = self.load(&target)? else {
            self.create(caller, &target, definition, &options).await?;
            return Ok(());
        };
        let mut new = old.clone();
        let spec = definition.get("spec").cloned().unwrap_or_default();
        root_mut(&mut new).insert("spec".into(), spec);
        target.kind.schema.prune(&mut new);
        target.kind.schema.default(&mut new);
        target.kind.rules.complete(Some(&old), &mut new);
        if new == old {
            return Ok(());
        }
        let changes = (old, new);
        self.replace(
            caller,
            &target,
            &options,
            changes,
            Tracking::Compare,
            Verb::Update,
        )
        .await?;
        Ok(())
    }

    /// All objects of a collection.
    pub(crate) async fn all(self: &Arc<Self>, target: &Target) -> Outcome<Vec<Value>> {
        Ok(self.list(target, ListOptions::default()).await?.items)
    }
}

fn is_established(definition: &Value) -> bool {
    conditions(definition).iter().any(|condition| {
        object::top(condition, "type") == "Established" && object::top(condition, "status") == "True"
    })
}

fn conditions(object: &Value) -> &[Value] {
    object
        .pointer("/status/conditions")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Sets a condition; its transition time changes only when its status does.
pub(super) fn set_condition(
    object: &mut Value,
    kind: &str,
    (status, reason, message): (&str, &str, &str),
    now: &str,
) {
    let mut condition = json!({
        "type": kind, "status": status, "lastTransitionTime": now, "reason": reason, "message": message,
    });
    let list = map_mut(object, "status")
        .entry("conditions")
        .or_insert_with(|| json!([]));
    if !list.is_array() {
        *list = json!([]);
    }
    let Some(list) = list.as_array_mut() else { return };
    let Some(known) = list
        .iter_mut()
        .find(|condition| object::top(condition, "type") == kind)
    else {
        list.push(condition);
        return;
    };
    if object::top(known, "status") == status
        && let Some(since) = known.get("lastTransitionTime")
    {
        root_mut(&mut condition).insert("lastTransitionTime".into(), since.clone());
    }
    *known = condition;
}
