//! Answers that are given again.

use http::{StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::ports::{NanoUsd, events::Outcome};
use stead_testkit::World;

use crate::{
    providers::{Act, Provider, answer, whole_stream},
    stage::{KEY, Reply, Stage, ask, ask_stream, post},
};

/// A gateway with a route `chat` that keeps answers.
async fn caching(provider: &Provider, cache: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    let spec =
        json!({"targets": [{"provider": "p", "model": "m"}], "retry": {"attempts": 1}, "cache": cache});
    stage.route("chat", spec).await;
    stage
}

async fn with_control(stage: &Stage, value: &str) -> Reply {
    let mut request = post("/v1/chat/completions", KEY, &ask("chat").to_string());
    request
        .headers_mut()
        .insert(header::CACHE_CONTROL, value.parse().unwrap());
    stage.send(request).await
}

#[tokio::test]
async fn the_same_request_gets_the_same_answer_for_nothing() {
    let provider = Provider::script([answer("one"), answer("two")]);
    let stage = caching(&provider, json!({})).await;
    let first = stage.chat(ask("chat")).await;
    assert_eq!((first.header("x-stead-cache"), first.header("age")), ("miss", ""));
    let mut reordered = json!({"messages": [{"content": "hi", "role": "user"}], "user": "x"});
    reordered["model"] = "chat".into();
    let second = stage.chat(reordered).await;
    assert_eq!(
        (second.header("x-stead-cache"), second.header("age")),
        ("hit", "0")
    );
    assert_eq!(second.text(), first.text());
    assert_eq!(provider.asked().len(), 1);
    let rows = stage.rows(2).await;
    let hit = &rows[1];
    assert_eq!(hit.labels["stead.dev/cache"], "hit");
    assert_eq!(
        (hit.outcome, hit.cost, hit.usage.output),
        (Outcome::Ok, Some(NanoUsd::default()), 0)
    );
    assert_eq!((hit.attempts.len(), hit.route.as_str()), (0, "chat"));
}

#[tokio::test]
async fn an_answer_is_given_again_whole_or_as_a_stream_whichever_is_asked_for() {
    let provider = Provider::script([whole_stream(), answer("other")]);
    let stage = caching(&provider, json!({})).await;
    let first = stage.chat(ask_stream("chat")).await;
    assert_eq!(
        (first.status, first.header("x-stead-cache")),
        (StatusCode::OK, "miss")
    );
    let whole = stage.chat(ask("chat")).await;
    assert_eq!(whole.header("x-stead-cache"), "hit");
    assert_eq!(whole.json()["choices"][0]["message"]["content"], "Hello");
    assert_eq!(whole.json()["usage"]["completion_tokens"], 2);
    let streamed = stage.chat(ask_stream("chat")).await;
    assert_eq!(streamed.header("x-stead-cache"), "hit");
    let text: String = streamed
        .events()
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|chunk| {
            chunk["choices"][0]["delta"]["content"]
                .as_str()
                .map(str::to_owned)
        })
        .collect();
    assert_eq!(
        (text.as_str(), streamed.events().last().map(String::as_str)),
        ("Hello", Some("[DONE]"))
    );
    assert_eq!(provider.asked().len(), 1);
}

