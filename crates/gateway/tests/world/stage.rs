//! A running gateway and what tests do with it.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{Router, extract::Request, middleware::Next};
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams},
    core::{ApiResource, DynamicObject, GroupVersionKind},
};
use serde_json::{Value, json};
use stead_kernel::{
    Authenticator, Body, Context, Error, Identity, Principal, Result, Role, Roles, Running,
    ports::{Control, ControlProcess, Prices, events::RequestRow},
};
use stead_testkit::{World, poll_until};
use tower::ServiceExt;

/// How long a test waits for what happens in the background.
pub(crate) const SOON: Duration = Duration::from_secs(20);
/// The key that most tests use, made with [`Stage::start`].
pub(crate) const KEY: &str = "sk-stead-test-key-of-ada";

/// A running gateway.
pub(crate) struct Stage {
    pub(crate) world: World,
    routes: Router,
    metrics: Vec<Arc<dyn Fn() -> String + Send + Sync>>,
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of an error in OpenAI's shape.
    pub(crate) fn error(&self) -> (u16, String) {
        let body = self.json();
        let error = &body["error"];
        assert!(
            error["message"].is_string() && error["type"].is_string(),
            "{body}"
        );
        (
            self.status.as_u16(),
            error["code"].as_str().unwrap_or_default().to_owned(),
        )
    }

    /// The data of the events of a stream.
    pub(crate) fn events(&self) -> Vec<String> {
        let text = self.text();
        let events = text
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "));
        events.map(str::to_owned).collect()
    }
}

impl Stage {
    /// A gateway with a key for user `ada` in project `default`.
    pub(crate) async fn start(world: World) -> Self {
        let prices = world.context().ports.prices;
        Self::start_with(world, prices).await
    }

    /// The same with prices.
    pub(crate) async fn start_with(world: World, prices: Arc<dyn Prices>) -> Self {
        Self::start_changed(world, |context| context.ports.prices = prices).await
    }

    /// The same with a changed context.
    pub(crate) async fn start_changed(world: World, change: impl FnOnce(&mut Context)) -> Self {
        let mut context = Context {
            client: client(&world),
            ..world.context()
        };
        change(&mut context);
        let running = (stead_gateway::module().start)(context).await.unwrap();
        let stage = Self::over(world, running);
        stage.key("ada", KEY, json!({})).await;
        stage
    }

    fn over(world: World, running: Running) -> Self {
        let known = running.authenticators;
        let routes = running
            .routes
            .layer(axum::middleware::from_fn(move |request: Request, next: Next| {
                let known = known.clone();
                async move { next.run(identify(request, &known)).await }
            }));
        Self {
            world,
            routes,
            metrics: running.metrics,
        }
    }

    /// The same gateway after its process ended, with what it had stored.
    pub(crate) async fn restart(mut self) -> Self {
        self.world.restart().await;
        Self::start(self.world).await
    }

    /// A gateway in another process, which borrows from this one and ships its journal to the same events.
    pub(crate) async fn replica(&self, name: &str, line: Arc<dyn Control>) -> Self {
        let world = World::new();
        let mut context = Context {
            client: client(&self.world),
            ..world.context()
        };
        let ports = self.world.context().ports;
        context.ports.events = ports.events;
        context.ports.clock = ports.clock;
        context.ports.outbound = ports.outbound;
        context.roles = Roles::of(&[Role::Gateway]);
        context.control = Some(ControlProcess {
            replica: name.to_owned(),
            link: line,
        });
        let running = (stead_gateway::module().start)(context).await.unwrap();
        Self::over(world, running)
    }

    /// Makes a quota on the key `ada` and waits until it counts.
    pub(crate) async fn quota(&self, name: &str, spec: Value) {
        let mut whole = json!({"subject": {"kind": "Key", "name": "ada"}});
        merge(&mut whole, spec);
        self.apply("Quota", "quotas", name, whole).await;
        self.quota_status(name, "it to count", |status| {
            let conditions = status["conditions"].as_array()?;
            conditions
                .iter()
                .find(|c| c["type"] == "Ready" && c["status"] == "True")
                .map(drop)
        })
        .await;
    }

    /// Waits until a quota's status is as wanted.
    pub(crate) async fn quota_status<T>(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> Option<T>,
    ) -> T {
        let path = format!("/apis/stead.dev/v1alpha1/namespaces/default/quotas/{name}");
        poll_until(SOON, what, async || {
            wanted(self.world.api.get(&path)?.get("status")?)
        })
        .await
    }

