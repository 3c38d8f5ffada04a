//! Operations other than chat: pictures, sound, ranking, embeddings and counts in several dialects, lists of models.

use http::{StatusCode, header};
use serde_json::{Value, json};
use stead_kernel::{Body, ports::events::Outcome};
use stead_testkit::World;

use crate::{
    providers::{Act, End, Provider},
    stage::{KEY, Reply, Stage},
};

async fn with(provider: &Provider, spec: Value) -> Stage {
    let stage = Stage::start(World::new()).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", spec).await;
    stage
}

fn say(body: &Value) -> Act {
    Act::Say(200, &[("content-type", "application/json")], body.to_string())
}

#[tokio::test]
async fn what_is_asked_in_json_passes_untouched_but_for_the_models_name() {
    let answers = [
        (
            "/v1/images/generations",
            json!({"created": 1, "data": [{"b64_json": "eA=="}, {"b64_json": "eQ=="}],
            "usage": {"input_tokens": 5, "output_tokens": 90, "total_tokens": 95,
                "input_tokens_details": {"text_tokens": 5, "image_tokens": 0}}}),
        ),
        (
            "/v1/moderations",
            json!({"id": "m", "model": "m", "results": [{"flagged": false}]}),
        ),
        (
            "/v1/rerank",
            json!({"results": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 7}}),
        ),
    ];
    let provider = Provider::script(answers.each_ref().map(|(_, answer)| say(answer)));
    let stage = with(&provider, json!({})).await;
    for (path, answer) in &answers {
        let body = json!({"model": "p/m", "prompt": "x", "future": 1}).to_string();
        let reply = stage.post(path, &body).await;
        assert_eq!(
            (reply.status, reply.json()),
            (StatusCode::OK, answer.clone()),
            "{path}"
        );
    }
    for (asked, (path, _)) in provider.asked().iter().zip(&answers) {
        assert_eq!(asked.path, *path);
        assert_eq!(
            asked.body,
            json!({"model": "m", "prompt": "x", "future": 1}).to_string()
        );
    }
    let rows = stage.rows(3).await;
    let of = |name: &str| rows.iter().find(|row| row.operation == name).unwrap().usage;
    let images = of("images");
    assert_eq!((images.images, images.input, images.output), (2, 5, 90));
    assert_eq!(of("rerank").input, 7);
    assert_eq!(of("moderations").input, 0);
}

async fn form(stage: &Stage, path: &str, fields: &[(&str, &str)]) -> Reply {
    let mut body = String::new();
    for (name, value) in fields {
        let head = format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n");
        body.push_str(&head);
        body.push_str(value);
        body.push_str("\r\n");
    }
    body.push_str("--cut--\r\n");
    let request = http::Request::post(path)
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=cut")
        .body(Body::from(body))
        .unwrap();
    stage.send(request).await
}

#[tokio::test]
async fn uploads_pass_with_the_providers_name_of_the_model() {
    let provider = Provider::script([
        say(&json!({"text": "hello", "usage": {"type": "duration", "seconds": 2.5}})),
        Act::Say(200, &[("content-type", "text/plain")], "hello\n".into()),
        Act::Say(200, &[("content-type", "text/html")], "<html>".into()),
    ]);
    let stage = with(&provider, json!({})).await;
    let fields = [("file", "RIFF\r\n--x"), ("model", "p/m"), ("language", "en")];
    let reply = form(&stage, "/v1/audio/transcriptions", &fields).await;
    assert_eq!(reply.json()["text"], "hello");
    let asked = provider.asked().remove(0);
    assert_eq!(
        asked.headers[header::CONTENT_TYPE],
        "multipart/form-data; boundary=cut"
    );
    let body = String::from_utf8_lossy(&asked.body).into_owned();
    assert!(
        body.contains("\r\n\r\nm\r\n--cut") && body.contains("RIFF\r\n--x\r\n--cut"),
        "{body}"
    );
    assert_eq!(stage.row().await.usage.audio_ms, 2_500);
    let reply = form(&stage, "/v1/audio/translations", &fields).await;
    assert_eq!(
        (reply.text(), reply.header("content-type")),
        ("hello\n".into(), "text/plain")
    );
    let reply = form(&stage, "/v1/audio/translations", &[("file", "x")]).await;
    assert_eq!(reply.error(), (400, "invalid_body".into()));
}

