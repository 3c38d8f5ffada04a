//! A server in memory with a few kinds, that can be told to answer something else.

use std::{
    collections::{BTreeMap, HashMap},
    convert::Infallible,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures::{StreamExt as _, stream};
use http::{Method, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::world::{Answers, TOKEN};
use crate::json::{at, items_at, text_at};

/// Plural, kind, short name, whether it is in projects.
const KINDS: [(&str, &str, &str, &str, bool); 6] = [
    ("v1", "namespaces", "Namespace", "ns", false),
    ("v1", "events", "Event", "ev", true),
    ("v1", "secrets", "Secret", "", true),
    ("v1", "configmaps", "ConfigMap", "cm", true),
    (
        "stead.dev/v1alpha1",
        "modelproviders",
        "ModelProvider",
        "provider",
        true,
    ),
    ("stead.dev/v1alpha1", "models", "Model", "", true),
];

pub(super) struct FakeServer {
    shared: Arc<Shared>,
    address: String,
    runtime: tokio::runtime::Runtime,
}

struct Shared {
    store: Mutex<Store>,
    version: watch::Sender<u64>,
}

#[derive(Default)]
struct Store {
    version: u64,
    /// Objects by path.
    objects: BTreeMap<String, Value>,
    /// Every change: version, type, path, object.
    log: Vec<(u64, &'static str, String, Value)>,
    /// What to answer instead, by method and path.
    answers: HashMap<String, Answers>,
    /// Method, path and query of every request.
    requests: Vec<String>,
    /// After how many events a watch is cut.
    cut_watches: Option<usize>,
    /// Whether finalizers are done at once.
    finalizing: bool,
}

impl FakeServer {
    pub(super) fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            store: Mutex::default(),
            version: watch::channel(0).0,
        });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            shared,
            address,
            runtime,
        }
    }

    /// The same server over TLS: its address and the certificate of its authority, in PEM.
    pub(super) fn over_tls(&self) -> (String, String) {
        let (listener, pem) = self.runtime.block_on(super::tls::Listener::bind());
        let address = format!(
            "https://{}",
            axum::serve::Listener::local_addr(&listener).unwrap()
        );
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&self.shared));
        self.runtime
            .spawn(async move { axum::serve(listener, router).await });
        (address, pem)
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn put(&self, object: Value) {
        let path = path_of(&object);
        self.shared.write(&path, object);
    }

    /// Answers the next request of this method and path with this.
    pub(super) fn answer(&self, request: &str, status: u16, body: Value) {
        self.shared
            .store
            .lock()
            .unwrap()
            .answers
            .entry(request.into())
            .or_default()
            .push_back((status, body));
    }

    pub(super) fn cut_watches_after(&self, events: usize) {
        self.shared.store.lock().unwrap().cut_watches = Some(events);
    }

    pub(super) fn finalize(&self) {
        self.shared.store.lock().unwrap().finalizing = true;
    }

    pub(super) fn requests(&self) -> Vec<String> {
        self.shared.store.lock().unwrap().requests.clone()
    }

    /// Runs this once a request that begins so has come, beside the command under test.
    pub(super) fn when_asked(
        &self,
        request: &'static str,
        act: impl FnOnce(&dyn Fn(Value)) + Send + 'static,
    ) {
        let shared = Arc::clone(&self.shared);
        self.runtime.spawn(async move {
            let mut version = shared.version.subscribe();
            while !shared
                .store
                .lock()
                .unwrap()
                .requests
                .iter()
                .any(|seen| seen.starts_with(request))
            {
                version.changed().await.unwrap();
            }
            act(&|object: Value| drop(shared.write(&path_of(&object), object)));
        });
    }
}

impl Shared {
    fn write(&self, path: &str, mut object: Value) -> Value {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        let version = store.version;
        let metadata = object["metadata"].as_object_mut().unwrap();
        metadata.insert("resourceVersion".into(), version.to_string().into());
        metadata
            .entry("uid")
            .or_insert_with(|| format!("uid-{path}").into());
        metadata
            .entry("creationTimestamp")
            .or_insert_with(|| "2026-01-02T03:04:05Z".into());
        let known = store.objects.insert(path.into(), object.clone()).is_some();
        let change = if known { "MODIFIED" } else { "ADDED" };
        store.log.push((version, change, path.into(), object.clone()));
        self.version.send_replace(version);
        object
    }

