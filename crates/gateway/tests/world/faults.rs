//! Providers that fail, clients that leave, a disk that is full.

use std::{sync::atomic::Ordering, time::Duration};

use http::StatusCode;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::ports::events::Outcome;
use stead_testkit::{World, poll_until};
use tokio::time::Instant;

use crate::{
    providers::{
        Act, CHUNK_A, CHUNK_B, CHUNK_ROLE, CHUNK_STOP, DONE, End, Provider, answer, failure, whole_stream,
    },
    stage::{KEY, SOON, Stage, ask, ask_stream, post},
};

/// A stage with these providers, each at its own address, and a route `chat` over them in order.
pub(crate) async fn with(providers: &[(&str, &Provider)], route: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    for (name, provider) in providers {
        stage
            .world
            .ports
            .web
            .host(&format!("{name}.test"), provider.router());
        stage.provider(name, json!({})).await;
    }
    let targets: Vec<Value> = providers
        .iter()
        .map(|(name, _)| json!({"provider": name, "model": "m"}))
        .collect();
    let mut spec =
        json!({"strategy": "Priority", "targets": targets, "retry": {"attempts": 1, "backoff": "100ms"}});
    if let (Some(spec), Value::Object(more)) = (spec.as_object_mut(), route) {
        spec.extend(more);
    }
    stage.route("chat", spec).await;
    stage
}

#[tokio::test(start_paused = true)]
async fn every_way_to_fail_before_the_first_content_gives_one_clear_error() {
    let html = || Act::Say(200, &[], "<html>busy</html>".into());
    let cases = [
        (html(), false, (502, "upstream_error")),
        (Act::Say(200, &[], String::new()), false, (502, "upstream_error")),
        (
            Act::Say(200, &[], "{\"choices\":[".into()),
            false,
            (502, "upstream_error"),
        ),
        (Act::Say(200, &[], "{}".into()), false, (502, "upstream_error")),
        (
            Act::Say(200, &[], "{\"error\":{\"message\":\"x\"}}".into()),
            false,
            (502, "upstream_error"),
        ),
        (html(), true, (502, "upstream_error")),
        (Act::Stream(vec![], End::Close), true, (502, "upstream_error")),
        (
            Act::Stream(vec![CHUNK_ROLE], End::Break),
            true,
            (502, "upstream_error"),
        ),
        (
            Act::Stream(vec!["data: nonsense\n\n"], End::Close),
            true,
            (502, "upstream_error"),
        ),
        (
            Act::Stream(vec!["data: {\"error\":{\"message\":\"x\"}}\n\n"], End::Close),
            true,
            (502, "upstream_error"),
        ),
        (failure(500), true, (502, "upstream_error")),
        (failure(503), false, (502, "upstream_error")),
        (failure(504), false, (504, "upstream_timeout")),
        (failure(401), false, (502, "upstream_error")),
        (failure(429), false, (429, "rate_limit_exceeded")),
        (
            Act::Say(301, &[("location", "http://169.254.169.254/")], String::new()),
            false,
            (502, "upstream_error"),
        ),
        (Act::Hang, false, (504, "upstream_timeout")),
        (Act::Hang, true, (504, "upstream_timeout")),
        (
            Act::Stream(vec![CHUNK_ROLE], End::Stall),
            true,
            (504, "upstream_timeout"),
        ),
    ];
    for (number, (act, streams, (status, code))) in cases.into_iter().enumerate() {
        let provider = Provider::script([act]);
        let stage = with(
            &[("p", &provider)],
            json!({"timeouts": {"total": "30s", "firstToken": "5s"}}),
        )
        .await;
        let body = if streams { ask_stream("chat") } else { ask("chat") };
        let reply = stage.chat(body).await;
        assert_eq!(
            reply.error(),
            (status, code.to_owned()),
            "case {number}: {}",
            reply.text()
        );
        assert!(
            reply.text().contains("`p`"),
            "case {number} names the provider: {}",
            reply.text()
        );
        assert!(!reply.header("x-stead-request-id").is_empty());
        let row = stage.row().await;
        assert_eq!(
            (row.outcome, row.status),
            (Outcome::Error, status),
            "case {number}"
        );
        assert!(!row.error.is_empty() && !row.attempts[0].error.is_empty());
        assert_eq!(row.usage.output, 0, "case {number}");
    }
}

