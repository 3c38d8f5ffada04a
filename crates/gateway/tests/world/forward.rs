//! Answers that work.

use std::sync::Arc;

use http::{StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::{
    Capture,
    ports::{FinishReason, Generated, PicoUsd, Price, Prices, TokenUsage, events::Outcome},
};
use stead_testkit::{World, poll_until};

use crate::{
    providers::{
        Act, CHUNK_A, CHUNK_B, CHUNK_ROLE, CHUNK_STOP, CHUNK_USAGE, DONE, End, Provider, answer, whole_stream,
    },
    stage::{KEY, Stage, ask, ask_stream, post},
};

async fn with(provider: &Provider, spec: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", spec).await;
    stage
}

#[tokio::test]
async fn a_request_reaches_the_provider_untouched_but_for_the_models_name() {
    let provider = Provider::script([answer("Hello")]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.secret("s", "api-key", "sk-upstream\n").await;
    stage
        .provider(
            "p",
            json!({"credential": {"secretRef": {"name": "s", "key": "api-key"}}}),
        )
        .await;
    let body =
        " {\"messages\": [{\"role\":\"user\",  \"content\":\"h\\u00e9\"}],\"model\":\"p/m\",\"x\":1e2 }";
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let mut request = post("/v1/chat/completions", KEY, body);
    request.headers_mut().insert(
        "traceparent",
        format!("00-{trace}-00f067aa0ba902b7-01").parse().unwrap(),
    );
    request
        .headers_mut()
        .insert("cookie", "session=1".parse().unwrap());
    let reply = stage.send(request).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello");

    let asked = provider.asked().remove(0);
    assert_eq!(asked.path, "/v1/chat/completions");
    assert_eq!(asked.body, body.replace("p/m", "m"));
    assert_eq!(asked.headers[header::AUTHORIZATION], "Bearer sk-upstream");
    assert!(asked.headers["traceparent"].to_str().unwrap().contains(trace));
    let sent: Vec<&str> = asked.headers.keys().map(header::HeaderName::as_str).collect();
    for name in &sent {
        let known = [
            "accept",
            "authorization",
            "content-type",
            "traceparent",
            "user-agent",
            "content-length",
        ];
        assert!(known.contains(name), "{sent:?}");
    }

    let row = stage.row().await;
    assert_eq!(reply.header("x-stead-request-id"), row.id);
    assert_eq!(reply.header("x-stead-trace-id"), trace);
    assert_eq!(
        (reply.header("x-stead-provider"), reply.header("x-stead-attempts")),
        ("p", "1")
    );
    assert_eq!(
        (reply.header("set-cookie"), reply.header("x-secret-of-upstream")),
        ("", "")
    );
    assert_eq!(
        (row.trace_id.as_str(), row.outcome, row.status),
        (trace, Outcome::Ok, 200)
    );
    assert_eq!(
        (row.user.as_str(), row.key.as_str(), row.project.as_str()),
        ("ada", "ada", "default")
    );
    assert_eq!(
        (
            row.model.as_str(),
            row.provider.as_str(),
            row.provider_model.as_str()
        ),
        ("p/m", "p", "m")
    );
    assert_eq!((row.usage.input, row.usage.output), (5, 2));
    assert_eq!((row.attempts.len(), row.attempts[0].status), (1, 200));
    assert_eq!(row.input.as_deref(), Some(body));
    assert_eq!(row.output.as_deref(), Some(reply.text().as_str()));
}

#[tokio::test]
async fn a_stream_is_forwarded_event_by_event_and_its_usage_recorded() {
    let provider = Provider::script([whole_stream()]);
    let stage = with(&provider, json!({})).await;
    let reply = stage.chat(ask_stream("p/m")).await;
    assert_eq!(reply.status, StatusCode::OK);
    assert!(reply.header("content-type").starts_with("text/event-stream"));
    assert_eq!(
        reply.text(),
        [CHUNK_ROLE, CHUNK_A, CHUNK_B, CHUNK_STOP, DONE].concat()
    );
    assert_eq!(
        provider.asked()[0].json()["stream_options"]["include_usage"],
        true
    );
    let row = stage.row().await;
    assert_eq!((row.outcome, row.stream), (Outcome::Ok, true));
    assert_eq!((row.usage.input, row.usage.output), (5, 2));
    assert_eq!(row.output.as_deref(), Some("Hello"));
    assert!(row.first_token_us.is_some_and(|first| first <= row.duration_us));
}

#[tokio::test]
async fn the_usage_chunk_stays_for_a_client_that_asked_for_it() {
    let provider = Provider::script([whole_stream()]);
    let stage = with(&provider, json!({})).await;
    let mut body = ask_stream("p/m");
    body["stream_options"] = json!({"include_usage": true});
    let reply = stage.chat(body).await;
    assert_eq!(
        reply.text(),
        [CHUNK_ROLE, CHUNK_A, CHUNK_B, CHUNK_STOP, CHUNK_USAGE, DONE].concat()
    );
}

#[tokio::test]
async fn a_provider_that_forgets_the_last_event_still_ends_well() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_A, CHUNK_STOP], End::Close)]);
    let stage = with(&provider, json!({})).await;
    let reply = stage.chat(ask_stream("p/m")).await;
    assert_eq!(reply.text(), [CHUNK_A, CHUNK_STOP, DONE].concat());
    assert_eq!(stage.row().await.outcome, Outcome::Ok);
}

