//! Evaluations over a real store of traces, with scripted models.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use futures::FutureExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{Body, Context, Identity, Principal, ports::Traces};
use stead_telemetry::{TraceOptions, TraceStore};
use stead_testkit::{NoPrices, World, poll_until};
use tower::ServiceExt;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server in this process.
pub(crate) struct Stand {
    pub(crate) world: World,
    pub(crate) context: Context,
    pub(crate) router: Router,
}

impl Stand {
    pub(crate) async fn new() -> Self {
        let world = World::new();
        world.ports.clock.set("2026-11-21T06:54:00Z".parse().unwrap());
        let mut context = world.context();
        let store = TraceStore::open(TraceOptions {
            folder: context.data.traces(),
            retention_days: 30,
            clock: world.ports.clock.clone(),
            prices: Arc::new(NoPrices),
            rate: 0,
            tasks: context.tasks.clone(),
        });
        context.ports.traces = Arc::new(store.unwrap()) as Arc<dyn Traces>;
        let router = Self::router(&context).await;
        Self {
            world,
            context,
            router,
        }
    }

    async fn router(context: &Context) -> Router {
        let opik = crate::opik::opik(context);
        let evaluations = super::start(context, &opik).await.unwrap();
        let alerts = crate::alert_rule::routes::routes(opik.clone());
        crate::opik::routes(context, opik)
            .merge(evaluations)
            .merge(alerts)
    }

    /// The process is killed and another one begins; the store of traces stays open.
    async fn restart(&mut self) {
        self.world.restart().await;
        self.context.tasks = self.world.tasks.clone();
        self.router = Self::router(&self.context).await;
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let body = body.map_or_else(Body::empty, |body| Body::from(body.to_string()));
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .extension(Identity::Known(Arc::new(Principal::admin())))
            .body(body)
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap_or_default())
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send(Method::GET, path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {body}");
        body
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, answer) = self.send(Method::POST, path, Some(body)).await;
        assert!(status.is_success(), "{path}: {status} {answer}");
        answer
    }

    /// Waits until an evaluation is no longer running.
    async fn over(&self, id: &str) -> Value {
        let path = format!("/api/evaluations/{id}");
        let over = async || {
            let told = self.get(&path).await;
            (told["status"] != "running").then_some(told)
        };
        poll_until(PATIENCE, "the end of an evaluation", over).await
    }

    /// Models that answer what the function says of the request's body; `Err` is a status.
    pub(crate) fn models(&self, answer: impl Fn(&Value) -> Result<Value, u16> + Send + Sync + 'static) {
        let answer = Arc::new(answer);
        self.world.ports.models.script(move |_, request| {
            let answer = Arc::clone(&answer);
            async move {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let body: Value = serde_json::from_slice(&body).unwrap();
                match answer(&body) {
                    Ok(answer) => respond(200, &answer),
                    Err(status) => respond(status, &json!({"error": {"message": "not so"}})),
                }
            }
            .boxed()
        });
    }
}

