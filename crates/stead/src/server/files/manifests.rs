//! What a folder of files says: objects with their projects, and keys that are kept in Secrets as their hashes.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::SystemTime,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use stead_cli::Manifest;
use stead_kernel::{DEFAULT_PROJECT, Error, Result};

/// By what a change of the files is noticed: path, inode, length and time of change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamp(BTreeMap<PathBuf, (u64, u64, Option<SystemTime>)>);

/// Looks at the folder. Links are followed, as a mounted `ConfigMap` has them. Blocks.
pub(super) fn stamp(folder: &Path) -> Result<Stamp> {
    let unreadable =
        |error| Error::unavailable(format!("{} cannot be read", folder.display())).because(error);
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let Ok(metadata) = fs::metadata(&path) else {
            continue;
        };
        if metadata.is_file() {
            let seen = (metadata.ino(), metadata.len(), metadata.modified().ok());
            files.insert(path, seen);
        }
    }
    Ok(Stamp(files))
}

/// One object, in its project.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Object {
    /// Where it stands, for messages.
    pub(super) place: String,
    pub(super) api_version: String,
    pub(super) kind: String,
    pub(super) project: String,
    pub(super) name: String,
    pub(super) value: Value,
}

/// Reads the folder. Blocks.
///
/// # Errors
/// `Invalid` with the place for what is no manifest, for two objects of one name, and for a key whose text is
/// nowhere.
pub(super) fn read(folder: &Path) -> Result<Vec<Object>> {
    let objects = stead_cli::read_manifests(folder)?.into_iter().map(object);
    settle(objects.collect::<Result<_>>()?)
}

fn object(manifest: Manifest) -> Result<Object> {
    let Manifest { place, mut value } = manifest;
    let text = |path: &str| {
        let text = value.pointer(path).and_then(Value::as_str);
        text.map(str::to_owned)
    };
    let project = text("/metadata/namespace").unwrap_or_else(|| DEFAULT_PROJECT.to_owned());
    let (api_version, kind, name) = (text("/apiVersion"), text("/kind"), text("/metadata/name"));
    let (Some(api_version), Some(kind), Some(name)) = (api_version, kind, name) else {
        return Err(Error::invalid(format!(
            "{place}: an object has apiVersion, kind and metadata.name"
        )));
    };
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.insert("namespace".into(), project.clone().into());
    }
    if kind == "Secret" {
        encode(&mut value);
    }
    // What a server once said about it is none of the files' business.
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    Ok(Object {
        place,
        api_version,
        kind,
        project,
        name,
        value,
    })
}

/// Refuses doubles, and replaces the Secrets that hold the text of keys by the keys' hashes: nobody makes keys here.
fn settle(mut objects: Vec<Object>) -> Result<Vec<Object>> {
    let mut seen = BTreeMap::new();
    for object in &objects {
        let id = (&object.kind, &object.project, &object.name);
        if let Some(first) = seen.insert(id, &object.place) {
            return Err(Error::invalid(format!(
                "{}: {} {:?} is in {first} already",
                object.place, object.kind, object.name
            )));
        }
    }
    let secrets: BTreeMap<(String, String), Value> = objects
        .iter()
        .filter(|object| object.kind == "Secret")
        .map(|object| {
            (
                (object.project.clone(), object.name.clone()),
                object.value.clone(),
            )
        })
        .collect();
    for object in objects.iter_mut().filter(|object| object.kind == "ApiKey") {
        let Some(reference) = object.value.pointer("/spec/writeToSecretRef").cloned() else {
            continue;
        };
        let field = |name: &str, otherwise: &str| {
            let text = reference.get(name).and_then(Value::as_str);
            text.unwrap_or(otherwise).to_owned()
        };
        let (name, key) = (field("name", ""), field("key", "key"));
        let secret = secrets.get(&(object.project.clone(), name.clone()));
        let text = secret.and_then(|secret| secret_text(secret, &key));
        let Some(text) = text else {
            return Err(Error::invalid(format!(
                "{}: spec.writeToSecretRef: the files have no Secret {name:?} with a text under {key:?}",
                object.place
            ))
            .hint("a gateway that runs from files makes no keys: give the Secret, or spec.keyHash"));
        };
        if let Some(spec) = object.value.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("writeToSecretRef");
            spec.insert("keyHash".into(), json!(stead_gateway::key_hash(&text)));
        }
    }
    Ok(objects)
}

/// Moves `stringData` into `data`, over which it wins as with Kubernetes: so that a text that the file no longer has is
/// gone.
fn encode(secret: &mut Value) {
    let Some(fields) = secret.as_object_mut() else {
        return;
    };
    let Some(Value::Object(texts)) = fields.remove("stringData") else {
        return;
    };
    let mut data = match fields.remove("data") {
        Some(Value::Object(data)) => data,
        _ => serde_json::Map::new(),
    };
    for (key, text) in texts {
        let encoded = match text {
            Value::String(text) => Value::from(STANDARD.encode(text)),
            // The schema says what is wrong with it.
            other => other,
        };
        data.insert(key, encoded);
    }
    fields.insert("data".into(), Value::Object(data));
}

/// A text of a Secret.
fn secret_text(secret: &Value, key: &str) -> Option<String> {
    let encoded = secret.get("data")?.get(key)?.as_str()?;
    let text = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> Result<Vec<Object>> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("all.yaml"), text).unwrap();
        read(folder.path())
    }

    const KEY: &str = "apiVersion: stead.dev/v1alpha1\nkind: ApiKey\nmetadata: {name: ci}\n\
                       spec: {writeToSecretRef: {name: ci, key: token}}\n";

    #[test]
    fn a_key_in_a_secret_becomes_its_hash() {
        let hash = stead_gateway::key_hash("sk-abc");
        for secret in ["stringData: {token: sk-abc}", "data: {token: c2stYWJj}"] {
            let text = format!("{KEY}---\napiVersion: v1\nkind: Secret\nmetadata: {{name: ci}}\n{secret}\n");
            let objects = read_text(&text).unwrap();
            assert_eq!(objects[0].value["spec"], json!({"keyHash": hash}));
            assert_eq!(objects[0].project, "default");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let provider = "apiVersion: stead.dev/v1alpha1\nkind: ModelProvider\nmetadata: {name: p}\nspec: {}\n";
        for (text, part) in [
            (KEY.to_owned(), "no Secret \"ci\""),
            (format!("{provider}---\n{provider}"), "document 1"),
            ("a: [".to_owned(), "all.yaml:1"),
            ("kind: ApiKey".to_owned(), "apiVersion"),
        ] {
            let error = read_text(&text).unwrap_err();
            assert!(
                error.full_message().contains(part),
                "{text}: {}",
                error.full_message()
            );
        }
    }

    #[test]
    fn a_change_is_noticed_and_a_look_alone_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.yaml");
        fs::write(&file, "a").unwrap();
        let first = stamp(folder.path()).unwrap();
        assert_eq!(stamp(folder.path()).unwrap(), first);
        fs::write(&file, "ab").unwrap();
        let second = stamp(folder.path()).unwrap();
        assert_ne!(second, first);
        fs::remove_file(&file).unwrap();
        assert_ne!(stamp(folder.path()).unwrap(), second);
    }
}
