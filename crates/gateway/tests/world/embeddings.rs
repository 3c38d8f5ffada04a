//! Embeddings from the engine in this process, which the test's stand-in plays: the vector (1, 2, 2), a token a byte.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use stead_testkit::EMBEDDING_LIMIT;

use crate::{forward::embedded, stage::Stage};

async fn embeds(stage: &Stage, more: Value) -> crate::stage::Reply {
    let mut ask = json!({"model": "tiny", "input": ["abc", "de"]});
    if let (Value::Object(ask), Value::Object(more)) = (&mut ask, more) {
        ask.extend(more);
    }
    stage.post("/v1/embeddings", &ask.to_string()).await
}

#[tokio::test]
async fn vectors_come_in_every_dialect_with_the_tokens_that_were_read() {
    let stage = embedded().await;
    let answer = embeds(&stage, json!({})).await.json();
    assert_eq!(answer["data"][1]["embedding"], json!([1.0, 2.0, 2.0]));
    assert_eq!(answer["data"][1]["index"], 1);
    assert_eq!(answer["model"], "tiny");
    assert_eq!(answer["usage"], json!({"prompt_tokens": 5, "total_tokens": 5}));
    let row = stage.row().await;
    assert_eq!((row.usage.input, row.usage.output), (5, 0));

    let answer = embeds(&stage, json!({"encoding_format": "base64", "input": "abc"}))
        .await
        .json();
    let bytes = STANDARD
        .decode(answer["data"][0]["embedding"].as_str().unwrap())
        .unwrap();
    let numbers = [1.0_f32, 2.0, 2.0].map(f32::to_le_bytes).concat();
    assert_eq!(bytes, numbers);

    let ask = json!({"model": "tiny", "input": ["abc", "de"]}).to_string();
    let answer = stage.post("/ollama/api/embed", &ask).await.json();
    assert_eq!(answer["embeddings"], json!([[1.0, 2.0, 2.0], [1.0, 2.0, 2.0]]));
    assert_eq!(answer["prompt_eval_count"], 5);
    let ask = json!({"model": "tiny", "prompt": "abc"}).to_string();
    let answer = stage.post("/ollama/api/embeddings", &ask).await.json();
    assert_eq!(answer["embedding"], json!([1.0, 2.0, 2.0]));

    let ask = json!({"content": {"parts": [{"text": "abc"}]}}).to_string();
    let answer = stage.post("/v1beta/models/tiny:embedContent", &ask).await.json();
    assert_eq!(answer["embedding"]["values"], json!([1.0, 2.0, 2.0]));
}

#[tokio::test]
async fn vectors_are_cut_to_the_dimensions_that_were_asked_for() {
    let stage = embedded().await;
    let reply = embeds(&stage, json!({"dimensions": 2})).await;
    assert!(reply.header("x-stead-warnings").contains("first 2 of 3 numbers"));
    let vector: Vec<f64> = serde_json::from_value(reply.json()["data"][0]["embedding"].clone()).unwrap();
    assert_eq!(vector.len(), 2);
    assert!((vector[0] - 1.0 / 5.0_f64.sqrt()).abs() < 1e-6, "{vector:?}");
    let reply = embeds(&stage, json!({"dimensions": 3})).await;
    assert_eq!(reply.json()["data"][0]["embedding"], json!([1.0, 2.0, 2.0]));
    for dimensions in [0, 4] {
        let reply = embeds(&stage, json!({"dimensions": dimensions})).await;
        assert_eq!(reply.json()["error"]["param"], "dimensions");
        assert_eq!(reply.error().0, 400, "{dimensions}");
    }
}

#[tokio::test]
async fn inputs_that_are_empty_or_no_texts_are_refused() {
    let stage = embedded().await;
    for input in [json!(""), json!([]), json!(["a", ""]), json!([1, 2]), json!(null)] {
        let reply = embeds(&stage, json!({"input": input})).await;
        assert_eq!(reply.error().0, 400, "{input}");
        assert_eq!(reply.json()["error"]["param"], "input", "{input}");
    }
}

#[tokio::test]
async fn texts_that_are_too_long_are_cut_and_the_client_is_told() {
    let stage = embedded().await;
    let long = "x".repeat(EMBEDDING_LIMIT + 1);
    let reply = embeds(&stage, json!({"input": ["abc", long]})).await;
    assert!(
        reply.header("x-stead-warnings").contains("1 of the texts"),
        "{}",
        reply.header("x-stead-warnings")
    );
    assert_eq!(reply.json()["usage"]["prompt_tokens"], EMBEDDING_LIMIT + 3);
}

#[tokio::test]
async fn the_semantic_cache_asks_the_embedded_engine_for_vectors() {
    let stage = embedded().await;
    stage.world.ports.chat.answer(&["Paris"]);
    let target = json!([{"provider": "local", "model": "tiny"}]);
    stage.route("vectors", json!({"targets": target})).await;
    let cache = json!({"mode": "Semantic", "embeddingRoute": "vectors", "threshold": 0.9});
    stage
        .route("chat", json!({"targets": target, "cache": cache}))
        .await;
    for (text, cached) in [("capital of France?", "miss"), ("France's capital?", "semantic")] {
        let body = json!({"model": "chat", "messages": [{"role": "user", "content": text}]});
        let reply = stage.chat(body).await;
        assert_eq!(reply.header("x-stead-cache"), cached);
        assert_eq!(reply.json()["choices"][0]["message"]["content"], "Paris");
    }
    assert_eq!(stage.world.ports.chat.asked().len(), 1);
}