fn respond(status: u16, body: &Value) -> Response<Body> {
    Response::builder()
        .status(status)
        .header("x-stead-cost", "0.000002")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// A chat's answer.
pub(crate) fn said(text: &str) -> Value {
    json!({"model": "tiny", "choices": [{"message": {"role": "assistant", "content": text}}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}})
}

fn last_message(body: &Value) -> String {
    let messages = body["messages"].as_array().unwrap();
    messages.last().unwrap()["content"].as_str().unwrap().to_owned()
}

fn suite() -> Value {
    json!({
        "name": "capitals-1",
        "dataset": {"name": "capitals", "items": [
            {"question": "Capital of France?", "expected": "Paris"},
            {"question": "Capital of Italy?", "expected": "Rome"},
            {"question": "Capital of Spain?", "expected": "Madrid"},
        ]},
        "model": "chat",
        "prompt": {"messages": [{"role": "system", "content": "Answer shortly."}, {"role": "user", "content": "{{question}}"}]},
        "parameters": {"temperature": 0},
        "metrics": [{"type": "equals"}, {"type": "latency-budget", "max": 600_000.0}, {"type": "cost-budget", "max": 0.01}],
    })
}

#[expect(clippy::unnecessary_wraps, reason = "as scripts answer")]
fn capital(body: &Value) -> Result<Value, u16> {
    let question = last_message(body);
    Ok(said(if question.contains("France") {
        "Paris"
    } else if question.contains("Italy") {
        "Rome"
    } else {
        "Lisbon"
    }))
}

#[tokio::test]
async fn an_evaluation_becomes_an_experiment_with_items_and_scores() {
    let stand = Stand::new().await;
    stand.models(capital);
    let made = stand.post("/api/evaluations", suite()).await;
    let told = stand.over(made["id"].as_str().unwrap()).await;
    assert_eq!(told["status"], "completed", "{told}");
    assert_eq!(told["progress"], json!({"total": 3, "done": 3, "failed": 0}));
    let id = told["experimentId"].as_str().unwrap();
    let experiment = stand.get(&format!("/opik/api/v1/private/experiments/{id}")).await;
    assert_eq!(
        (&experiment["status"], &experiment["trace_count"]),
        (&json!("completed"), &json!(3))
    );
    assert_eq!(experiment["dataset_name"], "capitals");
    let scores = experiment["feedback_scores"].as_array().unwrap();
    let score = |name: &str| {
        scores.iter().find(|score| score["name"] == name).unwrap()["value"]
            .as_f64()
            .unwrap()
    };
    assert!((score("equals") - 2.0 / 3.0).abs() < 1e-9);
    assert!((score("cost-budget") - 1.0).abs() < 1e-9);
    let compared = stand
        .get(&format!(
            "/opik/api/v1/private/datasets/{}/items/experiments/items?experiment_ids=%5B%22{id}%22%5D",
            told["datasetId"].as_str().unwrap()
        ))
        .await;
    let items = compared["content"].as_array().unwrap();
    assert_eq!(items.len(), 3);
    let spain = items
        .iter()
        .find(|item| item["data"]["expected"] == "Madrid")
        .unwrap();
    let run = &spain["experiment_items"][0];
    assert_eq!(run["output"]["output"], "Lisbon");
    assert_eq!(run["feedback_scores"].as_array().unwrap().len(), 3);
    assert_eq!(
        stand.get("/api/evaluations").await["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn the_same_items_are_brought_once_and_two_runs_are_compared() {
    let stand = Stand::new().await;
    stand.models(capital);
    let one = stand.post("/api/evaluations", suite()).await;
    stand.over(one["id"].as_str().unwrap()).await;
    stand.models(|body| {
        let question = last_message(body);
        Ok(said(if question.contains("Spain") {
            "Madrid"
        } else {
            "Rome"
        }))
    });
    let mut second = suite();
    second["name"] = "capitals-2".into();
    let two = stand.post("/api/evaluations", second).await;
    let two = stand.over(two["id"].as_str().unwrap()).await;
    assert_eq!(two["progress"]["total"], 3);
    assert_eq!(two["datasetVersion"], 1);
    let path = "/api/comparisons?first=capitals-1&second=capitals-2&seed=7&resamples=500";
    let compared = stand.get(path).await;
    assert_eq!(stand.get(path).await, compared);
    let equals = compared["scores"]
        .as_array()
        .unwrap()
        .iter()
        .find(|score| score["name"] == "equals")
        .unwrap();
    assert_eq!(
        (&equals["items"], &equals["higher"], &equals["lower"]),
        (&json!(3), &json!(1), &json!(1))
    );
    assert_eq!(equals["difference"], 0.0);
    assert_eq!(compared["items"].as_array().unwrap().len(), 3);
    let (status, _) = stand
        .send(
            Method::GET,
            "/api/comparisons?first=capitals-1&second=nobody",
            None,
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn items_that_were_answered_are_not_asked_again_after_a_kill() {
    let mut stand = Stand::new().await;
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    stand.world.ports.models.script(move |_, request| {
        let log = Arc::clone(&log);
        async move {
            let body: Value =
                serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
            let question = last_message(&body);
            log.lock().unwrap().push(question.clone());
            if log.lock().unwrap().len() == 2 {
                // The process is killed while this one is under way.
                std::future::pending::<()>().await;
            }
            respond(200, &capital(&body).unwrap())
        }
        .boxed()
    });
    let mut one_by_one = suite();
    one_by_one["concurrency"] = 1.into();
    let made = stand.post("/api/evaluations", one_by_one).await;
    let id = made["id"].as_str().unwrap();
    let two = async || (asked.lock().unwrap().len() == 2).then_some(());
    poll_until(PATIENCE, "the second item to be asked", two).await;
    stand.restart().await;
    let told = stand.over(id).await;
    assert_eq!(
        (&told["status"], &told["progress"]["done"]),
        (&json!("completed"), &json!(3))
    );
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 4, "{asked:?}");
    assert_eq!(asked.iter().filter(|question| **question == asked[0]).count(), 1);
}

#[tokio::test]
async fn what_failed_is_told_and_asked_again_when_resumed() {
    let stand = Stand::new().await;
    stand.models(|body| {
        if last_message(body).contains("Italy") {
            Err(400)
        } else {
            capital(body)
        }
    });
    let made = stand.post("/api/evaluations", suite()).await;
    let id = made["id"].as_str().unwrap();
    let told = stand.over(id).await;
    assert_eq!(told["progress"], json!({"total": 3, "done": 3, "failed": 1}));
    assert!(told["errors"][0].as_str().unwrap().ends_with("not so"), "{told}");
    let calls = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&calls);
    stand.models(move |body| {
        count.fetch_add(1, Ordering::Relaxed);
        capital(body)
    });
    stand
        .post(&format!("/api/evaluations/{id}/resume"), json!({}))
        .await;
    let told = stand.over(id).await;
    assert_eq!(
        (&told["progress"]["failed"], calls.load(Ordering::Relaxed)),
        (&json!(0), 1)
    );
    let experiment = told["experimentId"].as_str().unwrap();
    let experiment = stand
        .get(&format!("/opik/api/v1/private/experiments/{experiment}"))
        .await;
    assert_eq!(experiment["trace_count"], 3);
}

#[tokio::test]
async fn an_evaluation_that_cannot_go_well_fails_at_once_and_a_wrong_suite_is_refused() {
    let stand = Stand::new().await;
    stand.models(|_| Err(404));
    let made = stand.post("/api/evaluations", suite()).await;
    let told = stand.over(made["id"].as_str().unwrap()).await;
    assert_eq!(
        (&told["status"], &told["message"]),
        (&json!("failed"), &json!("not so"))
    );
    for (change, status) in [
        (json!({"metrics": [{"type": "regex"}]}), 400),
        (json!({"metrics": [{"type": "equals"}, {"type": "equals"}]}), 400),
        (json!({"dataset": {"name": "nobody"}}), 404),
        (json!({"prompt": {"name": "nobody"}}), 404),
        (json!({"surprise": 1}), 400),
    ] {
        let mut wrong = suite();
        wrong
            .as_object_mut()
            .unwrap()
            .extend(change.as_object().cloned().unwrap());
        let (answered, body) = stand.send(Method::POST, "/api/evaluations", Some(wrong)).await;
        assert_eq!(answered.as_u16(), status, "{change}: {body}");
    }
}

#[tokio::test]
async fn a_cancelled_evaluation_keeps_what_was_answered() {
    let stand = Stand::new().await;
    stand.world.ports.models.script(|_, request| {
        async move {
            let body: Value =
                serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
            if last_message(&body).contains("Spain") {
                std::future::pending::<()>().await;
            }
            respond(200, &capital(&body).unwrap())
        }
        .boxed()
    });
    let made = stand.post("/api/evaluations", suite()).await;
    let path = format!("/api/evaluations/{}", made["id"].as_str().unwrap());
    let two = async || (stand.get(&path).await["progress"]["done"] == 2).then_some(());
    poll_until(PATIENCE, "two items", two).await;
    let told = stand.post(&format!("{path}/cancel"), json!({})).await;
    assert_eq!(
        (&told["status"], &told["progress"]["done"]),
        (&json!("cancelled"), &json!(2))
    );
    let (status, _) = stand
        .send(Method::POST, &format!("{path}/cancel"), Some(json!({})))
        .await;
    assert_eq!(status, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_judge_is_asked_in_the_form_that_its_model_takes_until_it_can_be_read() {
    let stand = Stand::new().await;
    let answers = Arc::new(Mutex::new(VecDeque::from([
        "no idea",
        "{\"score\": 8, \"reason\": \"fine\"}",
    ])));
    let forms = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&forms);
    stand.models(move |body| {
        if body["model"] != "wise" {
            return capital(body);
        }
        seen.lock()
            .unwrap()
            .push((body["logprobs"] == true, body["response_format"].is_object()));
        if body["response_format"].is_object() {
            return Err(400);
        }
        let mut answers = answers.lock().unwrap();
        Ok(said(
            answers
                .pop_front()
                .unwrap_or("{\"score\": 8, \"reason\": \"fine\"}"),
        ))
    });
    let mut judged = suite();
    judged["judge"] = "wise".into();
    judged["concurrency"] = 1.into();
    judged["metrics"] =
        json!([{"type": "g-eval", "name": "polite", "criteria": "It is polite.", "steps": ["Look."]}]);
    let made = stand.post("/api/evaluations", judged).await;
    let told = stand.over(made["id"].as_str().unwrap()).await;
    assert_eq!(
        told["progress"],
        json!({"total": 3, "done": 3, "failed": 0}),
        "{told}"
    );
    let forms = forms.lock().unwrap().clone();
    assert_eq!(
        forms[..4],
        [(true, true), (false, true), (false, false), (false, false)]
    );
    assert_eq!(forms.len(), 6);
    let experiment = told["experimentId"].as_str().unwrap();
    let experiment = stand
        .get(&format!("/opik/api/v1/private/experiments/{experiment}"))
        .await;
    let score = &experiment["feedback_scores"][0];
    assert_eq!(score["name"], "polite");
    assert!((score["value"].as_f64().unwrap() - 0.8).abs() < 1e-9);
}
