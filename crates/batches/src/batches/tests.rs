use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use futures::FutureExt;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{
    Body, Credential, Identity, Principal, Result,
    ports::{Answered, Keeper, Page, Record, RecordKey, RecordQuery, RecordWrite, Records},
};
use stead_testkit::{World, poll_until};

use super::{Batch, RESULTS, Runner, Status, plan, store::Place};
use crate::{caller::Caller, files::Files};

/// Records that hang at one commit, before or after it was made, as those of a process that was killed there.
struct Dying {
    inner: Arc<dyn Records>,
    left: AtomicUsize,
    makes: bool,
    died: Arc<AtomicUsize>,
}

#[async_trait]
impl Records for Dying {
    async fn get(&self, key: &RecordKey) -> Result<Option<Record>> {
        self.inner.get(key).await
    }

    async fn list(&self, query: RecordQuery) -> Result<Page<Record>> {
        self.inner.list(query).await
    }

    async fn commit(&self, writes: Vec<RecordWrite>) -> Result<Vec<u64>> {
        let left = self
            .left
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if left.is_ok() {
            return self.inner.commit(writes).await;
        }
        if self.makes && self.died.fetch_add(1, Ordering::SeqCst) == 0 {
            self.inner.commit(writes).await?;
        }
        self.died.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }
}

/// How often each request was made, or billed, by its text.
type Asked = Arc<Mutex<BTreeMap<String, usize>>>;

struct Bench {
    world: World,
    asked: Asked,
    billed: Asked,
    caller: Caller,
}

/// The process that works on batches.
struct Process {
    runner: Runner,
    files: Files,
}

impl Bench {
    fn new() -> Self {
        let world = World::new();
        let (asked, billed) = (Asked::default(), Asked::default());
        let (seen, paid) = (Arc::clone(&asked), Arc::clone(&billed));
        world.ports.models.script(move |identity, request| {
            let (seen, paid) = (Arc::clone(&seen), Arc::clone(&paid));
            async move {
                let keeper = request.extensions().get::<Keeper>().cloned();
                let Identity::Known(principal) = identity else {
                    panic!("nobody asks")
                };
                assert_eq!(principal.user, "ada");
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                let text = body["input"].as_str().unwrap().to_owned();
                *seen.lock().unwrap().entry(text.clone()).or_default() += 1;
                let status = if text.starts_with("bad") { 400 } else { 200 };
                let said = json!({"said": text}).to_string();
                if status == 200 {
                    // As the gateway does: what is answered is kept before it is billed.
                    let answer = Answered {
                        status: StatusCode::OK,
                        request_id: "r-1".into(),
                        body: said.clone().into(),
                    };
                    keeper.unwrap().0.keep(answer).await;
                    *paid.lock().unwrap().entry(text).or_default() += 1;
                }
                Response::builder()
                    .status(status)
                    .header("x-stead-request-id", "r-1")
                    .body(Body::from(said))
                    .unwrap()
            }
            .boxed()
        });
        let principal = Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: vec!["lab".into()],
            credential: Credential::ApiKey {
                project: "lab".into(),
                name: "k".into(),
            },
        };
        Self {
            world,
            asked,
            billed,
            caller: Caller {
                principal: Arc::new(principal),
                project: "lab".into(),
            },
        }
    }

    async fn process(&self) -> Process {
        self.process_over(self.world.ports.records.clone()).await
    }

    async fn process_over(&self, records: Arc<dyn Records>) -> Process {
        let mut context = self.world.context();
        context.ports.records = records;
        let files = Files::open(&context).await.unwrap();
        let runner = Runner::start(&context, files.clone()).await.unwrap();
        Process { runner, files }
    }

    async fn upload(&self, process: &Process, content: &str) -> String {
        process.files.store_text("lab", "batch", content).await
    }

    async fn begin(&self, process: &Process, content: &str) -> Place {
        let file = self.upload(process, content).await;
        let body = json!({"input_file_id": file, "endpoint": "/v1/embeddings", "completion_window": "24h"});
        let wanted = plan::wanted(body.to_string().as_bytes()).unwrap();
        let (id, _) = process.runner.create(&self.caller, wanted).await.unwrap();
        Place {
            project: "lab".into(),
            id,
        }
    }

    async fn end(&self, process: &Process, place: &Place) -> Batch {
        poll_until(Duration::from_secs(20), "the end of the batch", async || {
            let batch = process.runner.store.get(place).await.unwrap();
            (!batch.active).then_some(batch)
        })
        .await
    }

    async fn lines(&self, process: &Process, file: Option<&String>) -> Vec<Value> {
        let Some(id) = file else { return Vec::new() };
        let body = process.files.get("lab", id).await.unwrap();
        let text = std::fs::read_to_string(process.files.path(&body)).unwrap();
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    /// The lines that have an answer that would survive.
    async fn durable(&self) -> Vec<String> {
        let query = RecordQuery {
            collection: RESULTS.into(),
            ..RecordQuery::default()
        };
        let page = self.world.ports.records.list(query).await.unwrap();
        let id = |record: Record| record.body["result"]["custom_id"].as_str().unwrap().to_owned();
        page.items.into_iter().map(id).collect()
    }
}

