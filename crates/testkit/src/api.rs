//! A resource API in memory, just enough for controllers under test.

mod path;
mod store;

use std::sync::{Arc, Mutex, PoisonError};

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    response::{IntoResponse, Response},
};
use futures::{StreamExt, stream};
use http::{Method, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};
use tokio::sync::watch;

use self::{
    path::ResourcePath,
    store::{Refusal, Store},
};

/// A resource API in memory for any kind: get, list, watch, create, replace, patches (merge, JSON, and apply as a
/// merge that creates), the status subresource, finalizers, generations and resource versions. It knows no schema,
/// no selectors (refused, so that no test believes them), no paging and no field ownership: what depends on those
/// belongs into a test against the real server.
#[derive(Clone, Default)]
pub struct FakeApi(Arc<Shared>);

struct Shared {
    store: Mutex<Store>,
    version: watch::Sender<u64>,
}

impl Default for Shared {
    fn default() -> Self {
        Self {
            store: Mutex::default(),
            version: watch::channel(0).0,
        }
    }
}

/// The largest request body, in bytes.
const BODY_LIMIT: usize = 4 << 20;

impl FakeApi {
    /// A client whose default project is `default`; needs a runtime.
    pub fn client(&self) -> kube::Client {
        kube::Client::new(self.router(), "default")
    }

    /// The API as a router with Kubernetes' paths.
    pub fn router(&self) -> Router {
        Router::new().fallback(answer).with_state(self.clone())
    }

    /// The object at a path such as `/apis/stead.dev/v1alpha1/namespaces/default/models/tiny`.
    pub fn get(&self, path: &str) -> Option<Value> {
        let path = ResourcePath::parse(path)?;
        self.lock(|store| store.get(&path).ok())
    }