#[tokio::test]
async fn a_client_may_want_a_new_answer_or_none_kept() {
    let provider = Provider::script([answer("1"), answer("2"), answer("3"), answer("4")]);
    let stage = caching(&provider, json!({})).await;
    let said = |reply: &Reply| {
        reply.json()["choices"][0]["message"]["content"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(said(&with_control(&stage, "no-store").await), "1");
    assert_eq!(said(&stage.chat(ask("chat")).await), "2", "nothing was kept");
    assert_eq!(said(&with_control(&stage, "no-cache").await), "3");
    assert_eq!(
        said(&stage.chat(ask("chat")).await),
        "3",
        "the newer one was kept"
    );
}

#[tokio::test]
async fn what_failed_was_cut_or_is_of_another_key_is_not_given_again() {
    let cut = json!({"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "length"}]});
    let provider = Provider::script([
        Act::Say(500, &[], "{}".into()),
        Act::Say(200, &[], cut.to_string()),
        answer("ada's"),
        answer("bob's"),
    ]);
    let stage = caching(&provider, json!({"scope": "Key"})).await;
    stage
        .key("bob", "sk-stead-bob", json!({"owner": {"user": "bob"}}))
        .await;
    assert_eq!(stage.chat(ask("chat")).await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(stage.chat(ask("chat")).await.header("x-stead-cache"), "miss");
    assert_eq!(stage.chat(ask("chat")).await.header("x-stead-cache"), "miss");
    assert_eq!(stage.chat(ask("chat")).await.header("x-stead-cache"), "hit");
    let bobs = stage
        .send(post(
            "/v1/chat/completions",
            "sk-stead-bob",
            &ask("chat").to_string(),
        ))
        .await;
    assert_eq!(bobs.header("x-stead-cache"), "miss");
    assert!(bobs.text().contains("bob's"));
}

#[tokio::test]
async fn an_answer_is_given_to_who_means_the_same() {
    let vector = |values: [f64; 2]| {
        let body = json!({"object": "list", "data": [{"index": 0, "embedding": values}], "model": "e", "usage": {"prompt_tokens": 1, "total_tokens": 1}});
        Act::Say(200, &[], body.to_string())
    };
    let provider = Provider::script([answer("Paris"), answer("Rome")]);
    let embedder = Provider::script([
        vector([1.0, 0.0]),
        vector([0.99, 0.1]),
        vector([0.0, 1.0]),
        Act::Say(500, &[], "{}".into()),
    ]);
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.world.ports.web.host("e.test", embedder.router());
    stage.provider("p", json!({})).await;
    stage.provider("e", json!({})).await;
    stage
        .route(
            "vectors",
            json!({"targets": [{"provider": "e", "model": "m"}], "retry": {"attempts": 1}}),
        )
        .await;
    let cache =
        json!({"mode": "Semantic", "embeddingRoute": "vectors", "threshold": 0.9, "scope": "Project"});
    stage
        .route(
            "chat",
            json!({"targets": [{"provider": "p", "model": "m"}], "cache": cache}),
        )
        .await;
    let asks = async |text: &str| {
        let body = json!({"model": "chat", "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": text}]});
        let reply = stage.chat(body).await;
        (
            reply.header("x-stead-cache").to_owned(),
            reply.json()["choices"][0]["message"]["content"].clone(),
        )
    };
    assert_eq!(asks("capital of France?").await, ("miss".into(), json!("Paris")));
    assert_eq!(
        asks("France's capital?").await,
        ("semantic".into(), json!("Paris"))
    );
    assert_eq!(asks("capital of Italy?").await, ("miss".into(), json!("Rome")));
    assert_eq!(
        asks("capital of France?").await,
        ("hit".into(), json!("Paris")),
        "no vector is needed"
    );
    assert_eq!(asks("no vector to be had").await.0, "miss", "the request goes on");
    assert_eq!(embedder.asked().len(), 4);
}

#[tokio::test]
async fn embeddings_are_given_again_too() {
    let body = json!({"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 1, "total_tokens": 1}});
    let provider = Provider::script([Act::Say(200, &[], body.to_string())]);
    let stage = caching(&provider, json!({})).await;
    let ask = json!({"model": "chat", "input": "x"}).to_string();
    let first = stage.post("/v1/embeddings", &ask).await;
    let second = stage.post("/v1/embeddings", &ask).await;
    assert_eq!(
        (first.header("x-stead-cache"), second.header("x-stead-cache")),
        ("miss", "hit")
    );
    assert_eq!(first.text(), second.text());
}

#[tokio::test]
async fn a_kept_answer_names_each_clients_own_values() {
    let provider = Provider::script([answer("Hello [EMAIL_1]")]);
    let world = World::new();
    let spec = json!({"rules": [{"name": "r", "action": "Redact", "detectors": ["email"]}]});
    Stage::apply_before(&world, "Guardrail", "guardrails", "g", spec).await;
    let stage = Stage::start(world).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    stage
        .route(
            "chat",
            json!({"targets": [{"provider": "p", "model": "m"}], "cache": {}}),
        )
        .await;
    for (who, cache) in [("ada@x.org", "miss"), ("bob@x.org", "hit")] {
        let body = json!({"model": "chat", "messages": [{"role": "user", "content": format!("I am {who}")}]});
        let reply = stage.chat(body).await;
        assert_eq!(reply.header("x-stead-cache"), cache);
        assert_eq!(
            reply.json()["choices"][0]["message"]["content"],
            format!("Hello {who}")
        );
    }
}
