//! The controller against a resource API in memory, a scripted web and a real disk.

mod embedding;
mod host;
mod packages;
mod sharing;
mod web;

use std::{fs, path::PathBuf};

use kube::runtime::{reflector, reflector::store::Writer};
use serde_json::{Value, json};
use stead_kernel::conditions;
use stead_testkit::World;

use self::host::{Host, content, sha256};
use super::*;

/// A world with one "process" of the controller.
struct Bench {
    world: World,
    shared: Arc<Shared>,
    writer: Writer<Model>,
}

impl Bench {
    fn new() -> Self {
        Self::with(World::new())
    }

    fn with(world: World) -> Self {
        let (shared, writer) = process(&world);
        Self {
            world,
            shared,
            writer,
        }
    }

    /// Forgets everything that is not stored, as a new process would.
    fn restart(&mut self) {
        (self.shared, self.writer) = process(&self.world);
    }

    async fn create(&self, name: &str, spec: Value) {
        let model: Model = serde_json::from_value(json!({
            "apiVersion": "stead.dev/v1alpha1", "kind": "Model", "metadata": {"name": name}, "spec": spec,
        }))
        .unwrap();
        self.api()
            .create(&kube::api::PostParams::default(), &model)
            .await
            .unwrap();
    }

    fn api(&self) -> Api<Model> {
        Api::namespaced(self.shared.context.client.clone(), "default")
    }

    async fn get(&self, name: &str) -> Option<Model> {
        self.api().get_opt(name).await.unwrap()
    }

    /// One reconciliation of the object as it is stored now.
    async fn step(&mut self, name: &str) -> Option<Model> {
        let model = Arc::new(self.get(name).await?);
        self.writer
            .apply_watcher_event(&watcher::Event::Apply((*model).clone()));
        reconcile(model, Arc::clone(&self.shared)).await.unwrap();
        self.get(name).await
    }

    /// Reconciles until the Model is Ready, has failed, or is gone.
    async fn settle(&mut self, name: &str) -> Option<Model> {
        for _ in 0..8 {
            let model = self.step(name).await?;
            let reason = ready(&model).1;
            let deleting = model.metadata.deletion_timestamp.is_some();
            if !deleting && matches!(reason.as_str(), plan::FETCHED | plan::FETCH_FAILED) {
                // What a killed process left to tidy up is tidied up at the next look.
                return self.step(name).await;
            }
        }
        self.get(name).await
    }

    async fn delete(&self, name: &str) {
        self.api()
            .delete(name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
    }

    fn blob(&self, content: &[u8]) -> PathBuf {
        self.world
            .data()
            .blob(&format!("sha256:{}", sha256(content)))
            .unwrap()
    }

    /// Unfinished files of all Models.
    fn unfinished(&self) -> usize {
        fs::read_dir(self.world.data().scratch().join("models")).map_or(0, Iterator::count)
    }
}

fn process(world: &World) -> (Arc<Shared>, Writer<Model>) {
    let (store, writer) = reflector::store();
    let context = world.context();
    let shared = Shared {
        blobs: Blobs::new(context.data.clone()),
        store,
        tries: Mutex::default(),
        context,
    };
    (Arc::new(shared), writer)
}

/// Whether the Model is Ready, why, and what is said about it.
fn ready(model: &Model) -> (bool, String, String) {
    let status = model.status.clone().unwrap_or_default();
    let condition = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == conditions::READY);
    let (reason, message) = condition
        .map(|it| (it.reason.clone(), it.message.clone()))
        .unwrap_or_default();
    (
        conditions::is_true(&status.conditions, conditions::READY),
        reason,
        message,
    )
}

/// The message of a Model that must have failed.
fn failure(model: Option<Model>) -> String {
    let (ready, reason, message) = ready(&model.expect("the Model is there"));
    assert!(!ready && reason == plan::FETCH_FAILED, "{reason}: {message}");
    message
}

