//! A server in a temporary folder.

use std::{path::PathBuf, sync::Arc, time::Duration};

use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject},
    core::GroupVersionKind,
};
use serde_json::{Value, json};
use stead_apiserver::{ApiServer, Options};
use stead_kernel::{
    AccessRequest, Admission, Authorizer, Body, Error, Identity, Kind, Principal, Result, SystemClock, Tasks,
    ports::Vault,
};
use tower::ServiceExt;

/// Encrypts by adding a number to each byte, and remembers the context: enough to see what is sealed.
pub(crate) struct ToyVault;

impl Vault for ToyVault {
    fn seal(&self, context: &str, plain: &[u8]) -> Result<Vec<u8>> {
        let mut sealed = format!("{context}\n").into_bytes();
        sealed.extend(plain.iter().map(|byte| byte.wrapping_add(101)));
        Ok(sealed)
    }

    fn open(&self, context: &str, sealed: &[u8]) -> Result<Vec<u8>> {
        let rest = sealed
            .strip_prefix(format!("{context}\n").as_bytes())
            .ok_or_else(|| Error::internal("wrong context"))?;
        Ok(rest.iter().map(|byte| byte.wrapping_sub(101)).collect())
    }
}

/// Admins may do everything, others what they own, but no Secrets.
pub(crate) struct Table;

impl Authorizer for Table {
    fn authorize(&self, principal: &Principal, request: &AccessRequest<'_>) -> Result<()> {
        let own = request.project.is_some_and(|project| principal.owns(project));
        if principal.is_admin() || own && request.resource != "secrets" {
            return Ok(());
        }
        Err(Error::forbidden(format!(
            "{} may not {} {}",
            principal.user,
            request.verb.as_str(),
            request.resource
        )))
    }
}

/// A server that can be closed and opened again on the same file.
pub(crate) struct World {
    folder: tempfile::TempDir,
    pub(crate) server: ApiServer,
    tasks: Tasks,
}

impl World {
    pub(crate) async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (server, tasks) = open(folder.path().join("state.db")).await.expect("a server");
        Self {
            folder,
            server,
            tasks,
        }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("state.db")
    }

    pub(crate) async fn stop(&self) {
        assert!(self.tasks.shutdown(Duration::from_secs(10)).await, "tasks ended");
        self.server.close().await;
    }

    /// Closes the server and opens it again.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        (self.server, self.tasks) = open(self.path()).await.expect("the same server");
    }

    /// Opens another server on the same file without closing this one, as after a kill.
    pub(crate) async fn after_kill(self) -> Self {
        let path = self.path();
        let Self {
            folder,
            server,
            tasks,
        } = self;
        // Nothing is told to stop or to write anything more.
        std::mem::forget(server);
        std::mem::forget(tasks);
        let (server, tasks) = open(path).await.expect("the same server");
        Self {
            folder,
            server,
            tasks,
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.server.client(Principal::admin())
    }

    pub(crate) fn widgets(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client(), "default", &widget_resource())
    }

    /// Sends a request as the admin and returns the status and the JSON answer.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        media_type: &str,
        body: impl Into<Body>,
    ) -> (StatusCode, Value) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", media_type);
        let request = request.body(body.into()).expect("a request");
        let (status, value, _) = self
            .send_as(Identity::Known(Arc::new(Principal::admin())), request)
            .await;
        (status, value)
    }

    pub(crate) async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send("GET", path, "", Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send("POST", path, "application/json", body.to_string())
            .await
    }

    pub(crate) async fn put(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        self.send("PUT", path, "application/json", body.to_string()).await
    }

    pub(crate) async fn send_as(
        &self,
        identity: Identity,
        mut request: Request<Body>,
    ) -> (StatusCode, Value, Response<()>) {
        request.extensions_mut().insert(identity);
        let response = self.server.router().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a whole body").to_bytes();
        let value = serde_json::from_slice(&bytes)
            .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
        (parts.status, value, Response::from_parts(parts, ()))
    }
}

pub(crate) async fn open(path: PathBuf) -> Result<(ApiServer, Tasks)> {
    let tasks = Tasks::new();
    let server = ApiServer::open(Options {
        path,
        kinds: vec![widget_kind()],
        vault: Arc::new(ToyVault),
        authorizer: Arc::new(Table),
        clock: Arc::new(SystemClock),
        tasks: tasks.clone(),
        body_limit: 1 << 20,
        version: "0.0.0",
    })
    .await?;
    Ok((server, tasks))
}

pub(crate) fn widget_resource() -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("example.dev", "v1", "Widget"))
}

/// The collection of widgets in `default`.
pub(crate) const WIDGETS: &str = "/apis/example.dev/v1/namespaces/default/widgets";

/// A kind with a status, a default, a column, and a rule against red.
fn widget_kind() -> Kind {
    let definition = definition("example.dev", "Widget", "widgets");
    Kind {
        definition: serde_json::from_value(definition).expect("a definition"),
        example: widget("example"),
        admit: Some(no_red),
    }
}

fn no_red(admission: &mut Admission<'_>) -> Result<()> {
    if admission.new.pointer("/spec/color") == Some(&json!("red")) {
        return Err(Error::forbidden("red is taken").hint("choose another color"));
    }
    Ok(())
}

pub(crate) fn definition(group: &str, kind: &str, plural: &str) -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{group}")},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.to_lowercase(), "shortNames": [kind[..2].to_lowercase()]},
            "versions": [{
                "name": "v1", "served": true, "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": [{"name": "Color", "type": "string", "jsonPath": ".spec.color"}],
                "schema": {"openAPIV3Schema": {
                    "type": "object",
                    "description": "A thing for tests.",
                    "properties": {
                        "spec": {
                            "type": "object",
                            "description": "What it should be.",
                            "properties": {
                                "color": {"type": "string", "description": "Any but red."},
                                "size": {"type": "integer", "minimum": 0, "default": 1},
                            },
                        },
                        "status": {"type": "object", "properties": {"phase": {"type": "string"}}},
                    },
                }},
            }],
        },
    })
}

pub(crate) fn widget(name: &str) -> Value {
    json!({
        "apiVersion": "example.dev/v1", "kind": "Widget",
        "metadata": {"name": name}, "spec": {"color": "blue"},
    })
}

pub(crate) fn dynamic(object: Value) -> DynamicObject {
    serde_json::from_value(object).expect("an object")
}

/// Asks again until it is so, at most ten seconds.
pub(crate) async fn eventually<F, Fut>(what: &str, mut ask: F)
where
    F: FnMut() -> Fut,
    Fut: Future<Output = bool>,
{
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    while !ask().await {
        assert!(tokio::time::Instant::now() < deadline, "not within 10 s: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