    fn remove(&self, path: &str) {
        let mut store = self.store.lock().unwrap();
        store.version += 1;
        let version = store.version;
        if let Some(object) = store.objects.remove(path) {
            store.log.push((version, "DELETED", path.into(), object));
        }
        self.version.send_replace(version);
    }
}

fn path_of(object: &Value) -> String {
    let kind = text_at(object, "/kind");
    let (group, plural, _, _, namespaced) = KINDS.into_iter().find(|known| known.2 == kind).unwrap();
    let root = if group == "v1" {
        "/api/v1".to_owned()
    } else {
        format!("/apis/{group}")
    };
    let name = text_at(object, "/metadata/name");
    let project = at(object, "/metadata/namespace").as_str().unwrap_or("default");
    if namespaced {
        format!("{root}/namespaces/{project}/{plural}/{name}")
    } else {
        format!("{root}/{plural}/{name}")
    }
}

async fn answer(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let uri = parts.uri.path_and_query().unwrap().to_string();
    let path = parts.uri.path().to_owned();
    let asked = format!("{} {path}", parts.method);
    let scripted = {
        let mut store = shared.store.lock().unwrap();
        store.requests.push(format!("{} {uri}", parts.method));
        store.answers.get_mut(&asked).and_then(Answers::pop_front)
    };
    shared.version.send_modify(|_| {});
    if let Some((status, body)) = scripted {
        return (StatusCode::from_u16(status).unwrap(), Json(body)).into_response();
    }
    if parts
        .headers
        .get(header::AUTHORIZATION)
        .is_none_or(|value| value != &format!("Bearer {TOKEN}"))
    {
        return status(401, "Unauthorized", "Unauthorized");
    }
    let bytes = body.collect().await.unwrap().to_bytes();
    if let Some(fixed) = fixed(&path) {
        return Json(fixed).into_response();
    }
    match path.as_str() {
        "/readyz" => return "[+]stores ok\nok\n".into_response(),
        "/echo" => return bytes.into_response(),
        _ => {}
    }
    let Some(path) = path.strip_prefix("/k8s") else {
        return status(404, "NotFound", "no such path");
    };
    let query: HashMap<String, String> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or_default().as_bytes())
            .into_owned()
            .collect();
    let table = parts
        .headers
        .get(header::ACCEPT)
        .is_some_and(|value| value.to_str().unwrap().contains("as=Table"));
    let body = serde_json::from_slice(&bytes).unwrap_or_default();
    Resources {
        shared,
        query,
        table,
        path,
    }
    .answer(&parts.method, parts.headers.get(header::CONTENT_TYPE), &body)
}

fn fixed(path: &str) -> Option<Value> {
    Some(match path {
        "/version" => json!({"version": "1.2.0", "gitVersion": "v1.33.0"}),
        "/k8s/api/v1" => discovery("v1"),
        "/k8s/apis" => {
            json!({"groups": [{"name": "stead.dev", "versions": [{"groupVersion": "stead.dev/v1alpha1"}],
            "preferredVersion": {"groupVersion": "stead.dev/v1alpha1"}}]})
        }
        "/k8s/apis/stead.dev/v1alpha1" => discovery("stead.dev/v1alpha1"),
        "/k8s/openapi/v3/apis/stead.dev/v1alpha1" => schemas(),
        _ => return None,
    })
}

fn discovery(group: &str) -> Value {
    let own = KINDS.into_iter().filter(|kind| kind.0 == group);
    let resources: Vec<Value> = own
        .map(|(_, plural, kind, short, namespaced)| {
            json!({"name": plural, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": namespaced,
                "shortNames": if short.is_empty() { json!([]) } else { json!([short]) }, "verbs": ["get", "list", "watch"]})
        })
        .chain([json!({"name": format!("{group}/status"), "kind": "x"})])
        .collect();
    json!({"kind": "APIResourceList", "groupVersion": group, "resources": resources})
}

fn schemas() -> Value {
    json!({"components": {"schemas": {
        "dev.stead.ModelProvider": {
            "type": "object", "description": "A place where models are served.",
            "x-kubernetes-group-version-kind": [{"group": "stead.dev", "version": "v1alpha1", "kind": "ModelProvider"}],
            "required": ["spec"],
            "properties": {
                "apiVersion": {"type": "string"},
                "kind": {"type": "string"},
                "metadata": {"allOf": [{"$ref": "#/components/schemas/meta.ObjectMeta"}], "description": "Name and labels."},
                "spec": {"type": "object", "description": "What should be.", "required": ["type"], "properties": {
                    "type": {"type": "string", "enum": ["openai", "ollama"], "description": "Which API it speaks."},
                    "baseUrl": {"type": "string", "description": "Where it is."},
                    "models": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
                    "limits": {"type": "object", "additionalProperties": {"type": "integer"}, "default": {}},
                }},
            },
        },
        "meta.ObjectMeta": {"type": "object", "properties": {
            "name": {"type": "string"},
            "self": {"$ref": "#/components/schemas/meta.ObjectMeta"},
        }},
    }}})
}

