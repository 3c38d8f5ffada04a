//! Responses that are made in the background.

use http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::{Body, ports::events::Outcome};
use stead_testkit::{World, poll_until};

use crate::{
    providers::{Act, CHUNK_A, CHUNK_ROLE, End, Provider, answer, failure, slowly, whole_stream},
    stage::{KEY, Reply, SOON, Stage, post},
};

async fn with(provider: &Provider) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    stage
}

fn body(more: &Value) -> String {
    let mut body = json!({"model": "p/m", "input": "hi", "background": true});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body.to_string()
}

async fn ask(stage: &Stage, more: Value) -> Reply {
    stage.post("/v1/responses", &body(&more)).await
}

/// Begins a response, and returns its id.
async fn begin(stage: &Stage, more: Value) -> String {
    let reply = ask(stage, more).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let begun = reply.json();
    assert_eq!(
        (&begun["status"], &begun["background"]),
        (&json!("queued"), &json!(true)),
        "{begun}"
    );
    assert_eq!(
        (&begun["object"], &begun["output"]),
        (&json!("response"), &json!([]))
    );
    begun["id"].as_str().unwrap().to_owned()
}

async fn read(stage: &Stage, id: &str) -> Value {
    stage.get(&format!("/v1/responses/{id}"), KEY).await.json()
}

async fn becomes(stage: &Stage, id: &str, status: &str) -> Value {
    poll_until(SOON, status, async || {
        let response = read(stage, id).await;
        (response["status"] == status).then_some(response)
    })
    .await
}