#[tokio::test]
async fn a_request_that_is_at_fault_is_passed_on_and_not_tried_again() {
    let said = r#"{"error":{"message":"max_tokens is too large","type":"invalid_request_error","code":"c"}}"#;
    let provider = Provider::script([Act::Say(400, &[], said.into())]);
    let stage = with(&[("p", &provider)], json!({"retry": {"attempts": 5}})).await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(
        (reply.status, reply.text().as_str()),
        (StatusCode::BAD_REQUEST, said)
    );
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_before_the_first_content_is_tried_again_with_pauses() {
    let broken = Act::Stream(vec![CHUNK_ROLE], End::Break);
    let provider = Provider::script([failure(500), broken, whole_stream()]);
    let stage = with(
        &[("p", &provider)],
        json!({"retry": {"attempts": 3, "backoff": "1s"}}),
    )
    .await;
    let began = Instant::now();
    let reply = stage.chat(ask_stream("chat")).await;
    // Up to 1 s, then up to 2 s.
    assert!(began.elapsed() < Duration::from_millis(3_200));
    assert!(reply.text().ends_with(DONE) && !reply.text().contains("error"));
    assert_eq!(
        reply.text().matches("\"role\"").count(),
        1,
        "nothing of a failed try is sent"
    );
    assert_eq!(reply.header("x-stead-attempts"), "3");
    let row = stage.row().await;
    let statuses: Vec<u16> = row.attempts.iter().map(|attempt| attempt.status).collect();
    assert_eq!((row.outcome, statuses), (Outcome::Ok, vec![500, 0, 200]));
    assert!(row.attempts[0].error.contains("500") && row.attempts[2].error.is_empty());
}

#[tokio::test]
async fn the_next_target_answers_and_sees_nothing_of_the_first_ones_credential() {
    let (bad, good) = (Provider::script([failure(401)]), Provider::script([answer("x")]));
    let stage = Stage::start(World::new()).await;
    for (name, provider) in [("bad", &bad), ("good", &good)] {
        stage
            .world
            .ports
            .web
            .host(&format!("{name}.test"), provider.router());
        stage.secret(name, "k", &format!("sk-{name}")).await;
        let credential = json!({"secretRef": {"name": name, "key": "k"}});
        stage.provider(name, json!({"credential": credential})).await;
    }
    let targets = json!([{"provider": "bad", "model": "a"}, {"provider": "good", "model": "b"}]);
    stage
        .route("chat", json!({"strategy": "Priority", "targets": targets}))
        .await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(
        (reply.status, reply.header("x-stead-provider")),
        (StatusCode::OK, "good")
    );
    assert_eq!(bad.asked()[0].headers["authorization"], "Bearer sk-bad");
    let asked = good.asked().remove(0);
    assert_eq!(asked.headers["authorization"], "Bearer sk-good");
    assert_eq!(asked.json()["model"], "b");
    assert!(!format!("{:?}", asked.headers).contains("sk-bad"));
}

#[tokio::test]
async fn a_route_falls_back_to_another() {
    let (bad, good) = (Provider::script([failure(500)]), Provider::script([answer("x")]));
    let stage = with(&[("p", &bad)], json!({"fallbacks": ["missing", "spare"]})).await;
    stage.world.ports.web.host("q.test", good.router());
    stage.provider("q", json!({})).await;
    stage
        .route("spare", json!({"targets": [{"provider": "q", "model": "m"}]}))
        .await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(
        (reply.status, reply.header("x-stead-route")),
        (StatusCode::OK, "spare")
    );
    let row = stage.row().await;
    assert_eq!((row.route.as_str(), row.attempts.len()), ("spare", 2));
}

#[tokio::test(start_paused = true)]
async fn a_provider_that_asks_to_wait_is_waited_for_but_not_too_long() {
    let busy = |wait| Act::Say(429, wait, "{}".into());
    let provider = Provider::script([
        busy(&[("retry-after", "7")]),
        answer("x"),
        busy(&[("retry-after", "600")]),
    ]);
    let stage = with(
        &[("p", &provider)],
        json!({"retry": {"attempts": 3, "backoff": "10ms"}}),
    )
    .await;
    let began = Instant::now();
    assert_eq!(stage.chat(ask("chat")).await.status, StatusCode::OK);
    assert!((Duration::from_secs(7)..Duration::from_secs(8)).contains(&began.elapsed()));
    let began = Instant::now();
    let reply = stage.chat(ask("chat")).await;
    assert_eq!((reply.status.as_u16(), reply.header("retry-after")), (429, "600"));
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(provider.asked().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_the_middle_ends_the_stream_with_an_error_event() {
    let cases = [
        (Act::Stream(vec![CHUNK_A, CHUNK_B], End::Break), "broke off"),
        (Act::Stream(vec![CHUNK_A, CHUNK_B], End::Close), "broke off"),
        (
            Act::Stream(vec![CHUNK_A, CHUNK_B, "data: {\"choices"], End::Close),
            "broke off",
        ),
        (
            Act::Stream(vec![CHUNK_A, CHUNK_B, "data: oops\n\n"], End::Stall),
            "cannot be understood",
        ),
        (
            Act::Stream(
                vec![CHUNK_A, CHUNK_B, "data: {\"error\":{\"message\":\"oom\"}}\n\n"],
                End::Stall,
            ),
            "oom",
        ),
        (
            Act::Stream(vec![CHUNK_A, CHUNK_B], End::Stall),
            "did not go on with its answer within 3 s",
        ),
    ];
    for (act, said) in cases {
        let provider = Provider::script([act]);
        let stage = with(
            &[("p", &provider)],
            json!({"timeouts": {"idle": "3s"}, "retry": {"attempts": 3, "backoff": "1ms"}}),
        )
        .await;
        let reply = stage.chat(ask_stream("chat")).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert!(!reply.text().contains("[DONE]"));
        let events = reply.events();
        let last: Value = serde_json::from_str(events.last().unwrap()).unwrap();
        let message = last["error"]["message"].as_str().unwrap();
        assert!(message.contains(said) && message.contains("`p`"), "{message}");
        assert_eq!(events.len(), 3, "what came before the failure was sent once");
        assert_eq!(provider.asked().len(), 1);
        let row = stage.row().await;
        assert_eq!(
            (row.outcome, row.output.as_deref()),
            (Outcome::Error, Some("Hello"))
        );
        assert_eq!(row.usage.output, 2);
        assert!(
            row.labels.contains_key("stead.dev/usage"),
            "its usage is estimated"
        );
        assert_eq!(provider.open.load(Ordering::SeqCst), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn the_total_timeout_ends_a_stream_that_goes_on_and_on() {
    let pieces: Vec<&str> = std::iter::repeat_n(CHUNK_A, 5_000).collect();
    let provider = Provider::script([Act::Stream(pieces, End::Close)]);
    let stage = with(&[("p", &provider)], json!({"timeouts": {"total": "2s"}})).await;
    let reply = stage.chat(ask_stream("chat")).await;
    let last = reply.events().pop().unwrap();
    assert!(last.contains("did not end its answer within 2 s"), "{last}");
}

#[tokio::test]
async fn a_client_that_leaves_stops_the_provider_at_once_and_pays_for_what_came() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_A, CHUNK_B], End::Stall)]);
    let stage = with(&[("p", &provider)], json!({})).await;
    let request = post("/v1/chat/completions", KEY, &ask_stream("chat").to_string());
    let mut body = stage.open(request).await.into_body();
    for _ in 0..2 {
        body.frame().await.unwrap().unwrap();
    }
    assert_eq!(provider.open.load(Ordering::SeqCst), 1);
    drop(body);
    assert_eq!(provider.open.load(Ordering::SeqCst), 0);
    let row = stage.row().await;
    assert_eq!(
        (row.outcome, row.status, row.usage.output),
        (Outcome::Cancelled, 200, 2)
    );
    assert!(row.usage.input > 0);
    assert_eq!(row.output, None.or(row.output.clone()));
}

#[tokio::test]
async fn a_client_that_leaves_before_an_answer_is_recorded_too() {
    let provider = Provider::script([Act::Hang]);
    let stage = with(&[("p", &provider)], json!({})).await;
    let request = post("/v1/chat/completions", KEY, &ask("chat").to_string());
    let asked = async {
        poll_until(SOON, "the provider to be asked", async || {
            (!provider.asked().is_empty()).then_some(())
        })
        .await;
    };
    tokio::select! {
        _ = stage.open(request) => panic!("a provider that hangs answered"),
        () = asked => {}
    }
    let row = stage.row().await;
    assert_eq!(
        (row.outcome, row.status, row.usage.output),
        (Outcome::Cancelled, 0, 0)
    );
}

#[tokio::test]
async fn a_provider_that_cannot_be_reached_is_named() {
    let stage = Stage::start(World::new()).await;
    stage.provider("gone", json!({})).await;
    let reply = stage.chat(ask("gone/m")).await;
    assert_eq!(reply.error(), (502, "upstream_error".into()));
    assert!(reply.text().contains("`gone` cannot be reached"));
    stage
        .world
        .ports
        .web
        .private_host("inside.test", Provider::script([answer("x")]).router());
    stage.provider("inside", json!({})).await;
    let reply = stage.chat(ask("inside/m")).await;
    assert_eq!(reply.error(), (503, "address_not_allowed".into()));
    let missing = json!({"credential": {"secretRef": {"name": "none", "key": "k"}}});
    stage.provider("poor", missing).await;
    let reply = stage.chat(ask("poor/m")).await;
    assert_eq!(reply.error(), (503, "provider_unavailable".into()));
    assert!(reply.text().contains("Secret `none`"), "{}", reply.text());
}

#[tokio::test]
async fn a_request_whose_usage_cannot_be_recorded_is_refused_before_it_is_sent() {
    let provider = Provider::script([answer("x")]);
    let stage = with(&[("p", &provider)], json!({})).await;
    let journal = stage.world.data().journal();
    std::fs::remove_dir_all(&journal).unwrap();
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(reply.error(), (503, "journal_unavailable".into()));
    assert!(reply.text().contains("cannot be recorded"));
    assert!(provider.asked().is_empty());
    std::fs::create_dir(&journal).unwrap();
    assert_eq!(stage.chat(ask("chat")).await.status, StatusCode::OK);
    let rows = stage.rows(2).await;
    assert!(
        rows.iter().any(|row| row.status == 503),
        "the refusal is recorded once there is room"
    );
}

#[tokio::test]
async fn a_stream_that_is_cut_after_its_reason_to_finish_is_whole() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_A, CHUNK_STOP, DONE, CHUNK_B], End::Break)]);
    let stage = with(&[("p", &provider)], json!({})).await;
    let reply = stage.chat(ask_stream("chat")).await;
    assert_eq!(reply.text(), [CHUNK_A, CHUNK_STOP, DONE].concat());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_is_not_the_providers_fault() {
    let provider = Provider::script([whole_stream()]);
    let stage = with(&[("p", &provider)], json!({"timeouts": {"idle": "3s"}})).await;
    let request = post("/v1/chat/completions", KEY, &ask_stream("chat").to_string());
    let mut body = stage.open(request).await.into_body();
    let mut text = Vec::new();
    while let Some(frame) = body.frame().await {
        text.extend_from_slice(&frame.unwrap().into_data().unwrap());
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with(DONE) && !text.contains("error"), "{text}");
}

