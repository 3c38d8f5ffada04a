//! Who may use what, and requests that are wrong.

use std::time::Duration;

use http::{StatusCode, header};
use serde_json::json;
use stead_kernel::{Body, http::Connection};
use stead_testkit::{World, poll_until};

use crate::{
    providers::{Provider, answer},
    stage::{KEY, SOON, Stage, ask, hash, post},
};

async fn stage() -> Stage {
    let stage = Stage::start(World::new()).await;
    let provider = Provider::script([answer("x")]);
    stage.world.ports.web.host("p.test", provider.router());
    stage.provider("p", json!({})).await;
    stage
        .route("chat", json!({"targets": [{"provider": "p", "model": "m"}]}))
        .await;
    stage
}

async fn status(stage: &Stage, key: &str, model: &str) -> (u16, String) {
    let reply = stage
        .send(post("/v1/chat/completions", key, &ask(model).to_string()))
        .await;
    if reply.status == StatusCode::OK {
        return (200, String::new());
    }
    reply.error()
}

#[tokio::test]
async fn keys_that_are_wrong_late_or_switched_off_are_refused() {
    let stage = stage().await;
    stage.key("off", "sk-stead-off", json!({"disabled": true})).await;
    let end = stead_kernel::Timestamp::from_second(4_000_000_000).unwrap();
    stage
        .key("late", "sk-stead-late", json!({"expires": end.to_string()}))
        .await;
    let refused = (401, "invalid_api_key".to_owned());
    assert_eq!(status(&stage, "sk-stead-nobody", "chat").await, refused);
    assert_eq!(status(&stage, "sk-stead-off", "chat").await, refused);
    assert_eq!(status(&stage, "sk-stead-late", "chat").await.0, 200);
    stage.world.ports.clock.set(end);
    assert_eq!(status(&stage, "sk-stead-late", "chat").await, refused);
    assert_eq!(status(&stage, KEY, "chat").await.0, 200);
    let anonymous = http::Request::post("/v1/chat/completions")
        .body(Body::empty())
        .unwrap();
    let reply = stage.send(anonymous).await;
    assert_eq!(
        (reply.error().0, reply.header("www-authenticate")),
        (401, "Bearer")
    );
    let text = stage.get("/v1/models", "sk-stead-late").await.text();
    assert!(
        text.contains("expired") && !text.contains("sk-stead-late"),
        "{text}"
    );
}

#[tokio::test]
async fn a_models_name_in_an_address_may_be_percent_encoded_and_a_provider_alone_is_no_model() {
    let stage = stage().await;
    let open = json!({"type": "openai-compatible", "baseUrl": "https://p.test/v1"});
    stage.apply("ModelProvider", "modelproviders", "open", open).await;
    stage.known("open/meta/llama-3").await;
    for path in ["p%2Fm", "p/m", "open%2Fmeta%2Fllama-3"] {
        let reply = stage.get(&format!("/v1/models/{path}"), KEY).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
    }
    assert_eq!(
        status(&stage, KEY, "open/").await,
        (404, "model_not_found".into())
    );
    assert_eq!(status(&stage, KEY, "open/meta/llama-3").await.0, 200);
    let mut request = post("/v1/chat/completions", KEY, &ask("chat").to_string());
    let elsewhere = "empty".parse().unwrap();
    request.headers_mut().insert("x-stead-project", elsewhere);
    assert_eq!(
        stage.send(request).await.status,
        StatusCode::OK,
        "a key has its own project"
    );
}

