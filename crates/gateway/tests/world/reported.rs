//! What users of other gateways report of them, each named after its thread: `litellm_N` is
//! <https://github.com/BerriAI/litellm/issues/N>, `bifrost_N` <https://github.com/maximhq/bifrost/issues/N>.

use std::sync::atomic::Ordering;

use http::{StatusCode, header};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use stead_kernel::{
    Body,
    ports::{NanoUsd, events::Outcome},
};
use stead_testkit::{World, poll_until};

use crate::{
    faults::with,
    providers::{Act, CHUNK_A, CHUNK_ROLE, CHUNK_STOP, DONE, End, Provider, answer, failure},
    stage::{KEY, Reply, SOON, Stage, ask, ask_stream, post},
};

/// A stage with providers `first` and `second` of these sorts, and a route `chat` that asks one after the other.
async fn two(first: (&Provider, Value), second: (&Provider, Value)) -> Stage {
    let stage = Stage::start(World::new()).await;
    for (name, (provider, spec)) in [("first", first), ("second", second)] {
        let host = format!("{name}.test");
        stage.world.ports.web.host(&host, provider.router());
        stage.secret(name, "k", &format!("sk-{name}")).await;
        let mut whole = json!({"credential": {"secretRef": {"name": name, "key": "k"}}});
        if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), spec) {
            whole.extend(more);
        }
        stage.provider(name, whole).await;
    }
    let targets = json!([{"provider": "first", "model": "a"}, {"provider": "second", "model": "b"}]);
    let spec = json!({"strategy": "Priority", "targets": targets, "retry": {"attempts": 2}});
    stage.route("chat", spec).await;
    stage
}

/// A stage with a provider `p` of this sort.
async fn one(provider: &Provider, spec: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", spec).await;
    stage
}

/// A question in Anthropic's dialect.
fn message(model: &str, stream: bool) -> String {
    json!({"model": model, "max_tokens": 9, "stream": stream,
        "messages": [{"role": "user", "content": "hi"}]})
    .to_string()
}

/// An event of Anthropic's streams.
fn event(data: &Value) -> &'static str {
    let kind = data["type"].as_str().unwrap();
    format!("event: {kind}\ndata: {data}\n\n").leak()
}

/// A stream of these events.
fn events(list: &[Value]) -> Act {
    Act::Stream(list.iter().map(event).collect(), End::Close)
}

fn message_start(usage: &Value) -> Value {
    json!({"type": "message_start", "message": {"id": "msg_1", "type": "message", "role": "assistant", "model": "m",
        "content": [], "usage": usage}})
}

fn text_block(text: &str) -> [Value; 3] {
    [
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}}),
        json!({"type": "content_block_stop", "index": 0}),
    ]
}

fn message_end(usage: &Value) -> [Value; 2] {
    [
        json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": usage}),
        json!({"type": "message_stop"}),
    ]
}

/// A stream of Anthropic's with the usage at its beginning and at its end.
fn anthropic_stream(first: &Value, last: &Value) -> Act {
    let all = [
        vec![message_start(first)],
        text_block("Hello").to_vec(),
        message_end(last).to_vec(),
    ];
    events(&all.concat())
}

/// A chunk of `OpenAI`'s streams.
fn chunk(data: &Value) -> &'static str {
    format!("data: {data}\n\n").leak()
}