#[tokio::test]
async fn events_that_only_keep_the_connection_open_are_no_garbage() {
    let pings = [
        ": PROCESSING\n\n",
        "data:\n\n",
        "event: ping\ndata: {\"type\": \"ping\"}\n\n",
    ];
    let pieces = [&pings[..], &[CHUNK_A], &pings[..], &[CHUNK_STOP, DONE]].concat();
    let provider = Provider::script([Act::Stream(pieces, End::Close)]);
    let stage = with(&[("p", &provider)], json!({})).await;
    let reply = stage.chat(ask_stream("chat")).await;
    assert!(
        reply.text().ends_with(DONE) && !reply.text().contains("error"),
        "{}",
        reply.text()
    );
    assert_eq!(stage.row().await.output.as_deref(), Some("Hel"));
}

#[tokio::test]
async fn a_route_whose_providers_are_gone_falls_back() {
    let good = Provider::script([answer("x")]);
    let stage = with(&[("q", &good)], json!({})).await;
    stage
        .route(
            "orphan",
            json!({"targets": [{"provider": "deleted", "model": "m"}], "fallbacks": ["orphan", "chat"],
                "retry": {"attempts": 3, "backoff": "20s"}}),
        )
        .await;
    let reply = stage.chat(ask("orphan")).await;
    assert_eq!(
        (
            reply.status,
            reply.header("x-stead-route"),
            reply.header("x-stead-attempts")
        ),
        (StatusCode::OK, "chat", "1")
    );
}