#[tokio::test]
async fn tool_calls_pass_and_are_recorded_whole() {
    const CALL: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{\"name\":\"f\",\"arguments\":\"{\"}}]}}]}\n\n";
    const MORE: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"}\"}}]}}]}\n\n";
    let provider = Provider::script([Act::Stream(vec![CALL, MORE, CHUNK_STOP, DONE], End::Close)]);
    let stage = with(&provider, json!({})).await;
    let reply = stage.chat(ask_stream("p/m")).await;
    assert_eq!(reply.text(), [CALL, MORE, CHUNK_STOP, DONE].concat());
    let output = stage.row().await.output.unwrap();
    let message: Value = serde_json::from_str(&output).unwrap();
    assert_eq!(
        message["tool_calls"][0]["function"],
        json!({"name": "f", "arguments": "{}"})
    );
}

#[tokio::test]
async fn completions_and_embeddings_have_their_own_addresses() {
    let embeddings = json!({"data": [{"embedding": [0.5]}], "usage": {"prompt_tokens": 3}}).to_string();
    let provider = Provider::script([answer("x"), Act::Say(200, &[], embeddings.clone())]);
    let stage = with(&provider, json!({})).await;
    let reply = stage
        .post("/v1/completions", r#"{"model":"p/m","prompt":"a"}"#)
        .await;
    assert_eq!(reply.status, StatusCode::OK);
    let reply = stage
        .post("/v1/embeddings", r#"{"model":"p/m","input":"a"}"#)
        .await;
    assert_eq!((reply.status, reply.text()), (StatusCode::OK, embeddings));
    let paths: Vec<String> = provider.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!(paths, ["/v1/completions", "/v1/embeddings"]);
    let rows = stage.rows(2).await;
    assert!(
        rows.iter()
            .any(|row| row.operation == "embeddings" && row.usage.input == 3)
    );
}

pub(crate) async fn embedded() -> Stage {
    let world = World::new();
    let stage = Stage::start(world).await;
    let digest = format!("sha256:{}", "a".repeat(64));
    stage
        .apply("Model", "models", "tiny", json!({"sources": []}))
        .await;
    let path = "/apis/stead.dev/v1alpha1/namespaces/default/models/tiny/status";
    let status = json!({"status": {"digest": digest, "conditions": [{"type": "Ready", "status": "True"}]}});
    let request = http::Request::patch(path)
        .header(header::CONTENT_TYPE, "application/merge-patch+json")
        .body(status.to_string().into_bytes())
        .unwrap();
    let _: Value = stage.world.api.client().request(request).await.unwrap();
    stage
        .apply(
            "ModelProvider",
            "modelproviders",
            "local",
            json!({"type": "embedded"}),
        )
        .await;
    stage.known("local/tiny").await;
    stage
}

#[tokio::test]
async fn the_embedded_engine_answers_whole_and_streaming() {
    let stage = embedded().await;
    let chat = &stage.world.ports.chat;
    chat.answer(&["Par", "is"]);
    let mut body = ask("tiny");
    body["temperature"] = json!(0);
    body["max_tokens"] = json!(7);
    body["stop"] = json!("x");
    let reply = stage.chat(body).await;
    let answer = reply.json();
    assert_eq!(answer["choices"][0]["message"]["content"], "Paris");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["total_tokens"], 3);
    let (file, generation) = chat.asked().remove(0);
    assert!(file.path.ends_with("a".repeat(64)));
    assert_eq!(
        (file.name.as_str(), generation.sampling.max_tokens),
        ("tiny", Some(7))
    );
    assert_eq!(generation.sampling.stop, ["x"]);
    assert_eq!(generation.scope, "default", "nothing is shared between projects");

    chat.answer(&["Par", "is"]);
    let mut body = ask_stream("local/tiny");
    body["stream_options"] = json!({"include_usage": true});
    let reply = stage.chat(body).await;
    let events = reply.events();
    let chunks: Vec<Value> = events
        .iter()
        .filter_map(|event| serde_json::from_str(event).ok())
        .collect();
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "Paris");
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 2);
    assert_eq!(events.last().unwrap(), "[DONE]");
    let rows = stage.rows(2).await;
    assert!(
        rows.iter()
            .all(|row| row.outcome == Outcome::Ok && row.usage.output == 2)
    );
}

