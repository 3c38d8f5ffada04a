//! Files that a chat names by the ids that `/v1/files` gave them.

use futures::FutureExt;
use http::{Response, StatusCode};
use serde_json::{Value, json};
use stead_kernel::{Body, Identity};
use stead_testkit::World;

use crate::{
    providers::{Provider, answer},
    stage::Stage,
};

const ID: &str = "file-0198c0de000070008000000000000000";
const GONE: &str = "file-0198c0de000070008000000000000001";

/// A gateway beside a store that has one file of this content, said to have `bytes` bytes.
async fn with(provider: &Provider, content: &'static str, bytes: usize) -> Stage {
    let world = World::new();
    world.ports.models.script(move |identity, request| {
        async move {
            assert!(matches!(identity, Identity::Known(_)), "it asks as the caller");
            assert_eq!(request.headers()["x-stead-project"], "default");
            let path = request.uri().path();
            let (status, body) = if path == format!("/v1/files/{ID}") {
                (
                    200,
                    json!({"id": ID, "filename": "a.txt", "bytes": bytes}).to_string(),
                )
            } else if path == format!("/v1/files/{ID}/content") {
                (200, content.to_owned())
            } else {
                (404, "{}".to_owned())
            };
            Response::builder().status(status).body(Body::from(body)).unwrap()
        }
        .boxed()
    });
    let stage = Stage::start(world).await;
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    stage
}

fn chat(id: &str) -> Value {
    json!({"model": "p/m", "messages": [{"role": "user", "content": [
        {"type": "file", "file": {"file_id": id}}, {"type": "text", "text": "What does it say?"}]}]})
}

#[tokio::test]
async fn a_file_that_a_chat_names_reaches_the_provider_as_what_it_holds() {
    let provider = Provider::script([answer("Hello")]);
    let stage = with(&provider, "It rained.", 10).await;
    let requests = [
        ("/v1/chat/completions", chat(ID)),
        (
            "/v1/responses",
            json!({"model": "p/m", "store": false, "input": [{"role": "user", "content": [{"type": "input_file", "file_id": ID}]}]}),
        ),
        (
            "/v1/messages",
            json!({"model": "p/m", "max_tokens": 9, "messages": [{"role": "user", "content": [
                {"type": "document", "source": {"type": "file", "file_id": ID}}]}]}),
        ),
    ];
    for (path, body) in requests {
        let reply = stage.post(path, &body.to_string()).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}: {}", reply.text());
        let asked = provider.asked().pop().unwrap().json();
        assert!(asked.to_string().contains("It rained."), "{path}: {asked}");
        assert!(!asked.to_string().contains(ID), "{path}: {asked}");
    }
}

#[tokio::test]
async fn a_file_that_is_not_there_or_too_large_is_refused_and_a_providers_own_goes_on() {
    let provider = Provider::script([answer("Hello")]);
    let stage = with(&provider, "x", 64 << 20).await;
    let reply = stage.chat(chat(GONE)).await;
    assert_eq!(reply.error(), (404, "file_not_found".into()));
    let reply = stage.chat(chat(ID)).await;
    assert_eq!(reply.error(), (413, "request_too_large".into()));
    assert!(provider.asked().is_empty());
    let reply = stage.chat(chat("file-6F2ksmvXxt4VdoqmHRw6kL")).await;
    assert_eq!(reply.status, StatusCode::OK, "{}", reply.text());
    let asked = provider.asked()[0].json();
    assert_eq!(
        asked["messages"][0]["content"][0]["file"]["file_id"],
        "file-6F2ksmvXxt4VdoqmHRw6kL"
    );
}
