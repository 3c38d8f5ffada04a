//! Exports and imports.

use serde_json::json;

use super::*;

async fn exported(stand: &Stand, query: &str) -> String {
    let answered = send(
        stand,
        Method::GET,
        &format!("/api/traces/export?{query}"),
        Body::empty(),
    )
    .await;
    assert_eq!(answered.headers["content-type"], "application/x-ndjson");
    answered.text()
}

async fn import(stand: &Stand, body: String) -> Answered {
    send(stand, Method::POST, "/api/traces/import", body).await
}

/// What a list and a tree show of everything.
async fn all(stand: &Stand) -> Value {
    let mut all = Vec::new();
    let page = get(stand, "/api/traces").await;
    for row in page["items"].as_array().unwrap() {
        let id = row["id"].as_str().unwrap();
        let mut tree = get(stand, &format!("/api/traces/{id}")).await;
        // Who told of it first is who imported it.
        tree["trace"].as_object_mut().unwrap().remove("user");
        all.push(tree);
    }
    all.into()
}

#[tokio::test]
async fn an_export_is_taken_back_whole_and_twice_is_as_once() {
    let stand = world().await;
    let trace = get(&stand, "/api/traces?q=source:application").await["items"][0]["id"].clone();
    let path = format!(
        "/opik/api/v1/private/traces/{}/feedback-scores",
        trace.as_str().unwrap()
    );
    let score = json!({"name": "quality", "value": 0.5, "source": "sdk", "reason": "so"});
    assert_eq!(stand.ask(Method::PUT, &path, Some(score)).await.status, 204);
    let path = format!("/opik/api/v1/private/traces/{}/comments", trace.as_str().unwrap());
    assert_eq!(
        stand
            .ask(Method::POST, &path, Some(json!({"text": "look"})))
            .await
            .status,
        201
    );
    let text = exported(&stand, "").await;
    let types: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["type"].clone())
        .collect();
    // The newest first; what is inside a trace follows it.
    assert_eq!(
        types,
        [
            "request", "trace", "span", "span", "span", "request", "request", "end"
        ]
    );
    let other = crate::opik::tests::stand(OpikLocal::On);
    let counts = json!({"traces": 1, "spans": 3, "requests": 3, "scores": 1, "comments": 1});
    assert_eq!(import(&other, text.clone()).await.json(), counts);
    let once = all(&other).await;
    // A request's place below its span is known where its trace's name is.
    assert_eq!(once.as_array().unwrap().len(), 4);
    assert_eq!(import(&other, text.clone()).await.json(), counts);
    assert_eq!(all(&other).await, once);
    assert_eq!(other.world.ports.events.all_requests().len(), 3);
    let id = trace.as_str().unwrap();
    let payload = get(&other, &format!("/api/traces/{id}/spans/{id}")).await;
    assert_eq!(payload["input"], "where is my refund?");
    assert_eq!(
        json!([payload["scores"][0]["value"], payload["comments"][0]["text"]]),
        json!([0.5, "look"])
    );
    // Into where it came from it changes nothing.
    let before = all(&stand).await;
    import(&stand, text).await;
    assert_eq!(all(&stand).await, before);
    for stand in [stand, other] {
        stand.store.close().await;
    }
}

#[tokio::test]
async fn an_export_is_of_what_is_asked_for() {
    let stand = world().await;
    let lines = async |query| exported(&stand, query).await.lines().count();
    assert_eq!(lines("q=status:error").await, 2);
    assert_eq!(lines("q=thread:nobody").await, 1);
    assert_eq!(lines("q=source:application").await, 6);
    stand.store.close().await;
}

#[tokio::test]
async fn traces_of_opiks_export_are_taken() {
    let stand = stand(OpikLocal::On);
    let document = json!({
        "trace": {"id": "01a1fce2-ce78-765d-a902-9bc62616e36b", "name": "answer", "start_time": "2026-11-21 06:54:00+00:00",
            "end_time": "2026-11-21 06:54:02.500000+00:00", "input": {"q": 1}, "output": null, "thread_id": "t",
            "tags": ["x"], "usage": {"total_tokens": 5}, "total_estimated_cost": 0.5, "created_by": "ada",
            "last_updated_at": "2026-11-21 06:54:03+00:00", "unknown": [1],
            "feedback_scores": [{"name": "good", "value": 1.0, "category_name": "yes", "source": "sdk", "reason": null,
                "created_at": "2026-11-21 06:54:03+00:00", "last_updated_at": "2026-11-21 06:54:03+00:00", "created_by": "ada"}]},
        "spans": [{"id": "01a1fce2-ce79-71a0-927b-112963103fc5", "trace_id": "01a1fce2-ce78-765d-a902-9bc62616e36b",
            "name": "ask", "type": "llm", "start_time": "2026-11-21 06:54:01+00:00", "end_time": "2026-11-21 06:54:02+00:00",
            "model": "gpt-4o", "provider": "openai", "usage": {"total_tokens": 5}, "total_estimated_cost": 0.5}],
        "downloaded_at": "2026-11-22T00:00:00", "project_name": "Shop"
    });
    let pretty = serde_json::to_string_pretty(&document).unwrap();
    for _ in 0..2 {
        let answered = import(&stand, pretty.clone()).await;
        assert_eq!(
            answered.json(),
            json!({"traces": 1, "spans": 1, "requests": 0, "scores": 1, "comments": 0})
        );
    }
    let row = get(&stand, "/api/traces").await["items"][0].clone();
    assert_eq!(
        json!([
            row["name"],
            row["application"],
            row["durationUs"],
            row["cost"],
            row["models"],
            row["thread"]
        ]),
        json!(["answer", "Shop", 2_500_000, 500_000_000, ["gpt-4o"], "t"])
    );
    stand.store.close().await;
}

