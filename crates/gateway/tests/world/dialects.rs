//! Clients of every chat dialect, before providers of others.

use std::time::Duration;

use http::StatusCode;
use serde_json::{Value, json};
use stead_kernel::ports::events::Outcome;
use stead_testkit::World;

use crate::{
    providers::{Act, CHUNK_A, DONE, End, Provider, answer, failure, whole_stream},
    stage::{KEY, Stage, ask, ask_stream, post},
};

async fn with(provider: &Provider, spec: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", spec).await;
    stage
}

/// A question in each dialect: where it goes, and what it says.
fn questions(stream: bool) -> Vec<(&'static str, Value)> {
    let gemini = if stream {
        "/v1beta/models/p%2Fm:streamGenerateContent?alt=sse"
    } else {
        "/v1beta/models/p%2Fm:generateContent"
    };
    vec![
        (
            "/v1/chat/completions",
            json!({"model": "p/m", "stream": stream,
            "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            "/v1/responses",
            json!({"model": "p/m", "stream": stream, "store": false, "input": "hi"}),
        ),
        (
            "/v1/messages",
            json!({"model": "p/m", "stream": stream, "max_tokens": 9,
            "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            gemini,
            json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        ),
        (
            "/ollama/api/chat",
            json!({"model": "p/m", "stream": stream,
            "messages": [{"role": "user", "content": "hi"}]}),
        ),
        (
            "/ollama/api/generate",
            json!({"model": "p/m", "stream": stream, "prompt": "hi"}),
        ),
    ]
}

#[tokio::test]
async fn a_client_of_any_dialect_reaches_an_openai_provider_and_is_answered_in_its_own() {
    let provider = Provider::script([answer("Hello")]);
    let stage = with(&provider, json!({})).await;
    let places = [
        "/choices/0/message/content",
        "/output/0/content/0/text",
        "/content/0/text",
        "/candidates/0/content/parts/0/text",
        "/message/content",
        "/response",
    ];
    for ((path, body), place) in questions(false).into_iter().zip(places) {
        let reply = stage.post(path, &body.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text());
        let answer = reply.json();
        assert_eq!(answer.pointer(place), Some(&json!("Hello")), "{path}: {answer}");
    }
    for asked in provider.asked() {
        assert_eq!(asked.path, "/v1/chat/completions");
        let body = asked.json();
        assert_eq!(body["model"], "m");
        assert_eq!(body["messages"][0]["role"], "user");
    }
    let rows = stage.rows(6).await;
    assert!(
        rows.iter()
            .all(|row| (row.usage.input, row.usage.output) == (5, 2))
    );
    let mut dialects: Vec<&str> = rows.iter().map(|row| row.dialect.as_str()).collect();
    dialects.sort_unstable();
    dialects.dedup();
    assert_eq!(dialects.len(), 6, "{dialects:?}");
}

#[tokio::test]
async fn a_stream_is_translated_into_any_dialect() {
    let provider = Provider::script([whole_stream()]);
    let stage = with(&provider, json!({})).await;
    let ends = [
        "data: [DONE]",
        "response.completed",
        "message_stop",
        "\"finishReason\":\"STOP\"",
        "\"done\":true",
        "\"done\":true",
    ];
    for ((path, body), end) in questions(true).into_iter().zip(ends) {
        let reply = stage.post(path, &body.to_string()).await;
        let text = reply.text();
        assert_eq!(reply.status, StatusCode::OK, "{path}: {text}");
        assert!(
            text.contains("\"Hel\"") && text.contains("\"lo\""),
            "{path}: {text}"
        );
        let last = text
            .trim_end()
            .lines()
            .rev()
            .take(4)
            .collect::<Vec<_>>()
            .join("\n");
        assert!(last.contains(end), "{path}: {text}");
    }
    let rows = stage.rows(6).await;
    assert!(
        rows.iter()
            .all(|row| row.outcome == Outcome::Ok && row.usage.output == 2)
    );
}

#[tokio::test]
async fn an_error_has_the_shape_of_the_clients_dialect_before_and_inside_a_stream() {
    let provider = Provider::script([failure(400)]);
    let stage = with(&provider, json!({})).await;
    let shapes = [
        "/error/message",
        "/error/message",
        "/error/message",
        "/error/message",
        "/error",
        "/error",
    ];
    for stream in [false, true] {
        for ((path, body), place) in questions(stream).into_iter().zip(shapes) {
            let reply = stage.post(path, &body.to_string()).await;
            assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{path}");
            assert!(
                reply.json().pointer(place).is_some_and(Value::is_string),
                "{path}: {}",
                reply.text()
            );
        }
    }
    let reply = stage
        .post(
            "/v1/messages",
            &json!({"model": "nothing", "max_tokens": 1}).to_string(),
        )
        .await;
    assert_eq!(reply.json()["type"], "error");
    let broken = Provider::script([Act::Stream(vec![CHUNK_A], End::Break)]);
    let stage = with(&broken, json!({})).await;
    let marks = [
        "\"error\"",
        "response.failed",
        "event: error",
        "\"error\"",
        "\"error\"",
        "\"error\"",
    ];
    for ((path, body), mark) in questions(true).into_iter().zip(marks) {
        let reply = stage.post(path, &body.to_string()).await;
        assert!(
            reply.text().contains("\"Hel\"") && reply.text().contains(mark),
            "{path}: {}",
            reply.text()
        );
    }
}

const ANTHROPIC: [&str; 6] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":9,\"output_tokens\":1}}}\n\n",
    "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"Hello\"}}\n\n",
    "event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":3}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

#[tokio::test]
async fn a_body_in_the_providers_own_dialect_passes_untouched_but_for_the_models_name() {
    let provider = Provider::script([Act::Stream(ANTHROPIC.to_vec(), End::Close)]);
    let stage = with(&provider, json!({"type": "anthropic"})).await;
    let body = " {\"max_tokens\":9, \"model\":\"p/m\",\"stream\":true,\"future\":{\"a\":1e2},
        \"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9\"}]}";
    let mut request = post("/v1/messages", KEY, body);
    request
        .headers_mut()
        .insert("anthropic-beta", "context-1m".parse().unwrap());
    let reply = stage.send(request).await;
    assert_eq!(reply.text(), ANTHROPIC.concat());
    let asked = provider.asked().remove(0);
    assert_eq!(asked.path, "/v1/messages");
    assert_eq!(asked.body, body.replace("p/m", "m"));
    assert_eq!(asked.headers["anthropic-beta"], "context-1m");
    let row = stage.row().await;
    assert_eq!(
        (
            row.outcome,
            row.usage.input,
            row.usage.output,
            row.dialect.as_str()
        ),
        (Outcome::Ok, 9, 3, "anthropic")
    );
    assert_eq!(row.output.as_deref(), Some("Hello"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_first_token_is_announced_by_comments_and_a_failure_after_them_is_an_event() {
    let hanging = Provider::script([Act::Hang]);
    let stage = with(&hanging, json!({})).await;
    stage
        .route(
            "slow",
            json!({"targets": [{"provider": "p", "model": "m"}], "retry": {"attempts": 1},
                "timeouts": {"firstToken": "35s", "total": "2m"}}),
        )
        .await;
    let before = tokio::time::Instant::now();
    let reply = stage.chat(ask_stream("slow")).await;
    assert_eq!(reply.status, StatusCode::OK);
    let text = reply.text();
    assert_eq!(text.matches(": waiting").count(), 3, "{text}");
    assert!(
        text.contains("upstream_timeout") && !text.contains("[DONE]"),
        "{text}"
    );
    assert!(before.elapsed() >= Duration::from_secs(35));
    assert!(!reply.header("x-stead-request-id").is_empty());
    // Without a stream, and where comments would break the client, the status tells.
    let reply = stage.chat(ask("slow")).await;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
    let body = json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}).to_string();
    let reply = stage
        .post("/v1beta/models/slow:streamGenerateContent?alt=sse", &body)
        .await;
    assert_eq!(reply.status, StatusCode::GATEWAY_TIMEOUT);
}

async fn with_key(stage: &Stage, key: &str, body: &Value) -> crate::stage::Reply {
    let mut request = post("/v1/chat/completions", KEY, &body.to_string());
    request
        .headers_mut()
        .insert("idempotency-key", key.parse().unwrap());
    stage.send(request).await
}

#[tokio::test]
async fn a_request_that_is_sent_again_with_its_key_is_answered_and_billed_once() {
    let provider = Provider::script([answer("one"), whole_stream(), failure(500), answer("two")]);
    let stage = with(&provider, json!({})).await;
    stage
        .route(
            "once",
            json!({"targets": [{"provider": "p", "model": "m"}], "retry": {"attempts": 1}}),
        )
        .await;
    let first = with_key(&stage, "a", &ask("once")).await;
    let again = with_key(&stage, "a", &ask("once")).await;
    assert_eq!(
        (first.text(), again.header("idempotent-replayed")),
        (again.text(), "true")
    );
    let other = with_key(&stage, "a", &ask_stream("once")).await;
    assert_eq!(other.error(), (422, "idempotency_key_reused".into()));
    let stream = with_key(&stage, "b", &ask_stream("once")).await;
    assert!(stream.text().ends_with(DONE));
    assert_eq!(
        with_key(&stage, "b", &ask_stream("once")).await.text(),
        stream.text()
    );
    // What failed is tried again.
    assert_eq!(
        with_key(&stage, "c", &ask("once")).await.status,
        StatusCode::BAD_GATEWAY
    );
    assert!(with_key(&stage, "c", &ask("once")).await.text().contains("two"));
    assert_eq!(provider.asked().len(), 4);
    let rows = stage.rows(5).await;
    assert_eq!(rows.iter().filter(|row| row.outcome == Outcome::Ok).count(), 3);
}

const GEMINI: &str = r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"Hello"}]},"finishReason":"STOP","index":0}],
    "usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":3,"totalTokenCount":12}}"#;