fn line(id: &str) -> String {
    json!({"custom_id": id, "method": "POST", "url": "/v1/embeddings", "body": {"model": "m", "input": id}})
        .to_string()
}

fn ids(lines: &[Value]) -> Vec<&str> {
    lines
        .iter()
        .map(|line| line["custom_id"].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn a_batch_answers_every_line_in_its_file() {
    let bench = Bench::new();
    let process = bench.process().await;
    let content = format!("\u{feff}{}\n\n{}\r\n{}", line("a"), line("bad"), line("c"));
    let place = bench.begin(&process, &content).await;
    let batch = bench.end(&process, &place).await;
    assert_eq!(batch.status, Status::Completed);
    let good = bench.lines(&process, batch.output_file_id.as_ref()).await;
    let bad = bench.lines(&process, batch.error_file_id.as_ref()).await;
    assert_eq!((ids(&good), ids(&bad)), (vec!["a", "c"], vec!["bad"]));
    assert_eq!(
        good[0]["response"],
        json!({"status_code": 200, "request_id": "r-1", "body": {"said": "a"}})
    );
    assert_eq!(bad[0]["response"]["status_code"], 400);
    let shown = batch.document(&place.id);
    assert_eq!(
        shown["request_counts"],
        json!({"total": 3, "completed": 2, "failed": 1})
    );
    let states: Vec<&Value> = shown["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| &step["state"])
        .collect();
    assert_eq!(states, ["Done", "Done", "Done"]);
    assert!(bench.durable().await.is_empty(), "answers are in the files only");
}

#[tokio::test]
async fn a_batch_that_is_killed_anywhere_answers_every_line_once_and_is_billed_once_at_most() {
    let content = ["a", "bad", "c", "d"].map(line).join("\n");
    for makes in [false, true] {
        for commits in 0.. {
            let mut bench = Bench::new();
            let place = {
                let quiet = bench.process().await;
                let place = bench.begin(&quiet, &content).await;
                // Nothing of the batch is done yet: no task has run since.
                bench.world.restart().await;
                place
            };
            let died = Arc::new(AtomicUsize::new(0));
            let dying = Arc::new(Dying {
                inner: bench.world.ports.records.clone(),
                left: AtomicUsize::new(commits),
                makes,
                died: Arc::clone(&died),
            });
            let process = bench.process_over(dying).await;
            let finished = poll_until(Duration::from_secs(20), "a death or an end", async || {
                if died.load(Ordering::SeqCst) > 0 {
                    return Some(false);
                }
                let batch = process.runner.store.get(&place).await.unwrap();
                let last = batch.steps.last().map(|step| step.state);
                (!batch.active && last == Some(stead_kernel::steps::StepState::Done)).then_some(true)
            })
            .await;
            bench.world.restart().await;
            let durable = bench.durable().await;
            let before = bench.asked.lock().unwrap().clone();
            let process = bench.process().await;
            let batch = bench.end(&process, &place).await;
            let why = format!("killed at commit {commits}, which was made: {makes}");
            assert_eq!(batch.status, Status::Completed, "{why}");
            let good = bench.lines(&process, batch.output_file_id.as_ref()).await;
            let bad = bench.lines(&process, batch.error_file_id.as_ref()).await;
            assert_eq!(
                (ids(&good), ids(&bad)),
                (vec!["a", "c", "d"], vec!["bad"]),
                "{why}"
            );
            assert_eq!((batch.counts.completed, batch.counts.failed), (3, 1), "{why}");
            let after = bench.asked.lock().unwrap().clone();
            for id in durable {
                assert_eq!(before.get(&id), after.get(&id), "{id} was asked again: {why}");
            }
            let billed = bench.billed.lock().unwrap().clone();
            assert!(billed.values().all(|times| *times == 1), "{billed:?}: {why}");
            if finished {
                assert!(commits > 8, "{commits} commits cannot be all");
                break;
            }
        }
    }
}

#[tokio::test]
async fn a_file_that_is_no_batch_fails_it_with_every_wrong_line() {
    let bench = Bench::new();
    let process = bench.process().await;
    let table = [
        (String::new(), "empty_file", None),
        (format!("{}\nno", line("a")), "invalid_json_line", Some(2)),
        (format!("{0}\n{0}", line("a")), "duplicate_custom_id", Some(2)),
    ];
    for (content, code, number) in table {
        let place = bench.begin(&process, &content).await;
        let batch = bench.end(&process, &place).await;
        assert_eq!(batch.status, Status::Failed);
        assert_eq!(
            (batch.errors[0].code.as_str(), batch.errors[0].line),
            (code, number)
        );
        assert!(batch.times.failed_at.is_some() && batch.output_file_id.is_none());
    }
    assert!(bench.asked.lock().unwrap().is_empty());
}

/// Answers the first request and holds the others back until they are let go.
fn hold(bench: &Bench) -> (Arc<tokio::sync::Semaphore>, Arc<AtomicUsize>) {
    let gate = Arc::new(tokio::sync::Semaphore::new(1));
    let waiting = Arc::new(AtomicUsize::new(0));
    let (held, count) = (Arc::clone(&gate), Arc::clone(&waiting));
    bench.world.ports.models.script(move |_, _| {
        let (held, count) = (Arc::clone(&held), Arc::clone(&count));
        async move {
            count.fetch_add(1, Ordering::SeqCst);
            held.acquire().await.unwrap().forget();
            Response::new(Body::from("{}"))
        }
        .boxed()
    });
    (gate, waiting)
}

fn twenty() -> String {
    (0..20).map(|n| line(&format!("l{n:02}")) + "\n").collect()
}

#[tokio::test]
async fn a_cancelled_batch_keeps_what_was_done_and_asks_for_no_more() {
    let bench = Bench::new();
    let process = bench.process().await;
    let (gate, waiting) = hold(&bench);
    let place = bench.begin(&process, &twenty()).await;
    poll_until(Duration::from_secs(10), "nine requests", async || {
        (waiting.load(Ordering::SeqCst) == 9).then_some(())
    })
    .await;
    let batch = process.runner.cancel(&place).await.unwrap();
    assert_eq!(batch.status, Status::Cancelling);
    gate.add_permits(100);
    let batch = bench.end(&process, &place).await;
    assert_eq!(batch.status, Status::Cancelled);
    let good = bench.lines(&process, batch.output_file_id.as_ref()).await;
    assert_eq!((good.len(), waiting.load(Ordering::SeqCst)), (9, 9));
    assert!(batch.error_file_id.is_none());
    assert!(process.runner.cancel(&place).await.is_err(), "it is over");
}

#[tokio::test]
async fn a_batch_whose_window_is_over_says_so_for_every_line_that_was_not_asked() {
    let bench = Bench::new();
    let process = bench.process().await;
    let (gate, waiting) = hold(&bench);
    let place = bench.begin(&process, &twenty()).await;
    poll_until(Duration::from_secs(10), "nine requests", async || {
        (waiting.load(Ordering::SeqCst) == 9).then_some(())
    })
    .await;
    bench.world.ports.clock.advance(Duration::from_hours(24));
    gate.add_permits(100);
    let batch = bench.end(&process, &place).await;
    assert_eq!(batch.status, Status::Expired);
    let good = bench.lines(&process, batch.output_file_id.as_ref()).await;
    let bad = bench.lines(&process, batch.error_file_id.as_ref()).await;
    assert_eq!((good.len(), bad.len()), (9, 11));
    assert!(bad.iter().all(|line| line["error"]["code"] == "batch_expired"));
    let mut all = [ids(&good), ids(&bad)].concat();
    all.sort_unstable();
    assert_eq!(all.len(), 20);
    all.dedup();
    assert_eq!(all.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_limit_that_passes_is_waited_for() {
    let bench = Bench::new();
    let process = bench.process().await;
    let tries = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&tries);
    bench.world.ports.models.script(move |_, _| {
        let first = count.fetch_add(1, Ordering::SeqCst) == 0;
        async move {
            let status = if first {
                StatusCode::TOO_MANY_REQUESTS
            } else {
                StatusCode::OK
            };
            let response = Response::builder().status(status).header("retry-after", "20");
            response.body(Body::from("{}")).unwrap()
        }
        .boxed()
    });
    let place = bench.begin(&process, &line("a")).await;
    let batch = bench.end_paused(&process, &place).await;
    assert_eq!(
        (batch.status, tries.load(Ordering::SeqCst)),
        (Status::Completed, 2)
    );
}

impl Bench {
    /// As `end`, where the test's time passes by itself.
    async fn end_paused(&self, process: &Process, place: &Place) -> Batch {
        poll_until(Duration::from_hours(1), "the end of the batch", async || {
            let batch = process.runner.store.get(place).await.unwrap();
            (!batch.active).then_some(batch)
        })
        .await
    }
}