#[tokio::test]
async fn a_panic_is_recorded_as_a_failure_and_not_as_a_client_that_left() {
    use futures::FutureExt;
    let stage = Stage::start(World::new()).await;
    let boom = axum::Router::new().route(
        "/v1/chat/completions",
        axum::routing::post(async || -> String { panic!("on purpose") }),
    );
    stage.world.ports.web.host("p.test", boom);
    stage.provider("p", json!({})).await;
    let request = post("/v1/chat/completions", KEY, &ask("p/m").to_string());
    let answered = std::panic::AssertUnwindSafe(stage.open(request))
        .catch_unwind()
        .await;
    assert!(answered.is_err());
    let row = stage.row().await;
    assert_eq!((row.outcome, row.status), (Outcome::Error, 500));
    assert!(stage.metrics().contains("stead_gateway_in_flight 0"));
}

#[tokio::test]
async fn rows_hold_no_counts_or_texts_beyond_reason() {
    let says = |usage: Value| {
        let body = json!({"choices": [{"message": {"content": "x".repeat(400)}}], "usage": usage});
        Act::Say(200, &[], body.to_string())
    };
    let provider = Provider::script([
        says(json!({"prompt_tokens": u64::MAX, "completion_tokens": u64::MAX})),
        says(Value::Null),
    ]);
    let stage = with(&[("p", &provider)], json!({})).await;
    for model in ["chat", "chat", &"\u{e9}".repeat(100_000)] {
        stage.chat(ask(model)).await;
    }
    let rows = stage.rows(3).await;
    let find = |wanted: &dyn Fn(&stead_kernel::ports::events::RequestRow) -> bool| {
        rows.iter().find(|row| wanted(row)).unwrap()
    };
    assert_eq!(find(&|row| row.usage.output > 1_000).usage.input, 1 << 32);
    let estimated = find(&|row| row.labels.contains_key("stead.dev/usage"));
    assert!(
        (100..150).contains(&estimated.usage.output),
        "{}",
        estimated.usage.output
    );
    let unknown = find(&|row| row.status == 404);
    assert!(unknown.model.len() <= 1_024 && unknown.error.len() <= 1_024);
    assert_eq!(unknown.cost.map(|cost| cost.0), Some(0), "nobody was asked");
}