    /// Makes an `ApiKey` and waits until it is known.
    pub(crate) async fn key(&self, name: &str, text: &str, more: Value) {
        let mut spec = json!({"owner": {"user": "ada"}, "keyHash": hash(text)});
        merge(&mut spec, more);
        self.apply("ApiKey", "apikeys", name, spec).await;
        poll_until(SOON, "the key", async || {
            let reply = self.get("/v1/models", text).await;
            let said = reply.text();
            (reply.status == StatusCode::OK || !said.contains("not known")).then_some(())
        })
        .await;
    }

    /// Makes an object before the gateway starts, so that it is known from the start.
    pub(crate) async fn apply_before(world: &World, kind: &str, plural: &str, name: &str, spec: Value) {
        Self::apply_in(world, "default", (kind, plural), name, spec).await;
    }

    /// The same in another project.
    pub(crate) async fn apply_in(
        world: &World,
        project: &str,
        (kind, plural): (&str, &str),
        name: &str,
        spec: Value,
    ) {
        let object = json!({"apiVersion": "stead.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec});
        let sort = GroupVersionKind::gvk("stead.dev", "v1alpha1", kind);
        let resource = ApiResource::from_gvk_with_plural(&sort, plural);
        let api: Api<DynamicObject> = Api::namespaced_with(world.api.client(), project, &resource);
        api.patch(name, &PatchParams::apply("test"), &Patch::Apply(object))
            .await
            .unwrap();
    }

    /// Makes or replaces an object of the gateway's kinds.
    pub(crate) async fn apply(&self, kind: &str, plural: &str, name: &str, spec: Value) {
        let object = json!({"apiVersion": "stead.dev/v1alpha1", "kind": kind,
            "metadata": {"name": name}, "spec": spec});
        self.api(kind, plural)
            .patch(name, &PatchParams::apply("test"), &Patch::Apply(object))
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, kind: &str, plural: &str, name: &str) {
        self.api(kind, plural)
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Makes a provider with one model, `m`, and waits until it can be used.
    pub(crate) async fn provider(&self, name: &str, spec: Value) {
        let mut whole = json!({"type": "openai-compatible", "baseUrl": format!("https://{name}.test/v1"),
            "models": ["m"]});
        merge(&mut whole, spec);
        self.apply("ModelProvider", "modelproviders", name, whole).await;
        self.known(&format!("{name}/m")).await;
    }

    /// Makes a route and waits until it can be used.
    pub(crate) async fn route(&self, name: &str, spec: Value) {
        self.apply("ModelRoute", "modelroutes", name, spec).await;
        self.known(name).await;
    }

    /// Waits until a model can be used.
    pub(crate) async fn known(&self, model: &str) {
        let path = format!("/v1/models/{model}");
        poll_until(SOON, model, async || {
            let reply = self.get(&path, KEY).await;
            (reply.status == StatusCode::OK).then_some(())
        })
        .await;
    }

    /// Makes a Secret with one value.
    pub(crate) async fn secret(&self, name: &str, key: &str, value: &str) {
        self.secret_data(name, &[(key, value)]).await;
    }

    /// Makes a Secret.
    pub(crate) async fn secret_data(&self, name: &str, values: &[(&str, &str)]) {
        use base64::{Engine, engine::general_purpose::STANDARD};
        let data: serde_json::Map<String, Value> = values
            .iter()
            .map(|(key, value)| ((*key).to_owned(), STANDARD.encode(value).into()))
            .collect();
        let object = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data});
        let resource =
            ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Secret"), "secrets");
        let api: Api<DynamicObject> = Api::namespaced_with(self.world.api.client(), "default", &resource);
        api.patch(name, &PatchParams::apply("test"), &Patch::Apply(object))
            .await
            .unwrap();
    }

    fn api(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("stead.dev", "v1alpha1", kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        Api::namespaced_with(self.world.api.client(), "default", &resource)
    }

    /// What answers requests.
    pub(crate) fn routes(&self) -> Router {
        self.routes.clone()
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Reply {
        let request = Request::get(path)
            .header(header::AUTHORIZATION, format!("Bearer {key}"))
            .body(Body::empty())
            .unwrap();
        self.send(request).await
    }

    /// Asks for a chat completion.
    pub(crate) async fn chat(&self, body: Value) -> Reply {
        self.post("/v1/chat/completions", &body.to_string()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.send(post(path, KEY, body)).await
    }

    /// The same, where the answer may break off.
    pub(crate) async fn try_post(&self, path: &str, body: &str) -> Result<Reply, axum::Error> {
        let (parts, body) = self.open(post(path, KEY, body)).await.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        })
    }

    pub(crate) async fn send(&self, request: Request) -> Reply {
        let (parts, body) = self.open(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// Sends a request and returns the answer unread.
    pub(crate) async fn open(&self, request: Request) -> http::Response<Body> {
        let Ok(response) = self.routes.clone().oneshot(request).await;
        response
    }

    /// Waits for this many recorded requests.
    pub(crate) async fn rows(&self, count: usize) -> Vec<RequestRow> {
        poll_until(SOON, "recorded requests", async || {
            let rows = self.world.ports.events.all_requests();
            (rows.len() >= count).then_some(rows)
        })
        .await
    }

    /// Waits for the only recorded request.
    pub(crate) async fn row(&self) -> RequestRow {
        let mut rows = self.rows(1).await;
        assert_eq!(rows.len(), 1);
        rows.remove(0)
    }

    pub(crate) fn metrics(&self) -> String {
        self.metrics.iter().map(|render| render()).collect()
    }
}

/// The line of a replica to its leader, which tests can cut.
pub(crate) struct Line {
    leader: Mutex<Router>,
    pub(crate) cut: AtomicBool,
}

impl Line {
    pub(crate) fn to(leader: &Stage) -> Arc<Self> {
        Arc::new(Self {
            leader: Mutex::new(leader.routes.clone()),
            cut: AtomicBool::new(false),
        })
    }

    /// Leads to another leader from now on.
    pub(crate) fn turn_to(&self, leader: &Stage) {
        *self.leader.lock().unwrap() = leader.routes.clone();
    }
}

#[async_trait]
impl Control for Line {
    async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        if self.cut.load(Ordering::SeqCst) {
            return Err(Error::unavailable("the line is cut"));
        }
        let leader = self.leader.lock().unwrap().clone();
        let Ok(response) = leader.oneshot(post(path, "admin", &body.to_string())).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        if !status.is_success() {
            return Err(Error::internal(String::from_utf8_lossy(&bytes).into_owned()));
        }
        Ok(serde_json::from_slice(&bytes).unwrap())
    }
}

/// A client without selectors, which the API in memory does not know; the gateway looks at names again itself.
fn client(world: &World) -> kube::Client {
    let strip = async |mut request: Request, next: Next| {
        let uri = request.uri();
        let kept: Vec<&str> = uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.contains("Selector="))
            .collect();
        *request.uri_mut() = format!("{}?{}", uri.path(), kept.join("&")).parse().unwrap();
        next.run(request).await
    };
    let router = world.api.router().layer(axum::middleware::from_fn(strip));
    kube::Client::new(router, "default")
}

/// A request to a model.
pub(crate) fn post(path: &str, key: &str, body: &str) -> Request {
    Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {key}"))
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_owned()))
        .unwrap()
}

pub(crate) fn ask(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}]})
}

pub(crate) fn ask_stream(model: &str) -> Value {
    json!({"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": true})
}

pub(crate) fn hash(text: &str) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    Sha256::digest(text)
        .iter()
        .fold("sha256:".to_owned(), |mut hash, byte| {
            write!(hash, "{byte:02x}").unwrap();
            hash
        })
}

fn merge(base: &mut Value, more: Value) {
    let (Value::Object(base), Value::Object(more)) = (base, more) else {
        return;
    };
    base.extend(more);
}

/// Does what the access layer does.
fn identify(mut request: Request, known: &[Arc<dyn Authenticator>]) -> Request {
    // A command's server has said already who asks.
    if request.extensions().get::<Identity>().is_some() {
        return request;
    }
    let (parts, body) = request.into_parts();
    let admin = parts
        .headers
        .get("authorization")
        .is_some_and(|value| value == "Bearer admin");
    let identity = if admin {
        Identity::Known(Arc::new(Principal::admin()))
    } else {
        let found = known.iter().find_map(|known| known.authenticate(&parts));
        found.unwrap_or(Identity::Anonymous)
    };
    request = Request::from_parts(parts, body);
    request.extensions_mut().insert(identity);
    request
}