/// The usage that a stream of Anthropic's begins with tells apart, for five minutes and for an hour, what the first
/// round wrote to the cache; where its own tools ran, the end tells a larger sum. All of it costs something.
#[tokio::test]
async fn litellm_42663_cache_writes_beyond_those_that_are_told_apart_are_priced() {
    let first = |minutes: u64, hour: u64| {
        json!({"input_tokens": 3, "output_tokens": 1, "cache_creation_input_tokens": minutes + hour,
            "cache_read_input_tokens": 0,
            "cache_creation": {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}})
    };
    let last = json!({"input_tokens": 10, "output_tokens": 20, "cache_read_input_tokens": 1_000,
        "cache_creation_input_tokens": 5_000});
    let price = json!({"input": 1.0, "output": 1.0, "cached": 0.1, "cacheWrite": 2.0, "cacheWriteHour": 4.0});
    // What is written for an hour of 5,000 tokens, when so many were told apart.
    for (minutes, hour, for_an_hour) in [(700, 0, 0), (700, 300, 300), (0, 300, 5_000)] {
        let provider = Provider::script([anthropic_stream(&first(minutes, hour), &last)]);
        let spec = json!({"type": "anthropic", "prices": [{"model": "m", "perMillionTokens": price}]});
        let stage = one(&provider, spec).await;
        let reply = stage.post("/v1/messages", &message("p/m", true)).await;
        assert_eq!(reply.status, StatusCode::OK);
        let row = stage.row().await;
        assert_eq!(
            (row.usage.input, row.usage.cached_input, row.usage.cache_write),
            (6_010, 1_000, 5_000)
        );
        assert_eq!(row.usage.cache_write_hour, for_an_hour);
        let written = 2_000 * (5_000 - for_an_hour) + 4_000 * for_an_hour;
        let cost = 10 * 1_000 + 20 * 1_000 + 1_000 * 100 + written;
        assert_eq!(row.cost, Some(NanoUsd(i64::try_from(cost).unwrap())));
    }
}

/// Fallbacks asked the first provider again, for uploads only.
#[tokio::test]
async fn bifrost_6966_an_edit_of_a_picture_reaches_the_second_provider_under_its_own_name() {
    let (bad, good) = (Provider::script([failure(500)]), Provider::script([answer("x")]));
    let stage = two((&bad, json!({})), (&good, json!({}))).await;
    for (number, path) in ["/v1/images/edits", "/v1/images/variations"]
        .into_iter()
        .enumerate()
    {
        let body = "--cut\r\nContent-Disposition: form-data; name=\"image\"; filename=\"a.png\"\r\n\r\nPNG\r\n\
            --cut\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nchat\r\n--cut--\r\n";
        let request = http::Request::post(path)
            .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
            .body(Body::from(body))
            .unwrap();
        let reply = stage.send(request).await;
        assert_eq!(
            reply.header("x-stead-target"),
            "second/b",
            "{path}: {}",
            reply.text()
        );
        assert_eq!((bad.asked().len(), good.asked().len()), (number + 1, number + 1));
        for (provider, name, model) in [(&bad, "first", "a"), (&good, "second", "b")] {
            let asked = provider.asked().pop().unwrap();
            assert_eq!(asked.path, path);
            assert_eq!(asked.headers["authorization"], format!("Bearer sk-{name}"));
            let form = String::from_utf8_lossy(&asked.body).into_owned();
            assert!(
                form.contains(&format!("name=\"model\"\r\n\r\n{model}\r\n")),
                "{form}"
            );
            assert!(form.contains("PNG"), "{form}");
        }
    }
}

/// Whether a request was billed whose client left depended on which of two tasks was first.
#[tokio::test]
async fn bifrost_6972_every_request_whose_client_leaves_is_billed_once() {
    let (slow, streams) = (
        Provider::script([Act::Hang]),
        Provider::script([Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Stall)]),
    );
    let stage = two((&slow, json!({})), (&streams, json!({}))).await;
    for _ in 0..10 {
        let before = slow.asked().len();
        let asked = async {
            poll_until(SOON, "the provider to be asked", async || {
                (slow.asked().len() > before).then_some(())
            })
            .await;
        };
        let body = ask("first/m").to_string();
        tokio::select! {
            _ = stage.open(post("/v1/chat/completions", KEY, &body)) => panic!("a provider that hangs answered"),
            () = asked => {}
        }
        let body = ask_stream("second/m").to_string();
        let mut answer = stage
            .open(post("/v1/chat/completions", KEY, &body))
            .await
            .into_body();
        answer.frame().await.unwrap().unwrap();
    }
    let rows = stage.rows(20).await;
    assert_eq!(rows.len(), 20);
    for row in rows {
        assert_eq!(row.outcome, Outcome::Cancelled);
        assert!(row.usage.input > 0, "{row:?}");
        let output = u64::from(row.provider == "second");
        assert_eq!(row.usage.output, output, "what was produced is billed: {row:?}");
    }
}