#[tokio::test]
async fn sound_is_passed_on_while_it_comes_and_breaks_off_where_it_fails() {
    let provider = Provider::script([
        Act::Bytes("audio/mpeg", vec!["ID3", "more"], End::Close),
        Act::Bytes("audio/mpeg", vec!["ID3"], End::Break),
    ]);
    let stage = with(&provider, json!({})).await;
    let body = json!({"model": "p/m", "input": "hi", "voice": "alloy"}).to_string();
    let reply = stage.post("/v1/audio/speech", &body).await;
    assert_eq!(
        (reply.text(), reply.header("content-type")),
        ("ID3more".into(), "audio/mpeg")
    );
    let broken = stage.try_post("/v1/audio/speech", &body).await;
    assert!(broken.is_err(), "a sound that is cut off must not look complete");
    let rows = stage.rows(2).await;
    let outcomes: Vec<Outcome> = rows.iter().map(|row| row.outcome).collect();
    assert!(
        outcomes.contains(&Outcome::Ok) && outcomes.contains(&Outcome::Error),
        "{outcomes:?}"
    );
}

#[tokio::test]
async fn embeddings_are_answered_in_the_clients_dialect() {
    let vectors = json!({"object": "list", "model": "m", "data": [
        {"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}],
        "usage": {"prompt_tokens": 3, "total_tokens": 3}});
    let provider = Provider::script([say(&vectors)]);
    let stage = with(&provider, json!({})).await;
    let cases = [
        (
            "/v1/embeddings",
            json!({"model": "p/m", "input": "a"}),
            "/data/0/embedding/0",
        ),
        (
            "/v1beta/models/p%2Fm:embedContent",
            json!({"content": {"parts": [{"text": "a"}]}}),
            "/embedding/values/0",
        ),
        (
            "/v1beta/models/p%2Fm:batchEmbedContents",
            json!({"requests": [{"content": {"parts": [{"text": "a"}]}}]}),
            "/embeddings/0/values/0",
        ),
        (
            "/ollama/api/embed",
            json!({"model": "p/m", "input": "a"}),
            "/embeddings/0/0",
        ),
        (
            "/ollama/api/embeddings",
            json!({"model": "p/m", "prompt": "a"}),
            "/embedding/0",
        ),
    ];
    for (path, body, place) in cases {
        let reply = stage.post(path, &body.to_string()).await;
        assert_eq!(
            reply.json().pointer(place),
            Some(&json!(0.5)),
            "{path}: {}",
            reply.text()
        );
    }
    let rows = stage.rows(5).await;
    assert!(
        rows.iter()
            .all(|row| row.usage.input == 3 && row.operation == "embeddings")
    );
}

#[tokio::test]
async fn a_prompt_is_counted_by_the_provider_or_estimated_and_never_billed() {
    let provider = Provider::script([say(&json!({"input_tokens": 14}))]);
    let stage = with(&provider, json!({"type": "anthropic"})).await;
    let body = json!({"model": "p/m", "messages": [{"role": "user", "content": "hello there"}]}).to_string();
    let reply = stage.post("/v1/messages/count_tokens", &body).await;
    assert_eq!(reply.json()["input_tokens"], 14);
    assert_eq!(provider.asked()[0].path, "/v1/messages/count_tokens");
    let plain = with(&provider, json!({})).await;
    let reply = plain.post("/v1/messages/count_tokens", &body).await;
    assert!(
        reply.json()["input_tokens"]
            .as_u64()
            .is_some_and(|count| count > 0),
        "{}",
        reply.text()
    );
    assert!(reply.header("x-stead-warnings").contains("estimate"));
    let gemini = json!({"contents": [{"parts": [{"text": "hello there"}]}]}).to_string();
    let reply = plain.post("/v1beta/models/p%2Fm:countTokens", &gemini).await;
    assert!(
        reply.json()["totalTokens"]
            .as_u64()
            .is_some_and(|count| count > 0),
        "{}",
        reply.text()
    );
    let rows = plain.rows(2).await;
    assert!(rows.iter().all(|row| row.usage.input == 0));
}

#[tokio::test]
async fn models_are_listed_in_every_dialect() {
    let stage = with(&Provider::script([Act::Hang]), json!({})).await;
    let request = http::Request::get("/v1/models")
        .header("x-api-key", KEY)
        .header("anthropic-version", "2023-06-01")
        .body(Body::empty())
        .unwrap();
    assert_eq!(stage.send(request).await.json()["data"][0]["type"], "model");
    let reply = stage.get("/v1beta/models", KEY).await;
    assert_eq!(reply.json()["models"][0]["name"], "models/p/m");
    let reply = stage.get("/v1beta/models/p%2Fm", KEY).await;
    assert_eq!(reply.json()["name"], "models/p/m");
    let reply = stage.get("/ollama/api/tags", KEY).await;
    assert_eq!(reply.json()["models"][0]["name"], "p/m");
    let reply = stage.post("/ollama/api/show", r#"{"model":"p/m"}"#).await;
    assert!(reply.json()["capabilities"].is_array());
    for path in ["/v1beta/models/nothing", "/v1beta/models/p%2Fm:explode"] {
        assert_eq!(stage.get(path, KEY).await.status, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn documents_are_ranked_in_each_providers_form() {
    let body =
        json!({"model": "p/m", "query": "q", "documents": ["a", "b"], "return_documents": true}).to_string();
    let cases = [
        (
            "cohere",
            "/v2/rerank",
            json!({"id": "x", "results": [{"index": 1, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.1}]}),
        ),
        (
            "tei",
            "/rerank",
            json!([{"index": 1, "score": 0.9}, {"index": 0, "score": 0.1}]),
        ),
    ];
    for (kind, path, answer) in cases {
        let provider = Provider::script([say(&answer)]);
        let base = if kind == "cohere" {
            "https://p.test/v2"
        } else {
            "https://p.test/v1"
        };
        let stage = with(&provider, json!({"type": kind, "baseUrl": base})).await;
        let reply = stage.post("/v1/rerank", &body).await;
        let first = reply.json()["results"][0].clone();
        assert_eq!(
            (&first["index"], &first["document"]["text"]),
            (&json!(1), &json!("b")),
            "{kind}: {}",
            reply.text()
        );
        assert_eq!(provider.asked()[0].path, path, "{kind}");
    }
    let stage = with(&Provider::script([Act::Hang]), json!({"type": "anthropic"})).await;
    assert_eq!(
        stage.post("/v1/rerank", &body).await.error(),
        (501, "unsupported".into())
    );
}

#[tokio::test]
async fn what_a_flavour_of_openais_dialect_does_not_take_is_left_out_and_told() {
    let answer = json!({"id": "c", "object": "chat.completion", "model": "m", "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}]});
    let provider = Provider::script([say(&answer)]);
    let stage = with(&provider, json!({"type": "groq"})).await;
    let body =
        json!({"model": "p/m", "messages": [{"role": "user", "content": "hi"}], "logit_bias": {"1": 5}});
    let reply = stage.post("/v1/chat/completions", &body.to_string()).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    assert!(provider.asked()[0].json().get("logit_bias").is_none());
    assert!(
        reply.header("x-stead-warnings").contains("logit_bias"),
        "{:?}",
        reply.headers
    );
}

#[tokio::test]
async fn ollamas_clients_load_models_without_asking_anybody() {
    let provider = Provider::script([Act::Hang]);
    let stage = with(&provider, json!({})).await;
    let reply = stage.post("/ollama/api/generate", r#"{"model":"p/m"}"#).await;
    assert_eq!(reply.json()["done_reason"], "load");
    assert!(provider.asked().is_empty());
}
