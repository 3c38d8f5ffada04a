//! OpenAPI v3 documents, one per group and version, made from the kinds' schemas when first asked for.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use axum::{
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use serde_json::{Map, Value, json};

use crate::{
    kinds::{Registry, ResourceType, object_meta},
    object::root_mut,
};

/// The documents of a set of kinds, by `api/v1` or `apis/GROUP/VERSION`.
pub(crate) type Documents = BTreeMap<String, Document>;

/// A document and a hash of it.
pub(crate) struct Document {
    pub(super) hash: String,
    pub(super) body: Bytes,
}

impl Document {
    pub(super) fn new(document: &Value) -> Self {
        let body = document.to_string();
        let mut hasher = DefaultHasher::new();
        body.hash(&mut hasher);
        Self {
            hash: format!("{:016X}", hasher.finish()),
            body: body.into(),
        }
    }
}

const OBJECT_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
const LIST_META: &str = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta";

/// `/openapi/v3`.
pub(super) fn index(registry: &Registry) -> Value {
    let paths: Map<String, Value> = documents(registry)
        .iter()
        .map(|(path, document)| {
            let url = format!("/openapi/v3/{path}?hash={}", document.hash);
            (path.clone(), json!({"serverRelativeURL": url}))
        })
        .collect();
    json!({"paths": paths})
}

/// `/openapi/v3/api/v1` and `/openapi/v3/apis/GROUP/VERSION`.
pub(super) fn document(registry: &Registry, group: &str, version: &str) -> Option<Response> {
    let document = documents(registry).get(&path(group, version))?;
    let mut response = document.body.clone().into_response();
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if let Ok(tag) = HeaderValue::try_from(format!("\"{}\"", document.hash)) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    Some(response)
}

fn documents(registry: &Registry) -> &Documents {
    registry.documents.get_or_init(|| {
        let mut documents = Documents::new();
        for (group, versions) in registry.groups() {
            for version in versions {
                let document = Document::new(&specification(registry, group, version));
                documents.insert(path(group, version), document);
            }
        }
        documents
    })
}

fn path(group: &str, version: &str) -> String {
    if group.is_empty() {
        format!("api/{version}")
    } else {
        format!("apis/{group}/{version}")
    }
}