/// The headers with which the first provider refused came with the answer of the second.
#[tokio::test]
async fn bifrost_6973_nothing_of_the_first_providers_headers_is_told_with_the_seconds_answer() {
    let refused = || {
        let headers = &[
            ("retry-after", "60"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-request-id", "req_of_the_first"),
        ];
        let body = json!({"error": {"message": "slow down", "type": "rate_limit_error"}});
        Act::Say(429, headers, body.to_string())
    };
    let missing = json!({"credential": {"secretRef": {"name": "missing", "key": "k"}}});
    let cases = [
        (Some(answer("x")), json!({}), 200),
        (Some(failure(500)), json!({}), 502),
        // It fails before it is asked.
        (None, missing, 503),
    ];
    for (second, spec, status) in cases {
        let (first, second) = (Provider::script([refused()]), Provider::script(second));
        let stage = two((&first, json!({})), (&second, spec)).await;
        let reply = stage.chat(ask("chat")).await;
        assert_eq!(reply.status.as_u16(), status, "{}", reply.text());
        assert_eq!(reply.header("x-stead-provider"), "second");
        for name in ["retry-after", "x-ratelimit-remaining-requests", "x-request-id"] {
            assert_eq!(reply.header(name), "", "{name}");
        }
        assert!(!reply.text().contains("slow down"));
    }
}

/// `x-api-key` of Anthropic went along to Bedrock.
#[tokio::test]
async fn litellm_14371_a_fallback_to_another_vendor_gets_its_own_headers_only() {
    let (first, second) = (Provider::script([failure(529)]), Provider::script([answer("x")]));
    let stage = two((&first, json!({"type": "anthropic"})), (&second, json!({}))).await;
    let mut request = post("/v1/messages", KEY, &message("chat", false));
    let headers = request.headers_mut();
    headers.insert("anthropic-beta", "some-beta".parse().unwrap());
    headers.insert("x-api-key", KEY.parse().unwrap());
    assert_eq!(stage.send(request).await.status, StatusCode::OK);
    let (a, b) = (first.asked().remove(0).headers, second.asked().remove(0).headers);
    assert_eq!(
        (&a["x-api-key"], &a["anthropic-beta"]),
        (&"sk-first".parse().unwrap(), &"some-beta".parse().unwrap())
    );
    assert_eq!(b["authorization"], "Bearer sk-second");
    for name in ["x-api-key", "anthropic-version", "anthropic-beta"] {
        assert!(!b.contains_key(name), "{name}");
    }
    assert!(!format!("{b:?}").contains(KEY));
}

/// An error event before any content was passed on with status 200, and the fallback was not asked; with one that
/// failed too, the answer was 200 with an error inside.
#[tokio::test]
async fn litellm_38610_an_error_before_the_first_content_of_a_message_is_none_of_the_answer() {
    let overloaded = || {
        events(&[
            message_start(&json!({"input_tokens": 3, "output_tokens": 1})),
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
        ])
    };
    let usage = json!({"input_tokens": 3, "output_tokens": 2});
    let well = anthropic_stream(&usage, &usage);
    let anthropic = || json!({"type": "anthropic"});
    let (first, second) = (
        Provider::script([overloaded()]),
        Provider::script([well, overloaded()]),
    );
    let stage = two((&first, anthropic()), (&second, anthropic())).await;
    let reply = stage.post("/v1/messages", &message("chat", true)).await;
    let text = reply.text();
    assert_eq!(
        (reply.status, reply.header("x-stead-provider")),
        (StatusCode::OK, "second")
    );
    assert_eq!(text.matches("event: message_start").count(), 1, "{text}");
    assert!(text.contains("Hello") && !text.contains("overloaded"), "{text}");
    let reply = stage.post("/v1/messages", &message("chat", true)).await;
    assert!(reply.status.is_server_error(), "{}", reply.text());
    assert_eq!(reply.json()["type"], "error");
}

/// The last chunk had a choice beside its usage, and the usage was estimated instead.
#[tokio::test]
async fn litellm_36168_usage_beside_a_choice_is_the_usage() {
    let usage = json!({"completion_tokens": 2, "prompt_tokens": 16_111, "total_tokens": 16_113,
        "prompt_tokens_details": {"cached_tokens": 15_872}});
    let last = chunk(&json!({"id": "c", "choices": [{"index": 0, "delta": {}}], "usage": usage}));
    let act = Act::Stream(vec![CHUNK_ROLE, CHUNK_A, CHUNK_STOP, last, DONE], End::Close);
    let provider = Provider::script([act]);
    let stage = one(&provider, json!({})).await;
    let paths = [
        ("/v1/chat/completions", ask_stream("p/m").to_string()),
        ("/v1/messages", message("p/m", true)),
    ];
    for (path, body) in &paths {
        assert_eq!(stage.post(path, body).await.status, StatusCode::OK);
    }
    for row in stage.rows(paths.len()).await {
        assert_eq!(
            (row.usage.input, row.usage.cached_input, row.usage.output),
            (16_111, 15_872, 2),
            "{}",
            row.dialect
        );
    }
}

/// What was read from the cache was told at the end only, and added to the whole input of the beginning.
#[tokio::test]
async fn bifrost_5354_what_a_stream_counts_at_its_end_replaces_what_it_counted_at_its_beginning() {
    let first = json!({"input_tokens": 1_000, "output_tokens": 1, "cache_read_input_tokens": 0});
    let last = json!({"input_tokens": 10, "output_tokens": 7, "cache_read_input_tokens": 990});
    let provider = Provider::script([anthropic_stream(&first, &last)]);
    let stage = one(&provider, json!({"type": "anthropic"})).await;
    stage.post("/v1/messages", &message("p/m", true)).await;
    stage.chat(ask_stream("p/m")).await;
    for row in stage.rows(2).await {
        assert_eq!(
            (row.usage.input, row.usage.cached_input, row.usage.output),
            (1_000, 990, 7)
        );
    }
}

/// All calls of a stream had the index 0. The same was reported of `LiteLLM` (5231).
#[tokio::test]
async fn bifrost_1961_calls_beside_each_other_keep_their_places_in_a_stream() {
    let call = |index: u32, name: &str| {
        [
            json!({"type": "content_block_start", "index": index,
                "content_block": {"type": "tool_use", "id": format!("toolu_{name}"), "name": name, "input": {}}}),
            json!({"type": "content_block_delta", "index": index,
                "delta": {"type": "input_json_delta", "partial_json": "{\"x\":"}}),
            json!({"type": "content_block_delta", "index": index,
                "delta": {"type": "input_json_delta", "partial_json": "1}"}}),
            json!({"type": "content_block_stop", "index": index}),
        ]
    };
    let usage = json!({"input_tokens": 3, "output_tokens": 2});
    let all = [
        vec![message_start(&usage)],
        text_block("Let me see.").to_vec(),
        call(1, "f").to_vec(),
        call(2, "g").to_vec(),
        message_end(&usage).to_vec(),
    ];
    let provider = Provider::script([events(&all.concat())]);
    let stage = one(&provider, json!({"type": "anthropic"})).await;
    let reply = stage.chat(ask_stream("p/m")).await;
    let mut calls: Vec<(String, String)> = vec![(String::new(), String::new()); 2];
    for piece in pieces(&reply) {
        let index = usize::try_from(piece["index"].as_u64().unwrap()).unwrap();
        let call = &mut calls[index];
        call.0.push_str(piece["id"].as_str().unwrap_or_default());
        call.1
            .push_str(piece["function"]["arguments"].as_str().unwrap_or_default());
    }
    let wanted = ["toolu_f", "toolu_g"].map(|id| (id.to_owned(), "{\"x\":1}".to_owned()));
    assert_eq!(calls, wanted);
}

/// The pieces of calls in a stream of `OpenAI`'s.
fn pieces(reply: &Reply) -> Vec<Value> {
    let chunks = reply.events().into_iter().filter(|event| event != "[DONE]");
    let chunks = chunks.map(|chunk| serde_json::from_str::<Value>(&chunk).unwrap());
    let calls = chunks.flat_map(|chunk| {
        let calls = chunk["choices"][0]["delta"]["tool_calls"].as_array().cloned();
        calls.unwrap_or_default()
    });
    calls.collect()
}

/// A turn of text and a call ended with `end_turn`, so that agents stopped. Reported again as 6123.
#[tokio::test]
async fn bifrost_3638_a_turn_of_text_and_a_call_ends_for_the_call() {
    let call = json!([{"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]);
    let act = Act::Stream(
        vec![
            CHUNK_ROLE,
            CHUNK_A,
            chunk(&json!({"id": "c", "choices": [{"index": 0, "delta": {"tool_calls": call}}]})),
            chunk(&json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})),
            DONE,
        ],
        End::Close,
    );
    let provider = Provider::script([act]);
    let stage = one(&provider, json!({})).await;
    let text = stage.post("/v1/messages", &message("p/m", true)).await.text();
    assert!(text.contains("\"stop_reason\":\"tool_use\""), "{text}");
    assert!(!text.contains("end_turn"), "{text}");
    assert_eq!(text.matches("\"type\":\"tool_use\"").count(), 1, "{text}");
}

/// A call of Gemini's in a stream of its own kind.
fn gemini_call(signature: Option<&str>) -> Act {
    let mut part = json!({"functionCall": {"name": "add", "args": {"a": 17, "b": 25}}});
    if let Some(signature) = signature {
        part["thoughtSignature"] = signature.into();
    }
    let data = json!({"candidates": [{"content": {"role": "model", "parts": [part]}, "finishReason": "STOP"}],
        "usageMetadata": {"promptTokenCount": 5, "candidatesTokenCount": 4, "totalTokenCount": 9}});
    Act::Stream(vec![chunk(&data)], End::Close)
}

/// The arguments of Gemini's calls were lost in streams of Anthropic's dialect.
#[tokio::test]
async fn litellm_25561_arguments_of_geminis_calls_reach_anthropics_clients_in_a_stream() {
    let provider = Provider::script([gemini_call(None)]);
    let stage = one(
        &provider,
        json!({"type": "gemini", "baseUrl": "https://p.test/v1beta"}),
    )
    .await;
    let text = stage.post("/v1/messages", &message("p/m", true)).await.text();
    let mut input = String::new();
    for line in text.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let data: Value = serde_json::from_str(line).unwrap();
        input.push_str(data["delta"]["partial_json"].as_str().unwrap_or_default());
    }
    let input: Value = serde_json::from_str(&input).unwrap_or_else(|_| panic!("{text}"));
    assert_eq!(input, json!({"a": 17, "b": 25}));
    assert!(text.contains("\"stop_reason\":\"tool_use\""), "{text}");
}

/// Gemini refuses the next turn when the signature of its call does not come back.
#[tokio::test]
async fn litellm_16893_the_signature_of_a_streamed_call_comes_back_to_gemini() {
    let provider = Provider::script([gemini_call(Some("c2ln"))]);
    let stage = one(
        &provider,
        json!({"type": "gemini", "baseUrl": "https://p.test/v1beta"}),
    )
    .await;
    let reply = stage.chat(ask_stream("p/m")).await;
    let mut call = pieces(&reply).remove(0);
    call.as_object_mut().unwrap().remove("index");
    let id = call["id"].clone();
    let mut body = ask("p/m");
    body["messages"] = json!([{"role": "user", "content": "hi"}, {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": id, "content": "42"}]);
    body["stream"] = true.into();
    stage.chat(body).await;
    let asked = provider.asked().pop().unwrap().json();
    let part = &asked["contents"][1]["parts"][0];
    assert_eq!(part["functionCall"]["name"], "add", "{asked}");
    assert_eq!(part["thoughtSignature"], "c2ln", "{asked}");
}

/// The place of a stream that its client left was never free again.
#[tokio::test]
async fn litellm_27955_a_place_is_free_again_however_its_request_ends() {
    let provider = Provider::script([
        Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Stall),
        failure(500),
        Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Break),
        answer("x"),
    ]);
    let stage = with(&[("p", &provider)], json!({})).await;
    stage.quota("places", json!({"concurrency": 1})).await;
    for (path, body, holds) in [
        ("/v1/messages", message("chat", true), true),
        ("/v1/messages", message("chat", false), false),
        ("/v1/chat/completions", ask_stream("chat").to_string(), true),
    ] {
        let mut answer = stage.open(post(path, KEY, &body)).await.into_body();
        if holds {
            let refused = stage.chat(ask("chat")).await;
            assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS, "{path}");
        }
        let _ = answer.frame().await;
    }
    assert_eq!(stage.chat(ask("chat")).await.status, StatusCode::OK);
}

/// The provider went on for clients of these two APIs that had left.
#[tokio::test]
async fn litellm_36123_a_client_that_leaves_stops_the_provider_by_every_api() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Stall)]);
    let stage = one(&provider, json!({})).await;
    let response = json!({"model": "p/m", "stream": true, "store": false, "input": "hi"}).to_string();
    for (path, body) in [
        ("/v1/messages", message("p/m", true)),
        ("/v1/responses", response),
    ] {
        let mut answer = stage.open(post(path, KEY, &body)).await.into_body();
        answer.frame().await.unwrap().unwrap();
        assert_eq!(provider.open.load(Ordering::SeqCst), 1, "{path}");
        drop(answer);
        assert_eq!(provider.open.load(Ordering::SeqCst), 0, "{path}");
    }
    for row in stage.rows(2).await {
        assert_eq!((row.outcome, row.usage.output), (Outcome::Cancelled, 1));
    }
}