/// Asserts that the Model is Ready with this content.
fn assert_ready(bench: &Bench, model: Option<Model>, content: &[u8], source: &str) {
    let model = model.expect("the Model is there");
    assert!(ready(&model).0, "{:?}", ready(&model));
    let status = model.status.unwrap();
    assert_eq!(status.digest, Some(format!("sha256:{}", sha256(content))));
    assert_eq!(
        (status.size, status.source.as_deref()),
        (Some(content.len() as u64), Some(source))
    );
    assert_eq!(fs::read(bench.blob(content)).unwrap(), content);
    assert_eq!(bench.unfinished(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_is_fetched_verified_stored_and_reported_step_by_step() {
    let mut bench = Bench::new();
    let content = content(300_000);
    let host = Host::new(&content);
    bench.world.ports.web.host("models.example", host.router());
    let source = "https://models.example/tiny.gguf";
    bench.create("tiny", json!({"sources": [source]})).await;
    let model = bench.settle("tiny").await;
    let steps = model.as_ref().unwrap().status.clone().unwrap().steps;
    let names: Vec<_> = steps
        .iter()
        .map(|step| (step.name.as_str(), step.state))
        .collect();
    let done = stead_kernel::steps::StepState::Done;
    assert_eq!(names, [("fetch", done), ("verify", done), ("store", done)]);
    assert_eq!(steps[0].progress.unwrap().done, 300_000);
    assert_ready(&bench, model, &content, source);
    assert_eq!(host.seen().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_process_killed_at_any_await_point_is_followed_by_one_that_finishes() {
    let content = content(100_000);
    let source = "https://models.example/tiny.gguf";
    let mut points = 0;
    loop {
        let mut bench = Bench::new();
        let host = Host::new(&content);
        bench.world.ports.web.host("models.example", host.router());
        bench
            .create("tiny", json!({"sources": [source], "sha256": sha256(&content)}))
            .await;
        bench.step("tiny").await;
        let model = Arc::new(bench.get("tiny").await.unwrap());
        bench
            .writer
            .apply_watcher_event(&watcher::Event::Apply((*model).clone()));
        let ended = polled_at_most(points, reconcile(model, Arc::clone(&bench.shared))).await;
        bench.restart();
        let model = bench.settle("tiny").await;
        assert_ready(&bench, model, &content, source);
        if ended {
            break;
        }
        points += 1;
    }
    assert!(points > 10, "the work has only {points} await points");
}

/// Polls a future so often at most and drops it then; says whether it ended.
async fn polled_at_most<F: Future>(polls: u32, future: F) -> bool {
    let mut future = Box::pin(future);
    let mut left = polls;
    std::future::poll_fn(move |context| {
        if left == 0 {
            return std::task::Poll::Ready(false);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            std::task::Poll::Ready(_) => std::task::Poll::Ready(true),
            std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(false),
            std::task::Poll::Pending => std::task::Poll::Pending,
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_failed_model_waits_and_is_tried_at_once_when_asked() {
    let mut bench = Bench::new();
    bench
        .create("tiny", json!({"sources": ["https://models.example/tiny.gguf"]}))
        .await;
    let message = failure(bench.settle("tiny").await);
    assert!(
        message.contains("models.example does not answer") && message.contains("10 s"),
        "{message}"
    );
    let content = content(1_000);
    bench
        .world
        .ports
        .web
        .host("models.example", Host::new(&content).router());
    failure(bench.step("tiny").await);
    let patch = json!({"metadata": {"annotations": {RETRY: "now"}}});
    bench
        .api()
        .patch("tiny", &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let model = bench.settle("tiny").await;
    assert_eq!(
        model
            .as_ref()
            .unwrap()
            .status
            .as_ref()
            .unwrap()
            .observed_retry
            .as_deref(),
        Some("now")
    );
    assert_ready(&bench, model, &content, "https://models.example/tiny.gguf");
}

#[tokio::test(start_paused = true)]
async fn the_running_controller_fetches_and_lets_go_of_a_deleted_download_at_once() {
    let world = World::new();
    let content = content(50_000);
    let host = Host::new(&content);
    world.ports.web.host("models.example", host.router());
    start(world.context()).await.unwrap();
    let bench = Bench::with(world);
    bench
        .create("tiny", json!({"sources": ["https://models.example/tiny.gguf"]}))
        .await;
    let minute = Duration::from_mins(1);
    stead_testkit::poll_until(minute, "the Model", async || {
        bench.get("tiny").await.filter(|model| ready(model).0)
    })
    .await;
    host.push(host::Behaviour::Stall(1_000));
    bench
        .create("slow", json!({"sources": ["https://models.example/slow.gguf"]}))
        .await;
    stead_testkit::poll_until(minute, "the download", async || {
        (host.seen().len() == 2).then_some(())
    })
    .await;
    bench.delete("slow").await;
    let gone = async || bench.get("slow").await.is_none().then_some(());
    stead_testkit::poll_until(Duration::from_secs(10), "the deletion", gone).await;
    assert_eq!(bench.unfinished(), 0);
    assert!(bench.world.tasks.shutdown(minute).await);
}