#[tokio::test]
async fn vertex_gets_a_token_for_the_service_account_and_keeps_it() {
    let provider = Provider::script([Act::Say(200, &[], GEMINI.into())]);
    let google = Provider::script([Act::Say(
        200,
        &[],
        r#"{"access_token":"ya29.x","expires_in":3599,"token_type":"Bearer"}"#.into(),
    )]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.world.ports.web.host("google.test", google.router());
    let file = json!({"type": "service_account", "client_email": "a@b.iam", "private_key_id": "k",
        "private_key": include_str!("service-account-key.pem"), "token_uri": "https://google.test/token"});
    stage.secret("s", "api-key", &file.to_string()).await;
    stage
        .provider(
            "p",
            json!({"type": "vertex", "baseUrl": "https://p.test/v1/projects/x/locations/y",
                "credential": {"secretRef": {"name": "s"}}}),
        )
        .await;
    for _ in 0..2 {
        let reply = stage.chat(ask("p/m")).await;
        assert_eq!(
            reply.json()["choices"][0]["message"]["content"],
            "Hello",
            "{}",
            reply.text()
        );
    }
    let asked = provider.asked().remove(0);
    assert_eq!(asked.headers["authorization"], "Bearer ya29.x");
    assert_eq!(
        asked.path,
        "/v1/projects/x/locations/y/publishers/google/models/m:generateContent"
    );
    let exchanges = google.asked();
    assert_eq!(exchanges.len(), 1);
    let form = String::from_utf8_lossy(&exchanges[0].body).into_owned();
    assert!(form.contains("jwt-bearer") && !form.contains("PRIVATE"), "{form}");
}

#[tokio::test]
async fn bedrock_requests_are_signed_and_the_secret_half_is_never_sent() {
    let body = r#"{"output":{"message":{"role":"assistant","content":[{"text":"Hello"}]}},"stopReason":"end_turn",
        "usage":{"inputTokens":9,"outputTokens":3,"totalTokens":12},"metrics":{"latencyMs":1}}"#;
    let provider = Provider::script([Act::Say(200, &[], body.into())]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage
        .secret_data(
            "s",
            &[
                ("access-key-id", "AKIAX"),
                ("secret-access-key", "hush"),
                ("region", "eu-west-1"),
            ],
        )
        .await;
    stage
        .provider(
            "p",
            json!({"type": "bedrock", "baseUrl": "https://p.test", "models": ["m", "eu.anthropic:1"],
                "credential": {"secretRef": {"name": "s"}}}),
        )
        .await;
    let reply = stage.chat(ask("p/eu.anthropic:1")).await;
    assert_eq!(
        reply.json()["choices"][0]["message"]["content"],
        "Hello",
        "{}",
        reply.text()
    );
    let asked = provider.asked().remove(0);
    assert!(asked.path.ends_with("/converse"), "{}", asked.path);
    let signature = asked.headers["authorization"].to_str().unwrap();
    assert!(
        signature.starts_with("AWS4-HMAC-SHA256 Credential=AKIAX/"),
        "{signature}"
    );
    assert!(
        signature.contains("/eu-west-1/bedrock/aws4_request"),
        "{signature}"
    );
    assert!(!format!("{:?}", asked.headers).contains("hush"));
}

#[tokio::test]
async fn embeddings_at_bedrock_take_a_call_for_each_text_and_are_counted_together() {
    let answer = |number: f32, tokens: u64| {
        let body = json!({"embedding": [number], "inputTextTokenCount": tokens});
        Act::Say(200, &[], body.to_string())
    };
    // The order in which calls come is not the order of the texts.
    let provider = Provider::script([answer(0.5, 3), answer(0.5, 4)]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    let keys = [
        ("access-key-id", "AKIAX"),
        ("secret-access-key", "hush"),
        ("region", "eu-west-1"),
    ];
    stage.secret_data("s", &keys).await;
    let model = "amazon.titan-embed-text-v2:0";
    let spec = json!({"type": "bedrock", "baseUrl": "https://p.test", "models": ["m", model, "anthropic.claude"],
        "credential": {"secretRef": {"name": "s"}}});
    stage.provider("p", spec).await;
    let body = json!({"model": format!("p/{model}"), "input": ["a", "b"], "dimensions": 256});
    let reply = stage.post("/v1/embeddings", &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let answer = reply.json();
    assert_eq!(
        answer["data"][1],
        json!({"object": "embedding", "index": 1, "embedding": [0.5]})
    );
    assert_eq!(answer["usage"], json!({"prompt_tokens": 7, "total_tokens": 7}));
    for asked in provider.asked() {
        assert!(asked.path.ends_with("/invoke"), "{}", asked.path);
        assert_eq!(asked.json()["dimensions"], 256);
        assert!(asked.headers.contains_key("authorization"));
    }
    assert_eq!((provider.asked().len(), stage.row().await.usage.input), (2, 7));
    let body = json!({"model": "p/anthropic.claude", "input": "a"});
    let reply = stage.post("/v1/embeddings", &body.to_string()).await;
    assert_eq!(reply.error().0, 400, "{}", reply.text());
}

/// Tools of `OpenAI`'s form reached Anthropic untranslated, so that every request with tools failed there.
#[tokio::test]
async fn bifrost_3511_tools_of_openais_clients_reach_anthropic_in_its_own_form() {
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_reason": "tool_use",
        "content": [{"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}],
        "usage": {"input_tokens": 9, "output_tokens": 3}});
    let provider = Provider::script([Act::Say(200, &[], answer.to_string())]);
    let stage = with(&provider, json!({"type": "anthropic"})).await;
    let mut body = ask("p/m");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
    body["tools"] = json!([{"type": "function", "function": {"name": "weather", "description": "d", "parameters": schema}}]);
    body["tool_choice"] = json!("required");
    let reply = stage.chat(body).await.json();
    let asked = provider.asked()[0].json();
    assert_eq!(asked["tools"][0]["name"], "weather");
    assert_eq!(asked["tools"][0]["input_schema"], schema);
    assert!(asked["tools"][0].get("function").is_none() && asked["tools"][0].get("parameters").is_none());
    assert_eq!(asked["tool_choice"]["type"], "any");
    let call = &reply["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["function"]["name"], "weather");
    assert_eq!(
        call["function"]["arguments"].as_str().unwrap().replace(' ', ""),
        "{\"city\":\"Paris\"}"
    );
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
}