/// A stream that closed without a reason to finish was reported as complete.
#[tokio::test]
async fn litellm_40260_a_stream_that_closes_without_a_reason_to_finish_has_failed() {
    let provider = Provider::script([Act::Stream(vec![CHUNK_ROLE, CHUNK_A], End::Close)]);
    let stage = one(&provider, json!({})).await;
    let text = stage.chat(ask_stream("p/m")).await.text();
    assert!(text.contains("\"error\"") && !text.contains("[DONE]"), "{text}");
    let text = stage.post("/v1/messages", &message("p/m", true)).await.text();
    assert!(
        text.contains("event: error") && !text.contains("message_stop"),
        "{text}"
    );
    for row in stage.rows(2).await {
        assert_eq!((row.outcome, row.usage.output), (Outcome::Error, 1));
    }
}

/// What was hidden from the provider was not put back in streams of Anthropic's own dialect.
#[tokio::test]
async fn litellm_42476_a_guardrail_watches_streams_in_anthropics_own_dialect_too() {
    let usage = json!({"input_tokens": 3, "output_tokens": 2});
    let all = [
        vec![message_start(&usage)],
        text_block("I wrote to [EMAIL_1] and b@x.org").to_vec(),
        message_end(&usage).to_vec(),
    ];
    let provider = Provider::script([events(&all.concat())]);
    let world = World::new();
    let spec = json!({"rules": [{"name": "pii", "action": "Redact", "detectors": ["email"]}]});
    Stage::apply_before(&world, "Guardrail", "guardrails", "g", spec).await;
    let stage = Stage::start(world).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({"type": "anthropic"})).await;
    let body = message("p/m", true).replace("\"hi\"", "\"I am ada@example.com\"");
    let text = stage.post("/v1/messages", &body).await.text();
    assert!(!provider.asked()[0].body.windows(4).any(|at| at == b"ada@"));
    assert!(
        text.contains("ada@example.com") && !text.contains("b@x.org"),
        "{text}"
    );
    assert!(!text.contains("[EMAIL_1]"), "{text}");
}