/// The document of one version of a group.
pub(super) fn specification(registry: &Registry, group: &str, version: &str) -> Value {
    let (mut paths, mut schemas) = (Map::new(), Map::new());
    schemas.insert(OBJECT_META.into(), object_meta());
    schemas.insert(LIST_META.into(), list_meta());
    for kind in registry.of_version(group, version) {
        let name = schema_name(kind);
        schemas.insert(format!("{name}List"), list_schema(kind, &name));
        schemas.insert(name.clone(), object_schema(kind));
        add_paths(&mut paths, kind, &name);
    }
    json!({
        "openapi": "3.0.0",
        "info": {"title": "Stead", "version": version},
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

/// `dev.stead.v1alpha1.Model`: the group backwards, the version and the kind.
fn schema_name(kind: &ResourceType) -> String {
    let group = if kind.group.is_empty() {
        "core.api.k8s.io"
    } else {
        &kind.group
    };
    let mut parts: Vec<&str> = group.split('.').rev().collect();
    parts.extend([kind.version.as_str(), kind.kind.as_str()]);
    parts.join(".")
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn group_version_kind(kind: &ResourceType, name: &str) -> Value {
    json!({"group": kind.group, "version": kind.version, "kind": name})
}

fn described(text: &str) -> Value {
    json!({"type": "string", "description": text})
}

fn object_schema(kind: &ResourceType) -> Value {
    let mut schema = kind.open_api.clone();
    let root = root_mut(&mut schema);
    root.insert("type".into(), "object".into());
    let properties = root_mut(root.entry("properties").or_insert(Value::Null));
    properties.insert(
        "apiVersion".into(),
        described("The version of the schema that this object follows."),
    );
    properties.insert("kind".into(), described("The kind of this object."));
    properties.insert(
        "metadata".into(),
        json!({"description": "What every object has.", "default": {}, "allOf": [reference(OBJECT_META)]}),
    );
    root.insert(
        "x-kubernetes-group-version-kind".into(),
        json!([group_version_kind(kind, &kind.kind)]),
    );
    schema
}

fn list_schema(kind: &ResourceType, name: &str) -> Value {
    json!({
        "description": format!("A list of objects of the kind {}.", kind.kind),
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": described("The version of the schema that this list follows."),
            "kind": described("The kind of this list."),
            "metadata": {"default": {}, "allOf": [reference(LIST_META)]},
            "items": {"type": "array", "items": reference(name)},
        },
        "x-kubernetes-group-version-kind": [group_version_kind(kind, &kind.list_kind)],
    })
}

fn list_meta() -> Value {
    json!({
        "description": "What every list has.",
        "type": "object",
        "properties": {
            "continue": described("Where the next page begins; empty on the last one."),
            "remainingItemCount": {"type": "integer", "format": "int64"},
            "resourceVersion": described("The version of the state that was listed."),
            "selfLink": {"type": "string"},
        },
    })
}

fn add_paths(paths: &mut Map<String, Value>, kind: &ResourceType, name: &str) {
    let base = if kind.group.is_empty() {
        format!("/api/{}", kind.version)
    } else {
        format!("/apis/{}/{}", kind.group, kind.version)
    };
    let all = format!("{base}/{}", kind.plural);
    let collection = if kind.namespaced {
        format!("{base}/namespaces/{{namespace}}/{}", kind.plural)
    } else {
        all.clone()
    };
    let list = format!("{name}List");
    let mut on_collection = json!({
        "get": operation(kind, "list", &list, &[]),
        "post": operation(kind, "post", name, WRITE),
        "delete": operation(kind, "deletecollection", name, &["dryRun"]),
    });
    let mut on_object = json!({
        "get": operation(kind, "get", name, &[]),
        "put": operation(kind, "put", name, WRITE),
        "patch": operation(kind, "patch", name, &["dryRun", "fieldManager", "fieldValidation", "force"]),
        "delete": operation(kind, "delete", name, &["dryRun"]),
    });
    let parameters = |named: bool| -> Value {
        let mut list = Vec::new();
        for (wanted, parameter) in [(kind.namespaced, "namespace"), (named, "name")] {
            if wanted {
                list.push(
                    json!({"name": parameter, "in": "path", "required": true, "schema": {"type": "string"}}),
                );
            }
        }
        list.into()
    };
    root_mut(&mut on_collection).insert("parameters".into(), parameters(false));
    root_mut(&mut on_object).insert("parameters".into(), parameters(true));
    if kind.namespaced {
        paths.insert(all, json!({"get": operation(kind, "list", &list, &[])}));
    }
    if kind.status {
        let status = json!({
            "get": operation(kind, "get", name, &[]),
            "put": operation(kind, "put", name, WRITE),
            "patch": operation(kind, "patch", name, &["dryRun", "fieldManager", "fieldValidation", "force"]),
            "parameters": parameters(true),
        });
        paths.insert(format!("{collection}/{{name}}/status"), status);
    }
    paths.insert(format!("{collection}/{{name}}"), on_object);
    paths.insert(collection, on_collection);
}

/// The parameters of writes; clients look here whether the server validates fields itself.
const WRITE: &[&str] = &["dryRun", "fieldManager", "fieldValidation"];

fn operation(kind: &ResourceType, action: &str, schema: &str, parameters: &[&str]) -> Value {
    let parameters: Vec<Value> = parameters
        .iter()
        .map(|name| {
            let of = if *name == "force" { "boolean" } else { "string" };
            json!({"name": name, "in": "query", "schema": {"type": of}})
        })
        .collect();
    let content = json!({"application/json": {"schema": reference(schema)}});
    let mut operation = json!({
        "parameters": parameters,
        "responses": {"200": {"description": "OK", "content": content}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": group_version_kind(kind, &kind.kind),
    });
    let media_types: &[&str] = match action {
        "post" | "put" => &["application/json", "application/yaml"],
        "patch" => &[
            "application/apply-patch+yaml",
            "application/json-patch+json",
            "application/merge-patch+json",
        ],
        _ => &[],
    };
    if !media_types.is_empty() {
        let content: Map<String, Value> = media_types
            .iter()
            .map(|media_type| ((*media_type).to_owned(), json!({"schema": reference(schema)})))
            .collect();
        root_mut(&mut operation).insert(
            "requestBody".into(),
            json!({"required": true, "content": content}),
        );
    }
    operation
}