#[tokio::test]
async fn the_embedded_engines_refusals_have_the_right_status() {
    let stage = embedded().await;
    let chat = &stage.world.ports.chat;
    let wait = std::time::Duration::from_mins(2);
    let full = || stead_kernel::Error::exhausted("the queue is full").retry_after(wait);
    chat.stream(vec![Err(stead_kernel::Error::invalid(
        "the prompt has 9000 tokens, the model takes 2048",
    ))]);
    assert_eq!(
        stage.chat(ask("tiny")).await.error(),
        (400, "invalid_request".into())
    );
    chat.stream(vec![Err(full())]);
    let reply = stage.chat(ask("tiny")).await;
    assert_eq!((reply.error().0, reply.header("retry-after")), (429, "120"));
    chat.stream(vec![
        Ok(Generated::Started { prompt_tokens: 4 }),
        Ok(Generated::Text("a".into())),
        Err(stead_kernel::Error::internal("the engine died")),
    ]);
    let reply = stage.chat(ask_stream("tiny")).await;
    assert!(reply.text().contains("\"error\"") && !reply.text().contains("[DONE]"));
    let reply = stage
        .post("/v1/moderations", r#"{"model":"tiny","input":"a"}"#)
        .await;
    assert_eq!(reply.error(), (501, "unsupported".into()));
    let reply = stage.chat(json!({"model": "tiny", "messages": []})).await;
    assert_eq!(reply.error(), (400, "missing_messages".into()));
    chat.stream(vec![
        Ok(Generated::Started { prompt_tokens: 1 }),
        Ok(Generated::Text("once".into())),
        Ok(Generated::Finished {
            reason: FinishReason::Length,
            usage: TokenUsage::default(),
        }),
    ]);
    let reply = stage
        .post("/v1/completions", r#"{"model":"tiny","prompt":["Say"]}"#)
        .await;
    assert_eq!(reply.json()["choices"][0]["text"], "once");
    assert_eq!(reply.json()["choices"][0]["finish_reason"], "length");
}

const ANTHROPIC: [&str; 6] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"role\":\"assistant\",\"content\":[],\"model\":\"m\",\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

#[tokio::test]
async fn an_anthropic_provider_is_translated_both_ways() {
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3}});
    let broken = Act::Stream(ANTHROPIC[..3].to_vec(), End::Break);
    let provider = Provider::script([
        Act::Say(200, &[], whole.to_string()),
        Act::Stream(ANTHROPIC.to_vec(), End::Close),
        broken,
    ]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.secret("s", "api-key", "sk-ant").await;
    let credential = json!({"secretRef": {"name": "s", "key": "api-key"}});
    stage
        .provider("p", json!({"type": "anthropic", "credential": credential}))
        .await;
    let reply = stage.chat(ask("p/m")).await;
    assert_eq!(reply.json()["choices"][0]["message"]["content"], "Hello");
    assert!(!reply.headers.contains_key("x-stead-warnings"));
    let asked = provider.asked().remove(0);
    assert_eq!(
        (asked.path.as_str(), &asked.headers["x-api-key"]),
        ("/v1/messages", &"sk-ant".parse().unwrap())
    );
    assert!(asked.headers.contains_key("anthropic-version") && !asked.headers.contains_key("authorization"));
    assert_eq!(asked.json()["model"], "m");

    let reply = stage.chat(ask_stream("p/m")).await;
    assert!(
        reply.text().contains("\"Hello\"") && reply.text().ends_with(DONE),
        "{}",
        reply.text()
    );
    let reply = stage.chat(ask_stream("p/m")).await;
    assert!(reply.text().contains("\"error\"") && !reply.text().contains("[DONE]"));
    let rows = stage.rows(3).await;
    let good = rows.iter().filter(|row| row.outcome == Outcome::Ok);
    assert_eq!(
        good.map(|row| (row.usage.input, row.usage.output))
            .collect::<Vec<_>>(),
        [(9, 3); 2]
    );
    let reply = stage
        .post("/v1/embeddings", r#"{"model":"p/m","input":"a"}"#)
        .await;
    assert_eq!(reply.error(), (501, "unsupported".into()));
}

#[tokio::test]
async fn what_anthropic_counted_before_an_error_is_billed() {
    const END: &str = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":30}}\n\nevent: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}\n\n";
    let pieces = [&ANTHROPIC[..4], &[END]].concat();
    let provider = Provider::script([Act::Stream(pieces, End::Stall)]);
    let stage = with(&provider, json!({"type": "anthropic"})).await;
    stage.chat(ask_stream("p/m")).await;
    let row = stage.row().await;
    assert_eq!(
        (row.outcome, row.usage.input, row.usage.output),
        (Outcome::Error, 9, 30)
    );
}

#[tokio::test]
async fn what_is_lost_in_translation_is_told_in_a_header() {
    let whole = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [{"type": "text", "text": "Hello"}], "stop_reason": "end_turn",
        "usage": {"input_tokens": 9, "output_tokens": 3}});
    let provider = Provider::script([
        Act::Say(200, &[], whole.to_string()),
        Act::Stream(ANTHROPIC.to_vec(), End::Close),
    ]);
    let stage = with(&provider, json!({"type": "anthropic"})).await;
    for mut body in [ask("p/m"), ask_stream("p/m")] {
        body["w\u{f6}rd"] = json!(1);
        let reply = stage.chat(body).await;
        assert_eq!(reply.status, StatusCode::OK);
        assert_eq!(
            reply.header("x-stead-warnings"),
            "w?rd was left out: Anthropic's API has no such parameter"
        );
    }
}

