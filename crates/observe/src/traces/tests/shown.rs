//! Lists, trees, payloads, histograms and what is followed live.

use futures::StreamExt;
use serde_json::json;
use tower::ServiceExt;

use super::*;

/// The names of what a question means.
async fn names(stand: &Stand, query: &str) -> Vec<String> {
    let page = get(stand, &format!("/api/traces?{query}")).await;
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|row| row["name"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn traces_and_requests_are_one_list_and_a_question_says_which() {
    let stand = world().await;
    for (query, expected) in [
        ("", vec!["chat chat", "span 1", "chat chat"]),
        ("q=source:gateway", vec!["chat chat", "chat chat", "chat chat"]),
        ("q=source:application", vec!["span 1"]),
        ("q=model:gpt", vec!["span 1"]),
        ("q=model:qwen3+status:error", vec!["chat chat"]),
        ("q=refund", vec!["span 1"]),
        ("q=busy", vec!["chat chat"]),
        ("q=latency%3E400ms", vec!["chat chat", "span 1"]),
        ("q=thread:chat-1+tag:b+cost%3E0.2", vec!["span 1"]),
        ("q=metadata.service.name:shop", vec!["span 1"]),
        ("q=metadata.service.name:other", vec![]),
        ("q=-source:gateway+tokens%3E=15", vec!["span 1"]),
        ("q=code:503", vec!["chat chat"]),
        ("since=2026-11-21T06:54:10Z", vec!["chat chat"]),
        ("projects=research", vec![]),
    ] {
        assert_eq!(names(&stand, query).await, expected, "{query}");
    }
    let bad = send(&stand, Method::GET, "/api/traces?q=x:y", Body::empty()).await;
    assert_eq!(
        (bad.status.as_u16(), bad.json()["error"]["reason"].clone()),
        (400, json!("invalid"))
    );
    stand.store.close().await;
}

#[tokio::test]
async fn a_row_of_either_sort_has_one_shape() {
    let stand = world().await;
    let page = get(&stand, "/api/traces").await;
    let (request, trace) = (&page["items"][0], &page["items"][1]);
    for (field, expected) in [
        ("traceId", json!(HEX)),
        ("source", json!("application")),
        ("application", json!("Default Project")),
        ("start", json!("2026-11-21T06:54:00Z")),
        ("durationUs", json!(1_000_000)),
        ("status", json!("ok")),
        ("models", json!(["gpt-4o"])),
        ("providers", json!(["openai"])),
        ("spans", json!(3)),
        ("tokens", json!({"input": 12, "output": 3, "total": 15})),
        ("cost", json!(250_000_000)),
        ("thread", json!("chat-1")),
        ("tags", json!(["a", "b"])),
        ("input", json!("where is my refund?")),
        ("user", json!("local")),
    ] {
        assert_eq!(trace[field], expected, "{field}");
    }
    for (field, expected) in [
        ("source", json!("gateway")),
        ("status", json!("error")),
        ("httpStatus", json!(503)),
        ("error", json!("far is busy")),
        ("models", json!(["chat", "qwen3-32b"])),
        ("key", json!("ci")),
        ("cost", Value::Null),
    ] {
        assert_eq!(request[field], expected, "{field}");
    }
    stand.store.close().await;
}

#[tokio::test]
async fn pages_of_any_size_give_each_row_once() {
    let stand = world().await;
    let more: Vec<Span> = (10_u8..40)
        .map(|trace| span(trace, 1, 0, u64::from(trace), Vec::new()))
        .collect();
    tell(&stand, &export(Vec::new(), more)).await;
    let whole = get(&stand, "/api/traces?limit=100").await;
    let ids = |page: &Value| -> Vec<String> {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    };
    let whole = ids(&whole);
    assert_eq!(whole.len(), 33);
    for limit in [1, 2, 7, 33] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let page = get(&stand, &format!("/api/traces?limit={limit}{after}")).await;
            seen.extend(ids(&page));
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={next}");
        }
        assert_eq!(seen, whole, "{limit}");
    }
    stand.store.close().await;
}

#[tokio::test]
async fn a_request_made_under_a_span_stands_below_it_in_one_tree() {
    let stand = world().await;
    let page = get(&stand, "/api/traces?q=source:application").await;
    let id = page["items"][0]["id"].as_str().unwrap();
    let tree = get(&stand, &format!("/api/traces/{id}")).await;
    let nodes = tree["spans"].as_array().unwrap();
    let shown: Vec<Value> = nodes
        .iter()
        .map(|node| {
            let parent = nodes.iter().find(|other| other["id"] == node["parent"]);
            json!([node["name"], node["type"], parent.map(|parent| &parent["name"])])
        })
        .collect();
    assert_eq!(
        json!(shown),
        json!([
            ["span 1", "general", null],
            ["span 2", "llm", "span 1"],
            ["chat chat", "request", "span 2"],
            ["far/qwen3-32b", "attempt", "chat chat"],
            ["span 3", "tool", "span 1"],
        ])
    );
    // The request's own id and OpenTelemetry's lead to the same tree.
    let request = &requests()[0].id;
    for other in [request.as_str(), HEX] {
        let found = get(&stand, &format!("/api/traces/{other}")).await;
        assert_eq!(found, tree, "{other}");
    }
    let payload = get(&stand, &format!("/api/traces/{id}/spans/{request}")).await;
    assert_eq!(
        json!([payload["input"], payload["output"]]),
        json!({"messages": []})
            .as_object()
            .map(|input| json!([input, "plain"]))
            .unwrap()
    );
    assert_eq!(payload["request"]["user"], "ada");
    let attempt = get(&stand, &format!("/api/traces/{id}/spans/{request}.1")).await;
    assert_eq!(attempt, payload);
    let own = get(&stand, &format!("/api/traces/{id}/spans/{id}")).await;
    assert_eq!(
        json!([own["input"], own["output"]]),
        json!(["where is my refund?", "on its way"])
    );
    let span = nodes[1]["id"].as_str().unwrap();
    let span = get(&stand, &format!("/api/traces/{id}/spans/{span}")).await;
    assert_eq!(
        json!([span["model"], span["usage"]["prompt_tokens"]]),
        json!(["gpt-4o", 12])
    );
    for missing in [
        "/api/traces/nothing".to_owned(),
        format!("/api/traces/{id}/spans/{}", requests()[1].id),
        "/api/traces/01a1fce2-0000-765d-a902-9bc62616e36b".to_owned(),
    ] {
        let answered = send(&stand, Method::GET, &missing, Body::empty()).await;
        assert_eq!(answered.status, 404, "{missing}");
    }
    stand.store.close().await;
}

