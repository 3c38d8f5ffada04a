use std::{sync::Arc, time::Duration};

use axum::Router;
use futures::FutureExt;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{
    Body, Credential, Identity, Principal,
    http::Connection,
    ports::{Answered, Keeper},
};
use stead_testkit::{World, poll_until};
use tokio::sync::Semaphore;
use tower::ServiceExt;

use super::*;
use crate::{batches::Runner, files::Files};

const ALL: &str = "/v1/messages/batches";

struct Bench {
    world: World,
    router: Router,
    /// A permit for each answer that may be given.
    gate: Arc<Semaphore>,
    files: Files,
}

impl Bench {
    async fn new(permits: usize) -> Self {
        let world = World::new();
        let gate = Arc::new(Semaphore::new(permits));
        let held = Arc::clone(&gate);
        world.ports.models.script(move |_, request| {
            let held = Arc::clone(&held);
            async move { answer(&held, request).await }.boxed()
        });
        let context = world.context();
        let files = Files::open(&context).await.unwrap();
        let runner = Runner::start(&context, files.clone()).await.unwrap();
        let router = routes(runner.clone())
            .merge(crate::batches::routes(runner))
            .merge(crate::files::routes(files.clone()));
        Self {
            world,
            router,
            gate,
            files,
        }
    }

    async fn send(&self, method: &str, path: &str, body: Option<Value>) -> (StatusCode, String) {
        self.send_as("lab", method, path, body).await
    }