fn status(code: u16, reason: &str, message: &str) -> Response {
    let body =
        json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

/// A request to an object or a list.
struct Resources<'a> {
    shared: Arc<Shared>,
    query: HashMap<String, String>,
    table: bool,
    path: &'a str,
}

impl Resources<'_> {
    fn answer(self, method: &Method, media_type: Option<&header::HeaderValue>, body: &Value) -> Response {
        let last = self.path.rsplit('/').next().unwrap_or_default();
        let is_list = KINDS.iter().any(|kind| kind.1 == last);
        match (method, is_list) {
            (&Method::GET, true) if self.query.contains_key("watch") => self.watch(),
            (&Method::GET, true) => self.list(),
            (&Method::GET, false) => {
                self.found(|object| Json(self.shaped(vec![object], None)).into_response())
            }
            (&Method::DELETE, false) => self.found(|object| self.delete(object)),
            (&Method::PATCH, false) => self.patch(media_type.unwrap().to_str().unwrap(), body),
            _ => status(405, "MethodNotAllowed", "not here"),
        }
    }

    fn found(&self, then: impl FnOnce(Value) -> Response) -> Response {
        let object = self.shared.store.lock().unwrap().objects.get(self.path).cloned();
        let Some(object) = object else {
            let (rest, name) = self.path.rsplit_once('/').unwrap();
            let plural = rest.rsplit('/').next().unwrap();
            return status(404, "NotFound", &format!("{plural} {name:?} not found"));
        };
        then(object)
    }

    fn selects(&self, path: &str, object: &Value) -> bool {
        let (rest, _) = path.rsplit_once('/').unwrap();
        let (root, plural) = self.path.rsplit_once('/').unwrap();
        // A list over all projects.
        let inside = rest == self.path
            || (rest.starts_with(&format!("{root}/namespaces/")) && rest.ends_with(&format!("/{plural}")));
        let field = self
            .query
            .get("fieldSelector")
            .and_then(|selector| selector.strip_prefix("metadata.name="));
        let label = self
            .query
            .get("labelSelector")
            .and_then(|selector| selector.split_once('='));
        inside
            && field.is_none_or(|name| text_at(object, "/metadata/name") == name)
            && label.is_none_or(|(key, value)| text_at(object, &format!("/metadata/labels/{key}")) == value)
    }

    fn list(&self) -> Response {
        let store = self.shared.store.lock().unwrap();
        let own = store
            .objects
            .iter()
            .filter(|(path, object)| self.selects(path, object));
        let own: Vec<Value> = own.map(|(_, object)| object.clone()).collect();
        // Pages of two, so that paging is always under test.
        let from: usize = self.query.get("continue").map_or(0, |from| from.parse().unwrap());
        let page: Vec<Value> = own.iter().skip(from).take(2).cloned().collect();
        let mut metadata = json!({"resourceVersion": store.version.to_string()});
        if from + 2 < own.len() {
            metadata["continue"] = (from + 2).to_string().into();
        }
        Json(self.shaped(page, Some(&metadata))).into_response()
    }

    /// As a table, a list or an object.
    fn shaped(&self, mut objects: Vec<Value>, metadata: Option<&Value>) -> Value {
        if self.table {
            let rows: Vec<Value> = objects.iter().map(row).collect();
            let columns =
                json!([{"name": "Name"}, {"name": "Ready"}, {"name": "Age"}, {"name": "URL", "priority": 1}]);
            let metadata = metadata.cloned().unwrap_or_default();
            return json!({"kind": "Table", "metadata": metadata, "columnDefinitions": columns, "rows": rows});
        }
        match metadata {
            // Items of lists say their kind only once, on a real server.
            Some(metadata) => {
                for object in &mut objects {
                    object
                        .as_object_mut()
                        .unwrap()
                        .retain(|key, _| key != "kind" && key != "apiVersion");
                }
                json!({"kind": "List", "metadata": metadata, "items": objects})
            }
            None => objects.remove(0),
        }
    }

    fn watch(&self) -> Response {
        let from: u64 = self.query["resourceVersion"].parse().unwrap();
        let cut = self
            .shared
            .store
            .lock()
            .unwrap()
            .cut_watches
            .unwrap_or(usize::MAX);
        let this = Resources {
            shared: Arc::clone(&self.shared),
            query: self.query.clone(),
            table: self.table,
            path: "",
        };
        let path = self.path.to_owned();
        let version = self.shared.version.subscribe();
        let events = stream::unfold(
            (from, this, path, version),
            |(from, this, path, mut version)| async move {
                loop {
                    let here = Resources {
                        shared: Arc::clone(&this.shared),
                        query: this.query.clone(),
                        table: this.table,
                        path: &path,
                    };
                    let next = {
                        let store = this.shared.store.lock().unwrap();
                        let mut later = store.log.iter().filter(|(version, ..)| *version > from);
                        later
                            .find(|(_, _, path, object)| here.selects(path, object))
                            .cloned()
                    };
                    if let Some((at, change, _, object)) = next {
                        let object = here.shaped(vec![object], None);
                        let line = json!({"type": change, "object": object}).to_string() + "\n";
                        return Some((Ok::<_, Infallible>(line), (at, this, path, version)));
                    }
                    version.changed().await.ok()?;
                }
            },
        );
        Body::from_stream(events.take(cut)).into_response()
    }

    fn delete(&self, mut object: Value) -> Response {
        if self.query.contains_key("dryRun") {
            return Json(object).into_response();
        }
        let finalizing = self.shared.store.lock().unwrap().finalizing;
        if items_at(&object, "/metadata/finalizers").is_empty() {
            self.shared.remove(self.path);
            return Json(object).into_response();
        }
        object["metadata"]["deletionTimestamp"] = "2026-01-02T03:04:06Z".into();
        let object = self.shared.write(self.path, object);
        if finalizing {
            let (shared, path) = (Arc::clone(&self.shared), self.path.to_owned());
            let mut version = self.shared.version.subscribe();
            tokio::runtime::Handle::current().spawn(async move {
                // Once the command watches, so that it sees the end happen.
                let watches = |request: &String| request.contains("watch=true");
                while !shared.store.lock().unwrap().requests.iter().any(watches) {
                    version.changed().await.unwrap();
                }
                shared.remove(&path);
            });
        }
        Json(object).into_response()
    }

    fn patch(&self, media_type: &str, body: &Value) -> Response {
        let old = self.shared.store.lock().unwrap().objects.get(self.path).cloned();
        let expected = at(body, "/metadata/resourceVersion");
        let current = old
            .as_ref()
            .map_or(&Value::Null, |old| at(old, "/metadata/resourceVersion"));
        if media_type.contains("merge") && expected.is_string() && expected != current {
            return status(409, "Conflict", "the object has been modified");
        }
        for (name, _) in at(body, "/spec").as_object().into_iter().flatten() {
            if !["type", "baseUrl", "models", "limits"].contains(&name.as_str()) {
                let message = format!(
                    "ModelProvider in version \"v1alpha1\" cannot be handled as a ModelProvider: strict decoding error: unknown field \"spec.{name}\""
                );
                return status(400, "BadRequest", &message);
            }
        }
        let mut new = old.clone().unwrap_or_else(|| json!({}));
        merge(&mut new, body);
        let same = old.as_ref() == Some(&new);
        if same || self.query.contains_key("dryRun") {
            return Json(new).into_response();
        }
        if let Some(metadata) = new["metadata"].as_object_mut() {
            metadata.insert(
                "managedFields".into(),
                json!([{"manager": self.query["fieldManager"]}]),
            );
        }
        Json(self.shared.write(self.path, new)).into_response()
    }
}

fn row(object: &Value) -> Value {
    let mut conditions = items_at(object, "/status/conditions").iter();
    let ready = conditions
        .find(|condition| condition["type"] == "Ready")
        .map(|condition| condition["status"].clone());
    let cells = json!([
        object["metadata"]["name"],
        ready,
        "5m",
        at(object, "/spec/baseUrl")
    ]);
    json!({"cells": cells, "object": {"metadata": object["metadata"]}})
}

fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    for (key, value) in patch {
        if value.is_null() {
            target.as_object_mut().unwrap().remove(key);
        } else {
            merge(&mut target[key], value);
        }
    }
}