fn events(text: &str) -> Vec<Value> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("data: "));
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_response_is_queued_then_made_then_there() {
    let provider = Provider::script([slowly(300, answer("Hello")), answer("Again")]);
    let stage = with(&provider).await;
    let id = begin(&stage, json!({"metadata": {"a": "b"}})).await;
    assert_eq!(read(&stage, &id).await["status"], "in_progress");
    let next = ask(&stage, json!({"background": false, "previous_response_id": id})).await;
    assert_eq!(next.error(), (409, "conflict".into()));
    let done = becomes(&stage, &id, "completed").await;
    assert_eq!((&done["id"], &done["background"]), (&json!(id), &json!(true)));
    assert_eq!(done["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(done["metadata"], json!({"a": "b"}));
    let items = stage
        .get(&format!("/v1/responses/{id}/input_items"), KEY)
        .await
        .json();
    assert_eq!(items["data"][0]["content"][0]["text"], "hi");
    let row = stage.row().await;
    assert_eq!(
        (row.outcome, row.usage.input, row.usage.output),
        (Outcome::Ok, 5, 2)
    );
    let next = ask(&stage, json!({"background": false, "previous_response_id": id})).await;
    assert_eq!(next.json()["status"], "completed");
    assert_eq!(
        provider.asked()[1].json()["messages"].as_array().unwrap().len(),
        3
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_said_at_once() {
    let provider = Provider::script([answer("Hello")]);
    let stage = with(&provider).await;
    let unknown = ask(&stage, json!({"model": "none"})).await;
    assert_eq!(unknown.error(), (404, "model_not_found".into()));
    let unkept = ask(&stage, json!({"store": false})).await;
    assert_eq!(unkept.error(), (400, "invalid_request".into()));
    assert_eq!(unkept.json()["error"]["param"], "background");
    let mut twice = post("/v1/responses", KEY, &body(&json!({})));
    twice
        .headers_mut()
        .insert("idempotency-key", "a".parse().unwrap());
    assert_eq!(stage.send(twice).await.error(), (501, "unsupported".into()));
    let odd = ask(&stage, json!({"input": 5})).await;
    assert_eq!(odd.status, StatusCode::BAD_REQUEST);
    assert!(provider.asked().is_empty());
}

#[tokio::test]
async fn a_response_is_cancelled_and_stays_so() {
    let provider = Provider::script([Act::Hang]);
    let stage = with(&provider).await;
    let id = begin(&stage, json!({})).await;
    let path = format!("/v1/responses/{id}/cancel");
    for _ in 0..2 {
        let cancelled = stage.post(&path, "").await.json();
        assert_eq!(
            (&cancelled["status"], &cancelled["id"]),
            (&json!("cancelled"), &json!(id))
        );
    }
    assert_eq!(read(&stage, &id).await["status"], "cancelled");
    assert_eq!(stage.row().await.outcome, Outcome::Cancelled);
    let other = stage.post("/v1/responses/resp_none/cancel", "").await;
    assert_eq!(other.error(), (404, "response_not_found".into()));
}

#[tokio::test]
async fn a_failure_is_told_in_the_response() {
    let provider = Provider::script([failure(400), answer("Hello")]);
    let stage = with(&provider).await;
    let id = begin(&stage, json!({})).await;
    let failed = becomes(&stage, &id, "failed").await;
    assert_eq!(failed["error"]["code"], "provider_refused", "{failed}");
    assert!(!failed["error"]["message"].as_str().unwrap().is_empty());
    // One that is not made in the background has nothing to cancel.
    let plain = ask(&stage, json!({"background": false})).await.json();
    let path = format!("/v1/responses/{}/cancel", plain["id"].as_str().unwrap());
    assert_eq!(
        stage.post(&path, "").await.error(),
        (400, "not_in_background".into())
    );
}

#[tokio::test]
async fn a_stream_is_left_and_gone_on_with_from_any_event() {
    let provider = Provider::script([whole_stream()]);
    let stage = with(&provider).await;
    let whole = events(&ask(&stage, json!({"stream": true})).await.text());
    let last = whole.last().unwrap();
    assert_eq!(
        (&last["type"], &last["response"]["background"]),
        (&json!("response.completed"), &json!(true))
    );
    let numbers: Vec<u64> = whole
        .iter()
        .map(|event| event["sequence_number"].as_u64().unwrap())
        .collect();
    assert!(numbers.is_sorted() && numbers[0] == 0, "{numbers:?}");
    let id = last["response"]["id"].as_str().unwrap();
    assert_eq!(read(&stage, id).await, last["response"]);
    let rest = stage
        .get(&format!("/v1/responses/{id}?stream=true&starting_after=2"), KEY)
        .await;
    assert_eq!(events(&rest.text()), whole[3..]);
    // Who leaves at once finds everything later.
    drop(
        stage
            .open(post("/v1/responses", KEY, &body(&json!({"stream": true}))))
            .await,
    );
    let rows = stage.rows(2).await;
    assert!(rows.iter().all(|row| row.outcome == Outcome::Ok));
    let plain = begin(&stage, json!({})).await;
    let refused = stage
        .get(&format!("/v1/responses/{plain}?stream=true"), KEY)
        .await;
    assert_eq!(refused.error(), (501, "unsupported".into()));
}

#[tokio::test]
async fn a_response_is_kept_as_promised_whatever_the_provider_calls_it() {
    let made = json!({"id": "resp_theirs", "object": "response", "status": "completed", "model": "m-1",
        "output": [], "usage": {"input_tokens": 9, "output_tokens": 3, "total_tokens": 12}});
    let stream = vec![
        "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_theirs\"},\"sequence_number\":0}\n\n",
        "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"output_index\":0,\"delta\":\"a\",\"sequence_number\":1}\n\n",
        "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_theirs\",\"object\":\"response\",\"status\":\"completed\",\"output\":[]},\"sequence_number\":2}\n\n",
    ];
    let provider = Provider::script([
        Act::Say(200, &[], made.to_string()),
        Act::Stream(stream, End::Close),
    ]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({"responses": true})).await;
    let id = begin(&stage, json!({})).await;
    let done = becomes(&stage, &id, "completed").await;
    assert_eq!(
        (&done["id"], &done["usage"]["output_tokens"]),
        (&json!(id), &json!(3))
    );
    assert!(!provider.asked()[0].json().to_string().contains("background"));
    let heard = events(&ask(&stage, json!({"stream": true})).await.text());
    assert_eq!(heard.len(), 3, "{heard:?}");
    let id = &heard[0]["response"]["id"];
    assert!(
        *id != "resp_theirs" && *id == heard[2]["response"]["id"],
        "{heard:?}"
    );
    assert_eq!(read(&stage, id.as_str().unwrap()).await["status"], "completed");
    let theirs = stage.get("/v1/responses/resp_theirs", KEY).await;
    assert_eq!(theirs.error(), (404, "response_not_found".into()));
}

#[tokio::test]
async fn a_cancelled_stream_ends_for_those_who_listen() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Stall)]);
    let stage = with(&provider).await;
    let listening = ask(&stage, json!({"stream": true}));
    let cancelling = async {
        let id = poll_until(SOON, "the response", async || {
            let records = stage.world.ports.records.clone();
            let query = stead_kernel::ports::RecordQuery {
                collection: "gateway.responses".into(),
                ..Default::default()
            };
            let page = stead_kernel::ports::Records::list(&*records, query)
                .await
                .unwrap();
            page.items.first().map(|record| record.key.id.clone())
        })
        .await;
        stage.post(&format!("/v1/responses/{id}/cancel"), "").await.json()
    };
    let (heard, cancelled) = tokio::join!(listening, cancelling);
    assert_eq!(cancelled["status"], "cancelled");
    let heard = events(&heard.text());
    assert!(
        heard.iter().all(|event| event["type"] != "response.completed"),
        "{heard:?}"
    );
    assert_eq!(provider.open.load(std::sync::atomic::Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_response_whose_process_stops_has_failed_and_says_why() {
    let provider = Provider::script([Act::Hang]);
    let stage = with(&provider).await;
    let id = begin(&stage, json!({})).await;
    let stage = stage.restart().await;
    let failed = read(&stage, &id).await;
    assert_eq!(failed["status"], "failed");
    let why = failed["error"]["message"].as_str().unwrap();
    assert!(why.contains("the gateway was stopped"), "{why}");
}

#[tokio::test]
async fn a_response_in_the_background_adds_to_its_conversation_and_can_be_removed() {
    let provider = Provider::script([answer("Hello"), Act::Hang]);
    let stage = with(&provider).await;
    let conversation = stage.post("/v1/conversations", "").await.json();
    let conversation = conversation["id"].as_str().unwrap();
    let id = begin(&stage, json!({"conversation": conversation})).await;
    let done = becomes(&stage, &id, "completed").await;
    assert_eq!(done["conversation"], json!({"id": conversation}));
    let items = stage
        .get(&format!("/v1/conversations/{conversation}/items"), KEY)
        .await
        .json();
    assert_eq!(items["data"].as_array().unwrap().len(), 2);
    let id = begin(&stage, json!({"conversation": conversation})).await;
    let request = Request::builder()
        .method(Method::DELETE)
        .uri(format!("/v1/responses/{id}"))
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .body(Body::empty())
        .unwrap();
    assert_eq!(stage.send(request).await.json()["deleted"], true);
    assert_eq!(
        stage.get(&format!("/v1/responses/{id}"), KEY).await.error(),
        (404, "response_not_found".into())
    );
    let rows = stage.rows(2).await;
    assert_eq!(
        rows.iter()
            .filter(|row| row.outcome == Outcome::Cancelled)
            .count(),
        1
    );
}