    /// Every object of a kind, by its plural, over all projects.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.lock(|store| store.of(plural))
    }

    fn lock<T>(&self, with: impl FnOnce(&mut Store) -> T) -> T {
        let mut store = self.0.store.lock().unwrap_or_else(PoisonError::into_inner);
        let result = with(&mut store);
        self.0.version.send_if_modified(|version| {
            let changed = *version != store.version();
            *version = store.version();
            changed
        });
        result
    }

    fn watch(&self, path: ResourcePath, since: u64) -> Response {
        let receiver = self.0.version.subscribe();
        let api = self.clone();
        let lines = stream::unfold(
            (api, receiver, path, since),
            |(api, mut receiver, path, since)| async move {
                loop {
                    receiver.borrow_and_update();
                    let (events, now) = api.lock(|store| (store.since(&path, since), store.version()));
                    if !events.is_empty() {
                        let mut text: String =
                            events.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
                        text.push('\n');
                        return Some((
                            Ok::<_, std::convert::Infallible>(text),
                            (api, receiver, path, now),
                        ));
                    }
                    receiver.changed().await.ok()?;
                }
            },
        );
        let body = Body::from_stream(lines.boxed());
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

async fn answer(State(api): State<FakeApi>, request: Request) -> Response {
    match handle(&api, request).await {
        Ok(response) => response,
        Err(refusal) => refuse(&refusal),
    }
}

async fn handle(api: &FakeApi, request: Request) -> Result<Response, Refusal> {
    let (parts, body) = request.into_parts();
    let path =
        ResourcePath::parse(parts.uri.path()).ok_or_else(|| Refusal::new(404, "NotFound", "no such path"))?;
    let query: Vec<(String, String)> =
        url::form_urlencoded::parse(parts.uri.query().unwrap_or("").as_bytes())
            .into_owned()
            .collect();
    let option = |name: &str| {
        query
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    if option("labelSelector")
        .or(option("fieldSelector"))
        .is_some_and(|selector| !selector.is_empty())
    {
        return Err(Refusal::new(
            501,
            "NotImplemented",
            "the fake API has no selectors",
        ));
    }
    if parts.method == Method::GET && option("watch") == Some("true") {
        let since = option("resourceVersion")
            .and_then(|version| version.parse().ok())
            .unwrap_or(0);
        return Ok(api.watch(path, since));
    }
    let body = Limited::new(body, BODY_LIMIT).collect().await;
    let body = body
        .map_err(|_| Refusal::new(413, "RequestEntityTooLarge", "too large"))?
        .to_bytes();
    let body: Option<Value> = serde_json::from_slice(&body).ok();
    let need = || {
        body.clone()
            .ok_or_else(|| Refusal::new(400, "BadRequest", "the body is no JSON"))
    };
    let content_type = parts
        .headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let value = match parts.method {
        Method::GET if path.name.is_none() => Ok(api.lock(|store| store.list(&path))),
        Method::GET => api.lock(|store| store.get(&path)),
        Method::POST => {
            let new = need()?;
            api.lock(|store| store.create(&path, new))
        }
        Method::PUT => {
            let new = need()?;
            api.lock(|store| store.replace(&path, new))
        }
        Method::PATCH => {
            let patch = need()?;
            api.lock(|store| store.patch(&path, content_type.unwrap_or_default(), &patch))
        }
        Method::DELETE => api.lock(|store| store.delete(&path)),
        _ => Err(Refusal::new(405, "MethodNotAllowed", "no such verb")),
    }?;
    let status = if parts.method == Method::POST {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    Ok((status, axum::Json(value)).into_response())
}

fn refuse(refusal: &Refusal) -> Response {
    let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let body = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure",
        "code": refusal.code, "reason": refusal.reason, "message": refusal.message,
    });
    (status, axum::Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;
    use kube::{
        Api,
        api::{
            ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
        },
    };

    use super::*;

    fn things(api: &FakeApi) -> Api<DynamicObject> {
        let kind = kube::core::GroupVersionKind::gvk("example.com", "v1", "Thing");
        Api::namespaced_with(
            api.client(),
            "default",
            &ApiResource::from_gvk_with_plural(&kind, "things"),
        )
    }

    fn thing(name: &str) -> DynamicObject {
        serde_json::from_value(json!({
            "apiVersion": "example.com/v1", "kind": "Thing",
            "metadata": {"name": name, "finalizers": ["example.com/hold"]}, "spec": {"size": 1},
        }))
        .unwrap()
    }

    #[tokio::test]
    async fn an_object_lives_from_creation_to_the_removal_of_its_last_finalizer() {
        let fake = FakeApi::default();
        let api = things(&fake);
        api.create(&PostParams::default(), &thing("a")).await.unwrap();
        let clash = api.create(&PostParams::default(), &thing("a")).await.unwrap_err();
        assert!(matches!(clash, kube::Error::Api(status) if status.code == 409));
        let merge = |patch: Value| Patch::Merge(patch);
        let params = PatchParams::default();
        let status = api
            .patch_status("a", &params, &merge(json!({"status": {"up": true}})))
            .await
            .unwrap();
        assert_eq!(
            (status.data["status"]["up"].as_bool(), status.metadata.generation),
            (Some(true), Some(1))
        );
        let grown = api
            .patch("a", &params, &merge(json!({"spec": {"size": 2}})))
            .await
            .unwrap();
        assert_eq!(grown.metadata.generation, Some(2));
        api.delete("a", &DeleteParams::default()).await.unwrap();
        assert!(api.get("a").await.unwrap().metadata.deletion_timestamp.is_some());
        api.patch("a", &params, &merge(json!({"metadata": {"finalizers": null}})))
            .await
            .unwrap();
        assert!(api.get_opt("a").await.unwrap().is_none());
        assert!(fake.all("things").is_empty());
    }

    #[tokio::test]
    async fn a_watch_tells_what_happened_after_its_version() {
        let fake = FakeApi::default();
        let api = things(&fake);
        api.create(&PostParams::default(), &thing("before"))
            .await
            .unwrap();
        let version = api
            .list(&kube::api::ListParams::default())
            .await
            .unwrap()
            .metadata
            .resource_version;
        let mut events = api
            .watch(&WatchParams::default(), &version.unwrap())
            .await
            .unwrap()
            .boxed();
        api.create(&PostParams::default(), &thing("after")).await.unwrap();
        let event = events.try_next().await.unwrap().unwrap();
        assert!(
            matches!(event, WatchEvent::Added(object) if object.metadata.name.as_deref() == Some("after"))
        );
    }
}