#[tokio::test]
async fn traces_of_langfuses_export_are_taken() {
    let stand = stand(OpikLocal::On);
    let document = json!([{
        "id": "any text", "timestamp": "2026-11-21T06:54:00.000Z", "name": "answer", "input": {"q": 1}, "output": "a",
        "sessionId": "s1", "userId": "ada", "release": null, "version": "2", "metadata": {"k": "v"}, "tags": ["x"],
        "public": false, "environment": "production", "htmlPath": "/x", "latency": 2.0, "totalCost": 0.002,
        "observations": [
            {"id": "o1", "traceId": "any text", "type": "SPAN", "name": "outer", "startTime": "2026-11-21T06:54:00.000Z",
                "endTime": "2026-11-21T06:54:02.000Z", "level": "DEFAULT", "metadata": null},
            {"id": "o2", "traceId": "any text", "type": "GENERATION", "name": "ask", "parentObservationId": "o1",
                "startTime": "2026-11-21T06:54:00.500Z", "endTime": "2026-11-21T06:54:01.500Z",
                "completionStartTime": "2026-11-21T06:54:00.750Z", "model": "gpt-4o", "modelParameters": {"temperature": 0},
                "input": [{"role": "user"}], "output": "x", "level": "ERROR", "statusMessage": "broke", "metadata": {},
                "usageDetails": {"input": 10, "output": 2, "total": 12, "input_cached_tokens": 4},
                "costDetails": {"total": 0.002}}],
        "scores": [
            {"id": "x", "name": "good", "value": 0.75, "source": "API", "timestamp": "2026-11-21T06:55:00.000Z"},
            {"id": "y", "name": "sort", "value": 1, "stringValue": "fine", "observationId": "o2", "comment": "so"}]
    }]);
    for _ in 0..2 {
        let answered = import(&stand, document.to_string()).await;
        assert_eq!(
            answered.json(),
            json!({"traces": 1, "spans": 2, "requests": 0, "scores": 2, "comments": 0})
        );
    }
    let page = get(&stand, "/api/traces").await;
    assert_eq!(page["items"].as_array().unwrap().len(), 1);
    let row = &page["items"][0];
    assert_eq!(
        json!([
            row["name"],
            row["durationUs"],
            row["cost"],
            row["tokens"]["total"],
            row["thread"],
            row["environment"]
        ]),
        json!(["answer", 2_000_000, 2_000_000, 12, "s1", "production"])
    );
    let id = row["id"].as_str().unwrap();
    let tree = get(&stand, &format!("/api/traces/{id}")).await;
    let (outer, ask) = (&tree["spans"][0], &tree["spans"][1]);
    assert_eq!(ask["parent"], outer["id"]);
    assert_eq!(
        json!([ask["type"], ask["status"], ask["error"]]),
        json!(["llm", "error", "ERROR: broke"])
    );
    let span = ask["id"].as_str().unwrap();
    let payload = get(&stand, &format!("/api/traces/{id}/spans/{span}")).await;
    assert_eq!(payload["usage"]["input_cached_tokens"], 4);
    assert_eq!(payload["metadata"]["langfuse.observation.id"], "o2");
    assert_eq!(
        json!([payload["scores"][0]["category"], payload["scores"][0]["reason"]]),
        json!(["fine", "so"])
    );
    stand.store.close().await;
}

#[tokio::test]
async fn what_is_no_export_is_refused_and_nothing_of_it_is_stored() {
    let stand = stand(OpikLocal::On);
    let good = json!({"type": "trace", "entry": {"id": "01a1fce2-ce78-765d-a902-9bc62616e36b", "name": "x"}});
    for bad in [
        "{".to_owned(),
        "{\"x\": 1}".to_owned(),
        "7".to_owned(),
        "{\"type\": \"other\"}".to_owned(),
        "{\"type\": \"trace\"}".to_owned(),
        "{\"trace\": {\"id\": 5}}".to_owned(),
        "[{\"id\": 1, \"timestamp\": \"soon\"}]".to_owned(),
    ] {
        let answered = import(&stand, format!("{good}\n{bad}")).await;
        assert_eq!(answered.status, 400, "{bad}: {}", answered.text());
        let message = answered.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("document 2 of the import: "), "{message}");
    }
    assert_eq!(get(&stand, "/api/traces").await["items"], json!([]));
    stand.store.close().await;
}
