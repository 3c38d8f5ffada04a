//! The objects and what happened to them.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::path::ResourcePath;

/// Why a request was refused.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: u16,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: u16, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            code,
            reason,
            message: message.into(),
        }
    }
}

/// Objects by path, and every change in order.
#[derive(Default)]
pub(super) struct Store {
    objects: BTreeMap<ResourcePath, Value>,
    changes: Vec<(u64, ResourcePath, Value)>,
    version: u64,
    made: u64,
}

impl Store {
    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, path: &ResourcePath) -> Result<Value, Refusal> {
        self.objects.get(&key(path)).cloned().ok_or_else(|| missing(path))
    }

    pub(super) fn of(&self, plural: &str) -> Vec<Value> {
        let of_kind = self.objects.iter().filter(|(path, _)| path.plural == plural);
        of_kind.map(|(_, object)| object.clone()).collect()
    }

    pub(super) fn list(&self, path: &ResourcePath) -> Value {
        let items: Vec<&Value> = self
            .objects
            .iter()
            .filter(|(other, _)| path.covers(other))
            .map(|(_, object)| object)
            .collect();
        json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": self.version.to_string()},
            "items": items})
    }

    /// Watch events of what the path covers, after that version.
    pub(super) fn since(&self, path: &ResourcePath, version: u64) -> Vec<Value> {
        let later = self
            .changes
            .iter()
            .filter(|(at, other, _)| *at > version && path.covers(other));
        later.map(|(_, _, event)| event.clone()).collect()
    }

    pub(super) fn create(&mut self, path: &ResourcePath, mut new: Value) -> Result<Value, Refusal> {
        let name = new
            .pointer("/metadata/name")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let path = ResourcePath { name, ..key(path) };
        if path.name.is_none() {
            return Err(Refusal::new(422, "Invalid", "metadata.name: required"));
        }
        if self.objects.contains_key(&path) {
            return Err(Refusal::new(
                409,
                "AlreadyExists",
                format!("{} exists already", describe(&path)),
            ));
        }
        self.made += 1;
        if let Some(object) = new.as_object_mut() {
            object.remove("status");
        }
        set(
            &mut new,
            "uid",
            json!(format!("00000000-0000-7000-8000-{:012}", self.made)),
        );
        set(&mut new, "generation", json!(1));
        set(&mut new, "creationTimestamp", json!("2026-01-01T00:00:00Z"));
        if let Some(project) = &path.project {
            set(&mut new, "namespace", json!(project));
        }
        Ok(self.put("ADDED", path, new))
    }

    pub(super) fn replace(&mut self, path: &ResourcePath, new: Value) -> Result<Value, Refusal> {
        let old = self.get(path)?;
        self.store_change(path, &old, new)
    }

    pub(super) fn patch(&mut self, path: &ResourcePath, kind: &str, patch: &Value) -> Result<Value, Refusal> {
        let kind = kind.split(';').next().unwrap_or_default();
        let is_applied = kind == "application/apply-patch+yaml";
        if is_applied && patch.pointer("/metadata/name") != Some(&json!(path.name)) {
            return Err(Refusal::new(400, "BadRequest", "name must be provided"));
        }
        let old = match self.get(path) {
            Ok(old) => old,
            Err(_) if is_applied => return self.create(path, patch.clone()),
            Err(missing) => return Err(missing),
        };
        let mut new = old.clone();
        match kind {
            "application/merge-patch+json" | "application/apply-patch+yaml" => {
                json_patch::merge(&mut new, patch);
            }
            "application/json-patch+json" => serde_json::from_value::<json_patch::Patch>(patch.clone())
                .map_err(|error| error.to_string())
                .and_then(|patch| json_patch::patch(&mut new, &patch).map_err(|error| error.to_string()))
                .map_err(|error| Refusal::new(422, "Invalid", error))?,
            _ => return Err(Refusal::new(415, "UnsupportedMediaType", "unknown sort of patch")),
        }
        self.store_change(path, &old, new)
    }

    pub(super) fn delete(&mut self, path: &ResourcePath) -> Result<Value, Refusal> {
        let old = self.get(path)?;
        let mut new = old.clone();
        if finalizers(&old) > 0 {
            if old.pointer("/metadata/deletionTimestamp").is_some() {
                return Ok(old);
            }
            set(&mut new, "deletionTimestamp", json!("2026-01-01T00:00:00Z"));
            return Ok(self.put("MODIFIED", key(path), new));
        }
        Ok(self.remove(path, new))
    }

    /// The rules that hold for every change of an object.
    fn store_change(&mut self, path: &ResourcePath, old: &Value, mut new: Value) -> Result<Value, Refusal> {
        let version = |object: &Value| object.pointer("/metadata/resourceVersion").cloned();
        if version(&new).is_some_and(|version_new| Some(version_new) != version(old)) {
            return Err(Refusal::new(
                409,
                "Conflict",
                format!("{} was changed meanwhile", describe(path)),
            ));
        }
        let status = if path.status {
            new.get("status")
        } else {
            old.get("status")
        }
        .cloned();
        if path.status {
            new = old.clone();
        }
        if let (Some(object), Some(status)) = (new.as_object_mut(), status) {
            object.insert("status".into(), status);
        }
        for field in [
            "uid",
            "creationTimestamp",
            "namespace",
            "name",
            "deletionTimestamp",
            "generation",
        ] {
            if let Some(value) = old.pointer(&format!("/metadata/{field}")) {
                set(&mut new, field, value.clone());
            }
        }
        if new.get("spec") != old.get("spec") {
            let generation = old
                .pointer("/metadata/generation")
                .and_then(Value::as_u64)
                .unwrap_or(0);
            set(&mut new, "generation", json!(generation + 1));
        }
        if new == *old {
            return Ok(new);
        }
        if new.pointer("/metadata/deletionTimestamp").is_some() && finalizers(&new) == 0 {
            return Ok(self.remove(path, new));
        }
        Ok(self.put("MODIFIED", key(path), new))
    }

    fn put(&mut self, event: &str, path: ResourcePath, mut object: Value) -> Value {
        self.version += 1;
        set(&mut object, "resourceVersion", json!(self.version.to_string()));
        self.changes.push((
            self.version,
            path.clone(),
            json!({"type": event, "object": object}),
        ));
        self.objects.insert(path, object.clone());
        object
    }

    fn remove(&mut self, path: &ResourcePath, mut object: Value) -> Value {
        let path = key(path);
        self.version += 1;
        set(&mut object, "resourceVersion", json!(self.version.to_string()));
        self.changes.push((
            self.version,
            path.clone(),
            json!({"type": "DELETED", "object": object}),
        ));
        self.objects.remove(&path);
        object
    }
}

fn key(path: &ResourcePath) -> ResourcePath {
    ResourcePath {
        status: false,
        ..path.clone()
    }
}

fn set(object: &mut Value, field: &str, value: Value) {
    let Some(object) = object.as_object_mut() else {
        return;
    };
    let metadata = object.entry("metadata").or_insert_with(|| json!({}));
    if let Some(metadata) = metadata.as_object_mut() {
        metadata.insert(field.into(), value);
    }
}

fn finalizers(object: &Value) -> usize {
    let list = object.pointer("/metadata/finalizers").and_then(Value::as_array);
    list.map_or(0, Vec::len)
}

fn describe(path: &ResourcePath) -> String {
    format!("{} {}", path.plural, path.name.as_deref().unwrap_or_default())
}

fn missing(path: &ResourcePath) -> Refusal {
    Refusal::new(404, "NotFound", format!("{} not found", describe(path)))
}