    async fn send_as(
        &self,
        project: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, String) {
        let principal = Principal {
            user: "ada".into(),
            groups: Vec::new(),
            projects: vec![project.to_owned()],
            credential: Credential::ApiKey {
                project: project.to_owned(),
                name: "k".into(),
            },
        };
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", "stead.test")
            .header("anthropic-beta", "context-1m")
            .extension(Identity::Known(Arc::new(principal)))
            .extension(Connection {
                peer: "127.0.0.1:1".parse().unwrap(),
                tls: true,
            })
            .body(body.map_or_else(Body::empty, |body| Body::from(body.to_string())))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn json(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, text) = self.send(method, path, body).await;
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn create(&self, ids: &[&str]) -> String {
        let made = self.json("POST", ALL, Some(requests(ids))).await;
        assert_eq!(made["processing_status"], "in_progress");
        assert_eq!(made["request_counts"]["processing"], ids.len());
        made["id"].as_str().unwrap().to_owned()
    }

    async fn end(&self, id: &str) -> Value {
        poll_until(Duration::from_secs(20), "the end of the batch", async || {
            let batch = self.json("GET", &format!("{ALL}/{id}"), None).await;
            (batch["processing_status"] == "ended").then_some(batch)
        })
        .await
    }

    async fn results(&self, id: &str) -> Vec<Value> {
        let (status, text) = self.send("GET", &format!("{ALL}/{id}/results"), None).await;
        assert_eq!(status, 200, "{text}");
        text.lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect()
    }

    fn contents(&self) -> usize {
        std::fs::read_dir(self.world.data().blobs().join("files"))
            .unwrap()
            .count()
    }
}

fn requests(ids: &[&str]) -> Value {
    let request = |id: &&str| json!({"custom_id": id, "params": {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": id}]}});
    json!({"requests": ids.iter().map(request).collect::<Vec<_>>()})
}

async fn answer(held: &Semaphore, request: http::Request<Body>) -> Response<Body> {
    assert_eq!(request.uri().path(), "/v1/messages");
    assert_eq!(request.headers()["anthropic-beta"], "context-1m");
    let keeper = request.extensions().get::<Keeper>().cloned().unwrap();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = body["messages"][0]["content"].as_str().unwrap();
    held.acquire().await.unwrap().forget();
    if text.starts_with("bad") {
        let error = json!({"type": "error", "error": {"type": "invalid_request_error", "message": "no"}});
        return Response::builder()
            .status(400)
            .body(Body::from(error.to_string()))
            .unwrap();
    }
    let message = json!({"type": "message", "content": [{"type": "text", "text": text}]}).to_string();
    let answer = Answered {
        status: StatusCode::OK,
        request_id: "r-1".into(),
        body: message.clone().into(),
    };
    keeper.0.keep(answer).await;
    Response::new(Body::from(message))
}

#[tokio::test]
async fn a_batch_of_messages_ends_with_a_result_for_each_request() {
    let bench = Bench::new(100).await;
    let id = bench.create(&["a", "bad", "c"]).await;
    assert!(id.starts_with("msgbatch_"));
    let batch = bench.end(&id).await;
    assert_eq!(
        batch["request_counts"],
        json!({"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 0})
    );
    assert_eq!(
        batch["results_url"],
        format!("https://stead.test{ALL}/{id}/results")
    );
    assert!(batch["ended_at"].is_string() && batch["cancel_initiated_at"].is_null());
    let results = bench.results(&id).await;
    assert_eq!(
        results[0],
        json!({"custom_id": "a", "result": {"type": "succeeded", "message":
            {"type": "message", "content": [{"type": "text", "text": "a"}]}}})
    );
    assert_eq!(
        results[1],
        json!({"custom_id": "bad", "result": {"type": "errored", "error":
            {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}}})
    );
    assert_eq!(results.len(), 3);
}

#[tokio::test]
async fn a_batch_of_messages_that_is_over_can_be_removed_with_all_that_it_kept() {
    let bench = Bench::new(0).await;
    let id = bench.create(&["a"]).await;
    let path = format!("{ALL}/{id}");
    let (status, text) = bench.send("DELETE", &path, None).await;
    assert_eq!(status, 409, "{text}");
    let (status, text) = bench.send("GET", &format!("{path}/results"), None).await;
    assert_eq!(status, 404, "{text}");
    bench.gate.add_permits(1);
    bench.end(&id).await;
    assert_eq!(
        bench.json("DELETE", &path, None).await,
        json!({"id": id, "type": "message_batch_deleted"})
    );
    assert_eq!(bench.contents(), 0);
    let (status, text) = bench.send("GET", &path, None).await;
    let error: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (status.as_u16(), &error["type"], &error["error"]["type"]),
        (404, &json!("error"), &json!("not_found_error"))
    );
}

#[tokio::test]
async fn a_batch_of_messages_that_is_cancelled_tells_what_was_not_asked() {
    let bench = Bench::new(0).await;
    let names: Vec<String> = (0..20).map(|number| format!("l{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = bench.create(&names).await;
    let begun = poll_until(Duration::from_secs(20), "the first requests", async || {
        let batch = bench.files_of(&id).await;
        (batch.status == Status::InProgress).then_some(batch)
    })
    .await;
    assert_eq!(begun.counts.total, 20);
    let batch = bench.json("POST", &format!("{ALL}/{id}/cancel"), None).await;
    assert_eq!(batch["processing_status"], "canceling");
    bench.gate.add_permits(100);
    let batch = bench.end(&id).await;
    let counts = &batch["request_counts"];
    let (done, left) = (
        counts["succeeded"].as_u64().unwrap(),
        counts["canceled"].as_u64().unwrap(),
    );
    assert!(done + left == 20 && left > 0, "{counts}");
    let results = bench.results(&id).await;
    let cancelled = results
        .iter()
        .filter(|line| line["result"] == json!({"type": "canceled"}));
    assert_eq!((results.len(), cancelled.count() as u64), (20, left));
    assert!(batch["cancel_initiated_at"].is_string());
    let (status, text) = bench.send("POST", &format!("{ALL}/{id}/cancel"), None).await;
    assert_eq!(status, 409, "{text}");
}

#[tokio::test]
async fn a_batch_of_messages_whose_time_is_over_tells_what_was_not_asked() {
    let bench = Bench::new(0).await;
    let names: Vec<String> = (0..20).map(|number| format!("l{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let id = bench.create(&names).await;
    poll_until(Duration::from_secs(20), "the first requests", async || {
        let batch = bench.files_of(&id).await;
        (batch.status == Status::InProgress).then_some(())
    })
    .await;
    bench.world.ports.clock.advance(Duration::from_hours(24));
    bench.gate.add_permits(100);
    let batch = bench.end(&id).await;
    let expired = batch["request_counts"]["expired"].as_u64().unwrap();
    assert!(expired > 0, "{batch}");
    let results = bench.results(&id).await;
    let told = results
        .iter()
        .filter(|line| line["result"] == json!({"type": "expired"}));
    assert_eq!((results.len(), told.count() as u64), (20, expired));
}

impl Bench {
    /// The batch as it is kept.
    async fn files_of(&self, id: &str) -> Batch {
        let store = crate::batches::store::Store(self.world.ports.records.clone());
        let place = crate::batches::store::Place {
            project: "lab".into(),
            id: id.to_owned(),
        };
        store.get(&place).await.unwrap()
    }
}

#[tokio::test]
async fn batches_of_messages_are_listed_by_pages_both_ways() {
    let bench = Bench::new(100).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bench.create(&["a"]).await);
    }
    let page = async |query: &str| {
        let page = bench.json("GET", &format!("{ALL}?{query}"), None).await;
        let found: Vec<String> = page["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|batch| batch["id"].as_str().unwrap().to_owned())
            .collect();
        (found, page["has_more"] == true)
    };
    let [old, middle, new] = ids.as_slice() else {
        panic!("three batches")
    };
    let list = |ids: &[&String]| ids.iter().map(|id| (*id).clone()).collect::<Vec<_>>();
    assert_eq!(page("limit=2").await, (list(&[new, middle]), true));
    assert_eq!(page(&format!("after_id={middle}")).await, (list(&[old]), false));
    assert_eq!(
        page(&format!("before_id={old}&limit=1")).await,
        (list(&[middle]), true)
    );
    for query in ["limit=0", "limit=1001", "after_id=a&before_id=b"] {
        let (status, text) = bench.send("GET", &format!("{ALL}?{query}"), None).await;
        assert_eq!(status, 400, "{text}");
    }
}

#[tokio::test]
async fn a_batch_of_one_api_does_not_exist_in_the_other_nor_for_others() {
    let bench = Bench::new(100).await;
    let id = bench.create(&["a"]).await;
    bench.end(&id).await;
    let all = bench.json("GET", "/v1/batches", None).await;
    assert_eq!(all["data"], json!([]));
    let files = bench.json("GET", "/v1/files", None).await;
    assert_eq!(files["data"], json!([]));
    let kept = bench.files_of(&id).await;
    for path in [
        format!("/v1/batches/{id}"),
        format!("/v1/files/{}", kept.input_file_id),
        format!("/v1/files/{}/content", kept.output_file_id.unwrap()),
        format!("{ALL}/batch_1"),
    ] {
        let (status, text) = bench.send("GET", &path, None).await;
        assert_eq!(status, 404, "{path}: {text}");
    }
    let (status, _) = bench.send_as("other", "GET", &format!("{ALL}/{id}"), None).await;
    assert_eq!(status, 404);
    assert!(bench.files.get("lab", &kept.input_file_id).await.is_ok());
}

#[tokio::test]
async fn requests_that_cannot_be_used_leave_nothing_behind() {
    let bench = Bench::new(100).await;
    for body in [
        json!({}),
        json!({"requests": []}),
        json!({"requests": [{"custom_id": "a", "params": {"stream": true}}]}),
        requests(&["a", "a"]),
    ] {
        let (status, text) = bench.send("POST", ALL, Some(body)).await;
        let error: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (status.as_u16(), &error["error"]["type"]),
            (400, &json!("invalid_request_error"))
        );
    }
    assert_eq!(bench.contents(), 0);
    assert_eq!(bench.json("GET", ALL, None).await["data"], json!([]));
}
