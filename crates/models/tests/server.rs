//! The domain against the real resource API: its definition, its rule on writes, its controller.

use std::{fs, sync::Arc, time::Duration};

use axum::{Router, body::Body};
use bytes::Bytes;
use futures::{StreamExt, stream};
use kube::{
    Api,
    api::{DeleteParams, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use stead_apiserver::{ApiServer, Options};
use stead_kernel::{Credential, Principal, conditions, steps::StepState};
use stead_models::{Model, ModelStatus, default_model, module};
use stead_testkit::{AllowAll, FakeVault, World, poll_until};

const SOON: Duration = Duration::from_secs(30);
const SOURCE: &str = "https://models.example/tiny.gguf";

struct Place {
    world: World,
    server: ApiServer,
}

impl Place {
    async fn new() -> Self {
        let world = World::new();
        let server = ApiServer::open(Options {
            path: world.data().state(),
            kinds: module().kinds,
            vault: Arc::new(FakeVault),
            authorizer: Arc::new(AllowAll),
            clock: Arc::new(stead_kernel::SystemClock),
            tasks: world.tasks.clone(),
            body_limit: 1 << 20,
            version: "v0.0.0",
        })
        .await
        .expect("the place can be set up");
        let place = Self { world, server };
        place.start().await;
        place
    }

    async fn start(&self) {
        let mut context = self.world.context();
        context.client = self.server.client(Principal::controller("models"));
        (module().start)(context).await.expect("the place can be set up");
    }

    fn models(&self, principal: Principal) -> Api<Model> {
        Api::namespaced(self.server.client(principal), "default")
    }

    async fn create(&self, name: &str, spec: Value) {
        self.models(Principal::admin())
            .create(&PostParams::default(), &model(name, &spec))
            .await
            .expect("the place can be set up");
    }

    async fn until(&self, name: &str, what: &str, is: impl Fn(&ModelStatus) -> bool) -> ModelStatus {
        let api = self.models(Principal::admin());
        poll_until(SOON, what, async || {
            api.get(name).await.ok()?.status.filter(|status| is(status))
        })
        .await
    }
}

fn model(name: &str, spec: &Value) -> Model {
    serde_json::from_value(json!({
        "apiVersion": "stead.dev/v1alpha1", "kind": "Model", "metadata": {"name": name}, "spec": spec,
    }))
    .expect("the place can be set up")
}

fn user() -> Principal {
    Principal {
        user: "ada".into(),
        groups: Vec::new(),
        projects: vec!["default".into()],
        credential: Credential::Token,
    }
}

fn is_ready(status: &ModelStatus) -> bool {
    conditions::is_true(&status.conditions, conditions::READY)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_model_lives_from_apply_to_the_removal_of_its_file() {
    let place = Place::new().await;
    let router = Router::new().fallback(async || b"GGUF and weights".to_vec());
    place.world.ports.web.host("models.example", router);
    place.create("tiny", json!({"sources": [SOURCE]})).await;
    let status = place.until("tiny", "the file", is_ready).await;
    let done = status.steps.iter().all(|step| step.state == StepState::Done);
    assert!(
        done && status.steps.len() == 3 && status.size == Some(16),
        "{status:?}"
    );
    let blob = place.world.data().blob(&status.digest.unwrap()).unwrap();
    assert_eq!(fs::read(&blob).unwrap(), b"GGUF and weights");
    let api = place.models(Principal::admin());
    api.delete("tiny", &DeleteParams::default()).await.unwrap();
    poll_until(SOON, "the removal", async || {
        api.get_opt("tiny").await.unwrap().is_none().then_some(())
    })
    .await;
    assert!(!blob.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_under_way_goes_on_after_a_restart() {
    let mut place = Place::new().await;
    let hang = || {
        let first = Bytes::from_static(b"GGUF");
        Body::from_stream(stream::iter([Ok::<_, std::io::Error>(first)]).chain(stream::pending()))
    };
    place
        .world
        .ports
        .web
        .host("models.example", Router::new().fallback(async move || hang()));
    place.create("tiny", json!({"sources": [SOURCE]})).await;
    let running = |status: &ModelStatus| status.steps.iter().any(|step| step.state == StepState::Running);
    place.until("tiny", "the download", running).await;
    place.world.restart().await;
    let router = Router::new().fallback(async || b"GGUF and weights".to_vec());
    place.world.ports.web.host("models.example", router);
    place.start().await;
    place.until("tiny", "the file", is_ready).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_that_break_a_rule_are_refused_with_their_reason() {
    let place = Place::new().await;
    let api = place.models(user());
    let cases = [
        (
            json!({"sources": ["https://x/a"], "network": "Private"}),
            "only an admin",
        ),
        (json!({"sources": []}), "sources"),
        (json!({"sources": ["tiny"]}), "spec.sources[0]"),
        (json!({"sources": [SOURCE], "sha256": "ABC"}), "sha256"),
    ];
    for (spec, told) in cases {
        let error = api
            .create(&PostParams::default(), &model("m", &spec))
            .await
            .unwrap_err();
        let kube::Error::Api(refusal) = error else {
            panic!("{spec}: {error}");
        };
        assert!(
            (400..500).contains(&refusal.code) && refusal.message.contains(told),
            "{spec}: {refusal:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_default_model_can_be_applied_twice() {
    let place = Place::new().await;
    let api = place.models(Principal::admin());
    let params = PatchParams::apply("test");
    for _ in 0..2 {
        let applied = api
            .patch(
                stead_models::DEFAULT_MODEL,
                &params,
                &Patch::Apply(default_model()),
            )
            .await
            .unwrap();
        assert_eq!(applied.spec.sources.len(), 2);
    }
}