#[tokio::test]
async fn a_key_with_a_list_is_held_to_it() {
    let stage = stage().await;
    stage
        .key("narrow", "sk-stead-narrow", json!({"routes": ["chat"]}))
        .await;
    assert_eq!(status(&stage, "sk-stead-narrow", "chat").await.0, 200);
    assert_eq!(
        status(&stage, "sk-stead-narrow", "p/m").await,
        (403, "model_not_allowed".into())
    );
    let listed = stage.get("/v1/models", "sk-stead-narrow").await.json();
    assert_eq!(listed["data"].as_array().unwrap().len(), 1);
    stage.delete("ApiKey", "apikeys", "narrow").await;
    stead_testkit::poll_until(Duration::from_secs(20), "the key to go", async || {
        (status(&stage, "sk-stead-narrow", "chat").await.0 == 401).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_provider_for_admins_is_for_admins_and_their_keys() {
    let stage = stage().await;
    stage
        .world
        .ports
        .web
        .host("paid.test", Provider::script([answer("x")]).router());
    let spec = json!({"type": "openai-compatible", "baseUrl": "https://paid.test/v1", "models": ["gold"],
        "availability": "Admins"});
    stage.apply("ModelProvider", "modelproviders", "paid", spec).await;
    stage
        .key("admins", "sk-stead-admins", json!({"owner": {"user": "admin"}}))
        .await;
    stead_testkit::poll_until(Duration::from_secs(20), "the provider", async || {
        (status(&stage, "admin", "paid/gold").await.0 == 200).then_some(())
    })
    .await;
    assert_eq!(status(&stage, "sk-stead-admins", "gold").await.0, 200);
    assert_eq!(
        status(&stage, KEY, "paid/gold").await,
        (404, "model_not_found".into())
    );
}

#[tokio::test]
async fn the_admin_chooses_a_project_by_a_header() {
    let stage = stage().await;
    let mut request = post("/v1/chat/completions", "admin", &ask("chat").to_string());
    assert_eq!(stage.send(request).await.status, StatusCode::OK);
    request = post("/v1/chat/completions", "admin", &ask("chat").to_string());
    request
        .headers_mut()
        .insert("x-stead-project", "empty".parse().unwrap());
    assert_eq!(stage.send(request).await.error(), (404, "model_not_found".into()));
    let rows = stage.rows(2).await;
    let mut projects: Vec<&str> = rows.iter().map(|row| row.project.as_str()).collect();
    projects.sort_unstable();
    assert_eq!(projects, ["default", "empty"]);
}

#[tokio::test]
async fn requests_that_are_wrong_get_one_clear_error() {
    let mut world = World::new();
    world.settings.body_limit = 1_000;
    let stage = Stage::start(world).await;
    let long = json!({"model": "m", "x": "y".repeat(2_000)}).to_string();
    let chat = "/v1/chat/completions";
    let cases = [
        (chat, "", 400, "invalid_body"),
        (chat, "{\"model\": \"m\",\n oops}", 400, "invalid_body"),
        (chat, "{\"messages\": []}", 400, "invalid_body"),
        (chat, "{\"model\": \"nothing\"}", 404, "model_not_found"),
        (chat, &long, 413, "request_too_large"),
        ("/v1/nothing", "{}", 404, "unknown_url"),
        ("/v1/", "{}", 404, "unknown_url"),
        ("/v1/models", "{}", 405, "method_not_allowed"),
    ];
    for (path, body, expected, code) in cases {
        let reply = stage.post(path, body).await;
        assert_eq!(reply.error(), (expected, code.to_owned()), "{path} {body}");
    }
    let reply = stage.post(chat, "{\"model\": \"m\",\n oops}").await;
    assert!(reply.text().contains("line 2, column 2"), "{}", reply.text());
    let reply = stage.get(chat, KEY).await;
    assert_eq!(reply.error(), (405, "method_not_allowed".into()));
    let reply = stage.get("/v1/models/no/such", KEY).await;
    assert_eq!(reply.error(), (404, "model_not_found".into()));
    let reply = stage.get("/v1/models/%ff", KEY).await;
    assert_eq!(reply.error(), (400, "invalid_url".into()));
    let streamed = http::Request::post(chat)
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .body(Body::from_stream(futures::stream::iter(
            (0..3).map(|_| Ok::<_, std::io::Error>("x".repeat(600))),
        )))
        .unwrap();
    assert_eq!(
        stage.send(streamed).await.error(),
        (413, "request_too_large".into())
    );
    let cut = http::Request::post(chat)
        .header(header::AUTHORIZATION, format!("Bearer {KEY}"))
        .body(Body::from_stream(futures::stream::iter([
            Ok("{"),
            Err(std::io::Error::from(std::io::ErrorKind::ConnectionReset)),
        ])))
        .unwrap();
    assert_eq!(stage.send(cut).await.error(), (400, "incomplete_body".into()));
}

#[tokio::test]
async fn a_replaced_key_works_until_its_time_is_over() {
    let stage = stage().await;
    let until = stead_kernel::Timestamp::from_second(4_000_000_000).unwrap();
    let previous = json!({"keyHash": hash("sk-stead-before"), "until": until.to_string()});
    stage
        .key("turned", "sk-stead-after", json!({"previous": previous}))
        .await;
    assert_eq!(status(&stage, "sk-stead-after", "chat").await.0, 200);
    assert_eq!(status(&stage, "sk-stead-before", "chat").await.0, 200);
    stage.world.ports.clock.set(until);
    assert_eq!(status(&stage, "sk-stead-after", "chat").await.0, 200);
    let refused = (401, "invalid_api_key".to_owned());
    assert_eq!(status(&stage, "sk-stead-before", "chat").await, refused);
    let rows = stage.rows(3).await;
    assert!(rows.iter().all(|row| row.key == "turned"));
}

#[tokio::test]
async fn a_key_is_used_from_its_own_networks_only() {
    let stage = stage().await;
    stage.apply("ApiKey", "apikeys", "near", json!({
        "owner": {"user": "ada"}, "keyHash": hash("sk-stead-near"), "allowedAddresses": ["10.0.0.0/8"],
    })).await;
    let from = async |peer: &str| {
        let mut request = post("/v1/chat/completions", "sk-stead-near", &ask("chat").to_string());
        let peer = peer.parse().unwrap();
        request.extensions_mut().insert(Connection { peer, tls: true });
        stage.send(request).await
    };
    poll_until(SOON, "the key", async || {
        (from("10.1.2.3:5").await.status == StatusCode::OK).then_some(())
    })
    .await;
    let refused = from("192.0.2.1:5").await;
    assert_eq!(refused.error().0, 401);
    assert!(
        refused.text().contains("may not be used from this address"),
        "{}",
        refused.text()
    );
    assert_eq!(
        status(&stage, "sk-stead-near", "chat").await.0,
        401,
        "who is not known is nowhere"
    );
}