#[tokio::test]
async fn a_request_alone_is_a_tree_of_its_attempts() {
    let stand = world().await;
    let alone = requests()[1].id.clone();
    let tree = get(&stand, &format!("/api/traces/{alone}")).await;
    assert_eq!(tree["trace"]["id"], alone.as_str());
    let types: Vec<&Value> = tree["spans"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| &node["type"])
        .collect();
    assert_eq!(types, ["request", "attempt"]);
    stand.store.close().await;
}

#[tokio::test]
async fn a_histogram_counts_both_and_has_every_stretch() {
    let stand = world().await;
    let path = "/api/traces/histogram?since=2026-11-21T06:52:00Z&until=2026-11-21T06:55:30Z&step=60";
    for (question, counts, errors) in [
        ("", [0, 1, 2, 0], 1),
        ("&q=status:error", [0, 0, 1, 0], 1),
        ("&q=source:gateway", [0, 1, 2, 0], 1),
        ("&q=user:ada", [0, 1, 1, 0], 1),
        ("&q=source:application", [0, 0, 1, 0], 0),
        ("&q=tag:a", [0, 0, 1, 0], 0),
    ] {
        let told = get(&stand, &format!("{path}{question}")).await;
        assert_eq!((&told["complete"], &told["step"]), (&json!(true), &json!(60)));
        let items = told["items"].as_array().unwrap();
        let found: Vec<u64> = items.iter().map(|item| item["count"].as_u64().unwrap()).collect();
        assert_eq!(found, counts, "{question}");
        let failed: u64 = items.iter().map(|item| item["errors"].as_u64().unwrap()).sum();
        assert_eq!(failed, errors, "{question}");
    }
    stand.store.close().await;
}

/// The next event of a stream: its id and its row.
async fn next(body: &mut axum::body::BodyDataStream) -> (String, Value) {
    let mut text = String::new();
    while !text.contains("\n\n") {
        let piece = body.next().await.expect("the stream goes on").unwrap();
        text.push_str(std::str::from_utf8(&piece).unwrap());
    }
    let part = |name: &str| {
        let mut lines = text.lines();
        lines
            .find_map(|line| line.strip_prefix(name))
            .unwrap()
            .trim()
            .to_owned()
    };
    assert_eq!(part("event:"), "trace");
    (part("id:"), serde_json::from_str(&part("data:")).unwrap())
}

#[tokio::test]
async fn what_comes_is_told_live_and_who_comes_back_is_told_what_was_missed() {
    let stand = world().await;
    let follow = async |last: Option<&str>| {
        let mut request = Request::get("/api/traces/tail?q=thread:live");
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        let mut request = request.body(Body::empty()).unwrap();
        request
            .extensions_mut()
            .insert(stead_kernel::Identity::Known(Principal::admin().into()));
        let answer = stand.router.clone().oneshot(request).await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        answer.into_body().into_data_stream()
    };
    let live = |trace: u8| span(trace, 1, 0, 0, vec![pair("session.id", "live")]);
    let mut body = follow(None).await;
    tell(
        &stand,
        &export(Vec::new(), vec![span(90, 1, 0, 0, Vec::new()), live(91)]),
    )
    .await;
    let (id, row) = next(&mut body).await;
    assert_eq!(json!([row["thread"], row["spans"]]), json!(["live", 1]));
    // More of the same trace is told with the same id.
    let mut second = live(91);
    (second.span_id, second.parent_span_id) = (vec![2; 8], vec![1; 8]);
    tell(&stand, &export(Vec::new(), vec![second])).await;
    let (_, again) = next(&mut body).await;
    assert_eq!((&again["id"], &again["spans"]), (&row["id"], &json!(2)));
    drop(body);
    tell(&stand, &export(Vec::new(), vec![live(92)])).await;
    let mut body = follow(Some(&id)).await;
    let mut missed = vec![
        next(&mut body).await.1["traceId"].clone(),
        next(&mut body).await.1["traceId"].clone(),
    ];
    missed.sort_by_key(Value::to_string);
    assert_eq!(missed, ["5b".repeat(16), "5c".repeat(16)]);
    // The end of the server is the end of the stream.
    stand.world.ports.feed.close();
    while let Some(piece) = body.next().await {
        assert!(!piece.unwrap().starts_with(b"event"));
    }
    stand.store.close().await;
}