/// One model at one host costs something.
struct OneVendor;

impl Prices for OneVendor {
    fn price(&self, vendor: &str, model: &str) -> Option<Arc<Price>> {
        let found = [("api.groq.test", "m"), ("openai", "m")].contains(&(vendor, model));
        found.then(|| Arc::new(Price::per_token(PicoUsd(10_000), PicoUsd(100_000))))
    }
}

#[tokio::test]
async fn prices_are_found_by_the_host_where_the_type_does_not_tell_the_vendor() {
    let provider = Provider::script([answer("x")]);
    let stage = Stage::start_with(World::new(), std::sync::Arc::new(OneVendor)).await;
    let cases = [
        (
            "a",
            "openai-compatible",
            "https://API.groq.test:443/openai/v1",
            Some(250),
        ),
        ("b", "openai-compatible", "https://other.test/v1", None),
        ("c", "openai-compatible", "https://openai/v1", None),
        ("d", "openai", "https://proxy.test/v1", Some(250)),
        ("e", "anthropic", "https://api.groq.test/v1", None),
    ];
    for host in ["api.groq.test", "other.test", "openai", "proxy.test"] {
        stage.world.ports.web.host(host, provider.router());
    }
    for (name, kind, address, cost) in cases {
        stage
            .provider(name, json!({"type": kind, "baseUrl": address}))
            .await;
        stage.chat(ask(&format!("{name}/m"))).await;
        let row = poll_until(crate::stage::SOON, "the row", async || {
            let rows = stage.world.ports.events.all_requests();
            rows.into_iter().find(|row| row.provider == name)
        })
        .await;
        assert_eq!(row.cost.map(|cost| cost.0), cost, "{name}: {row:?}");
    }
}

#[tokio::test]
async fn bodies_are_kept_only_as_the_settings_say() {
    let cases = [
        (Capture::Full, true, true),
        (Capture::Errors, false, true),
        (Capture::None, false, false),
    ];
    for (capture, keeps_good, keeps_bad) in cases {
        let mut world = World::new();
        world.settings.capture = capture;
        let provider = Provider::script([answer("x"), crate::providers::failure(400)]);
        let stage = Stage::start(world).await;
        stage.world.ports.web.host("p.test", provider.router());
        stage.provider("p", json!({})).await;
        stage.chat(ask("p/m")).await;
        stage.chat(ask("p/m")).await;
        for row in stage.rows(2).await {
            let keeps = if row.outcome == Outcome::Ok {
                keeps_good
            } else {
                keeps_bad
            };
            assert_eq!(row.input.is_some(), keeps, "{capture:?} {:?}", row.outcome);
        }
    }
}

#[tokio::test]
async fn what_is_applied_can_be_used_at_once_and_what_is_deleted_cannot() {
    let provider = Provider::script([answer("x")]);
    let stage = with(&provider, json!({})).await;
    stage
        .route("chat", json!({"targets": [{"provider": "p", "model": "m"}]}))
        .await;
    let reply = stage.chat(ask("chat")).await;
    assert_eq!(
        (reply.status, reply.header("x-stead-route")),
        (StatusCode::OK, "chat")
    );
    let listed = stage.get("/v1/models", KEY).await.json();
    let names: Vec<&str> = listed["data"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|m| m["id"].as_str())
        .collect();
    assert_eq!(names, ["chat", "p/m"]);
    let metrics = stage.metrics();
    assert!(
        metrics.contains("stead_gateway_requests_total{project=\"default\",provider=\"p\",outcome=\"ok\"} 1"),
        "{metrics}"
    );
    assert!(metrics.contains("stead_gateway_in_flight 0"));
    stage.delete("ModelRoute", "modelroutes", "chat").await;
    stead_testkit::poll_until(crate::stage::SOON, "the route to go", async || {
        (stage.chat(ask("chat")).await.status == StatusCode::NOT_FOUND).then_some(())
    })
    .await;
}
